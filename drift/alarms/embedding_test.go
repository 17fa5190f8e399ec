package alarms

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
)

// cloud draws vectors around a mean, in blocks of so many that share half of their variance.
func cloud(t *testing.T, random *rand.Rand, rows, block int, told bool, mean float64) *Vectors {
	t.Helper()
	const dim = 24
	v := &Vectors{}
	for rows > 0 {
		var centre [dim]float64
		for j := range centre {
			centre[j] = random.NormFloat64()
		}
		var vectors [][]float32
		for range min(block, rows) {
			x := make([]float32, dim)
			for j := range x {
				x[j] = float32(5 + mean + (centre[j]+random.NormFloat64())/float64(1+j))
			}
			vectors = append(vectors, x)
		}
		rows -= len(vectors)
		if told {
			add(t, v.AddBlock(vectors...))
		} else {
			add(t, v.AddRows(vectors...))
		}
	}
	return v
}

func TestEmbeddingPIsUniformWithoutDrift(t *testing.T) {
	f := func(block int, told bool) []float64 {
		t.Helper()
		random := rand.New(rand.NewPCG(1, 4))
		var ps []float64
		for i := range 150 {
			r, err := Embedding(cloud(t, random, 200, block, told, 0), cloud(t, random, 60, block, told, 0), Options{Seed: uint64(i), Resamples: 199})
			if err != nil || r.Reason != "" {
				t.Fatal(err, r.Reason)
			}
			ps = append(ps, r.P)
		}
		return ps
	}
	for _, block := range []int{1, 5} {
		ps := f(block, true)
		for _, alpha := range []float64{.05, .2, .5} {
			if off, most := alarmed(ps, alpha)-alpha, 4*math.Sqrt(alpha*(1-alpha)/float64(len(ps))); math.Abs(off) > most {
				t.Errorf("blocks of %d: %.3f of the windows have p ≤ %g", block, off+alpha, alpha)
			}
		}
	}
	if share := alarmed(f(5, false), .05); share < .3 {
		t.Errorf("untold blocks: %.2f of the windows alarm, more should", share)
	}
}

// The effect of a shift is the shift over the spread, however few rows there are.
func TestEmbeddingEffect(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 4))
	variance := 0.0
	for j := range 24 {
		variance += 2 / float64((1+j)*(1+j))
	}
	want := .1 * math.Sqrt(24/variance)
	for _, rows := range []int{200, 1500} {
		r, err := Embedding(cloud(t, random, 2000, 1, true, 0), cloud(t, random, rows, 1, true, .1), Options{Resamples: 999})
		if err != nil || r.P > .001 || math.Abs(r.Effect-want) > .1 {
			t.Errorf("%d rows: effect %v, want %.3f, p %v, %v", rows, r.Effect, want, r.P, err)
		}
	}
}

// What chance is expected to make is what it makes on average, also of blocks of other sizes.
func TestExpectedIsTheMeanOfDraws(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	a, b := cloud(t, random, 600, 6, true, 0), cloud(t, random, 200, 1, true, 0)
	mean := make([]float64, a.dim)
	floats.AddTo(mean, a.total(), b.total())
	floats.Scale(1/float64(a.size.Rows+b.size.Rows), mean)
	for _, most := range []int{mostVectors, 40} {
		p, sum := newVectorPool(a, b, mean, 1, most), 0.0
		for range 2000 {
			sum += p.draw()
		}
		if drawn := sum / 2000; math.Abs(drawn/p.expected()-1) > .1 {
			t.Errorf("%v on average, %v expected", drawn, p.expected())
		}
	}
}

func TestEmbeddingTakesWhatComes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	good := cloud(t, random, 50, 1, true, 0)
	same := &Vectors{}
	for range 50 {
		add(t, same.AddRows([]float32{.1, .7, .3}))
	}
	f := func(reference, current *Vectors, reason string) {
		t.Helper()
		r, err := Embedding(reference, current, Options{})
		if err != nil || !strings.Contains(r.Reason, reason) || r.Verdict != Unknown {
			t.Errorf("%+v, %v, want reason %q", r, err, reason)
		}
		finite(t, r)
	}
	f(good, &Vectors{}, "the current window is empty")
	f(cloud(t, random, 9, 1, true, 0), good, "the reference window has 9 rows")
	f(same, same, "do not differ")
	f(cloud(t, random, 20, 20, true, 0), cloud(t, random, 40, 20, true, 0), "bursts")
	if _, err := Embedding(good, same, Options{}); err == nil || !strings.Contains(err.Error(), "24 components, the current ones 3") {
		t.Errorf("other encoders: %v", err)
	}
	for _, err := range []error{
		good.AddRows([]float32{1, 2}), good.AddRows(nil), good.AddBlock([]float32{1}, []float32{1, 2}), good.AddSum(make([]float32, 24), 0, 1),
		good.AddRows(append(make([]float32, 23), float32(math.NaN()))), good.AddRows(append(make([]float32, 23), float32(math.Inf(1)))), good.AddSum(make([]float32, 24), 1, math.NaN()),
	} {
		if err == nil {
			t.Error("no error")
		}
	}
	if good.Size() != (Size{Rows: 50, Blocks: 50}) {
		t.Errorf("the window holds %+v after errors", good.Size())
	}
}
