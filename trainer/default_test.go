package trainer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"jobstrom/models"
	"jobstrom/pipeline/classify"
)

// world is an encoder of a small language: a text "category.trade" lies near the trade's point; names lie
// near their category's; vacancies, which begin with "!", are noisy and all shifted by the same vector.
func world(ctx context.Context, texts []string) ([][]float32, error) {
	point := func(seed string, spread float64) []float64 {
		var s uint64 = 1
		for _, r := range seed {
			s = s*31 + uint64(r)
		}
		random := rand.New(rand.NewPCG(s, 5))
		p := make([]float64, 16)
		for i := range p {
			p[i] = spread * random.NormFloat64()
		}
		return p
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		trade, _, _ := strings.Cut(strings.TrimPrefix(text, "!"), " ")
		parts := [][]float64{point(trade, 1), point(text, .1)}
		if strings.HasPrefix(text, "!") {
			parts = append(parts, point("vacancies lie elsewhere", 2), point(text, .5))
		}
		vectors[i] = make([]float32, 16)
		for _, part := range parts {
			for j, x := range part {
				vectors[i][j] += float32(x)
			}
		}
	}
	return vectors, nil
}

// smallWorld has 3 categories of 10 unrelated trades each, and 60 samples.
func smallWorld(t testing.TB) DefaultOptions {
	t.Helper()
	x := taxonomy(t)
	o := DefaultOptions{Embed: world, Encoder: "enc", Taxonomy: x, Seed: 1, Settings: []DefaultSetting{
		{Sharpness: 8, SampleWeight: .3}, {Sharpness: .1}, {Sharpness: 1, L2: 1e-2},
	}}
	for c := range x.Categories {
		x.Categories[c].Titles = nil
		for trade := range 10 {
			x.Categories[c].Titles = append(x.Categories[c].Titles, fmt.Sprintf("%d.%d", c, trade))
		}
		for i := range 20 {
			o.Samples = append(o.Samples, Sample{Text: fmt.Sprintf("!%d.%d number %d", c, i%10, i), Category: c, Employer: fmt.Sprint("employer ", c, i/2)})
		}
	}
	return o
}

func TestDefault(t *testing.T) {
	o := smallWorld(t)
	c, report, err := Default(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Candidates) != 3 || report.Titles != 30 || report.Samples != 60 || report.Evaluation.N != 60 {
		t.Fatalf("report: %+v", report)
	}
	// The trades of a category have nothing in common: sharp rows find them, blunt ones and a line cannot.
	if report.Chosen != 0 || report.Evaluation.Top1 < .9 || report.Candidates[1].Top1 > report.Evaluation.Top1 {
		t.Fatalf("%s was chosen of %+v", report.Candidates[report.Chosen].Setting, report.Candidates)
	}
	if err := models.VerifyClassifier(c); err != nil {
		t.Fatal(err)
	}
	if models.Rows(c) != 3+30+60 || c.Metrics["top1"] != report.Evaluation.Top1 || c.Encoder != "enc" || c.Training["samples"] != "60" {
		t.Fatalf("%d rows, encoder %q, metrics %v, training %v", models.Rows(c), c.Encoder, c.Metrics, c.Training)
	}
	again, _, err := Default(t.Context(), o)
	if err != nil || again.Id != c.Id {
		t.Fatalf("the same input gives %s and %s (%v)", c.Id, again.Id, err)
	}
	if text := report.Text(o.Taxonomy.Names()); !strings.Contains(text, "30 titles and 60 samples") || !strings.Contains(text, "sharpness 1, task 0, sample 0, L2 0.01") {
		t.Fatalf("the report reads\n%s", text)
	}
	live, err := classify.New(c, o.Taxonomy, classify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := world(t.Context(), []string{"!2.7 a new vacancy", "!0.1 another one"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := live.Classify("enc", vectors)
	if err != nil || p[0].Category != 2 || p[1].Category != 0 {
		t.Fatalf("new vacancies are classified %+v (%v)", p, err)
	}
}

// TestDefaultLearnsWhatTitlesLack: in each trade, what the titles say of the category is wrong by one. The rows of
// titles follow it, the logistic regression on top learns from the samples that it is so.
func TestDefaultLearnsWhatTitlesLack(t *testing.T) {
	o := smallWorld(t)
	for i := range o.Samples {
		o.Samples[i].Category = (o.Samples[i].Category + 1) % 3
	}
	top1 := func(s DefaultSetting) (float64, int) {
		o.Settings = []DefaultSetting{s}
		c, report, err := Default(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return report.Evaluation.Top1, models.Rows(c)
	}
	alone, rows := top1(DefaultSetting{Sharpness: 2})
	learnt, rowsToo := top1(DefaultSetting{Sharpness: 2, L2: 1e-4})
	if alone > .1 || learnt < alone+.3 || rows != rowsToo {
		t.Fatalf("rows alone are right on %v with %d rows, with what is learnt on %v with %d", alone, rows, learnt, rowsToo)
	}
}

func TestDefaultFailure(t *testing.T) {
	f := func(change func(*DefaultOptions), want ...string) {
		t.Helper()
		o := smallWorld(t)
		change(&o)
		_, _, err := Default(t.Context(), o)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Fatalf("Default = %v, want an error with %q", err, w)
			}
		}
	}
	f(func(o *DefaultOptions) { *o = DefaultOptions{Folds: 1} }, "Embed is missing", "Encoder is empty", "Taxonomy is missing", "Folds (1)", "Samples (0)")
	f(func(o *DefaultOptions) { o.Samples[3].Category = 3 }, "Samples[3].Category (3)")
	f(func(o *DefaultOptions) {
		o.Settings = []DefaultSetting{{}, {Sharpness: 1, L2: -1}, {Sharpness: 1, TaskWeight: -1}}
	}, "Settings[0]: Sharpness (0)", "Settings[1]", "Settings[2]: TaskWeight (-1)")
	f(func(o *DefaultOptions) {
		o.Embed = func(context.Context, []string) ([][]float32, error) { return nil, errors.New("no encoder") }
	}, "no encoder")
	f(func(o *DefaultOptions) {
		o.Embed = func(context.Context, []string) ([][]float32, error) { return make([][]float32, 1), nil }
	}, "gave 1 vectors")
	f(func(o *DefaultOptions) {
		o.Embed = func(_ context.Context, texts []string) ([][]float32, error) {
			return make([][]float32, len(texts)), nil
		}
	}, "without components")
}
