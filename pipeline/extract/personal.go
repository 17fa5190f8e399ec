package extract

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is a kind of personal data.
type Kind string

// The kinds that a Scrubber finds.
const (
	CPR     Kind = "cpr"
	Email   Kind = "email"
	URL     Kind = "url"
	Phone   Kind = "phone"
	Address Kind = "address"
	Name    Kind = "name"
)

// Span is an item of personal data: bytes [Start, End) of a text.
type Span struct {
	Kind       Kind
	Start, End int
}

// Marks stand where an item was cut while a text is taken apart. They never leave the package.
const (
	contactMark = '\ufffc' // CPR number, e-mail address, URL or phone number
	nameMark    = '\ufffb' // address or name
)

// Scrubber finds personal data. It is immutable.
type Scrubber struct {
	lexicon *lexicon
}

// NewScrubber reads the embedded lexicons.
func NewScrubber() *Scrubber { return &Scrubber{lexicon: newLexicon()} }

// Find returns the personal data of a plain text in order, without overlaps. The keep strings, such as the employer's name, are no
// person's name.
func (s *Scrubber) Find(text string, keep ...string) []Span {
	spans := s.lexicon.findNames(findTraces(text), text, keep)
	sortSpans(spans)
	return spans
}

// findTraces finds everything but names.
func findTraces(text string) []Span {
	spans := findEmails(nil, text)
	spans = findURLs(spans, text)
	spans = findNumbers(spans, text)
	spans = findAddresses(spans, text)
	sortSpans(spans)
	return spans
}

// Remove cuts the personal data out of a text and counts the items. Afterwards a scan finds none but, perhaps, a name: a cut can bring
// together what was apart, so the scan is done again until it finds nothing. Names need their context and are looked for once.
func (s *Scrubber) Remove(text string, keep ...string) (string, int) {
	removed := 0
	for spans := s.Find(text, keep...); len(spans) > 0; spans = findTraces(text) {
		removed += len(spans)
		text = cut(text, spans, func(Kind) string { return "" })
	}
	return text, removed
}

// cut replaces every span by what with gives and leaves no double space behind.
func cut(text string, spans []Span, with func(Kind) string) string {
	var out strings.Builder
	out.Grow(len(text))
	at := 0
	for _, sp := range spans {
		out.WriteString(text[at:sp.Start])
		by := with(sp.Kind)
		out.WriteString(by)
		at = sp.End
		if by == "" && at < len(text) && text[at] == ' ' && (out.Len() == 0 || text[sp.Start-1] == ' ' || text[sp.Start-1] == '\n') {
			at++
		}
	}
	out.WriteString(text[at:])
	return out.String()
}

func sortSpans(spans []Span) {
	slices.SortFunc(spans, func(a, b Span) int { return a.Start - b.Start })
}

// overlapping returns the span that meets [start, end), if any.
func overlapping(spans []Span, start, end int) (Span, bool) {
	for _, sp := range spans {
		if sp.Start < end && start < sp.End {
			return sp, true
		}
	}
	return Span{}, false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func before(text string, i int) rune { r, _ := utf8.DecodeLastRuneInString(text[:i]); return r }

func after(text string, i int) rune { r, _ := utf8.DecodeRuneInString(text[i:]); return r }

// stepBack returns the start of the longest run of runes that ok accepts and that ends at i.
func stepBack(text string, i int, ok func(rune) bool) int {
	for i > 0 {
		r, n := utf8.DecodeLastRuneInString(text[:i])
		if !ok(r) {
			break
		}
		i -= n
	}
	return i
}

// step returns the end of the longest run of runes that ok accepts and that starts at i.
func step(text string, i int, ok func(rune) bool) int {
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !ok(r) {
			break
		}
		i += n
	}
	return i
}
