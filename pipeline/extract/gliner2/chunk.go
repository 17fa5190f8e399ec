package gliner2

// tokensPerWord bounds a chunk's tokens, by its words: natural texts have 1 to 3 a word, and attention's memory grows with their square.
const tokensPerWord = 8

// chunk is a part of a text that is read at once: words from to to. Those before owned begin the spans that it answers for; the next chunk answers for
// the spans that begin there, and knows more of what follows. Every span of a text belongs to one chunk.
type chunk struct {
	from, to     int
	first, owned int // the spans that begin at words first to owned
}

// chunks cuts a text, given by how many tokens each of its words has, into chunks of about equal size that have at most so many words, or fewer where
// they have very many tokens. Chunks overlap by so many words, and at least by width, the widest span.
func chunks(tokens []int, words, overlap, width int) []chunk {
	n := len(tokens)
	if words < 0 {
		return []chunk{{to: n, owned: n}}
	}
	overlap = max(overlap, width)
	size := words
	if n > words {
		parts := (n - overlap + words - overlap - 1) / (words - overlap)
		size = (n-overlap+parts-1)/parts + overlap
	}
	var all []chunk
	c := chunk{}
	for {
		c.to = c.from
		for sum := 0; c.to < n && c.to-c.from < size; c.to++ {
			if sum += tokens[c.to]; sum > words*tokensPerWord && c.to-c.from >= 2*width {
				break
			}
		}
		if c.to >= n {
			c.owned = n
			return append(all, c)
		}
		shared := max(width, min(overlap, (c.to-c.from)/2))
		// A span that begins before owned ends inside the chunk; the other half of what is shared is what the next one knows of what is before its spans.
		c.owned = c.to - max(width-1, shared/2)
		all = append(all, c)
		c = chunk{from: c.to - shared, first: c.owned}
	}
}
