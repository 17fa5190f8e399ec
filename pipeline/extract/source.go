package extract

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"jobstrom/schemas"
)

// maxRead is how many code points of a text or an attribute are read. Advertisements are shorter; what is not read is not passed on.
const maxRead = 20_000

// between stands between the title and the text in the source text, also where one of them is empty.
const between = "\n\n"

// Source returns the text that entities' offsets refer to: the cleaned title, two line feeds, and the first 20,000 code points of the
// cleaned text. It holds personal data.
func Source(v *schemas.Vacancy) string { return sourceOf(v, Clean(v.Text)).text }

// source is a vacancy's text with the personal data that was found in it.
type source struct {
	text     string
	titleEnd int // the title is text[:titleEnd]
	employer string
	spans    []Span

	folded    string // text in lower case, byte by byte at the same places; empty until it is needed
	at, runes int    // so many code points are before byte at
}

// sourceOf joins title and cleaned text: they are searched together, so that a name from one is known in the other.
func sourceOf(v *schemas.Vacancy, text string) *source {
	title := strings.ReplaceAll(Clean(v.Title), "\n", " ")
	return &source{text: title + between + clip(text, maxRead), titleEnd: len(title), employer: Clean(v.Employer)}
}

// marked returns title and text with a mark in place of every item of personal data.
func (s *source) marked() (title, text string) {
	return mark(s.text, s.spans, 0, s.titleEnd), mark(s.text, s.spans, s.titleEnd+len(between), len(s.text))
}

// personal tells whether [from, to) meets personal data.
func (s *source) personal(from, to int) bool {
	first, _ := slices.BinarySearchFunc(s.spans, from, func(sp Span, from int) int {
		if sp.End <= from {
			return -1
		}
		return 1
	})
	return first < len(s.spans) && s.spans[first].Start < to
}

// rune returns how many code points are before byte i. It counts from where it was asked last.
func (s *source) rune(i int) uint32 {
	if i < s.at {
		s.runes -= utf8.RuneCountInString(s.text[i:s.at])
	} else {
		s.runes += utf8.RuneCountInString(s.text[s.at:i])
	}
	s.at = i
	return uint32(s.runes)
}

// find returns the first place in [from, to) where the text has phrase in whole words, in any case and clear of personal data; where it has none,
// with a Danish ending on its last word.
func (s *source) find(phrase string, from, to int) (start, end int, ok bool) {
	if phrase = fold(phrase); phrase == "" {
		return 0, 0, false
	}
	if s.folded == "" {
		s.folded = fold(s.text)
	}
	if start, end, ok = s.search(phrase, from, to, false); ok {
		return start, end, true
	}
	return s.search(phrase, from, to, true)
}

// search is find for a folded phrase; with endings, it may be the beginning of an inflected word.
func (s *source) search(phrase string, from, to int, endings bool) (start, end int, ok bool) {
	in := s.folded
	for at := from; ; at = start + len(phrase) {
		next := strings.Index(in[at:to], phrase)
		if next < 0 {
			return 0, 0, false
		}
		start, end = at+next, at+next+len(phrase)
		whole := end
		if endings {
			if end = step(in, end, isWord); end > to || !slices.Contains(inflections, in[whole:end]) {
				continue
			}
		}
		if isEdge(in, start) && isEdge(in, end) && !s.personal(start, end) {
			return start, end, true
		}
	}
}

// isEdge tells whether no word goes on over byte i.
func isEdge(text string, i int) bool {
	return i == 0 || i == len(text) || !isWord(before(text, i)) || !isWord(after(text, i))
}

// fold returns text in lower case where that takes as many bytes, so that places are the same in both.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		if lower := unicode.ToLower(r); utf8.RuneLen(lower) == utf8.RuneLen(r) {
			return lower
		}
		return r
	}, text)
}

// mark returns text[from:to] with a mark in place of every span.
func mark(text string, spans []Span, from, to int) string {
	var inside []Span
	for _, sp := range spans {
		if sp.Start < to && from < sp.End {
			inside = append(inside, Span{sp.Kind, max(sp.Start, from) - from, min(sp.End, to) - from})
		}
	}
	return cut(text[from:to], inside, func(kind Kind) string {
		if kind == Name || kind == Address {
			return string(nameMark)
		}
		return string(contactMark)
	})
}
