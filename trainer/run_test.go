package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/schemas"
)

const threeCategories = `[{"index":0,"name":"a","code":"1","titles":["x"]},{"index":1,"name":"b","code":"2","titles":["y"]},{"index":2,"name":"c","code":"3","titles":["z"]}]`

func taxonomy(t testing.TB) *schemas.Taxonomy {
	t.Helper()
	x, err := schemas.ParseTaxonomy([]byte(threeCategories))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// penalties are settings of L-BFGS.
func penalties(l2s ...float64) (all []Setting) {
	for _, l2 := range l2s {
		all = append(all, Setting{Method: MethodLBFGS, ClassWeights: WeightsNone, L2: l2})
	}
	return all
}

// history streams examples, then the error.
func history(e Examples, end error) History {
	return func(yield func(Row, error) bool) {
		for i := range e.Len() {
			row := Row{Vector: e.Vectors[i], Category: e.Categories[i], Group: e.Groups[i], ID: fmt.Sprint(i), Source: e.Groups[i], ReceivedAt: time.Unix(int64(i), 0)}
			if !yield(row, nil) {
				return
			}
		}
		if end != nil {
			yield(Row{}, end)
		}
	}
}

func TestRun(t *testing.T) {
	e := clouds(900, 8, 3, .8, 9)
	run := func() *Result {
		t.Helper()
		phases := map[string]int{}
		r, err := Run(t.Context(), history(e, nil), RunOptions{
			Encoder: "enc", Taxonomy: taxonomy(t), Settings: penalties(1, 1e-2, 1e-4), Seed: 3, TrainedAt: time.Unix(1, 0),
			Rows: 900, Progress: func(phase string, done, of int) { phases[fmt.Sprintf("%s (of %d)", phase, of)] = done },
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(phases) != 2 || phases["reading history (of 900)"] != 900 || phases["trying settings (of 3)"] != 3 {
			t.Fatalf("progress was reported for %v", phases)
		}
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		return r
	}
	r := run()
	if r.Train+r.Validation+r.Test != 900 || r.Test < 100 || r.Validation < 100 || r.Evaluation.N != r.Test {
		t.Fatalf("%d train, %d validation, %d test, %d evaluated", r.Train, r.Validation, r.Test, r.Evaluation.N)
	}
	if r.Evaluation.Top1 < .8 || r.Classifier.Metrics["top1"] != r.Evaluation.Top1 || r.Classifier.Training["seed"] != "3" {
		t.Fatalf("top-1 %v, metrics %v, training %v", r.Evaluation.Top1, r.Classifier.Metrics, r.Classifier.Training)
	}
	if len(r.Trials) != 3 || r.Trials[0].LogLoss > r.Trials[1].LogLoss || r.Trials[1].LogLoss > r.Trials[2].LogLoss || fmt.Sprint(r.Trials[0].Setting.L2) != r.Classifier.Training["l2"] {
		t.Fatalf("%v was chosen of %v", r.Classifier.Training, r.Trials)
	}
	if err := models.VerifyClassifier(r.Classifier); err != nil {
		t.Fatal(err)
	}
	for i, id := range r.TestPart.IDs {
		at, err := strconv.Atoi(id)
		if err != nil || !slices.Equal(r.TestPart.Vectors[i], e.Vectors[at]) || r.TestPart.Sources[i] != e.Groups[at] || r.TestPart.Times[i].Unix() != int64(at) {
			t.Fatalf("vacancy %d of the test part is not %q of the history (%v)", i, id, err)
		}
	}
	if len(r.TestPart.IDs) != r.Test || len(r.TestPart.Probabilities) != r.Test {
		t.Fatalf("%d ids and %d probabilities of %d vacancies", len(r.TestPart.IDs), len(r.TestPart.Probabilities), r.Test)
	}
	if again := run(); again.Classifier.Id != r.Classifier.Id {
		t.Fatal("the same history gives another classifier")
	}
	text := r.Text([]string{"a", "b", "c"})
	for _, want := range []string{r.Classifier.Id, "l2=0.01", "top-1", "evaluated on"} {
		if !strings.Contains(text, want) {
			t.Fatalf("the text lacks %q:\n%s", want, text)
		}
	}
	// What was trained classifies in the pipeline as it was evaluated.
	c, err := classify.New(r.Classifier, taxonomy(t), classify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Classify("enc", e.Vectors)
	if err != nil {
		t.Fatal(err)
	}
	want := Probabilities(Scores(r.Classifier, e.Vectors), float64(r.Classifier.Temperature))
	for i := range p {
		for k := range 3 {
			if math.Abs(float64(p[i].Probabilities[k]-want[i][k])) > 1e-5 {
				t.Fatalf("vector %d has %v in the pipeline and %v in the trainer", i, p[i].Probabilities, want[i])
			}
		}
	}
}

// What is held out in turn is all of the history, by folds that keep employers together and one by one.
func TestRunHoldsOutInTurn(t *testing.T) {
	e := clouds(300, 4, 3, 1, 5)
	o := RunOptions{Encoder: "enc", Taxonomy: taxonomy(t), Settings: penalties(1e-2, 1e-3), Folds: 4, LeaveOneOut: true, Seed: 2}
	r, err := Run(t.Context(), history(e, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	best := Options{Categories: 3, ClassWeights: WeightsNone, L2: r.Trials[0].Setting.L2, Seed: 2}
	want, err := CrossValidate(t.Context(), e, CrossValidateOptions{Folds: 4, Seed: 2, Fit: best})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Evaluation, r.CrossValidation.Evaluation); diff != "" {
		t.Error(diff)
	}
	left, err := LeaveOneOut(t.Context(), e, LeaveOneOutOptions{Fit: best})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Evaluate(Probabilities(left.Scores, 1), e.Categories, 3), r.WithoutEach.Evaluation); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"FOLD", "spread", "each vacancy left out: top-1"} {
		if !strings.Contains(r.Text([]string{"a", "b", "c"}), want) {
			t.Errorf("the text lacks %q", want)
		}
	}
	o.Memory = leastMemory
	o.LeaveOneOut, o.Folds = false, 200
	if _, err := Run(t.Context(), history(e, nil), o); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("got %v", err)
	}
}

func TestRunFailure(t *testing.T) {
	broken := errors.New("the connection broke")
	f := func(h History, o RunOptions, want ...string) {
		t.Helper()
		_, err := Run(t.Context(), h, o)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Fatalf("Run = %v, want an error with %q", err, w)
			}
		}
	}
	o := RunOptions{Encoder: "enc", Taxonomy: taxonomy(t)}
	e := clouds(40, 2, 3, 1, 1)
	f(history(e, nil), RunOptions{Validation: .9, Test: .2}, "Encoder is empty", "Taxonomy is missing", "Validation (0.9)")
	f(history(e, nil), RunOptions{Taxonomy: taxonomy(t), Settings: penalties(-1)}, "Encoder is empty", "L2 (-1) must be > 0")
	f(history(e, broken), o, "reading row 41 of the history", broken.Error())
	f(history(Examples{}, nil), o, "there are none")
	one := clouds(40, 2, 3, 1, 1)
	for i := range one.Groups {
		one.Groups[i] = "the only employer"
	}
	f(history(one, nil), o, "too few groups", "more employers")
	one.Categories[0] = 3
	f(history(one, nil), o, "category outside 0 to 2")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, history(e, nil), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled run gives %v", err)
	}
}
