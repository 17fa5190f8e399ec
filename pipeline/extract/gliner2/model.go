package gliner2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
	if errors.Is(err, errShape) || errors.Is(err, onnx.ErrMalformed) { // ONNX Runtime reads it, and may read what the package onnx does not
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
