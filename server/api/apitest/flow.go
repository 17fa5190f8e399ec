// Package apitest is a flow in memory for tests of the API and of the pages: vacancies are really extracted, and then named by their occupation, without encoder and classifier.
package apitest

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/server/api"
)

// Identities of what does not classify here, in the form of real ones.
var (
	Encoder = strings.Repeat("e", 64)
	Model   = strings.Repeat("a", 64)
	Before  = strings.Repeat("b", 64)
)

// Began is when everything that is always there happened.
var Began = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// Flow keeps what it is told. Its methods may be called at once.
type Flow struct {
	Taxonomy  *schemas.Taxonomy
	extractor *extract.Extractor
	titles    map[string]int

	mu        sync.Mutex
	vacancies map[string]*api.Vacancy
	labels    []*schemas.Label
	predicted int
	champion  string
	history   []api.ModelEvent
	letters   []api.Letter
	events    []api.Event
	readers   map[chan api.Event]uint64 // with how many it missed
}

// New returns a flow with two models, a label, an alarm and two dead letters.
func New() (*Flow, error) {
	f := &Flow{
		Taxonomy: schemas.Jobnet(), titles: map[string]int{}, vacancies: map[string]*api.Vacancy{}, champion: Model, readers: map[chan api.Event]uint64{},
		history: []api.ModelEvent{{At: Began, Action: "promoted", Model: Model, Previous: Before, Reason: "better by 0.02"}},
		letters: []api.Letter{
			{LetterPlace: api.LetterPlace{Partition: 1, Offset: 7}, Stage: "extract", Class: "malformed", Reason: "not a JSON object", State: "waiting", FailedAt: Began, Attempts: 1},
			{LetterPlace: api.LetterPlace{Partition: 0, Offset: 3}, Stage: "extract", Class: "nothing_extracted", Reason: "nothing extracted: 0 characters", State: "waiting", FailedAt: Began, Attempts: 1},
		},
	}
	var err error
	if f.extractor, err = extract.New(extract.Options{Taxonomy: f.Taxonomy}); err != nil {
		return nil, err
	}
	for _, c := range f.Taxonomy.Categories {
		for _, title := range c.Titles {
			if _, taken := f.titles[strings.ToLower(title)]; !taken {
				f.titles[strings.ToLower(title)] = c.Index
			}
		}
	}
	return f, nil
}

// Sources are all that the API may ask.
func (f *Flow) Sources() api.Sources {
	return api.Sources{
		Classify: f.classify, Taxonomy: f.Taxonomy, Encoder: Encoder, Record: f.record, Publish: f.publish, Label: f.label, Vacancy: f.vacancy, Similar: f.similar,
		Models: f.models, Promote: f.promote, Rollback: f.rollback, ModelReport: f.modelReport, Drift: f.drift, DriftReport: f.driftReport,
		DeadLetters: f.deadLetters, Replay: f.replay, Feed: f,
	}
}

// Labels returns the labels that were given.
func (f *Flow) Labels() []*schemas.Label {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.labels)
}

// Predicted counts what was kept of predictions.
func (f *Flow) Predicted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.predicted
}

func (f *Flow) classify(ctx context.Context, vacancies []*schemas.Vacancy) ([]pipeline.Result, error) {
	extracted, err := f.extractor.Extract(ctx, vacancies)
	if err != nil {
		return nil, err
	}
	results := make([]pipeline.Result, len(vacancies))
	for i, x := range extracted {
		results[i] = pipeline.Result{Extraction: x.Extraction, Err: x.Err, Source: x.Source, Personal: x.Personal}
		if x.Err != nil {
			continue
		}
		category := f.categoryOf(x.Extraction)
		vector := make([]float32, len(f.Taxonomy.Categories))
		probabilities := make([]float32, len(vector))
		for k := range probabilities {
			probabilities[k] = .2 / float32(len(probabilities))
		}
		vector[category] = 1
		probabilities[category] += .8
		results[i].Vector, results[i].Model = embed.Vector{Values: vector, Tokens: len(strings.Fields(x.Extraction.Text))}, Model
		results[i].Prediction = classify.Prediction{Category: category, Confidence: float64(probabilities[category]), Probabilities: probabilities}
	}
	return results, nil
}

// categoryOf is that of the first occupation, or one that the text decides.
func (f *Flow) categoryOf(x *schemas.Extraction) int {
	for _, o := range x.Occupations {
		if c, ok := f.titles[strings.ToLower(o)]; ok {
			return c
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(x.Text))
	return int(h.Sum32()) % len(f.Taxonomy.Categories)
}

func (f *Flow) record(results []pipeline.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.predicted += len(results)
}

func (f *Flow) publish(ctx context.Context, vacancies []*schemas.Vacancy) error {
	results, err := f.classify(ctx, vacancies)
	if err != nil {
		return err
	}
	for i, r := range results {
		now := time.Now().UTC()
		state := &api.Vacancy{ID: vacancies[i].Id, State: "refused", ReceivedAt: now}
		event := api.Event{Kind: "refused", At: now, ID: vacancies[i].Id}
		if r.Err != nil {
			state.Stage, state.Class, state.Reason = "extract", "nothing_extracted", r.Err.Error()
			event.Stage, event.Class, event.Reason = state.Stage, state.Class, state.Reason
		} else {
			c := pipeline.Classification(r.Extraction, r.Prediction, f.Taxonomy.Names(), r.Model, Encoder)
			state.State, state.Classification = "classified", &api.Classification{
				Category: c.Category, CategoryIndex: int(c.CategoryIndex), Confidence: c.Confidence, Probabilities: make([]float64, len(c.Probabilities)),
				Occupations: c.Occupations, Skills: c.Skills, Tasks: c.Tasks, Model: Model, Encoder: Encoder, ClassifiedAt: now,
			}
			for k, p := range c.Probabilities {
				state.Classification.Probabilities[k] = float64(p)
			}
			event.Kind, event.Category, event.CategoryIndex, event.Confidence, event.Model, event.Seconds = "classified", c.Category, int(c.CategoryIndex), c.Confidence, Model, .1
			if len(c.Occupations) > 0 {
				event.Occupation = c.Occupations[0]
			}
		}
		f.mu.Lock()
		f.vacancies[state.ID] = state
		f.mu.Unlock()
		f.Happen(event)
	}
	return nil
}

func (f *Flow) label(_ context.Context, l *schemas.Label) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.labels = append(f.labels, l)
	if v := f.vacancies[l.Id]; v != nil {
		v.Label = &api.Label{Category: l.Category, CategoryIndex: int(l.CategoryIndex), Source: l.Source, LabelledAt: l.LabelledAt.AsTime()}
	}
	return nil
}

func (f *Flow) vacancy(_ context.Context, id string) (*api.Vacancy, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.vacancies[id]; v != nil {
		found := *v
		return &found, nil
	}
	return nil, api.ErrUnknown
}

// similar finds what was published of the category that the vector is of.
func (f *Flow) similar(_ context.Context, q api.SimilarQuery) ([]api.Neighbour, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []api.Neighbour
	for _, id := range slices.Sorted(maps.Keys(f.vacancies)) {
		v := f.vacancies[id]
		if c := v.Classification; c != nil && (q.Category < 0 || q.Category == c.CategoryIndex) && !v.ReceivedAt.Before(q.Since) && (q.Until.IsZero() || v.ReceivedAt.Before(q.Until)) {
			found = append(found, api.Neighbour{
				ID: id, Similarity: float64(q.Vector[c.CategoryIndex]), Category: c.Category, CategoryIndex: c.CategoryIndex, Confidence: c.Confidence,
				Occupations: c.Occupations, Skills: c.Skills, Tasks: c.Tasks, PublishedAt: v.ReceivedAt,
			})
		}
	}
	slices.SortStableFunc(found, func(a, b api.Neighbour) int {
		switch {
		case a.Similarity > b.Similarity:
			return -1
		case a.Similarity < b.Similarity:
			return 1
		}
		return 0
	})
	return found[:min(q.Most, len(found))], nil
}

// unknown says that there is no such thing, without its name.
func unknown(what string) error { return fmt.Errorf("looking for the %s: %w", what, api.ErrUnknown) }
