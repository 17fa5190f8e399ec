package alarms

import (
	"math"
	"strings"
	"testing"

	"jobstrom/drift/stats"
)

// Of Benjamini and Hochberg's own example (1995, section 3.2) the four smallest of 15 p-values are significant at 5 %.
func TestQValuesOfThePaper(t *testing.T) {
	p := []float64{.0459, .0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .3240, .4262, .5719, .6528, .7590, 1.0000}
	q := stats.BenjaminiHochberg(p)
	significant := 0
	for _, v := range q {
		if v <= .05 {
			significant++
		}
	}
	if significant != 4 {
		t.Errorf("%d are significant, want 4: %v", significant, q)
	}
	// p·15/rank, or that of a higher rank where it is less: the sixth takes the seventh's.
	for i, want := range map[int]float64{1: .0015, 2: .003, 4: .035625, 5: .0603, 6: .0298 * 15 / 7, 7: .0298 * 15 / 7, 14: 1} {
		if math.Abs(q[i]-want) > 1e-12 {
			t.Errorf("q of p = %g is %g, want %g", p[i], q[i], want)
		}
	}
}

func TestJudge(t *testing.T) {
	results := []Result{
		{P: .02, Effect: .2, Gate: .1}, {P: .01, Effect: .05, Gate: .1}, {Reason: "empty", Verdict: Unknown, P: 1, Q: 1}, {P: .6, Effect: .9, Gate: .1}, {P: .04, Effect: .1, Gate: .1},
	}
	if err := Judge(results, Options{}); err != nil {
		t.Fatal(err)
	}
	// Of four: 0.01·4/1, 0.02·4/2, 0.04·4/3, 0.6.
	for i, want := range []struct {
		q       float64
		verdict Verdict
	}{{.04, Drift}, {.04, Possible}, {1, Unknown}, {.6, None}, {.16 / 3, None}} {
		if r := results[i]; math.Abs(r.Q-want.q) > 1e-12 || r.Verdict != want.verdict {
			t.Errorf("result %d: q %v, verdict %s, want %v, %s", i, r.Q, r.Verdict, want.q, want.verdict)
		}
	}
	if err := Judge(nil, Options{}); err != nil {
		t.Errorf("no columns: %v", err)
	}
	if err := Judge([]Result{{Column: "source", P: math.NaN()}}, Options{}); err == nil || !strings.Contains(err.Error(), `judging "source"`) {
		t.Errorf("p is NaN: %v", err)
	}
}

func TestOptionsSayAllThatIsWrong(t *testing.T) {
	var current, reference Categories
	_, err := Categorical(&reference, &current, Options{Alpha: 2, Resamples: -1, CategoryGate: -1, NumberGate: -1, VectorGate: math.NaN()})
	for _, name := range []string{"Alpha", "Resamples", "CategoryGate", "NumberGate", "VectorGate"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
	if _, err := Categorical(&reference, &current, Options{Resamples: 10}); err == nil || !strings.Contains(err.Error(), "Resamples (10)") {
		t.Errorf("ten resamples at 5 %%: %v", err)
	}
}
