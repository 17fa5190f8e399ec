package evaluate

import (
	"errors"
	"unicode"
)

// errUnlike says that a text's offsets mean nothing in the source text.
var errUnlike = errors.New("it holds markup, escapes like &amp; or decomposed letters, which an extractor reads as other characters: annotate the plain text (NFC)")

// errLong says that the end of a text is not read.
var errLong = errors.New("it is longer than the 20,000 code points that an extractor reads: split it")

// align returns for each code point of text that somebody sees the place in source that has it. source is what the extractor reads of text: other
// white space, without what nobody sees.
func align(text, source string) ([]int, error) {
	from, to := []rune(text), []rune(source)
	places := make([]int, 0, len(from))
	at := 0
	for _, r := range from {
		for at < len(to) && to[at] != r && unicode.IsSpace(to[at]) && !blank(r) {
			at++
		}
		places = append(places, at)
		switch {
		case at < len(to) && to[at] == r:
			at++
		case blank(r):
		case at == len(to):
			return nil, errLong
		default:
			return nil, errUnlike
		}
	}
	return places, nil
}

// blank tells whether cleaning a text may drop a character or replace it by white space.
func blank(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\ufffc' || r == '\ufffb'
}
