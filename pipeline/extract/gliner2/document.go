package gliner2

import (
	"strings"
	"unicode/utf8"
)

// document is a text on its way through the model.
type document struct {
	source   string
	appended string // the full stop that the mode native adds
	runes    int    // code points of the source
	offsets  []int  // where each of them begins, and the source's length
	words    []word
	rows     []*row
}

func newDocument(source string, mode Mode) *document {
	d := &document{source: source, runes: utf8.RuneCountInString(source)}
	if mode == Native && !endsSentence(source) {
		d.appended = "."
	}
	d.words = splitWords(source + d.appended)
	d.offsets = make([]int, 0, d.runes+1)
	for i := range source {
		d.offsets = append(d.offsets, i)
	}
	d.offsets = append(d.offsets, len(source))
	return d
}

// endsSentence says whether gliner2 leaves a text as it is.
func endsSentence(text string) bool {
	return strings.HasSuffix(text, ".") || strings.HasSuffix(text, "!") || strings.HasSuffix(text, "?")
}

// entity cuts the words of a candidate out of the source. Places beyond its end, which İ can lead to and the added full stop does, are its end.
func (d *document) entity(c candidate) Entity {
	from, to := d.words[c.first].start, d.words[c.last].end
	e := Entity{Label: c.label, Score: c.score, RuneStart: min(from, d.runes), RuneEnd: min(to, d.runes)}
	e.Start, e.End = d.offsets[e.RuneStart], d.offsets[e.RuneEnd]
	e.Text = d.source[e.Start:e.End]
	if !utf8.ValidString(e.Text) {
		e.Text = string([]rune(e.Text))
	}
	if from <= d.runes && to > d.runes { // only then is the added full stop between them
		e.Text += d.appended
	}
	return e
}
