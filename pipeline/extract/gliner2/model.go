package gliner2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/models/repository"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the extractor is closed")

// remedy ends errors about a model's files that fit their card.
const remedy = "fetch the model again with `jobstrom models pull`, or export it again with `jobstrom models export-gliner2`"

// Model finds entities in texts. It is safe for concurrent use.
type Model struct {
	options Options
	labels  []Label
	card    models.ExtractorCard
	notes   []string
	pieces  *pieces
	prompt  prompt

	encoder, countEmbed, classifier *graph
	countPred                       *graph // nil where there is none
	// spans is span_rep with its algebra used; nil where the graph is not the one that is known, then spanRep is run as it stands.
	spans, spanRep *graph
	// alone says that the encoder takes one row at a time, labelsApart that count_embed takes one text's labels at a time.
	alone, labelsApart bool

	slots chan struct{} // one for each run that may overlap

	// mu is held for reading while a call runs, so that Close frees nothing under it.
	mu     sync.RWMutex
	closed bool
}

// Open verifies and loads a model, and runs it once: what is wrong with its files is told here, not at the first text. Zero options get their defaults.
func Open(o Options) (*Model, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("opening extractor: %w", err)
	}
	m, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("opening extractor %s: %w", o.Dir, err)
	}
	return m, nil
}

func open(o Options) (_ *Model, err error) {
	card, err := models.ReadExtractorCard(o.Dir)
	if err != nil {
		return nil, err
	}
	graphs, there := card.Graphs[o.Precision]
	if !there {
		return nil, fmt.Errorf("it has no weights in %s: choose another precision, or pull those with `jobstrom models pull --precision %s`", o.Precision, o.Precision)
	}
	if o.MaxWords > 0 && o.MaxWords < 2*card.MaxWidth {
		return nil, fmt.Errorf("MaxWords (%d) must be at least %d: twice the model's widest entity", o.MaxWords, 2*card.MaxWidth)
	}
	m := &Model{options: o, labels: o.Labels, card: card, slots: make(chan struct{}, o.Workers)}
	if err := onnx.Open(o.Library); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.free())
		}
	}()
	if err := card.Verify(o.Dir, o.Precision); err != nil {
		return nil, err
	}
	if err := repository.CheckExtractor(o.Dir, card, o.Precision); err != nil {
		return nil, err
	}
	var load errgroup.Group
	load.Go(m.loadTokenizer)
	load.Go(func() error { return m.loadGraphs(graphs) })
	if err := load.Wait(); err != nil {
		return nil, err
	}
	if err := m.warm(); err != nil {
		return nil, err
	}
	return m, nil
}

// loadTokenizer loads the tokenizer, without what its file cuts and pads by itself, and makes the prompt.
func (m *Model) loadTokenizer() error {
	path := filepath.Join(m.options.Dir, filepath.FromSlash(m.card.Tokenizer.Name))
	fail := func(err error) error { return fmt.Errorf("loading %s: %w; %s", path, err, remedy) }
	data, err := os.ReadFile(path)
	if err != nil {
		return fail(err)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(data, &file); err != nil {
		return fail(err)
	}
	delete(file, "truncation")
	delete(file, "padding")
	if data, err = json.Marshal(file); err != nil {
		return fail(err)
	}
	if m.pieces, err = newPieces(data); err != nil {
		return fail(err)
	}
	for token, id := range m.card.SpecialTokens {
		if got := m.pieces.ids(token); !slices.Equal(got, []int64{id}) {
			return fail(fmt.Errorf("it reads the special token %s as %d, the card says %d", token, got, id))
		}
	}
	m.prompt, err = newPrompt(m.pieces, m.card.SpecialTokens, taskEntities, models.TokenEntity, m.labels)
	return err
}

func (m *Model) loadGraphs(g models.ExtractorGraphs) error {
	how := onnx.Execution{Provider: m.options.Provider, Threads: m.options.Threads, Runs: m.options.Workers}
	load := func(file models.File, output string, inputs ...string) (*graph, error) {
		path := filepath.Join(m.options.Dir, filepath.FromSlash(file.Name))
		s, err := onnx.Session(path, inputs, []string{output}, how)
		if err != nil {
			return nil, fmt.Errorf("%w; %s", err, remedy)
		}
		return &graph{name: file.Name, session: s}, nil
	}
	var err error
	if m.encoder, err = load(g.Encoder, "hidden_states", "input_ids", "attention_mask"); err != nil {
		return err
	}
	if m.countEmbed, err = load(g.CountEmbed, "transformed_embeddings", "label_embeddings"); err != nil {
		return err
	}
	if m.classifier, err = load(g.Classifier, "logit", "hidden_state"); err != nil {
		return err
	}
	if g.CountPred != nil {
		if m.countPred, err = load(*g.CountPred, "count_logits", "hidden_state"); err != nil {
			return err
		}
	} else if m.options.Mode == Native {
		m.notes = append(m.notes, "the export has no count_pred: texts in which the model expects nothing are searched as well, which gliner2 does not")
	}
	if m.spanRep, err = load(g.SpanRep, "span_representations", "hidden_states", "span_start_idx", "span_end_idx"); err != nil {
		return err
	}
	layers, err := readSpanLayers(filepath.Join(m.options.Dir, filepath.FromSlash(g.SpanRep.Name)))
	if errors.Is(err, errShape) {
		m.notes = append(m.notes, fmt.Sprintf("%s is run as it stands, which takes longer: %v", g.SpanRep.Name, err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; %s", err, remedy)
	}
	if layers.start[0].in != m.card.Hidden {
		return fmt.Errorf("%s takes %d components, the card says %d: the files are not of one model; %s", g.SpanRep.Name, layers.start[0].in, m.card.Hidden, remedy)
	}
	own, err := layers.graph(m.card.MaxWidth).Load([]string{"words", "labels"}, []string{"logits"}, how)
	if err != nil {
		return err
	}
	m.spans = &graph{name: g.SpanRep.Name + ", with its algebra used", session: own}
	return nil
}

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

// Extract finds entities: for each text, ordered as the mode says. The answer to a text does not depend on the others. When the context ends, so do the runs of the call.
func (m *Model) Extract(ctx context.Context, texts []string) ([][]Entity, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	entities, err := m.extract(ctx, texts)
	if err != nil {
		return nil, fmt.Errorf("extracting from %d texts: %w", len(texts), err)
	}
	return entities, nil
}

func (m *Model) extract(ctx context.Context, texts []string) ([][]Entity, error) {
	if m.closed {
		return nil, ErrClosed
	}
	documents, rows, err := m.readAll(ctx, m.prompt, texts)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r *row) bool { return len(r.places) == 0 })
	if err := m.each(ctx, rows, m.find); err != nil {
		return nil, err
	}
	entities := make([][]Entity, len(texts))
	for i, d := range documents {
		var found []candidate
		for _, r := range d.rows {
			found = append(found, r.found...)
		}
		entities[i] = m.decode(d, found)
	}
	return entities, nil
}

// find finds the candidates of a batch.
func (m *Model) find(ctx context.Context, batch []*row) error {
	return m.encode(ctx, batch, func(h hidden) error {
		open, err := m.gates(ctx, h, len(batch), m.prompt)
		if err != nil || !slices.Contains(open, true) {
			return err
		}
		return m.logits(ctx, batch, h, m.prompt, func(r, longest int, logits []float32) {
			if open[r] {
				batch[r].found = m.candidates(logits, longest, len(batch[r].places), batch[r].chunk)
			}
		})
	})
}

// Card returns the model's card.
func (m *Model) Card() models.ExtractorCard { return m.card }

// ID returns the identity of the answers: hex SHA-256 over the weights in use and the options that decide what is found in a text.
func (m *Model) ID() string {
	o := m.options
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%d\n%d\n", m.card.Identity(o.Precision), o.Mode, o.MaxWords, o.Overlap)
	for _, l := range m.labels {
		fmt.Fprintf(h, "%q %g %q\n", l.Name, l.Threshold, l.Description)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Labels returns what is looked for, with thresholds.
func (m *Model) Labels() []Label { return slices.Clone(m.labels) }

// Notes say what of the model's files is used in another way than usual, and what that means.
func (m *Model) Notes() []string { return slices.Clone(m.notes) }

// Close waits for running calls and frees the model. A second Close does nothing.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	return m.free()
}

// free releases what was opened.
func (m *Model) free() error {
	var errs []error
	for _, g := range []*graph{m.encoder, m.countEmbed, m.classifier, m.countPred, m.spans, m.spanRep} {
		errs = append(errs, g.free())
	}
	if m.pieces != nil {
		errs = append(errs, m.pieces.tokenizer.Close())
	}
	return errors.Join(append(errs, onnx.Close())...)
}
