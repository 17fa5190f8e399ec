package alarms

import (
	"math"
	"math/rand/v2"
	"reflect"
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
		{P: .02, Effect: .2, Gate: .1, Resamples: 99}, {P: .01, Effect: .05, Gate: .1, Resamples: 99}, {Reason: "empty", Verdict: Unknown, P: 1, Q: 1},
		{P: .6, Effect: .9, Gate: .1, Resamples: 99}, {P: .04, Effect: .1, Gate: .1, Resamples: 99},
		{Verdict: None, P: 1, Q: 1}, // of a column that holds one value, which is no test
	}
	if err := Judge(results, Options{}); err != nil {
		t.Fatal(err)
	}
	// Of four: 0.01·4/1, 0.02·4/2, 0.04·4/3, 0.6.
	for i, want := range []struct {
		q       float64
		verdict Verdict
	}{{.04, Drift}, {.04, Possible}, {1, Unknown}, {.6, None}, {.16 / 3, None}, {1, None}} {
		if r := results[i]; math.Abs(r.Q-want.q) > 1e-12 || r.Verdict != want.verdict {
			t.Errorf("result %d: q %v, verdict %s, want %v, %s", i, r.Q, r.Verdict, want.q, want.verdict)
		}
	}
	if err := Judge(nil, Options{}); err != nil {
		t.Errorf("no columns: %v", err)
	}
	if err := Judge([]Result{{Column: "source", P: 1}}, Options{}); err == nil || !strings.Contains(err.Error(), `judging "source": it was described`) {
		t.Errorf("nothing was drawn: %v", err)
	}
	if err := Judge([]Result{{Column: "source", P: math.NaN()}}, Options{}); err == nil || !strings.Contains(err.Error(), `judging "source"`) {
		t.Errorf("p is NaN: %v", err)
	}
}

// Constant columns neither drift nor make it harder to see that another one does.
func TestConstantColumnsAreNoTests(t *testing.T) {
	var one, other, before, after Categories
	add(t, one.AddRows(3, 50))
	add(t, other.AddBlock(Count{3, 20}))
	add(t, other.AddRows(3, 30))
	add(t, before.AddRows(0, 100))
	add(t, after.AddRows(0, 30))
	add(t, before.AddRows(1, 100))
	add(t, after.AddRows(1, 70))
	var results []Result
	for range 20 {
		r, err := Categorical(&one, &other, Options{})
		add(t, err)
		results = append(results, r)
	}
	var a, b Numbers
	a.AddRows(.1, .1, .1, .1, .1, .1, .1, .1, .1, .1, .1, .1)
	b.AddBlock(.1, .1, .1, .1, .1)
	b.AddRows(.1, .1, .1, .1, .1, .1)
	r, err := Numeric(&a, &b, Options{})
	add(t, err)
	tested, err := Categorical(&before, &after, Options{Resamples: 999})
	add(t, err)
	results = append(results, r, tested)
	add(t, Judge(results, Options{}))
	for _, r := range results[:21] {
		if r.Verdict != None || r.Reason != "" || r.P != 1 || r.Q != 1 || r.Effect != 0 || r.Statistic != 0 || r.Beside[0].Value != 0 {
			t.Errorf("a constant column: %+v", r)
		}
		finite(t, r)
	}
	if r := results[21]; r.Verdict != Drift || r.Q != r.P || r.P > .01 {
		t.Errorf("beside constant columns: %+v", r)
	}
}

// A description is all of the result but for the draws.
func TestDescribedIsWhatIsTested(t *testing.T) {
	s, random := newStream(history, 11), rand.New(rand.NewPCG(6, 3))
	a, b := s.bursts(t, 500, true), s.bursts(t, 100, true)
	x, y := normalBursts(random, 500, 0), normalBursts(random, 100, .2)
	v, w := cloud(t, random, 300, 3, true, 0), cloud(t, random, 100, 3, true, .1)
	f := func(tested, described func(Options) (Result, error)) {
		t.Helper()
		want, err := tested(Options{Resamples: 99})
		add(t, err)
		got, err := described(Options{Resamples: 99})
		add(t, err)
		if got.P != 1 || got.Resamples != 0 || got.Verdict != "" || want.Resamples == 0 {
			t.Errorf("described as %+v, tested %+v", got, want)
		}
		if want.P, want.Resamples = 1, 0; !reflect.DeepEqual(got, want) {
			t.Errorf("described as %+v, tested %+v", got, want)
		}
		if _, err := described(Options{Alpha: 2}); err == nil {
			t.Error("no error of the options")
		}
	}
	f(func(o Options) (Result, error) { return Categorical(a, b, o) }, func(o Options) (Result, error) { return DescribeCategorical(a, b, o) })
	f(func(o Options) (Result, error) { return Numeric(x, y, o) }, func(o Options) (Result, error) { return DescribeNumeric(x, y, o) })
	f(func(o Options) (Result, error) { return Embedding(v, w, o) }, func(o Options) (Result, error) { return DescribeEmbedding(v, w, o) })
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
