// Package bare is an encoder's tokenizer and graph with nothing around them: the limit of what a program can reach with these settings.
package bare

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/daulet/tokenizers"
	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sync/errgroup"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/embed"
)

// Loop runs the graph. Its methods may be called at once.
type Loop struct {
	options   embed.Options
	card      models.EncoderCard
	tokenizer *tokenizers.Tokenizer
	session   *ort.DynamicAdvancedSession
}

// Batch is a sub-batch, ready to run.
type Batch struct {
	// Tokens of its texts, and what fills the shorter ones.
	Tokens, Pad int

	places []int // of its texts
	inputs []ort.Value
}

// Open loads an encoder that pools in its graph, and tells lap, unless it is nil, of each part that is done.
func Open(o embed.Options, lap func(done string)) (_ *Loop, err error) {
	if lap == nil {
		lap = func(string) {}
	}
	card, err := models.Verify(o.ModelDir)
	if err != nil {
		return nil, err
	}
	lap("verifying the files")
	if !card.GraphPools || card.TokenTypes || card.FirstPosition != nil || len(card.Dense) > 0 {
		return nil, fmt.Errorf("opening %s: the bare loop knows graphs that take token ids and a mask alone and pool", card.Name)
	}
	b := &Loop{options: o, card: card}
	if b.tokenizer, err = tokenizers.FromFile(filepath.Join(o.ModelDir, card.Tokenizer.Name)); err != nil {
		return nil, err
	}
	lap("loading the tokenizer")
	if err := onnx.Open(o.Library); err != nil {
		return nil, errors.Join(err, b.tokenizer.Close())
	}
	lap("loading ONNX Runtime")
	b.session, err = onnx.Session(filepath.Join(o.ModelDir, card.Graph.Name), []string{"input_ids", "attention_mask"}, []string{card.Output}, onnx.Execution{Provider: o.Provider, Threads: o.Threads, Runs: o.Workers})
	if err != nil {
		return nil, errors.Join(err, b.tokenizer.Close(), onnx.Close())
	}
	lap("loading the graph")
	return b, nil
}

// Close frees it.
func (b *Loop) Close() error {
	return errors.Join(b.session.Destroy(), b.tokenizer.Close(), onnx.Close())
}

// tokenize returns a text's ids.
func (b *Loop) tokenize(text string) []uint32 {
	ids := b.tokenizer.EncodeWithOptions(b.card.Prefix+strings.ReplaceAll(text, "\x00", ""), true).IDs
	if n := b.card.MaxTokens; len(ids) > n {
		ids = append(ids[:n-1:n-1], ids[len(ids)-1])
	}
	return ids
}

// Prepare tokenises texts, sorts all of them by length, longest first, and lays them side by side in sub-batches as large as the encoder's.
func (b *Loop) Prepare(texts []string) ([]Batch, error) {
	type row struct {
		place int
		ids   []uint32
	}
	rows := make([]row, len(texts))
	for i, t := range texts {
		rows[i] = row{i, b.tokenize(t)}
	}
	slices.SortStableFunc(rows, func(x, y row) int { return len(y.ids) - len(x.ids) })
	var prepared []Batch
	for len(rows) > 0 {
		longest := len(rows[0].ids)
		n := min(max(b.options.BatchTokens/longest, 1), b.options.MaxBatch, len(rows))
		t, shape := Batch{}, ort.NewShape(int64(n), int64(longest))
		ids, mask := slices.Repeat([]int64{b.card.PadID}, n*longest), make([]int64, n*longest)
		for r, row := range rows[:n] {
			t.places = append(t.places, row.place)
			t.Tokens, t.Pad = t.Tokens+len(row.ids), t.Pad+longest-len(row.ids)
			for i, id := range row.ids {
				ids[r*longest+i], mask[r*longest+i] = int64(id), 1
			}
		}
		rows = rows[n:]
		for _, numbers := range [][]int64{ids, mask} {
			tensor, err := ort.NewTensor(shape, numbers)
			if err != nil {
				return nil, errors.Join(err, Free(prepared))
			}
			t.inputs = append(t.inputs, tensor)
		}
		prepared = append(prepared, t)
	}
	return prepared, nil
}

// Free frees sub-batches.
func Free(prepared []Batch) error {
	var errs []error
	for _, t := range prepared {
		for _, v := range t.inputs {
			errs = append(errs, v.Destroy())
		}
	}
	return errors.Join(errs...)
}

// Run computes sub-batches, as many at once as the encoder has workers, and puts each text's vector in its place.
func (b *Loop) Run(prepared []Batch, vectors [][]float32) error {
	var next atomic.Int64
	workers := errgroup.Group{}
	for range b.options.Workers {
		workers.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(prepared)); i = next.Add(1) - 1 {
				if err := b.one(prepared[i], vectors); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return workers.Wait()
}

func (b *Loop) one(t Batch, vectors [][]float32) error {
	outputs := []ort.Value{nil}
	if err := b.session.Run(t.inputs, outputs); err != nil {
		return err
	}
	data := outputs[0].(*ort.Tensor[float32]).GetData()
	for r, place := range t.places {
		vectors[place] = slices.Clone(data[r*b.card.Dim : (r+1)*b.card.Dim])
	}
	return outputs[0].Destroy()
}

// Do prepares texts and returns their vectors.
func (b *Loop) Do(texts []string) ([][]float32, error) {
	prepared, err := b.Prepare(texts)
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(texts))
	return vectors, errors.Join(b.Run(prepared, vectors), Free(prepared))
}
