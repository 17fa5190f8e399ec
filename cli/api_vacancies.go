package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"jobstrom/producers"
	"jobstrom/schemas"
	"jobstrom/server/api"
	"jobstrom/warehouse"
)

// publish writes vacancies to Kafka.
func (s *apiSources) publish(ctx context.Context, vacancies []*schemas.Vacancy) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	at := time.Now()
	err := producers.PublishVacancies(ctx, s.publisher, s.pipeline.Taxonomy, vacancies)
	if errors.Is(err, kerr.MessageTooLarge) {
		return fmt.Errorf("%w vacancy: it is larger than Kafka takes", schemas.ErrMalformed)
	}
	if err != nil {
		return s.away(ctx, err)
	}
	for _, v := range vacancies {
		s.receipts.add(v.Id, at)
	}
	return nil
}

// label writes a person's label to Kafka.
func (s *apiSources) label(ctx context.Context, l *schemas.Label) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return s.away(ctx, producers.PublishLabel(ctx, s.publisher, l))
}

// clockSkew is how far the clocks of brokers and of this machine may be apart.
const clockSkew = time.Minute

// vacancy says what became of a vacancy, by ClickHouse; what this process published a short time ago is received until that knows it.
func (s *apiSources) vacancy(ctx context.Context, id string) (*api.Vacancy, error) {
	asked, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	received, here := s.receipts.at(id)
	state, err := s.warehouse.ReadVacancy(asked, id)
	if err != nil {
		return nil, s.warehouseAway(ctx, err)
	}
	v := &api.Vacancy{ID: id, State: state.State, ReceivedAt: state.At}
	if here && (state.State == "" || state.At.Before(received.Add(-clockSkew))) { // it may have been published before, too
		v.State, v.ReceivedAt = "received", received.UTC()
		state = warehouse.VacancyState{State: v.State, Label: state.Label}
	}
	if v.State == "" {
		return nil, fmt.Errorf("vacancy %.200q: %w", id, api.ErrUnknown)
	}
	if p := state.Prediction; p != nil {
		v.Classification = &api.Classification{
			Category: p.Category, CategoryIndex: int(p.CategoryIndex), Confidence: float64(p.Confidence), Probabilities: widened(p.Probabilities),
			Occupations: p.Occupations, Skills: p.Skills, Tasks: p.Tasks, Model: p.Model, Encoder: p.Encoder, ClassifiedAt: p.ClassifiedAt,
		}
	}
	if l := state.Refusal; l != nil {
		v.Stage, v.Class, v.Reason = l.Stage, l.Class, l.Reason
	}
	if l := state.Label; l != nil {
		v.Label = &api.Label{Category: l.Category, CategoryIndex: int(l.CategoryIndex), Source: l.Source, LabelledAt: l.LabelledAt}
	}
	return v, nil
}

func widened(numbers []float32) []float64 {
	all := make([]float64, len(numbers))
	for i, x := range numbers {
		all[i] = float64(x)
	}
	return all
}

// similar finds the vacancies nearest to a vector of this flow's encoder.
func (s *apiSources) similar(ctx context.Context, q api.SimilarQuery) ([]api.Neighbour, error) {
	asked, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	rows, err := s.warehouse.Similar(asked, warehouse.SimilarQuery{Encoder: s.encoder, Vector: q.Vector, Category: q.Category, Since: q.Since, Until: q.Until, Most: q.Most})
	if err != nil {
		return nil, s.warehouseAway(ctx, err)
	}
	found := make([]api.Neighbour, len(rows))
	for i, r := range rows {
		found[i] = api.Neighbour{
			ID: r.VacancyID, Similarity: r.Similarity, Category: r.Category, CategoryIndex: int(r.CategoryIndex), Confidence: float64(r.Confidence),
			Occupations: r.Occupations, Skills: r.Skills, Tasks: r.Tasks, Source: r.Source, PublishedAt: r.PublishedAt,
		}
	}
	return found, nil
}

// Bounds of what is remembered of publications.
const (
	receiptsFor  = 10 * time.Minute
	mostReceipts = 20_000
)

// receipts remember which vacancies this process published a short time ago. The zero value is ready.
type receipts struct {
	mu    sync.Mutex
	when  map[string]time.Time
	order []receipt // the oldest first; one that was followed by another of its vacancy is in there twice
}

type receipt struct {
	id string
	at time.Time
}

func (r *receipts) add(id string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.when == nil {
		r.when = map[string]time.Time{}
	}
	r.when[id] = at
	r.order = append(r.order, receipt{id, at})
	for len(r.order) > mostReceipts || at.Sub(r.order[0].at) > receiptsFor {
		if first := r.order[0]; r.when[first.id].Equal(first.at) {
			delete(r.when, first.id)
		}
		r.order = r.order[1:]
	}
}

// at returns when a vacancy was published.
func (r *receipts) at(id string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, here := r.when[id]
	return at, here && time.Since(at) <= receiptsFor
}
