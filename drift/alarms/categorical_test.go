package alarms

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func pOf(t *testing.T, reference, current *Categories, seed int) float64 {
	t.Helper()
	r, err := Categorical(reference, current, Options{Seed: uint64(seed), Resamples: 199})
	if err != nil || r.Reason != "" {
		t.Fatal(err, r.Reason)
	}
	return r.P
}

// Without drift p is uniform, however small, unequal or bursty the windows are: no more than a share of p of them has a p as small, and not far fewer. The
// bounds are four standard deviations of the draws.
func TestPIsUniformWithoutDrift(t *testing.T) {
	f := func(name string, draws int, windows func(*stream) (reference, current *Categories)) {
		t.Helper()
		s := newStream(history, 1)
		var ps []float64
		for i := range draws {
			reference, current := windows(s)
			ps = append(ps, pOf(t, reference, current, i))
		}
		for _, alpha := range []float64{.05, .2, .5} {
			if off, most := alarmed(ps, alpha)-alpha, 4*math.Sqrt(alpha*(1-alpha)/float64(draws)); math.Abs(off) > most {
				t.Errorf("%s: %.3f of the windows have p ≤ %g", name, off+alpha, alpha)
			}
		}
	}
	f("independent", 250, func(s *stream) (*Categories, *Categories) { return s.independent(t, 2000), s.independent(t, 300) })
	f("current larger", 250, func(s *stream) (*Categories, *Categories) { return s.independent(t, 100), s.independent(t, 1000) })
	f("bursts", 250, func(s *stream) (*Categories, *Categories) { return s.bursts(t, 2000, true), s.bursts(t, 400, true) })
}

// A null of independent rows cries wolf on a bursty stream: the test above must be able to fail.
func TestUntoldBurstsAlarm(t *testing.T) {
	s := newStream(history, 2)
	var ps []float64
	for i := range 30 {
		ps = append(ps, pOf(t, s.bursts(t, 2000, false), s.bursts(t, 400, false), i))
	}
	if share := alarmed(ps, .05); share < .5 {
		t.Errorf("%.2f of the windows alarm, most should", share)
	}
}

// Five points more of one category are found among 1,000 vacancies, whether it is rare or common.
func TestCategoricalFindsShifts(t *testing.T) {
	f := func(category int, least float64) {
		t.Helper()
		before, after := newStream(history, 3), newStream(shifted(category, .05), 4)
		var ps []float64
		for i := range 40 {
			ps = append(ps, pOf(t, before.independent(t, 10_000), after.independent(t, 1000), i))
		}
		if power := alarmed(ps, .05); power < least {
			t.Errorf("category %d: %.2f are found, at least %.2f should be", category, power, least)
		}
	}
	f(0, .99)
	f(10, .97)
	f(18, .93)
	f(21, .7)
}

// What moves six categories a little is found more often than by the largest residual alone.
func TestCategoricalFindsDiffuseShifts(t *testing.T) {
	weights := slices.Clone(history)
	for c := 12; c < 18; c++ {
		weights[c] /= 2
	}
	before, after := newStream(history, 9), newStream(weights, 10)
	var ps, largest []float64
	for i := range 60 {
		reference, current := before.independent(t, 10_000), after.independent(t, 271)
		ps = append(ps, pOf(t, reference, current, i))
		pool := newPool(reference, current, uint64(i), mostBursts)
		all := newShares(pool)
		of := func(counts []int, rows int) (most float64) {
			for c, x := range counts {
				most = max(most, math.Abs(all.residual(c, x, rows)))
			}
			return most
		}
		p, _ := resample(of(current.counts, current.size.Rows), 199, func() float64 { return of(pool.draw()) })
		largest = append(largest, p)
	}
	if power, other := alarmed(ps, .05), alarmed(largest, .05); power < .7 || power < other+.15 {
		t.Errorf("%.2f are found, by the largest residual %.2f", power, other)
	}
}

// Draws that are smaller than the window say the same as draws as large as it.
func TestFewerBurstsGiveTheSameP(t *testing.T) {
	s := newStream(history, 5)
	for i := range 4 {
		reference, current := s.bursts(t, 10_000, true), s.bursts(t, 5000, true)
		observed := newShares(newPool(reference, current, 0, mostBursts))
		statistic := observed.norm(current.counts, current.size.Rows)
		p := func(most int) float64 {
			pool := newPool(reference, current, uint64(i), most)
			p, _ := resample(statistic, 999, func() float64 { return observed.norm(pool.draw()) })
			return p
		}
		whole, part := p(mostBursts), p(200)
		// Each p has an error of a seventh, and more where it is below 1/40.
		if math.Abs(math.Log(whole/part)) > .6 && math.Abs(whole-part) > .01 {
			t.Errorf("p is %.4f from all bursts and %.4f from 200", whole, part)
		}
	}
}

// Among independent rows the residual is the root of G², here of 30 of 100 against 200 of 1,000, worked by hand.
func TestResidualOfIndependentRows(t *testing.T) {
	var reference, current Categories
	add(t, reference.AddRows(0, 200))
	add(t, reference.AddRows(1, 800))
	add(t, current.AddRows(0, 30))
	add(t, current.AddRows(1, 70))
	r, err := Categorical(&reference, &current, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := 230.0 / 1100
	g := 2 * (30*math.Log(.3/p) + 70*math.Log(.7/(1-p)) + 200*math.Log(.2/p) + 800*math.Log(.8/(1-p)))
	// Both categories have the same residual: (2·g²)^¼.
	if want := math.Pow(2*g*g, .25); math.Abs(r.Statistic-want) > 1e-12 {
		t.Errorf("the statistic is %v, want %v", r.Statistic, want)
	}
	if d := r.Differences; len(d) != 2 || math.Abs(d[0].Residual-math.Sqrt(g)) > 1e-12 || math.Abs(d[1].Residual+math.Sqrt(g)) > 1e-12 || d[0].Reference != .2 || d[0].Current != .3 {
		t.Errorf("the differences are %+v", d)
	}
	// Fisher's exact two-sided p is 0.0257; ties of tables count alike.
	if r.P < .012 || r.P > .045 {
		t.Errorf("p is %v", r.P)
	}
	if math.Abs(r.Effect-.1) > 1e-12 {
		t.Errorf("the total variation is %v, want 0.1", r.Effect)
	}
	js := math.Sqrt((.2*math.Log(.2/.25) + .8*math.Log(.8/.75) + .3*math.Log(.3/.25) + .7*math.Log(.7/.75)) / 2)
	if math.Abs(r.Beside[0].Value-js) > 1e-12 {
		t.Errorf("Jensen and Shannon's distance is %v, want %v", r.Beside[0].Value, js)
	}
}

// Blocks of four equal rows have the residuals of a quarter of the rows, over a design effect of 4.
func TestDesignEffectOfRepublishedRows(t *testing.T) {
	var reference, current Categories
	for c, blocks := range [][2]int{{200, 30}, {800, 70}} {
		for range blocks[0] {
			add(t, reference.AddBlock(Count{c, 4}))
		}
		for range blocks[1] {
			add(t, current.AddBlock(Count{c, 4}))
		}
	}
	s := newShares(newPool(&reference, &current, 0, mostBursts))
	if math.Abs(s.effect[0]-4) > 1e-9 || math.Abs(s.effect[1]-4) > 1e-9 {
		t.Errorf("the design effects are %v, want 4", s.effect)
	}
}

// n·ln n of large numbers is rounded coarsely: equal shares have no residual all the same, and small residuals stay what they are.
func TestResidualsAreMoreThanRounding(t *testing.T) {
	var reference, current Categories
	for i := range 60 {
		for w, n := range map[*Categories]int{&reference: 1009 + i, &current: 7 + i} {
			add(t, w.AddBlock(Count{0, n}, Count{1, 2 * n}, Count{2, 4 * n}, Count{3, 13 * n}))
		}
	}
	if r, err := Categorical(&reference, &current, Options{Resamples: 99}); err != nil || r.Statistic != 0 || r.P != 1 {
		t.Errorf("equal shares have statistic %v, p %v, %v", r.Statistic, r.P, err)
	}
	var before, after Categories
	add(t, before.AddRows(0, 50_000_000))
	add(t, before.AddRows(1, 50_000_000))
	add(t, after.AddRows(0, 50_010_000))
	add(t, after.AddRows(1, 49_990_000))
	// χ² is 0.0001² / (¼·2/100,000,000), of which the deviance differs by less than a millionth here.
	if r, err := DescribeCategorical(&before, &after, Options{}); err != nil || math.Abs(r.Differences[0].Residual-math.Sqrt2) > 1e-5 {
		t.Errorf("%+v, %v, want residual √2", r.Differences, err)
	}
}

func TestSameSeedSameResult(t *testing.T) {
	run := func(seed uint64) Result {
		s := newStream(history, 6)
		r, err := Categorical(s.bursts(t, 2000, true), s.bursts(t, 300, true), Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if a, b := run(7), run(7); !reflect.DeepEqual(a, b) {
		t.Errorf("the same seed gave %+v and %+v", a, b)
	}
	if a, b := run(7), run(8); a.P == b.P {
		t.Errorf("another seed drew the same: p is %v", a.P)
	}
}

// Windows that allow no verdict give a reason and no NaN.
func TestCategoricalSaysWhyItCannotJudge(t *testing.T) {
	window := func(rows ...int) *Categories {
		w := &Categories{}
		for c, n := range rows {
			add(t, w.AddRows(c, n))
		}
		return w
	}
	burst := func(blocks int, counts ...Count) *Categories {
		w := &Categories{}
		for range blocks {
			add(t, w.AddBlock(counts...))
		}
		return w
	}
	f := func(reference, current *Categories, reason string) {
		t.Helper()
		r, err := Categorical(reference, current, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != Unknown || !strings.Contains(r.Reason, reason) {
			t.Errorf("verdict %q, reason %q, want %q", r.Verdict, r.Reason, reason)
		}
		finite(t, r)
	}
	f(window(), window(50, 50), "the reference window is empty")
	f(window(50, 50), window(), "the current window is empty")
	f(window(50, 50), window(4, 5), "the current window has 9 rows, at least 10 are needed")
	f(window(0, 50), window(0, 9), "the current window has 9 rows") // of one category, but too few to say so
	f(burst(1, Count{0, 50}), burst(1, Count{0, 50}), "the rows came in 1 and 1 bursts")
	f(burst(1, Count{0, 50}), burst(1, Count{1, 50}), "the rows came in 1 and 1 bursts")
	f(burst(8, Count{0, 50}), burst(1, Count{1, 50}), "the rows came in 8 and 1 bursts")

	// These can be judged.
	g := func(reference, current *Categories, verdict Verdict) {
		t.Helper()
		r, err := Categorical(reference, current, Options{})
		if err != nil {
			t.Fatal(err)
		}
		finite(t, r)
		results := []Result{r}
		if err := Judge(results, Options{}); err != nil || results[0].Verdict != verdict {
			t.Errorf("verdict %q (%+v, %v), want %q", results[0].Verdict, r, err, verdict)
		}
	}
	g(window(50), window(0, 50), Drift)           // no category in common
	g(window(50, 50), window(0, 0, 0, 10), Drift) // a new category
	g(window(5000, 5000), window(50, 50), None)
	g(window(0, 50), window(0, 10), None) // one category
	g(window(500_000, 500_000), window(510_000, 490_000), Possible)
	g(window(40_000_000, 60_000_000), window(47_000_000, 53_000_000), Drift)
	g(burst(30, Count{0, 2}, Count{1, 2}), burst(20, Count{0, 2}, Count{1, 2}), None) // blocks that do not vary
	g(burst(30, Count{0, 50}), burst(1, Count{1, 50}), Drift)
}

func TestAddingRefusesWhatIsNoCount(t *testing.T) {
	var w Categories
	for _, err := range []error{w.AddRows(-1, 1), w.AddRows(1, -1), w.AddRows(mostCategories, 1), w.AddBlock(Count{0, 3}, Count{0, -1}), w.AddBlock(Count{-1, 1})} {
		if err == nil {
			t.Error("no error")
		}
	}
	if w.Size() != (Size{}) {
		t.Errorf("the window holds %+v after errors", w.Size())
	}
	add(t, w.AddBlock(Count{3, 1}, Count{1, 1}, Count{3, 2}, Count{2, 0}))
	add(t, w.AddBlock())
	add(t, w.AddBlock(Count{2, 0}, Count{2, 1}))
	if got, want := w.Counts(), []int{0, 1, 1, 3}; !reflect.DeepEqual(got, want) || w.Size() != (Size{Rows: 5, Blocks: 2}) {
		t.Errorf("the window holds %v in %+v", got, w.Size())
	}
}

// finite fails when a number of the result is none.
func finite(t *testing.T, r Result) {
	t.Helper()
	numbers := []float64{r.Statistic, r.P, r.Q, r.Effect, r.Gate}
	for _, e := range r.Beside {
		numbers = append(numbers, e.Value)
	}
	for _, d := range r.Differences {
		numbers = append(numbers, d.Reference, d.Current, d.Residual)
	}
	for _, v := range numbers {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%+v holds %v", r, v)
		}
	}
}

// The statistic of drawn rows is the norm of the residuals that are reported.
func TestNormIsOfTheResiduals(t *testing.T) {
	s := newStream(history, 8)
	p := newPool(s.bursts(t, 2000, true), s.bursts(t, 200, true), 1, mostBursts)
	all := newShares(p)
	for range 500 {
		counts, rows := p.draw()
		want := 0.0
		for c, x := range counts {
			want += math.Pow(all.residual(c, x, rows), 4)
		}
		want = math.Pow(want, .25)
		if got := all.norm(counts, rows); math.Abs(got-want) > 1e-12*want {
			t.Fatalf("the norm is %v, want %v", got, want)
		}
	}
}
