package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sync/errgroup"

	"jobstrom/bench/figures"
	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/extract/gliner2"
)

// bare is the extractor's ONNX sessions with nothing around them: the limit of what a program can reach with these settings. The encoder reads what gliner2 gives its own; the heads
// read vectors of the shapes that follow from that.
type bare struct {
	workers                               int
	encoder, countPred, countEmbed, spans *ort.DynamicAdvancedSession
	batches                               []batch
}

// batch is what the sessions read of some texts, as many as the extractor takes in a run.
type batch struct{ encoder, countPred, countEmbed, spans []ort.Value }

func newBare(o gliner2.Options, ids [][]int64, words []int) (_ *bare, err error) {
	card, err := models.ReadExtractorCard(o.Dir)
	if err != nil {
		return nil, err
	}
	graphs := card.Graphs[o.Precision]
	if err := onnx.Open(o.Library); err != nil {
		return nil, err
	}
	b := &bare{workers: o.Workers}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if graphs.CountPred == nil {
		return nil, fmt.Errorf("opening %s: it has no count_pred; export it again", o.Dir)
	}
	how := onnx.Execution{Provider: o.Provider, Threads: o.Threads, Runs: o.Workers}
	load := func(to **ort.DynamicAdvancedSession, file, output string, inputs ...string) {
		if err == nil {
			*to, err = onnx.Session(filepath.Join(o.Dir, file), inputs, []string{output}, how)
		}
	}
	load(&b.encoder, graphs.Encoder.Name, "hidden_states", "input_ids", "attention_mask")
	load(&b.countPred, graphs.CountPred.Name, "count_logits", "hidden_state")
	load(&b.countEmbed, graphs.CountEmbed.Name, "transformed_embeddings", "label_embeddings")
	if err != nil {
		return nil, err
	}
	graph, err := gliner2.SpanGraph(filepath.Join(o.Dir, graphs.SpanRep.Name), card.MaxWidth)
	if err != nil {
		return nil, err
	}
	if b.spans, err = graph.Load([]string{"words", "labels"}, []string{"logits"}, how); err != nil {
		return nil, err
	}
	return b, b.prepare(o, ids, words, card.Hidden)
}

// prepare lays texts side by side, the longest first, in runs as large as the extractor's.
func (b *bare) prepare(o gliner2.Options, ids [][]int64, words []int, hidden int) error {
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return len(ids[y]) - len(ids[x]) })
	labels, tokens, padding := len(o.Labels), 0, 0
	for len(order) > 0 {
		longest := len(ids[order[0]])
		n := min(max(o.BatchTokens/longest, 1), len(order))
		read, mask, most := make([]int64, n*longest), make([]int64, n*longest), 0
		for r, i := range order[:n] {
			copy(read[r*longest:], ids[i])
			for k := range ids[i] {
				mask[r*longest+k] = 1
			}
			most = max(most, words[i])
			tokens, padding = tokens+len(ids[i]), padding+longest-len(ids[i])
		}
		order = order[n:]
		b.batches = append(b.batches, batch{})
		run := &b.batches[len(b.batches)-1]
		err := errors.Join(
			add(&run.encoder, read, n, longest), add(&run.encoder, mask, n, longest),
			add(&run.countPred, vectors(n*hidden), n, hidden), add(&run.countEmbed, vectors(n*labels*hidden), n*labels, hidden),
			add(&run.spans, vectors(n*most*hidden), n, most, hidden), add(&run.spans, vectors(n*labels*hidden), n, labels, hidden),
		)
		if err != nil {
			return err
		}
	}
	figures.Note("%d runs of %d tokens and %d of padding", len(b.batches), tokens, padding)
	return nil
}

// add makes a tensor.
func add[T int64 | float32](to *[]ort.Value, values []T, dims ...int) error {
	shape := make(ort.Shape, len(dims))
	for i, d := range dims {
		shape[i] = int64(d)
	}
	t, err := ort.NewTensor(shape, values)
	if err == nil {
		*to = append(*to, t)
	}
	return err
}

// vectors returns numbers between -1 and 1.
func vectors(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i*7919%2003)/1001 - 1
	}
	return v
}

// run runs all, as many at once as the extractor has workers.
func (b *bare) run() (time.Duration, error) {
	began := time.Now()
	var next atomic.Int64
	workers := errgroup.Group{}
	for range b.workers {
		workers.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(b.batches)); i = next.Add(1) - 1 {
				if err := b.one(b.batches[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := workers.Wait()
	return time.Since(began), err
}

func (b *bare) one(t batch) error {
	for _, g := range []struct {
		session *ort.DynamicAdvancedSession
		inputs  []ort.Value
	}{{b.encoder, t.encoder}, {b.countPred, t.countPred}, {b.countEmbed, t.countEmbed}, {b.spans, t.spans}} {
		outputs := []ort.Value{nil}
		if err := g.session.Run(g.inputs, outputs); err != nil {
			return err
		}
		if err := outputs[0].Destroy(); err != nil {
			return err
		}
	}
	return nil
}

// Close frees it.
func (b *bare) Close() error {
	var errs []error
	for _, t := range b.batches {
		for _, v := range slices.Concat(t.encoder, t.countPred, t.countEmbed, t.spans) {
			errs = append(errs, v.Destroy())
		}
	}
	for _, s := range []*ort.DynamicAdvancedSession{b.encoder, b.countPred, b.countEmbed, b.spans} {
		if s != nil {
			errs = append(errs, s.Destroy())
		}
	}
	return errors.Join(append(errs, onnx.Close())...)
}
