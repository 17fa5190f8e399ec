package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/pipeline/embed"
	"jobstrom/warehouse"
)

// StoredOptions say where vectors of texts that were embedded before are found.
type StoredOptions struct {
	// Warehouse holds them. Nil: every text is embedded.
	Warehouse *warehouse.Warehouse
	// Timeout bounds a question to ClickHouse, and Pause is how long none is asked after one that failed. Defaults 2 s and 10 s.
	Timeout, Pause time.Duration
	Logger         *slog.Logger
	Registerer     prometheus.Registerer
}

// EnsureDefaults fills what is zero.
func (o *StoredOptions) EnsureDefaults() {
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Pause == 0 {
		o.Pause = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// warnEvery is how often it is said that ClickHouse gives no vectors.
const warnEvery = time.Minute

// Stored is an Encoder that has another one embed only what it has not embedded before: the same text gives the same vector, and ClickHouse has those of all
// vacancies that are not erased. While ClickHouse is away, slow, or knows no hashes of texts yet, everything is embedded. It is safe for concurrent use where the
// other is.
type Stored struct {
	Encoder
	options StoredOptions
	results *prometheus.CounterVec

	// mu guards what the workers of a stage remember together of failures.
	mu sync.Mutex
	// next is when ClickHouse is asked again; warned is when it was last said that it failed.
	next, warned time.Time
}

// NewStored puts ClickHouse before an encoder.
func NewStored(e Encoder, o StoredOptions) *Stored {
	o.EnsureDefaults()
	s := &Stored{Encoder: e, options: o, results: newStoredResults(o.Registerer)}
	for _, result := range []string{"hit", "miss", "failed"} {
		s.results.WithLabelValues(result)
	}
	return s
}

func newStoredResults(registerer prometheus.Registerer) *prometheus.CounterVec {
	return register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jobstrom_embed_stored_total", Help: "Texts that run embed and up looked for in ClickHouse with --embed-reuse: hit (their vector was there), miss, failed (ClickHouse did not answer, or had not a moment ago); what is not a hit goes to the cache.",
	}, []string{"result"}))
}

// Embed returns a vector for each text, in their order; equal texts are looked for and embedded once and share theirs. Its error is the encoder's.
func (s *Stored) Embed(ctx context.Context, texts []string) ([]embed.Vector, error) {
	if s.options.Warehouse == nil {
		return s.Encoder.Embed(ctx, texts)
	}
	hashes, distinct, first := make([]warehouse.TextHash, len(texts)), []warehouse.TextHash{}, map[warehouse.TextHash]int{}
	for i, text := range texts {
		hashes[i] = warehouse.HashText(text)
		if _, known := first[hashes[i]]; !known {
			first[hashes[i]] = i
			distinct = append(distinct, hashes[i])
		}
	}
	stored, err := s.find(ctx, distinct)
	vectors, missing, place := make([]embed.Vector, len(texts)), []string{}, []int{}
	for i, hash := range hashes {
		v, hit := stored[hash]
		switch {
		case err != nil:
			s.results.WithLabelValues("failed").Inc()
		case hit:
			s.results.WithLabelValues("hit").Inc()
			vectors[i] = embed.Vector{Values: v.Vector, Tokens: int(v.Tokens), Truncated: v.Truncated}
		default:
			s.results.WithLabelValues("miss").Inc()
		}
		if !hit && first[hash] == i {
			missing, place = append(missing, texts[i]), append(place, i)
		}
	}
	if len(missing) > 0 {
		computed, err := s.Encoder.Embed(ctx, missing)
		if err != nil {
			return nil, err
		}
		for k, i := range place {
			vectors[i] = computed[k]
		}
	}
	for i, hash := range hashes {
		vectors[i] = vectors[first[hash]]
	}
	return vectors, nil
}

// errResting means that ClickHouse failed a moment ago and is not asked.
var errResting = errors.New("ClickHouse failed a moment ago")

// find asks ClickHouse for vectors, unless it failed a moment ago.
func (s *Stored) find(ctx context.Context, texts []warehouse.TextHash) (map[warehouse.TextHash]warehouse.StoredVector, error) {
	s.mu.Lock()
	resting := time.Now().Before(s.next)
	s.mu.Unlock()
	if resting {
		return nil, errResting
	}
	card := s.Card()
	found, err := s.ask(ctx, card.ID, texts)
	if err != nil {
		if ctx.Err() == nil {
			s.failed(err)
		}
		return nil, err
	}
	for text, v := range found {
		if len(v.Vector) != card.Dim || !finite(v.Vector) { // another program's: no encoder of this identity makes one
			delete(found, text)
		}
	}
	return found, nil
}

// ask gives up after Timeout. The client heeds no context while it connects, so it is asked beside: what is left behind ends with the connection's own time-outs,
// and there are few, because of Pause.
func (s *Stored) ask(ctx context.Context, encoder string, texts []warehouse.TextHash) (found map[warehouse.TextHash]warehouse.StoredVector, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.Timeout, fmt.Errorf("reading vectors from ClickHouse: no answer within %v", s.options.Timeout))
	defer cancel()
	type answer struct {
		found map[warehouse.TextHash]warehouse.StoredVector
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		found, err := s.options.Warehouse.ReadVectors(ctx, encoder, texts)
		answers <- answer{found, err}
	}()
	select {
	case a := <-answers:
		return a.found, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// failed has ClickHouse left alone for a while, and says so once a minute.
func (s *Stored) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.next = now.Add(s.options.Pause)
	if now.Sub(s.warned) >= warnEvery {
		s.warned = now
		s.options.Logger.Warn("no vectors from ClickHouse, embedding all texts meanwhile", "error", err)
	}
}

func finite(values []float32) bool {
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}
