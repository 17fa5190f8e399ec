package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// embeddings are those of make_goldens.py's function of that name, and the sum of their whole numbers.
func embeddings(seed uint64, n, d int, shift int64) (Matrix, int64) {
	noise, mean, move := splitmix(seed, n*d), splitmix(100, d), splitmix(101, d)
	m, sum := Matrix{Rows: n, Columns: d, Data: make([]float32, n*d)}, int64(0)
	for i, u := range noise {
		whole := 2*u + mean[i%d] + move[i%d]*shift>>10 - 3<<19
		sum += whole
		m.Data[i] = float32(whole) / (1 << 22)
	}
	return m, sum
}

func pair(t *testing.T, reference, current Matrix) Embeddings {
	t.Helper()
	e, err := NewEmbeddings(reference, current)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// normal makes seeded normal embeddings about a mean.
func normal(seed uint64, n, d int, mean float64) Matrix {
	random, m := rand.New(rand.NewPCG(seed, 1)), Matrix{Rows: n, Columns: d, Data: make([]float32, n*d)}
	for i := range m.Data {
		m.Data[i] = float32(mean + random.NormFloat64())
	}
	return m
}

func checkAll(t *testing.T, name string, got []float64, want []figure) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d figures, want %d", name, len(got), len(want))
	}
	for i, w := range want {
		if !near(got[i], float64(w)) {
			t.Errorf("%s of component %d is %v, want %v", name, i, got[i], float64(w))
			return
		}
	}
}

// spread is the mean and the standard deviation.
func spread[F ~float64](all []F) (mean, deviation float64) {
	for _, x := range all {
		mean += float64(x) / float64(len(all))
	}
	for _, x := range all {
		deviation += (float64(x) - mean) * (float64(x) - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(all)-1))
}

// checkSpread wants our mean over seeds to lie within four standard errors of the golden's, and each of ours within four standard deviations.
func checkSpread(t *testing.T, name string, got []float64, want []figure) {
	t.Helper()
	mean, _ := spread(got)
	wantMean, deviation := spread(want)
	if math.Abs(mean-wantMean) > 4*deviation*math.Sqrt(1/float64(len(got))+1/float64(len(want))) {
		t.Errorf("%s is %.4f on average over seeds, want %.4f of deviation %.4f", name, mean, wantMean, deviation)
	}
	for _, x := range got {
		if math.Abs(x-wantMean) > 4*deviation {
			t.Errorf("%s is %.4f with a seed, want %.4f of deviation %.4f", name, x, wantMean, deviation)
		}
	}
}

func TestEmbeddingsParity(t *testing.T) {
	type embedded struct {
		Name              string
		N, M, D           int
		Shift             int64
		Sums              [2]int64
		KS, P             []figure
		Wasserstein       []figure
		Difference        []figure
		BenjaminiHochberg []figure `json:"benjamini_hochberg"`
		Holm              []figure
		Figures           map[string]figure
		Gamma             float64
		AUC, Random       []figure
		Drifted           bool
	}
	for _, c := range golden[embedded](t, "testdata/embeddings.json") {
		t.Run(c.Name, func(t *testing.T) {
			reference, sum := embeddings(102, c.N, c.D, 0)
			current, sumCurrent := embeddings(103, c.M, c.D, c.Shift)
			if c.Sums != [2]int64{sum, sumCurrent} {
				t.Fatalf("the embeddings sum to %d and %d, want %v", sum, sumCurrent, c.Sums)
			}
			e := pair(t, reference, current)
			components, err := e.Components()
			if err != nil {
				t.Fatal(err)
			}
			var ks, p, wasserstein, difference []float64
			for _, c := range components {
				ks, p = append(ks, c.KolmogorovSmirnov.Statistic), append(p, c.KolmogorovSmirnov.P)
				wasserstein, difference = append(wasserstein, c.Wasserstein), append(difference, c.Difference)
			}
			checkAll(t, "KS", ks, c.KS)
			checkAll(t, "p", p, c.P)
			checkAll(t, "Wasserstein", wasserstein, c.Wasserstein)
			checkAll(t, "difference", difference, c.Difference)
			checkAll(t, "Benjamini–Hochberg", BenjaminiHochberg(p), c.BenjaminiHochberg)
			checkAll(t, "Holm", Holm(p), c.Holm)

			byMedian, err := e.MMD(MMDOptions{})
			if err != nil {
				t.Fatal(err)
			}
			byGamma, err := e.MMD(MMDOptions{Gamma: c.Gamma})
			if err != nil {
				t.Fatal(err)
			}
			d := e.MeanDistances()
			checkFigures(t, map[string]float64{
				"mmd": max(0, byMedian.Squared), "mmd2u": byGamma.Squared, "ratio": DriftedShare(components, .1),
				"euclidean": d.Euclidean, "cosine": d.Cosine, "cityblock": d.Cityblock, "chebyshev": d.Chebyshev,
			}, c.Figures)

			var areas, randoms []float64
			for seed := range uint64(5) {
				domain, err := e.Domain(seed)
				if err != nil {
					t.Fatal(err)
				}
				areas, randoms = append(areas, domain.AUC), append(randoms, domain.Random)
			}
			if c.N > 100 { // of few rows nothing is sure
				checkSpread(t, "AUC", areas, c.AUC)
				checkSpread(t, "the random AUC", randoms, c.Random)
			}
		})
	}
}

func TestAUCParity(t *testing.T) {
	type ranked struct {
		N      int
		Values int64
		AUC    figure
	}
	for _, c := range golden[ranked](t, "testdata/auc.json") {
		var scores []float64
		var positive []bool
		marks := splitmix(8, c.N)
		for i, u := range splitmix(7, c.N) {
			scores, positive = append(scores, float64(u%c.Values)), append(positive, marks[i]%3 == 0)
		}
		if auc, err := AUC(scores, positive); err != nil || !near(auc, float64(c.AUC)) {
			t.Errorf("AUC of %d scores of %d values is %v %v, want %v", c.N, c.Values, auc, err, float64(c.AUC))
		}
	}
	f := func(scores []float64, positive []bool, want error) {
		t.Helper()
		if auc, err := AUC(scores, positive); !errors.Is(err, want) {
			t.Errorf("%v of %v: %v %v, want %v", scores, positive, auc, err, want)
		}
	}
	f([]float64{1}, nil, ErrShape)
	f([]float64{1, 2}, []bool{true, true}, ErrTooFew)
	f(nil, nil, ErrTooFew)
	f([]float64{1, math.NaN()}, []bool{true, false}, ErrCount)
}

func TestEmbeddingsRefuse(t *testing.T) {
	f := func(reference, current Matrix, want error) {
		t.Helper()
		if _, err := NewEmbeddings(reference, current); !errors.Is(err, want) {
			t.Errorf("%v against %v: %v, want %v", reference, current, err, want)
		}
	}
	nan := float32(math.NaN())
	one := Matrix{Rows: 1, Columns: 2, Data: []float32{1, 2}}
	f(one, Matrix{Rows: 1, Columns: 3, Data: []float32{1, 2, 3}}, ErrShape)
	f(one, Matrix{Rows: 2, Columns: 2, Data: []float32{1, 2}}, ErrShape)
	f(Matrix{}, Matrix{}, ErrShape)
	f(one, Matrix{Columns: 2}, ErrEmpty)
	f(one, Matrix{Rows: 1, Columns: 2, Data: []float32{1, nan}}, ErrEmpty)

	e := pair(t, one, one)
	if _, err := e.MMD(MMDOptions{}); !errors.Is(err, ErrTooFew) {
		t.Errorf("MMD of one row: %v", err)
	}
	if _, err := e.Domain(1); !errors.Is(err, ErrTooFew) {
		t.Errorf("a classifier of one row each: %v", err)
	}
	if _, err := e.MMD(MMDOptions{Gamma: math.NaN()}); err == nil {
		t.Error("a gamma of NaN is taken")
	}
	same := Matrix{Rows: 3, Columns: 2, Data: []float32{1, 2, 1, 2, 1, 2}}
	if _, err := pair(t, same, same).MMD(MMDOptions{}); !errors.Is(err, ErrConstant) {
		t.Errorf("MMD of equal rows: %v", err)
	}
}

// Rows with a missing component are left out wherever they stand, and the caller's data stay as they are.
func TestMissingEmbeddings(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	data := []float32{1, 2, nan, 4, 5, 6, 7, inf, 9, 10}
	e := pair(t, Matrix{Rows: 5, Columns: 2, Data: data}, Matrix{Rows: 2, Columns: 2, Data: []float32{nan, 1, 3, 4}})
	if want := []float32{1, 2, 5, 6, 9, 10}; !slices.Equal(e.reference.Data, want) || data[4] != 5 || data[8] != 9 {
		t.Errorf("kept %v of %v, want %v", e.reference.Data, data, want)
	}
	if r, c := e.Missing(); r != 2 || c != 1 {
		t.Errorf("%d and %d are missing, want 2 and 1", r, c)
	}
}

// Unbiased: on average over windows without drift the estimate is 0, which Evidently's clipped one is not.
func TestMMDIsUnbiased(t *testing.T) {
	var all []float64
	for seed := range uint64(60) {
		mmd, err := pair(t, normal(2*seed, 40, 8, 0), normal(2*seed+1, 30, 8, 0)).MMD(MMDOptions{Gamma: .1})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, mmd.Squared)
	}
	mean, deviation := spread(all)
	if math.Abs(mean) > 3*deviation/math.Sqrt(60) || slices.Min(all) >= 0 {
		t.Errorf("the mean is %v of deviation %v, the least %v", mean, deviation, slices.Min(all))
	}
	sample := normal(5, 50, 8, 0)
	if same, err := pair(t, sample, sample).MMD(MMDOptions{Gamma: .1}); err != nil || same.Squared > 0 {
		t.Errorf("MMD of a window with itself is %v %v, want at most 0", same.Squared, err)
	}
}

// The standard error must be that of the approximation: random frequencies are off by about as much, over many seeds.
func TestRandomFeatures(t *testing.T) {
	e := pair(t, normal(1, 1200, 16, 0), normal(2, 600, 16, .15))
	exact, err := e.MMD(MMDOptions{})
	if err != nil || exact.StandardError != 0 {
		t.Fatalf("%+v %v", exact, err)
	}
	var off []float64
	for seed := range uint64(40) {
		near, err := e.MMD(MMDOptions{Gamma: exact.Gamma, ExactRows: 1000, Features: 200, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		off = append(off, (near.Squared-exact.Squared)/near.StandardError)
	}
	if mean, deviation := spread(off); math.Abs(mean) > .6 || deviation < .7 || deviation > 1.4 {
		t.Errorf("in standard errors the approximation is off by %v ± %v, want 0 ± 1", mean, deviation)
	}
}

func TestEvidentlyEmbeddings(t *testing.T) {
	f := func(n int, mean float64, threshold func(float64) bool, drifted bool) {
		t.Helper()
		c, err := EvidentlyEmbeddings(pair(t, normal(1, n, 6, 0), normal(2, 400, 6, mean)), 1)
		if err != nil || c.Drifted != drifted || !threshold(c.Threshold) || c.Test != "model" {
			t.Errorf("%d rows, moved by %v: %+v %v, want drifted %v", n, mean, c, err, drifted)
		}
	}
	fixed := func(x float64) bool { return x == .55 }
	random := func(x float64) bool { return x > .5 && x < .6 && x != .55 }
	f(999, 2, random, true)
	f(999, 0, random, false)
	f(1000, 2, fixed, true)
	f(1000, 0, fixed, false)
}

func BenchmarkMMD(b *testing.B) {
	e, err := NewEmbeddings(normal(1, 5000, 384, 0), normal(2, 5000, 384, .1))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.MMD(MMDOptions{Gamma: .001}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRandomFeatures(b *testing.B) {
	e, err := NewEmbeddings(normal(1, 20_000, 384, 0), normal(2, 20_000, 384, .1))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.MMD(MMDOptions{Gamma: .001}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkComponents(b *testing.B) {
	e, err := NewEmbeddings(normal(1, 5000, 384, 0), normal(2, 5000, 384, .1))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Components(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDomain(b *testing.B) {
	e, err := NewEmbeddings(normal(1, 5000, 384, 0), normal(2, 5000, 384, .1))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Domain(1); err != nil {
			b.Fatal(err)
		}
	}
}
