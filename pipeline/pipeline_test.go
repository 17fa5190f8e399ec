package pipeline_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// load returns the real three stages.
func load(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	taxonomy := schemas.Jobnet()
	extractor, err := extract.New(extract.Options{Taxonomy: taxonomy})
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := embed.New(embed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = encoder.Close() })
	p := &pipeline.Pipeline{Extractor: extractor, Encoder: encoder, Live: &classify.Live{}, Taxonomy: taxonomy}
	classifier, err := classify.Default(taxonomy, encoder.Card().ID)
	if err != nil {
		t.Fatal(err)
	}
	p.Live.Store(classifier)
	return p
}

// A vacancy's answer must not depend on its company, or the stream, the API and a reprocessing would disagree.
func TestAnswerDoesNotDependOnTheBatch(t *testing.T) {
	p := load(t)
	vacancies := []*schemas.Vacancy{
		{Text: "Vi søger en murer til facaderenovering i Vejle."},
		{Text: "?"},
		{Title: "Sygeplejerske", Text: "Du skal pleje patienter på medicinsk afdeling, måle blodtryk, give medicin og vejlede pårørende. Vi forventer erfaring med akutte forløb."},
		{Text: "Kantinen mangler en kok, der kan lave grøn mad til 200 gæster hver dag."},
	}
	together, err := p.Run(t.Context(), vacancies)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range vacancies {
		alone, err := p.Run(t.Context(), []*schemas.Vacancy{v})
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if !errors.Is(alone[0].Err, extract.ErrNothingExtracted) || !errors.Is(together[1].Err, extract.ErrNothingExtracted) {
				t.Fatalf("an empty vacancy: %v, %v", alone[0].Err, together[1].Err)
			}
			continue
		}
		for k, want := range alone[0].Prediction.Probabilities {
			if got := together[i].Prediction.Probabilities[k]; math.Abs(float64(got-want)) > 1e-4 {
				t.Fatalf("vacancy %d, category %d: %g together, %g alone", i, k, got, want)
			}
		}
	}
	if got := together[2].Prediction.Category; got != 16 {
		t.Fatalf("the nurse is in category %d", got)
	}
}

func TestNoClassifier(t *testing.T) {
	p := load(t)
	p.Live = &classify.Live{}
	if _, err := p.Run(t.Context(), []*schemas.Vacancy{{Text: "Vi søger en murer til facaderenovering i Vejle."}}); !errors.Is(err, pipeline.ErrNoClassifier) {
		t.Fatalf("got %v", err)
	}
}

// echo answers each vacancy with its own id.
func echo(vacancies []*schemas.Vacancy) []pipeline.Result {
	results := make([]pipeline.Result, len(vacancies))
	for i, v := range vacancies {
		results[i].Model = v.Id
	}
	return results
}

func TestBatcherGivesEveryCallerItsOwn(t *testing.T) {
	var largest atomic.Int64
	b := pipeline.NewBatcher(t.Context(), func(_ context.Context, vacancies []*schemas.Vacancy) ([]pipeline.Result, error) {
		largest.Store(max(largest.Load(), int64(len(vacancies))))
		return echo(vacancies), nil
	}, 8, 64)
	var callers sync.WaitGroup
	for i := range 50 {
		callers.Go(func() {
			id := string(rune('A' + i))
			results, err := b.Do(t.Context(), []*schemas.Vacancy{{Id: id + "1"}, {Id: id + "2"}})
			if err != nil || len(results) != 2 || results[0].Model != id+"1" || results[1].Model != id+"2" {
				t.Errorf("caller %s got %v, %v", id, results, err)
			}
		})
	}
	callers.Wait()
	if n := largest.Load(); n > 9 { // eight, and a caller of two who began at seven
		t.Fatalf("a batch held %d vacancies", n)
	}
}

func TestBatcherRefusesWhenFull(t *testing.T) {
	begun, release := make(chan struct{}, 1), make(chan struct{})
	b := pipeline.NewBatcher(t.Context(), func(_ context.Context, vacancies []*schemas.Vacancy) ([]pipeline.Result, error) {
		begun <- struct{}{}
		<-release
		return echo(vacancies), nil
	}, 1, 1)
	one := []*schemas.Vacancy{{Id: "a"}}
	first := make(chan error, 1)
	go func() { _, err := b.Do(t.Context(), one); first <- err }()
	<-begun // the first is at work
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := b.Do(gone, one); !errors.Is(err, context.Canceled) { // takes the queue's only place and leaves
		t.Fatalf("the caller who left got %v", err)
	}
	if _, err := b.Do(t.Context(), one); !errors.Is(err, pipeline.ErrOverloaded) {
		t.Fatalf("the queue is full, but the caller got %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
}

func TestBatcherPassesErrorsOn(t *testing.T) {
	broken := errors.New("the model is gone")
	b := pipeline.NewBatcher(t.Context(), func(context.Context, []*schemas.Vacancy) ([]pipeline.Result, error) { return nil, broken }, 8, 8)
	if _, err := b.Do(t.Context(), []*schemas.Vacancy{{}}); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}
