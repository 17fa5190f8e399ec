package gliner2

import (
	"strings"
	"unicode"
)

// word is a piece of a text that the model reads as one. start and end count code points of the lower-cased text, as both reference programs do: they
// are those of the text itself but after U+0130, which has two code points in lower case.
type word struct {
	text       string // in lower case
	start, end int
}

// splitWords splits a text as GLiNER2's WhitespaceTokenSplitter does: addresses of the web, addresses of mail, @names, words with - or _ between their
// parts, and all else one by one, each as long as it can be and the first kind that fits. The reference is a regular expression that backtracks, this takes linear time.
func splitWords(text string) []word {
	s := newScanner(text)
	var words []word
	for at := 0; at < len(s.runes); {
		end := s.match(at)
		if end == at {
			at++
			continue
		}
		words = append(words, word{text: s.lower[s.bytes[at]:s.bytes[end]], start: at, end: end})
		at = end
	}
	return words
}

// scanner looks at a text in lower case.
type scanner struct {
	runes []rune
	lower string
	bytes []int // where each code point begins in lower, and its length

	// localEnd is where the last run of what stands before an @ ended, mailEnd where the address that goes on there ends, or 0. Every word of
	// a run asks for them.
	localEnd, mailEnd int
}

func newScanner(text string) *scanner {
	s := &scanner{runes: lowerRunes(text)}
	var b strings.Builder
	b.Grow(len(text))
	s.bytes = make([]int, 0, len(s.runes)+1)
	for _, r := range s.runes {
		s.bytes = append(s.bytes, b.Len())
		b.WriteRune(r)
	}
	s.lower = b.String()
	s.bytes = append(s.bytes, len(s.lower))
	return s
}

// match returns where the word that begins at a place ends; the place itself where there is white space.
func (s *scanner) match(at int) int {
	r := s.runes[at]
	if isSpace(r) {
		return at
	}
	if end := s.web(at); end > at {
		return end
	}
	if end := s.mail(at); end > at {
		return end
	}
	if r == '@' {
		if end := s.run(at+1, isNamed); end > at+1 {
			return end
		}
	}
	if !isWord(r) {
		return at + 1
	}
	end := s.run(at, isWord)
	for end+1 < len(s.runes) && s.runes[end] == '-' && isWord(s.runes[end+1]) {
		end = s.run(end+1, isWord)
	}
	return end
}

// web matches https?://\S+ and www\.\S+.
func (s *scanner) web(at int) int {
	from := at
	switch {
	case s.has(at, "www."):
		from += 4
	case s.has(at, "http"):
		if from += 4; from < len(s.runes) && (s.runes[from] == 's' || s.runes[from] == 'ſ') {
			from++
		}
		if !s.has(from, "://") {
			return at
		}
		from += 3
	default:
		return at
	}
	if end := s.run(from, func(r rune) bool { return !isSpace(r) }); end > from {
		return end
	}
	return at
}

// mail matches [a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}.
func (s *scanner) mail(at int) int {
	local := func(r rune) bool { return isASCII(r) || strings.ContainsRune("._%+-", r) }
	if !local(s.runes[at]) {
		return at
	}
	if at >= s.localEnd {
		s.localEnd = s.run(at, local)
		s.mailEnd = s.domain(s.localEnd)
	}
	return max(s.mailEnd, at)
}

// domain returns where an address whose @ would be here ends; 0 where there is none.
func (s *scanner) domain(at int) int {
	if at >= len(s.runes) || s.runes[at] != '@' {
		return 0
	}
	end := s.run(at+1, func(r rune) bool { return isASCII(r) || r == '.' || r == '-' })
	for dot := end - 3; dot > at+1; dot-- {
		if s.runes[dot] != '.' {
			continue
		}
		if last := s.run(dot+1, isLetter); last >= dot+3 {
			return last
		}
	}
	return 0
}

// run returns where a run of such code points ends.
func (s *scanner) run(at int, is func(rune) bool) int {
	for at < len(s.runes) && is(s.runes[at]) {
		at++
	}
	return at
}

func (s *scanner) has(at int, text string) bool {
	if at+len(text) > len(s.runes) {
		return false
	}
	for i := range len(text) {
		if s.runes[at+i] != rune(text[i]) {
			return false
		}
	}
	return true
}

// isLetter is [a-z] of Python's re with IGNORECASE: ı and ſ are i and s there.
func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r == 'ı' || r == 'ſ' }

func isASCII(r rune) bool { return isLetter(r) || r >= '0' && r <= '9' }

func isNamed(r rune) bool { return isASCII(r) || r == '_' }

// isWord is Python's \w: letters and numbers of any kind and _, but no combining marks.
func isWord(r rune) bool {
	if r < unicode.MaxASCII {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r >= 'A' && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

// isSpace is Python's \s, and what its str.strip takes away.
func isSpace(r rune) bool {
	return r >= 0x1c && r <= 0x1f || unicode.IsSpace(r)
}

// lowerRunes is Python's str.lower: full case mapping, of which İ alone gives two code points, and Σ becomes ς at the end of a word.
func lowerRunes(text string) []rune {
	source := []rune(text)
	lower := make([]rune, 0, len(source))
	for i, r := range source {
		switch {
		case r < unicode.MaxASCII:
			if r >= 'A' && r <= 'Z' {
				r += 'a' - 'A'
			}
			lower = append(lower, r)
		case r == 'İ':
			lower = append(lower, 'i', '\u0307')
		case r == 'Σ':
			if finalSigma(source, i) {
				lower = append(lower, 'ς')
			} else {
				lower = append(lower, 'σ')
			}
		default:
			lower = append(lower, unicode.ToLower(r))
		}
	}
	return lower
}

// maxIgnorable is how far finalSigma looks; no word has as many marks.
const maxIgnorable = 64

// finalSigma is the condition Final_Sigma of the Unicode Standard, section 3.13: a cased letter before it and none after it, whatever is case-ignorable between.
func finalSigma(text []rune, at int) bool {
	before := at - 1
	for before >= max(0, at-maxIgnorable) && caseIgnorable(text[before]) {
		before--
	}
	if before < 0 || !cased(text[before]) {
		return false
	}
	after := at + 1
	for after < min(len(text), at+maxIgnorable) && caseIgnorable(text[after]) {
		after++
	}
	return after == len(text) || !cased(text[after])
}

// caseIgnorable is the property Case_Ignorable: marks, formats, modifiers, and what joins letters to a word (Word_Break MidLetter, MidNumLet, Single_Quote).
func caseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune("'.:··՟״‘’․‧︓﹒﹕＇．：", r)
}

// cased is the property Cased.
func cased(r rune) bool {
	return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r) || unicode.In(r, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

// lowerText is Python's str.lower of a text.
func lowerText(text string) string { return string(lowerRunes(text)) }

// trim is Python's str.strip.
func trim(text string) string { return strings.TrimFunc(text, isSpace) }
