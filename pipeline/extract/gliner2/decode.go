package gliner2

import (
	"cmp"
	"math"
	"slices"
)

// Entity is a span of a text that was found for a label.
type Entity struct {
	// Label is the index of the label among Options.Labels.
	Label int
	// Text is what the reference program gives: the text between Start and End, in the mode native without white space around it. There, an
	// entity at the very end may have the full stop that the program added.
	Text string
	// Score is between the label's threshold and 1.
	Score float32
	// Start and End are bytes of the text, RuneStart and RuneEnd code points.
	Start, End         int
	RuneStart, RuneEnd int
}

// candidate is a span of words, first to last, with a score that reaches the label's threshold.
type candidate struct {
	label       int
	score       float32
	first, last int
}

// sigmoid is computed in 32 bits, where great scores become equal: their order is then that of the spans, in the references as here.
func (m Mode) sigmoid(x float32) float32 {
	if m == ONNX && x < 0 { // gliner2-onnx's _sigmoid
		e := float32(math.Exp(float64(x)))
		return e / (1 + e)
	}
	return 1 / (1 + float32(math.Exp(float64(-x))))
}

// candidates reads a chunk's logits, [width, longest, labels], as the mode enumerates spans: by first word, then by width, then by label. rows is how many words
// have a vector.
//
// Where words have no tokens, gliner2 has fewer vectors than words: each vector is then taken for the word of its number, and spans that reach beyond the last
// one have the score of the first word (compute_span_rep puts the span (0, 0) in their place, and _find_spans asks for the words alone).
func (m *Model) candidates(logits []float32, longest, rows int, c chunk) []candidate {
	labels, words := len(m.labels), c.to-c.from
	if m.options.Mode == ONNX {
		words = rows
	}
	var found []candidate
	for i := max(0, c.first-c.from); i < min(rows, c.owned-c.from); i++ {
		for j := 0; j < m.card.MaxWidth && i+j < words; j++ {
			at := (j*longest + i) * labels
			if i+j >= rows {
				at = 0
			}
			for l := range labels {
				if score := m.options.Mode.sigmoid(logits[at+l]); score >= m.labels[l].Threshold {
					found = append(found, candidate{label: l, score: score, first: c.from + i, last: c.from + i + j})
				}
			}
		}
	}
	return found
}

// decode chooses from a text's candidates: the best of a label first, then what overlaps none of the label's that were chosen.
func (m *Model) decode(d *document, found []candidate) []Entity {
	native := m.options.Mode == Native
	slices.SortStableFunc(found, func(a, b candidate) int {
		if native && a.label != b.label {
			return cmp.Compare(a.label, b.label)
		}
		return cmp.Compare(b.score, a.score)
	})
	taken := make([][]bool, len(m.labels))
	for l := range taken {
		taken[l] = make([]bool, len(d.words))
	}
	seen := make([]map[string]bool, len(m.labels))
	var entities []Entity
	for _, c := range found {
		e := d.entity(c)
		if native {
			if e.Text = trim(e.Text); e.Text == "" { // dropped before what overlaps is
				continue
			}
		}
		if words := taken[c.label][c.first : c.last+1]; slices.Contains(words, true) {
			continue
		} else {
			for i := range words {
				words[i] = true
			}
		}
		if native { // gliner2's _format_entity_dict
			if seen[c.label] == nil {
				seen[c.label] = map[string]bool{}
			}
			lower := lowerText(e.Text)
			if seen[c.label][lower] {
				continue
			}
			seen[c.label][lower] = true
		}
		entities = append(entities, e)
	}
	return entities
}
