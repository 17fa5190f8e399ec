package gliner2

import (
	"context"

	ort "github.com/yalue/onnxruntime_go"
)

// logits computes those of a batch's spans, [rows, width, longest, labels] with the number of words of the row that has the most as longest, and calls with
// a row's, [width, longest, labels].
func (m *Model) logits(ctx context.Context, batch []*row, h hidden, p prompt, call func(r, longest int, logits []float32)) error {
	longest := 0
	for _, r := range batch {
		longest = max(longest, len(r.places))
	}
	if longest == 0 {
		return nil
	}
	labels, err := m.labelVectors(ctx, h, len(batch), p)
	if err != nil {
		return err
	}
	if m.spans == nil {
		return m.logitsApart(ctx, batch, h, p, labels, call)
	}
	words := make([]float32, len(batch)*longest*h.dim)
	for r, row := range batch {
		for i, place := range row.places {
			copy(words[(r*longest+i)*h.dim:], h.at(r, place))
		}
	}
	n, width := len(p.labels), m.card.MaxWidth
	inputs := []input{floats(words, len(batch), longest, h.dim), floats(labels, len(batch), n, h.dim)}
	return m.spans.run(ctx, inputs, []int{len(batch), width, longest, n}, func(logits []float32) error {
		size := width * longest * n
		for r := range batch {
			call(r, longest, logits[r*size:(r+1)*size])
		}
		return nil
	})
}

// labelVectors computes the labels' vectors of a batch, [rows, labels, dim].
func (m *Model) labelVectors(ctx context.Context, h hidden, rows int, p prompt) ([]float32, error) {
	n := len(p.labels)
	gathered := h.gather(rows, p.labels...)
	if !m.labelsApart {
		return m.countEmbed.values(ctx, []input{floats(gathered, rows*n, h.dim)}, rows*n, h.dim)
	}
	out := make([]float32, 0, len(gathered))
	for r := range rows {
		own, err := m.countEmbed.values(ctx, []input{floats(gathered[r*n*h.dim:(r+1)*n*h.dim], n, h.dim)}, n, h.dim)
		if err != nil {
			return nil, err
		}
		out = append(out, own...)
	}
	return out, nil
}

// logitsApart is logits by the graph span_rep as it stands, a row at a time. It is given what the reference gives it: in the mode onnx every token of the text,
// else the words.
func (m *Model) logitsApart(ctx context.Context, batch []*row, h hidden, p prompt, labels []float32, call func(r, longest int, logits []float32)) error {
	n := len(p.labels)
	for r, row := range batch {
		words := len(row.places)
		if words == 0 {
			continue
		}
		var vectors []float32
		index := make([]int64, words)
		if m.options.Mode == ONNX {
			for t := len(p.ids); t < len(row.ids); t++ {
				vectors = append(vectors, h.at(r, t)...)
			}
			for i, place := range row.places {
				index[i] = int64(place - len(p.ids))
			}
		} else {
			for i, place := range row.places {
				vectors, index[i] = append(vectors, h.at(r, place)...), int64(i)
			}
		}
		spans := m.card.MaxWidth * words
		starts, ends := make([]int64, 0, spans), make([]int64, 0, spans)
		for j := range m.card.MaxWidth {
			for i := range words {
				starts, ends = append(starts, index[i]), append(ends, index[min(i+j, words-1)])
			}
		}
		shape := ort.NewShape(1, int64(spans))
		inputs := []input{floats(vectors, 1, len(vectors)/h.dim, h.dim), wholes(starts, shape), wholes(ends, shape)}
		err := m.spanRep.run(ctx, inputs, []int{1, spans, h.dim}, func(vectors []float32) error {
			logits := make([]float32, 0, spans*n)
			for s := range spans {
				for l := range n {
					logits = append(logits, dot(vectors[s*h.dim:(s+1)*h.dim], labels[(r*n+l)*h.dim:(r*n+l+1)*h.dim]))
				}
			}
			call(r, words, logits)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func dot(a, b []float32) float32 {
	var sum float32
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}
