package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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

func TestLimitRefusesWhatIsTooMuch(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	l := pipeline.NewLimit(func(_ context.Context, vacancies []*schemas.Vacancy) ([]pipeline.Result, error) {
		begun <- struct{}{}
		<-release
		return echo(vacancies), nil
	}, 3)
	first := make(chan error, 1)
	go func() {
		results, err := l.Do(t.Context(), []*schemas.Vacancy{{Id: "a"}, {Id: "b"}})
		if err == nil && (len(results) != 2 || results[0].Model != "a" || results[1].Model != "b") {
			err = fmt.Errorf("got %v", results)
		}
		first <- err
	}()
	<-begun
	if _, err := l.Do(t.Context(), []*schemas.Vacancy{{}, {}}); !errors.Is(err, pipeline.ErrOverloaded) {
		t.Errorf("two more than fit got %v", err)
	}
	second := make(chan error, 1)
	go func() { _, err := l.Do(t.Context(), []*schemas.Vacancy{{}}); second <- err }()
	<-begun // one still fits
	close(release)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
}

func TestLimitPassesErrorsOn(t *testing.T) {
	broken := errors.New("the model is gone")
	l := pipeline.NewLimit(func(context.Context, []*schemas.Vacancy) ([]pipeline.Result, error) { return nil, broken }, 1)
	for range 3 { // an error gives its place back
		if _, err := l.Do(t.Context(), []*schemas.Vacancy{{}}); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}
