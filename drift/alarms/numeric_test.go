package alarms

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// normalBursts draws blocks of 1 to 10 numbers around a centre of their own.
func normalBursts(random *rand.Rand, rows int, mean float64) *Numbers {
	n := &Numbers{}
	for n.size.Rows < rows {
		centre, block := mean+random.NormFloat64(), []float64{}
		for range 1 + random.IntN(10) {
			block = append(block, centre+random.NormFloat64())
		}
		n.AddBlock(block...)
	}
	return n
}

func normal(random *rand.Rand, rows int, mean float64) *Numbers {
	n := &Numbers{}
	for range rows {
		n.AddRows(mean + random.NormFloat64())
	}
	return n
}

// p is uniform without drift, also in bursts; passing bursts off as independent rows alarms.
func TestNumericPIsUniformWithoutDrift(t *testing.T) {
	f := func(windows func(*rand.Rand) (reference, current *Numbers)) []float64 {
		t.Helper()
		random := rand.New(rand.NewPCG(1, 3))
		var ps []float64
		for i := range 150 {
			reference, current := windows(random)
			r, err := Numeric(reference, current, Options{Seed: uint64(i), Resamples: 199})
			if err != nil || r.Reason != "" {
				t.Fatal(err, r.Reason)
			}
			ps = append(ps, r.P)
		}
		return ps
	}
	uniform := func(name string, ps []float64) {
		t.Helper()
		for _, alpha := range []float64{.05, .2, .5} {
			if off, most := alarmed(ps, alpha)-alpha, 4*math.Sqrt(alpha*(1-alpha)/float64(len(ps))); math.Abs(off) > most {
				t.Errorf("%s: %.3f of the windows have p ≤ %g", name, off+alpha, alpha)
			}
		}
	}
	uniform("independent", f(func(r *rand.Rand) (*Numbers, *Numbers) { return normal(r, 500, 0), normal(r, 100, 0) }))
	uniform("bursts", f(func(r *rand.Rand) (*Numbers, *Numbers) { return normalBursts(r, 1000, 0), normalBursts(r, 300, 0) }))
	untold := f(func(r *rand.Rand) (*Numbers, *Numbers) {
		a, b := &Numbers{}, &Numbers{}
		a.AddRows(normalBursts(r, 1000, 0).values...)
		b.AddRows(normalBursts(r, 300, 0).values...)
		return a, b
	})
	if share := alarmed(untold, .05); share < .2 {
		t.Errorf("untold bursts: %.2f of the windows alarm, more should", share)
	}
}

// By hand: {1, 2, 3, …, 10} against {3, 4, …, 12}: a shift of 2, two of ten below.
func TestNumericByHand(t *testing.T) {
	var a, b Numbers
	for v := range 10 {
		a.AddRows(float64(v + 1))
		b.AddRows(float64(v + 3))
	}
	r, err := Numeric(&a, &b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	spread := math.Sqrt(99.0 / 12)
	if math.Abs(r.Statistic-.2) > 1e-12 || math.Abs(r.Effect-2/spread) > 1e-12 || math.Abs(r.Beside[0].Value-2/spread) > 1e-12 {
		t.Errorf("%+v, want distance 0.2 and effects %v", r, 2/spread)
	}
	// SciPy's ks_2samp gives the exact p 0.9945 without ties; with ties, chance reaches 0.2 nearly always.
	if r.P < .7 {
		t.Errorf("p is %v", r.P)
	}
	if drift, err := Numeric(normal(rand.New(rand.NewPCG(1, 1)), 5000, 0), normal(rand.New(rand.NewPCG(2, 1)), 400, .5), Options{Resamples: 999}); err != nil || drift.P > .001 || math.Abs(drift.Effect-.5) > .15 {
		t.Errorf("a shift by half a standard deviation: %+v, %v", drift, err)
	}
}

// Kolmogorov's distribution, of which windows of 1,000 and 500 are near, says what resampling says.
func TestNumericAgreesWithKolmogorov(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 3))
	for i := range 5 {
		r, err := Numeric(normal(random, 1000, 0), normal(random, 500, .024*float64(i)), Options{Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		x, p := r.Statistic*math.Sqrt(1000*500/1500.0), 0.0
		for j := 1; j < 100; j++ {
			p -= 2 * math.Pow(-1, float64(j)) * math.Exp(-2*float64(j*j)*x*x)
		}
		if math.Abs(math.Log(r.P/p)) > .6 {
			t.Errorf("p is %.4f, Kolmogorov's %.4f", r.P, p)
		}
	}
}

func TestNumericTakesWhatComes(t *testing.T) {
	window := func(n int, values ...float64) *Numbers {
		w := &Numbers{}
		for range n {
			w.AddRows(values...)
		}
		return w
	}
	f := func(reference, current *Numbers, reason string) {
		t.Helper()
		r, err := Numeric(reference, current, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if reason == "" && r.Reason != "" || !strings.Contains(r.Reason, reason) {
			t.Errorf("reason %q, want %q", r.Reason, reason)
		}
		finite(t, r)
	}
	f(window(0), window(20, 1), "the reference window is empty: choose")
	f(window(20, 1), window(20, math.NaN()), "the current window is empty, not counting 20 that hold no number")
	f(window(20, 1), window(3, 1, math.Inf(1)), "the current window has 3 rows, not counting 3")
	f(window(20, .1), window(30, .1), "")
	f(window(20, .1), window(9, .1), "the current window has 9 rows")
	f(window(20, .1), window(30, .2), "")
	f(window(20, .1), window(30, math.Nextafter(.1, 1)), "")
	f(window(20, 1, math.NaN()), window(30, 2, math.Inf(-1)), "")
	f(window(20, -1e150, 1e150, 1e300), window(30, 1e150, 5e-324), "")
}
