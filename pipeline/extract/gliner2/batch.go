package gliner2

import (
	"context"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sync/errgroup"
)

// row is a chunk of a text behind a prompt, as the encoder reads it.
type row struct {
	chunk chunk
	ids   []int64
	// places are those of the vectors that stand for the chunk's words: of the words that have tokens, in the mode onnx of all, see newRow.
	places []int

	found   []candidate // of Extract
	classes []float32   // of Classify
}

// newRow lays the words of a chunk behind a prompt. A word is read by its first token. In the mode onnx a word without tokens is read by the next word's, and
// those after the last token, with which the reference fails, are left out. A chunk that does not end a text ends in a full stop where the mode adds one.
func (m *Model) newRow(p prompt, d *document, ids [][]int64, c chunk) *row {
	r := &row{chunk: c, ids: slices.Clone(p.ids)}
	for _, word := range ids[c.from:c.to] {
		if len(word) > 0 || m.options.Mode == ONNX {
			r.places = append(r.places, len(r.ids))
		}
		r.ids = append(r.ids, word...)
	}
	for len(r.places) > 0 && r.places[len(r.places)-1] == len(r.ids) {
		r.places = r.places[:len(r.places)-1]
	}
	if m.options.Mode == Native && c.to < len(d.words) && !endsSentence(d.words[c.to-1].text) {
		r.ids = append(r.ids, m.pieces.ids(".")...)
	}
	return r
}

// read makes rows of a text: one, or one for each chunk.
func (m *Model) read(p prompt, text string) *document {
	d := newDocument(text, m.options.Mode)
	ids, counts := make([][]int64, len(d.words)), make([]int, len(d.words))
	for i, w := range d.words {
		ids[i] = m.pieces.ids(w.text)
		if m.options.MaxWords > 0 && len(ids[i]) > tokensOfWord {
			ids[i] = ids[i][:tokensOfWord]
		}
		counts[i] = len(ids[i])
	}
	for _, c := range chunks(counts, m.options.MaxWords, m.options.Overlap, m.card.MaxWidth) {
		d.rows = append(d.rows, m.newRow(p, d, ids, c))
	}
	return d
}

// readAll makes documents of texts, and returns their rows as well.
func (m *Model) readAll(ctx context.Context, p prompt, texts []string) ([]*document, []*row, error) {
	documents := make([]*document, len(texts))
	var rows []*row
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		documents[i] = m.read(p, text)
		rows = append(rows, documents[i].rows...)
	}
	return documents, rows, nil
}

// batches puts rows of about the same length together, the longest first. Rows × the longest row are at most BatchTokens, unless it is one row.
func (m *Model) batches(rows []*row) [][]*row {
	slices.SortStableFunc(rows, func(a, b *row) int { return len(b.ids) - len(a.ids) })
	var all [][]*row
	for len(rows) > 0 {
		n := min(len(rows), max(1, m.options.BatchTokens/len(rows[0].ids)))
		if m.alone {
			n = 1
		}
		all = append(all, rows[:n:n])
		rows = rows[n:]
	}
	return all
}

// each calls for every batch of rows, for Workers of them at once over all calls of the model. The first error, or the context's end, ends the others.
func (m *Model) each(ctx context.Context, rows []*row, call func(context.Context, []*row) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, batch := range m.batches(rows) {
		select {
		case m.slots <- struct{}{}:
		case <-ctx.Done():
			if err := group.Wait(); err != nil {
				return err
			}
			return ctx.Err()
		}
		group.Go(func() error {
			defer func() { <-m.slots }()
			return call(ctx, batch)
		})
	}
	return group.Wait()
}

// hidden are the encoder's vectors of a batch: [rows, longest, dim].
type hidden struct {
	values       []float32
	longest, dim int
}

// at returns the vector of a token.
func (h hidden) at(row, token int) []float32 {
	at := (row*h.longest + token) * h.dim
	return h.values[at : at+h.dim]
}

// gather returns the vectors of so many tokens of each row, one after the other.
func (h hidden) gather(rows int, tokens ...int) []float32 {
	out := make([]float32, 0, rows*len(tokens)*h.dim)
	for r := range rows {
		for _, t := range tokens {
			out = append(out, h.at(r, t)...)
		}
	}
	return out
}

// encode runs the encoder over a batch, whose first row is the longest, and calls with its vectors, which belong to ONNX Runtime and are gone afterwards.
func (m *Model) encode(ctx context.Context, batch []*row, call func(hidden) error) error {
	longest := len(batch[0].ids)
	ids, mask := make([]int64, len(batch)*longest), make([]int64, len(batch)*longest) // GLiNER2 pads with the id 0, which the mask hides
	for r, row := range batch {
		copy(ids[r*longest:], row.ids)
		for i := range row.ids {
			mask[r*longest+i] = 1
		}
	}
	shape := ort.NewShape(int64(len(batch)), int64(longest))
	return m.encoder.run(ctx, []input{wholes(ids, shape), wholes(mask, shape)}, []int{len(batch), longest, m.card.Hidden}, func(values []float32) error {
		return call(hidden{values: values, longest: longest, dim: m.card.Hidden})
	})
}
