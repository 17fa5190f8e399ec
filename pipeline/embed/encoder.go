// Package embed is the second stage: it turns texts into vectors with an encoder on this machine.
//
// The encoder's card decides prompt, longest input, pooling, dense layers and normalisation. The same text gives the
// same vector alone and in any batch, but for the last bits of its numbers: a cosine of .99999 at least with ONNX Runtime's own
// provider, of .999 with others. A text that is too long is cut, and its vector says so. The stage
// knows nothing of Kafka, ClickHouse or HTTP.
package embed

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/daulet/tokenizers"
	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sync/errgroup"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// ErrClosed is returned by Embed after Close.
var ErrClosed = errors.New("the encoder is closed")

// bytesPerToken bounds what is tokenised of a text: pieces of the vocabulary have at most 48 bytes, so this
// many for each token that fits are never too few for text, and 5 MB of text cost what 32 kB cost.
const bytesPerToken = 64

// Vector is a text's embedding.
type Vector struct {
	// Values are the components, as many as the card's dimension. Equal texts may share them: they must not be changed.
	Values []float32
	// Tokens is how many tokens were read, prefix and special tokens included.
	Tokens int
	// Truncated says that the end of the text was not read.
	Truncated bool
}

// Encoder turns texts into vectors. It is safe for concurrent use.
type Encoder struct {
	options   Options
	card      models.EncoderCard
	maxTokens int
	tokenizer *tokenizers.Tokenizer
	encode    []tokenizers.EncodeOption
	around    around
	dense     []dense
	inputs    []string
	session   *ort.DynamicAdvancedSession
	cache     *cache // nil without one
	queue     *queue
	workers   sync.WaitGroup

	// mu is held for reading while Embed runs, so that Close ends the queue of nobody.
	mu     sync.RWMutex
	closed bool
}

// New verifies and loads an encoder. Zero options get their defaults.
func New(o Options) (*Encoder, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("opening encoder: %w", err)
	}
	e, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("opening encoder: %w", err)
	}
	return e, nil
}

func open(o Options) (_ *Encoder, err error) {
	read, err := models.ReadEncoderCard(o.ModelDir)
	if err != nil {
		return nil, err
	}
	card := read.WithPrompt(o.Prompt)
	e := &Encoder{options: o, card: card, maxTokens: card.MaxTokens, queue: newQueue(o.BatchTokens, o.MaxBatch)}
	if o.MaxTokens > 0 {
		e.maxTokens = min(o.MaxTokens, card.MaxTokens)
	}
	if err := onnx.Open(o.Library); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.free())
		}
	}()
	e.inputs = []string{"input_ids", "attention_mask"}
	if card.TokenTypes {
		e.inputs, e.encode = append(e.inputs, "token_type_ids"), append(e.encode, tokenizers.WithReturnTypeIDs())
	}
	if card.FirstPosition != nil {
		e.inputs = append(e.inputs, "position_ids")
	}
	// Loading the tokenizer is most of a cold start, and all else fits beside it. What is loaded was verified.
	var load errgroup.Group
	load.Go(func() error {
		if err := read.VerifyTokenizer(o.ModelDir); err != nil {
			return err
		}
		return e.loadTokenizer()
	})
	load.Go(func() (err error) {
		if err := read.VerifyWeights(o.ModelDir); err != nil {
			return err
		}
		e.session, err = onnx.Session(filepath.Join(o.ModelDir, filepath.FromSlash(card.Graph.Name)), e.inputs, []string{card.Output}, onnx.Execution{Provider: o.Provider, Threads: o.Threads, Runs: o.Workers})
		return err
	})
	if err := load.Wait(); err != nil {
		return nil, err
	}
	if e.dense, err = readDense(o.ModelDir, card.Dense); err != nil {
		return nil, err
	}
	e.cache = newCache(o.CacheBytes, card.ID, e.maxTokens, card.Dim)
	for range o.Workers {
		e.workers.Go(e.work)
	}
	return e, nil
}

// loadTokenizer loads the tokenizer and looks at what it puts around a text.
func (e *Encoder) loadTokenizer() (err error) {
	if e.tokenizer, err = loadTokenizer(e.options.ModelDir, &e.card); err != nil {
		return err
	}
	if e.around, err = specialTokens(e.tokenizer); err != nil {
		return err
	}
	if a := e.around; a.before+a.after >= e.maxTokens {
		return fmt.Errorf("the tokenizer puts %d tokens around each text, of at most %d (MaxTokens): nothing is left of it", a.before+a.after, e.maxTokens)
	}
	return nil
}

// Card returns the encoder's card.
func (e *Encoder) Card() models.EncoderCard { return e.card }

// Dim returns the number of components of a vector.
func (e *Encoder) Dim() int { return e.card.Dim }

// CacheStats says what the cache of vectors has done.
func (e *Encoder) CacheStats() CacheStats { return e.cache.stats() }

// Close waits for running calls of Embed and frees the encoder. A second Close does nothing.
func (e *Encoder) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	e.queue.end()
	e.workers.Wait()
	return e.free()
}

// free releases what was opened, in reverse order.
func (e *Encoder) free() error {
	var errs []error
	if e.session != nil {
		errs = append(errs, e.session.Destroy())
	}
	if e.tokenizer != nil {
		errs = append(errs, e.tokenizer.Close())
	}
	return errors.Join(append(errs, onnx.Close())...)
}

// Embed returns a vector for each text, in their order. Texts of calls that run at once share sub-batches. When the context ends what waits of a call is given
// up.
func (e *Encoder) Embed(ctx context.Context, texts []string) ([]Vector, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, ErrClosed
	}
	vectors := make([]Vector, len(texts))
	missing, keys, same := e.cache.split(texts, vectors)
	rows := make([]row, len(missing))
	for k, i := range missing {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("embedding %d texts: %w", len(texts), err)
		}
		var err error
		if rows[k], err = e.tokenize(texts[i]); err != nil {
			return nil, fmt.Errorf("embedding text %d of %d: %w", i+1, len(texts), err)
		}
		rows[k].index = i
	}
	c := e.queue.put(rows, vectors)
	select {
	case <-c.done:
	case <-ctx.Done():
		e.queue.drop(c)
		return nil, fmt.Errorf("embedding %d texts: %w", len(texts), ctx.Err())
	}
	if c.err != nil {
		return nil, fmt.Errorf("embedding %d texts: %w", len(texts), c.err)
	}
	c.trace(ctx)
	e.cache.keep(missing, keys, same, vectors)
	return vectors, nil
}

// tokenize puts the prompt before a text and cuts it to the longest input; the tokens that the tokenizer puts around a text stay.
func (e *Encoder) tokenize(text string) (row, error) {
	var r row
	if limit := e.maxTokens * bytesPerToken; len(text) > limit {
		if e.card.CutLeft {
			text = text[len(text)-limit:]
		} else {
			text = text[:limit]
		}
		r.truncated = true
	}
	// A NUL would end the text for the tokenizer, which is a C library; broken UTF-8 becomes U+FFFD there.
	text = strings.ReplaceAll(e.card.Prefix+text, "\x00", "")
	encoding := e.tokenizer.EncodeWithOptions(text, true, e.encode...)
	r.ids = encoding.IDs
	if len(r.ids) == 0 {
		return r, errors.New("tokenising: the tokenizer gave no tokens")
	}
	if len(r.ids) > e.maxTokens {
		r.ids = e.around.cut(r.ids, e.maxTokens, e.card.CutLeft)
		r.truncated = true
	}
	if e.card.TokenTypes {
		if r.types = encoding.TypeIDs; len(r.types) > e.maxTokens {
			r.types = e.around.cut(r.types, e.maxTokens, e.card.CutLeft)
		}
	}
	return r, nil
}

// work computes sub-batches until the queue has ended.
func (e *Encoder) work() {
	var p padded
	for batch := e.queue.take(); batch != nil; batch = e.queue.take() {
		e.queue.finish(batch, e.run(batch, &p))
	}
}

// run computes one sub-batch, in the memory of p, and puts its vectors where they belong.
func (e *Encoder) run(batch []row, p *padded) error {
	p.fill(batch, &e.card)
	fail := func(err error) error {
		return fmt.Errorf("running %d × %d tokens: %w", len(batch), p.longest, err)
	}
	shape := ort.NewShape(int64(len(batch)), int64(p.longest))
	inputs := make([]ort.Value, 0, len(e.inputs))
	for _, numbers := range [][]int64{p.ids, p.mask, p.types, p.positions} {
		if numbers == nil {
			continue
		}
		tensor, err := ort.NewTensor(shape, numbers)
		if err != nil {
			return fail(err)
		}
		defer tensor.Destroy()
		inputs = append(inputs, tensor)
	}
	outputs := []ort.Value{nil}
	if err := e.session.Run(inputs, outputs); err != nil {
		return fail(err)
	}
	defer outputs[0].Destroy()
	output, ok := outputs[0].(*ort.Tensor[float32])
	dim := e.card.GraphDim()
	stride := dim
	if !e.card.GraphPools {
		stride *= p.longest
	}
	if !ok || len(output.GetData()) != len(batch)*stride {
		return fail(fmt.Errorf("the graph's output %s has the shape %v, the card promises %d numbers a row", e.card.Output, outputs[0].GetShape(), stride))
	}
	for i, r := range batch {
		// Values are copied: the output belongs to ONNX Runtime.
		values := output.GetData()[i*stride : (i+1)*stride]
		if e.card.GraphPools {
			values = append([]float32(nil), values...)
		} else {
			values = pool(e.card.Pooling, values[start(r, p.longest, e.card.PadLeft)*dim:], len(r.ids), dim)
			for _, d := range e.dense {
				values = d.apply(values)
			}
			if e.card.Normalize {
				normalize(values)
			}
		}
		r.call.vectors[r.index] = Vector{Values: values, Tokens: len(r.ids), Truncated: r.truncated}
	}
	return nil
}

// Tokens returns the tokens of a text as the encoder reads them, prompt and special tokens included.
func (e *Encoder) Tokens(text string) ([]int64, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, ErrClosed
	}
	r, err := e.tokenize(text)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(r.ids))
	for i, id := range r.ids {
		ids[i] = int64(id)
	}
	return ids, nil
}
