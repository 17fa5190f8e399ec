package gliner2

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// reference is GLiNER2's regular expression, with what Python's \s, \w and IGNORECASE mean spelled out. Go's regexp chooses the first alternative that fits, as Python's re does.
var reference = func() *regexp.Regexp {
	const space = `\t-\r\x1c-\x1f \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`
	const letter, wordClass = `a-zıſ`, `[\p{L}\p{N}_]`
	return regexp.MustCompile(`(?:http[sſ]?://[^` + space + `]+|www\.[^` + space + `]+)` +
		`|[` + letter + `0-9._%+-]+@[` + letter + `0-9.-]+\.[` + letter + `]{2,}` +
		`|@[` + letter + `0-9_]+` +
		`|` + wordClass + `+(?:[-_]` + wordClass + `+)*` +
		`|[^` + space + `]`)
}()

func FuzzWordsEqualTheRegularExpression(f *testing.F) {
	for _, text := range []string{
		"Vi søger en social- og sundhedsassistent til Ålborg", "skriv til job@firma.dk. Nu!", "a@b.c@d.ee x.y.z@q.r-s.dk.", "https://a.dk/b?c=d e", "HTTPS://A http:// httpſ://x www. WWW.x",
		"@navn @ @_ a@", "e\u0301 café", "\u00adord\u200b \ufeff", "İstanbul ΟΔΟΣ ΣΑΣ. Σ", "a-b_c--d-e_-f __ -", "\x00\x07\x1c\x85\u2003", "日本語 12½ ²³ ٣", "\xff\xfe ord \xc3", "K ſ ı K@ſı.ſſ",
		"a.b.c.d.e@", "1.2.3@4.5.66", "x@y.zz.", "x@-.aa", "x@.aa",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lower := lowerText(text)
		var want []string
		for _, at := range reference.FindAllStringIndex(lower, -1) {
			want = append(want, lower[at[0]:at[1]])
		}
		words := splitWords(text)
		var got []string
		end := 0
		runes := []rune(lower)
		for _, w := range words {
			if w.start < end || w.end <= w.start || w.end > len(runes) || string(runes[w.start:w.end]) != w.text {
				t.Fatalf("the word %+v lies wrong in %q", w, lower)
			}
			got, end = append(got, w.text), w.end
		}
		if !slices.Equal(got, want) {
			t.Errorf("the words of %q are %q, want %q", text, got, want)
		}

		// Any span of words can be cut out of the text, also where lower case is longer.
		for _, mode := range Modes() {
			d := newDocument(text, mode)
			for first := range d.words {
				for last := first; last < min(len(d.words), first+9); last++ {
					e := d.entity(candidate{first: first, last: last})
					if e.Start > e.End || e.End > len(text) || !utf8.ValidString(e.Text) {
						t.Fatalf("words %d to %d of %q are %+v", first, last, text, e)
					}
					for _, at := range []int{e.Start, e.End} {
						if utf8.ValidString(text) && at < len(text) && !utf8.RuneStart(text[at]) {
							t.Fatalf("byte %d of %q is inside a code point", at, text)
						}
					}
				}
			}
		}
	})
}

func TestLowerText(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := lowerText(text); got != want {
			t.Errorf("%q in lower case is %q, want %q", text, got, want)
		}
	}
	// As Python 3.11's str.lower.
	f("ÆØÅ É K Ω", "æøå é k ω")
	f("İI", "i\u0307i")
	f("ΟΔΟΣ ΣΟΣ Σ", "οδος σος σ")
	f("ΑΣ.Β ΑΣ' ΑΣ'Β", "ασ.β ας' ασ'β")
	f("ẞ ǅ Ⅷ Ⓐ", "ß ǆ ⅷ ⓐ")
}

// A text that a regular expression would read in quadratic time is read in linear time: a million words before an @ that is none.
func TestManyWordsOfOneRun(t *testing.T) {
	const n = 1 << 19
	if words := splitWords(strings.Repeat("a.", n) + "@"); len(words) != 2*n+1 {
		t.Errorf("there are %d words", len(words))
	}
	if words := splitWords(strings.Repeat("a@", n)); len(words) == 0 {
		t.Error("there are no words")
	}
}
