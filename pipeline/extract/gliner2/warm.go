package gliner2

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// warmTexts differ in length, so that one of them is padded beside the other.
var warmTexts = []string{"Vi søger en sygeplejerske til natarbejde.", "Elev!"}

// warm runs every graph, and compares what is done in another way than the references do it.
func (m *Model) warm() error {
	ctx := context.Background()
	var rows []*row
	for _, text := range warmTexts {
		rows = append(rows, m.read(m.prompt, text).rows...)
	}
	if err := m.warmBatches(ctx, rows); err != nil {
		return fmt.Errorf("%w; %s", err, remedy)
	}
	if err := m.warmHeads(ctx, rows); err != nil {
		return fmt.Errorf("%w; %s", err, remedy)
	}
	if m.spans != nil { // span_rep has been compared with
		err := m.spanRep.free()
		m.spanRep = nil
		return err
	}
	return nil
}

// warmBatches looks whether the encoder gives a row the same vectors alone and beside others.
func (m *Model) warmBatches(ctx context.Context, rows []*row) error {
	short := rows[len(rows)-1]
	var want []float32
	if err := m.encode(ctx, []*row{short}, func(h hidden) error {
		want = slices.Clone(h.values)
		return finite(m.encoder, want)
	}); err != nil {
		return err
	}
	err := m.encode(ctx, rows, func(h hidden) error {
		at := (len(rows) - 1) * h.longest * h.dim
		m.alone = !near(want, h.values[at:at+len(want)], m.tolerance())
		return nil
	})
	if m.alone = m.alone || err != nil; m.alone {
		m.notes = append(m.notes, m.encoder.name+" reads one text at a time: it was exported so that texts change each other in a batch")
	}
	return nil
}

// warmHeads runs the heads behind the encoder, and chooses the ways that give the same as the references'.
func (m *Model) warmHeads(ctx context.Context, rows []*row) error {
	n := len(m.prompt.labels)
	var vectors []float32 // of the labels of every row
	for _, r := range rows {
		err := m.encode(ctx, []*row{r}, func(h hidden) error {
			vectors = append(vectors, h.gather(1, m.prompt.labels...)...)
			if _, err := m.gates(ctx, h, 1, m.prompt); err != nil {
				return err
			}
			classes, err := m.classifier.values(ctx, []input{floats(h.gather(1, m.prompt.labels...), n, h.dim)}, n, 1)
			if err != nil {
				return err
			}
			labels, err := m.labelVectors(ctx, h, 1, m.prompt)
			if err != nil {
				return err
			}
			if err := errors.Join(finite(m.classifier, classes), finite(m.countEmbed, labels)); err != nil {
				return err
			}
			return m.warmSpans(ctx, r, h)
		})
		if err != nil {
			return err
		}
	}
	h := hidden{values: vectors, longest: n, dim: m.card.Hidden}
	p := prompt{}
	for l := range n {
		p.labels = append(p.labels, l)
	}
	m.labelsApart = true
	want, err := m.labelVectors(ctx, h, len(rows), p)
	if err != nil {
		return err
	}
	m.labelsApart = false
	got, err := m.labelVectors(ctx, h, len(rows), p)
	m.labelsApart = err != nil || !near(want, got, m.tolerance())
	return nil
}

// warmSpans compares the logits of span_rep with those of its algebra.
func (m *Model) warmSpans(ctx context.Context, r *row, h hidden) error {
	collect := func() (out []float32, err error) {
		err = m.logits(ctx, []*row{r}, h, m.prompt, func(_, longest int, logits []float32) {
			for j := range m.card.MaxWidth { // the spans that are in the text
				for i := range longest - j {
					at := (j*longest + i) * len(m.labels)
					out = append(out, logits[at:at+len(m.labels)]...)
				}
			}
		})
		return out, err
	}
	factored := m.spans
	m.spans = nil
	want, err := collect()
	if m.spans = factored; err != nil {
		return err
	}
	if err := finite(m.spanRep, want); err != nil || factored == nil {
		return err
	}
	got, err := collect()
	if err != nil {
		return err
	}
	if !near(want, got, m.tolerance()) {
		m.notes = append(m.notes, m.spanRep.name+" is run as it stands, which takes longer: its algebra gives other numbers")
		m.spans = nil
		return factored.free()
	}
	return nil
}

// tolerance is how much two ways of computing the same may differ.
func (m *Model) tolerance() float64 {
	if m.options.Precision == models.FP16 || m.options.Provider != onnx.CPU {
		return .05
	}
	return 1e-4
}

// near compares numbers, by their size where that is above 1.
func near(want, got []float32, tolerance float64) bool {
	if len(want) != len(got) {
		return false
	}
	for i, w := range want {
		if !(math.Abs(float64(w)-float64(got[i])) <= tolerance*max(1, math.Abs(float64(w)))) {
			return false
		}
	}
	return true
}

// finite refuses numbers that are none.
func finite(g *graph, values []float32) error {
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("running %s: it gives numbers that are none (%g)", g.name, v)
		}
	}
	return nil
}
