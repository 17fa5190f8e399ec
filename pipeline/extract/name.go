package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// names carries one search for the names of persons.
type names struct {
	*lexicon
	text   string
	tokens []token
	others []Span // what is found already
	spans  []Span // others and names
}

// findNames adds the names of persons to spans, which are sorted. The keep strings are no names.
func (l *lexicon) findNames(spans []Span, text string, keep []string) []Span {
	n := &names{lexicon: l, text: text, others: spans, spans: spans}
	n.tokens = tokenize(text)
	n.close(keep)
	for i := 0; i < len(n.tokens); i++ {
		t := n.tokens[i]
		if t.closed || !t.upper && !t.caps {
			continue
		}
		if end := n.nameAt(i); end > i {
			n.add(i, end)
			i = end - 1
		}
	}
	n.repeat()
	return n.spans
}

// close marks the tokens that lie in other spans or in a kept string.
func (n *names) close(keep []string) {
	mark := func(start, end int) {
		for i := range n.tokens {
			if t := &n.tokens[i]; t.start < end && start < t.end {
				t.closed = true
			}
		}
	}
	at := 0
	for i := range n.tokens {
		t := &n.tokens[i]
		for at < len(n.others) && n.others[at].End <= t.start {
			at++
		}
		t.closed = at < len(n.others) && n.others[at].Start < t.end
	}
	for _, k := range keep {
		for _, form := range []string{k, companyCore(k)} {
			if utf8.RuneCountInString(form) < 4 {
				continue
			}
			for from := 0; ; {
				i := strings.Index(n.text[from:], form)
				if i < 0 {
					break
				}
				start, end := from+i, from+i+len(form)
				from = end
				if !strings.Contains(form, " ") && n.follows(start) { // the last name of a person
					continue
				}
				if end == len(n.text) || !isWord(after(n.text, end)) || after(n.text, end) == 's' {
					mark(start, end)
				}
			}
		}
	}
}

// follows tells whether a capitalised word stands right before i.
func (n *names) follows(i int) bool {
	gap := stepBack(n.text, i, isSpace)
	word := stepBack(n.text, gap, unicode.IsLetter)
	return gap < i && word < gap && unicode.IsUpper(after(n.text, word))
}

// companyCore is an employer's name without its legal form.
func companyCore(name string) string {
	for _, form := range []string{" A/S", " ApS", " I/S", " P/S", " K/S", " IVS", " Amba", " A.M.B.A.", " AB", " GmbH", " Ltd"} {
		if rest, ok := strings.CutSuffix(name, form); ok {
			return strings.TrimRight(rest, " ,")
		}
	}
	return name
}

func (n *names) word(i int) string { return n.text[n.tokens[i].start:n.tokens[i].end] }

// gap is what stands between token i and the next one.
func (n *names) gap(i int) string {
	if i < 0 || i+1 >= len(n.tokens) {
		return "\n"
	}
	return n.text[n.tokens[i].end:n.tokens[i+1].start]
}

// joined tells whether only spaces part token i from the next one.
func (n *names) joined(i int) bool {
	gap := n.gap(i)
	return gap != "" && step(gap, 0, isSpace) == len(gap)
}

// run returns the end of the name that begins at token i: capitalised words, initials and particles, parted by spaces alone.
func (n *names) run(i int) int {
	end := i + 1
	for at := end; at < len(n.tokens) && at-i < 6; at++ {
		gap := strings.TrimLeft(n.gap(at-1), ".")
		initial := utf8.RuneCountInString(n.word(at-1)) == 1 || n.word(at-1) == "Chr"
		if !initial && gap != n.gap(at-1) || gap == "" || step(gap, 0, isSpace) != len(gap) {
			break
		}
		t := n.tokens[at]
		if t.closed || t.caps && !n.tokens[i].caps {
			break
		}
		if !t.upper {
			if n.words[n.word(at)]&particle != 0 {
				continue // only if a capitalised word follows
			}
			break
		}
		end = at + 1
	}
	return end
}

// nameAt returns the end of the name of a person that begins at token i, or i.
func (n *names) nameAt(i int) int {
	t, word := n.tokens[i], n.word(i)
	if t.caps {
		return n.capitalsAt(i)
	}
	c, genitive := n.certaintyOf(word)
	if c == unknown {
		return n.unknownAt(i)
	}
	end := n.run(i)
	if n.isOrg(i, end) {
		n.skip(i, end)
		return i
	}
	if genitive {
		if end > i+1 && !n.cued(i) { // "Karens Minde"
			n.skip(i, end)
			return i
		}
		end = i + 1
	}
	if end-i > 1 {
		return end
	}
	switch {
	case c == certain:
		return end
	case n.cued(i) && !n.measured(i):
		return end
	case c == ambiguous && !t.opens && !n.measured(i) && n.text[t.start-1] != '-':
		return end
	}
	return i
}

// measured tells whether a number follows: "Per 1. januar", "Line 4".
func (n *names) measured(i int) bool {
	at := step(n.text, n.tokens[i].end, isSpace)
	return at < len(n.text) && isDigit(n.text[at]) && !n.phoneFollows(i+1)
}

// capitalsAt reads a name in capitals, which needs a cue and a certain first name.
func (n *names) capitalsAt(i int) int {
	word := n.word(i)
	if len(word) < 4 {
		return i
	}
	first, size := utf8.DecodeRuneInString(word)
	if n.first[string(first)+strings.ToLower(word[size:])] != certain {
		return i
	}
	end := i + 1
	for end < len(n.tokens) && end-i < 4 && n.tokens[end].caps && !n.tokens[end].closed && n.joined(end-1) {
		end++
	}
	if !n.cued(i) && !n.phoneFollows(end) {
		return i
	}
	return end
}

// isOrg tells whether tokens [i, end) name a firm, a brand or a place.
func (n *names) isOrg(i, end int) bool {
	last := n.tokens[end-1]
	run := n.text[n.tokens[i].start:last.end]
	for to := end; to > i; to-- {
		part := n.text[n.tokens[i].start:n.tokens[to-1].end]
		if n.brands[part] || to > i+1 && n.brands[strings.TrimSuffix(part, "s")] {
			return true
		}
	}
	if at := strings.LastIndexByte(run, '-'); at >= 0 && !startsUpper(run[at+1:]) { // "Arne Jacobsen-stole"
		if head, _, _ := strings.Cut(run, "-"); !strings.EqualFold(head, "al") {
			return true
		}
	}
	for at := i + 1; at < end; at++ {
		if n.looksOrg(n.word(at)) && (n.words[n.word(at)]&orgWord != 0 || at == end-1 && !n.cued(i)) {
			return true
		}
	}
	rest := n.text[last.end:]
	for _, form := range []string{" A/S", " ApS", " I/S", " P/S", " K/S", " GmbH", " AB ", " Ltd", " IVS"} {
		if strings.HasPrefix(rest, form) {
			return true
		}
	}
	if strings.HasPrefix(rest, " & ") && end < len(n.tokens) && n.tokens[end].upper {
		if c, _ := n.certaintyOf(n.word(end)); c == unknown {
			return true
		}
	}
	if i > 0 && !n.tokens[i].opens || i > 0 && n.gap(i-1) == ". " {
		prev := n.word(i - 1)
		gap := n.gap(i - 1)
		near := n.joined(i-1) || gap == ". "
		if near && n.tokens[i-1].upper && (n.words[prev]&orgPrefix != 0 || n.joined(i-1) && n.looksOrg(prev)) && !n.looksTitle(prev) {
			return true
		}
		if (gap == " & ") && n.tokens[i-1].upper && n.tokens[i-1].closed {
			return true
		}
	}
	return false
}

// skip closes tokens that name a firm.
func (n *names) skip(i, end int) {
	for ; i < end; i++ {
		n.tokens[i].closed = true
	}
}

// unknownAt reads a name whose first word is in no lexicon: it needs cues.
func (n *names) unknownAt(i int) int {
	t, word := n.tokens[i], n.word(i)
	if utf8.RuneCountInString(word) < 2 || n.looksOrg(word) || strings.Contains(word, "-") && !startsUpper(word[strings.IndexByte(word, '-')+1:]) {
		return i
	}
	end := n.run(i)
	if t.opens { // "Kontakt Mette", "Tømrermester Erling": the first word is no name
		lower := strings.ToLower(word)
		if n.words[lower]&(personCue|sureCue) != 0 || n.looksTitle(word) {
			return i
		}
	}
	if n.isOrg(i, end) {
		return i
	}
	for at := i; at < end; at++ {
		if n.looksOrg(n.word(at)) {
			return i
		}
	}
	class := n.cue(i)
	follows := n.phoneFollows(end)
	if end-i == 1 {
		if class&sureCue != 0 && (!t.opens || follows || class&titleWord == 0) && !n.looksTitle(word) || class&(personCue|titleWord) != 0 && follows && !t.opens {
			return end
		}
		return i
	}
	if _, known := n.middle(i, end); known && !t.opens { // "Nana Fogh" where only a later word is a first name
		if class != 0 || follows {
			return end
		}
	}
	surname := endsWithAny(strings.ToLower(n.word(end-1)), n.surnames)
	switch {
	case class&sureCue != 0, class&(personCue|titleWord) != 0 && (surname || follows), follows && surname && !n.looksTitle(word):
		return end
	}
	return i
}

// middle returns the first token in (i, end) that is a certain first name.
func (n *names) middle(i, end int) (int, bool) {
	for at := i + 1; at < end; at++ {
		if c, _ := n.certaintyOf(n.word(at)); c == certain {
			return at, true
		}
	}
	return 0, false
}

// add records tokens [i, end) as a name.
func (n *names) add(i, end int) {
	n.spans = append(n.spans, Span{Name, n.tokens[i].start, n.tokens[end-1].end})
	n.skip(i, end)
}

// repeat finds again, alone, what was part of a name elsewhere in the text.
func (n *names) repeat() {
	found := n.spans[len(n.others):]
	if len(found) == 0 {
		return
	}
	known := map[string]bool{}
	for _, sp := range found {
		for part := range strings.FieldsSeq(n.text[sp.Start:sp.End]) {
			if utf8.RuneCountInString(part) > 3 && startsUpper(part) && n.first[part] != month && n.first[part] != ambiguous {
				known[part] = true
			}
		}
	}
	for i, t := range n.tokens {
		if t.closed || !t.upper || t.caps {
			continue
		}
		word := n.word(i)
		if !known[word] && !known[strings.TrimSuffix(word, "s")] {
			continue
		}
		beside := func(at int) bool {
			return at >= 0 && at < len(n.tokens) && n.tokens[at].upper && !n.tokens[at].opens
		}
		if beside(i+1) && (n.joined(i) || n.gap(i) == " & ") || beside(i-1) && (n.joined(i-1) || n.gap(i-1) == " & ") || n.looksOrg(word) {
			continue
		}
		n.add(i, i+1)
	}
}
