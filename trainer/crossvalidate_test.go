package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"
)

func crossValidated(t *testing.T, e Examples, o CrossValidateOptions) *CrossValidation {
	t.Helper()
	v, err := CrossValidate(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCrossValidate(t *testing.T) {
	e := clouds(200, 4, 3, 1, 2)
	var done []string
	v := crossValidated(t, e, CrossValidateOptions{Folds: 4, Seed: 1, Fit: Options{Categories: 3}, Progress: func(n, folds int) { done = append(done, fmt.Sprint(n, "/", folds)) }})
	if v.Evaluation.N != 200 || v.Evaluation.Top1 < .6 || v.Evaluation.Top1 > .999 || len(v.Folds) != 4 {
		t.Fatalf("%d folds, top-1 out of fold is %v of %d", len(v.Folds), v.Evaluation.Top1, v.Evaluation.N)
	}
	if !slices.Equal(done, []string{"1/4", "2/4", "3/4", "4/4"}) {
		t.Errorf("progress was %q", done)
	}
	folds, err := Folds(e.Categories, e.Groups, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	var right float64
	var losses []float64
	for f, fold := range v.Folds {
		var train, held []int
		for i, of := range folds {
			if of == f {
				held = append(held, i)
			} else {
				train = append(train, i)
			}
		}
		some := e.Select(held)
		c := fit(t, e.Select(train), Options{Categories: 3})
		want := Evaluate(Probabilities(Scores(c, some.Vectors), 1), some.Categories, 3)
		if fold.Held != len(held) || fold.Train != len(train) || fold.Evaluation.LogLoss != want.LogLoss || fold.Evaluation.Top1 != want.Top1 {
			t.Errorf("fold %d is %d of %d with log loss %v and top-1 %v, a fit without it has %d of %d with %v and %v", f, fold.Held, fold.Train, fold.Evaluation.LogLoss, fold.Evaluation.Top1, len(held), len(train), want.LogLoss, want.Top1)
		}
		right += fold.Evaluation.Top1 * float64(fold.Held)
		losses = append(losses, want.LogLoss)
	}
	if math.Abs(right/200-v.Evaluation.Top1) > 1e-12 {
		t.Errorf("the folds have %v right, all together %v", right/200, v.Evaluation.Top1)
	}
	mean, spread := stat.MeanStdDev(losses, nil)
	if v.Mean["log_loss"] != mean || v.Spread["log_loss"] != spread || spread == 0 {
		t.Errorf("the log loss is %v ± %v, want %v ± %v", v.Mean["log_loss"], v.Spread["log_loss"], mean, spread)
	}
	text := v.Text()
	for _, want := range []string{"│ 4      │", "│ mean   │", "│ spread │", "│ all    │", fmt.Sprintf("%.3f", mean)} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
}

// TestCrossValidateNoise: labels that mean nothing cannot be predicted out of fold: nothing leaks from the held-out part.
func TestCrossValidateNoise(t *testing.T) {
	v := crossValidated(t, clouds(600, 20, 2, 0, 3), CrossValidateOptions{Seed: 1, Fit: Options{Categories: 2, L2: 1e-6}})
	if got := v.Evaluation.Top1; len(v.Folds) != 5 || got < .42 || got > .58 {
		t.Fatalf("top-1 on noise is %v in %d folds", got, len(v.Folds))
	}
}

// TestCrossValidateOffsets: offsets that are right in the fit are right in the scores.
func TestCrossValidateOffsets(t *testing.T) {
	e := clouds(200, 4, 3, 0, 2)
	for _, c := range e.Categories {
		offset := make([]float64, 3)
		offset[c] = 40
		e.Offsets = append(e.Offsets, offset)
	}
	if got := crossValidated(t, e, CrossValidateOptions{Fit: Options{Categories: 3}}).Evaluation.Top1; got != 1 {
		t.Fatalf("top-1 beside offsets that are right is %v", got)
	}
}

func TestCrossValidateFailure(t *testing.T) {
	f := func(e Examples, o CrossValidateOptions, want ...string) {
		t.Helper()
		_, err := CrossValidate(t.Context(), e, o)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("CrossValidate = %v, want an error with %q", err, w)
			}
		}
	}
	e := clouds(200, 4, 3, 1, 2)
	f(e, CrossValidateOptions{Folds: 1, Fit: Options{Categories: 1}}, "Folds (1)", "Categories (1)")
	f(e, CrossValidateOptions{Fit: Options{Categories: 2}}, "category outside 0 to 1")
	f(Examples{}, CrossValidateOptions{Fit: Options{Categories: 2}}, "there are none")
	one := clouds(200, 4, 3, 1, 2)
	for i := range one.Groups {
		one.Groups[i] = fmt.Sprint(i % 3)
	}
	f(one, CrossValidateOptions{Fit: Options{Categories: 3}}, "of 5 is empty", "more groups")
	// What only one fold has, the others cannot be fitted to.
	f(Examples{Vectors: e.Vectors[:4], Categories: []int{0, 0, 0, 1}}, CrossValidateOptions{Folds: 2, Fit: Options{Categories: 2}}, "of 2: fitting", "1 categories have examples")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := CrossValidate(ctx, e, CrossValidateOptions{Fit: Options{Categories: 3}, Progress: func(int, int) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled cross-validation gives %v", err)
	}
}
