package stats

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"
)

// splitmix returns the first n numbers of splitmix64 from a state, as its 20 highest bits.
func splitmix(start uint64, n int) []int64 {
	numbers := make([]int64, n)
	for i := range numbers {
		z := uint64(i+1)*0x9E3779B97F4A7C15 + start
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		numbers[i] = int64((z ^ z>>31) >> 44)
	}
	return numbers
}

// bell returns sums of twelve uniform numbers, nearly normal with variance 1.
func bell(seed uint64, n int) []float64 {
	u, values := splitmix(seed, 12*n), make([]float64, n)
	for i := range values {
		sum := int64(-6 << 20)
		for _, x := range u[12*i : 12*i+12] {
			sum += x
		}
		values[i] = float64(sum) / (1 << 20)
	}
	return values
}

// window is what make_goldens.py's function of that name makes.
type window struct {
	Shape   string
	Seed    uint64
	N       int
	Shift   float64
	Scale   *float64
	Missing bool
}

func (w window) values(t *testing.T) []float64 {
	t.Helper()
	u, v, values := splitmix(w.Seed, 12*w.N), splitmix(w.Seed+1, w.N), make([]float64, w.N)
	normal := bell(w.Seed, w.N)
	for i := range values {
		sign := float64(2*(v[i]%2) - 1)
		switch w.Shape {
		case "normal":
			values[i] = normal[i]
		case "skewed":
			values[i] = 1
			for _, factor := range u[12*i : 12*i+12] {
				values[i] *= .5 + float64(factor)/(1<<20)
			}
		case "bimodal":
			values[i] = normal[i]/2 + 2.5*sign
		case "heavy":
			values[i] = sign * (float64(u[i]+1) / float64(1<<20-u[i]))
		case "whole":
			values[i] = float64(u[i] * v[i] >> 34)
		case "few":
			values[i] = float64(u[i] % 5)
		case "binary":
			values[i] = float64(u[i] % 2)
		case "constant":
			values[i] = 3.5
		default:
			t.Fatalf("no shape %q", w.Shape)
		}
		if w.Scale != nil {
			values[i] = float64(values[i] * *w.Scale)
		}
		values[i] += w.Shift
		if w.Missing && i%7 == 0 {
			values[i] = math.NaN()
		}
		if w.Missing && i%11 == 5 {
			values[i] = math.Inf(-1)
		}
	}
	return values
}

func numbers(t *testing.T, reference, current []float64) Numbers {
	t.Helper()
	n, err := NewNumbers(NewSample(reference), NewSample(current))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func numberFigures(t *testing.T, n Numbers) map[string]float64 {
	t.Helper()
	ks, mw, binned := n.KolmogorovSmirnov(), n.MannWhitney(), n.Binned()
	figures := map[string]float64{
		"psi": binned.PSI(), "kl_div": binned.KL(), "jensenshannon": binned.JensenShannon(), "hellinger": n.Hellinger(), "ed": n.Energy(),
		"ks": ks.P, "ks_statistic": ks.Statistic, "wasserstein": n.Wasserstein(), "wasserstein_distance": n.WassersteinDistance(),
		"mannw": n.MannWhitneyLess().P, "mannwhitney": mw.P, "mannwhitney_statistic": mw.Statistic,
	}
	if student, err := n.T(); err == nil {
		figures["t_test"], figures["t_statistic"] = student.P, student.Statistic
	}
	if welch, err := n.Welch(); err == nil {
		figures["welch"], figures["welch_statistic"] = welch.P, welch.Statistic
	}
	return figures
}

func TestNumericParity(t *testing.T) {
	type numeric struct {
		Name               string
		Reference, Current window
		Rows, Sums         [2]float64
		Preset             column
		Figures            map[string]figure
	}
	for _, c := range golden[numeric](t, "testdata/numeric.json") {
		t.Run(c.Name, func(t *testing.T) {
			reference, current := NewSample(c.Reference.values(t)), NewSample(c.Current.values(t))
			for i, s := range []Sample{reference, current} {
				var sum float64
				for j, v := range s.values {
					sum += v * s.counts[j]
				}
				if s.Rows() != c.Rows[i] || math.Abs(sum-c.Sums[i]) > 1e-9*s.Rows() {
					t.Fatalf("window %d has %v rows of sum %v, want %v of %v", i, s.Rows(), sum, c.Rows[i], c.Sums[i])
				}
			}
			n, err := NewNumbers(reference, current)
			if err != nil {
				t.Fatal(err)
			}
			checkFigures(t, numberFigures(t, n), c.Figures)
			checkColumn(t, EvidentlyNumeric(n), c.Preset)
		})
	}
}

func TestNumbersRefuse(t *testing.T) {
	f := func(reference, current []float64, want error) {
		t.Helper()
		if _, err := NewNumbers(NewSample(reference), NewSample(current)); !errors.Is(err, want) {
			t.Errorf("%v against %v: %v, want %v", reference, current, err, want)
		}
	}
	f(nil, []float64{1}, ErrEmpty)
	f([]float64{1}, []float64{math.NaN(), math.Inf(1)}, ErrEmpty)
	f([]float64{1}, []float64{1e151}, ErrExtreme)
	f([]float64{-1e151}, []float64{1}, ErrExtreme)
	for _, counts := range [][]float64{{1}, {-1, 1}, {math.NaN(), 1}, {math.Inf(1), 1}, {math.MaxFloat64, math.MaxFloat64}} {
		if s, err := NewWeightedSample([]float64{1, 2}, counts); err == nil {
			t.Errorf("weighed by %v: %v", counts, s)
		}
	}
	one := numbers(t, []float64{1}, []float64{2})
	if _, err := one.T(); !errors.Is(err, ErrTooFew) {
		t.Errorf("t of one number each: %v", err)
	}
	if _, err := one.Welch(); !errors.Is(err, ErrTooFew) {
		t.Errorf("Welch of one number each: %v", err)
	}
}

// SciPy has NaN for these: the figures are what the docstrings say.
func TestConstantNumbers(t *testing.T) {
	same, moved := numbers(t, []float64{2, 2}, []float64{2, 2, 2}), numbers(t, []float64{2, 2}, []float64{3, 3, 3})
	for _, test := range []func(Numbers) (Test, error){Numbers.T, Numbers.Welch} {
		if got, err := test(same); err != nil || got != (Test{DF: 3, P: 1}) {
			t.Errorf("the same constant: %+v %v", got, err)
		}
		if got, err := test(moved); err != nil || got != (Test{Statistic: math.Inf(-1), DF: 3}) {
			t.Errorf("another constant: %+v %v", got, err)
		}
	}
	if w := moved.Wasserstein(); w != 1000 {
		t.Errorf("Wasserstein distance of 1 over a deviation of 0 is %v, want 1/0.001", w)
	}
}

// States hold values with counts: they must say what rows say.
func TestWeightedSample(t *testing.T) {
	rows := window{Shape: "whole", Seed: 3, N: 500, Missing: true}.values(t)
	var values, counts []float64
	for i, v := range rows { // every value by itself, in no order, some of no rows
		values, counts = append(values, v, float64(i)), append(counts, 1, 0)
	}
	weighted, err := NewWeightedSample(values, counts)
	if err != nil {
		t.Fatal(err)
	}
	sample := NewSample(rows)
	if !slices.Equal(weighted.values, sample.values) || !slices.Equal(weighted.counts, sample.counts) || weighted.Rows() != sample.Rows() || weighted.Missing() != sample.Missing() {
		t.Errorf("weighted %v, by rows %v", weighted, sample)
	}
}

// Ranks and the largest gap do not change when both windows are mapped by an increasing function; a distance grows with the scale.
func TestNumericProperties(t *testing.T) {
	reference, current := bell(5, 200), bell(6, 150)
	n := numbers(t, reference, current)
	mapped := func(f func(float64) float64) Numbers {
		both := [2][]float64{}
		for i, values := range [][]float64{reference, current} {
			for _, v := range values {
				both[i] = append(both[i], f(v))
			}
		}
		return numbers(t, both[0], both[1])
	}
	exp, tripled, swapped := mapped(math.Exp), mapped(func(v float64) float64 { return 3 * v }), numbers(t, current, reference)
	if n.KolmogorovSmirnov() != exp.KolmogorovSmirnov() || n.MannWhitney() != exp.MannWhitney() {
		t.Error("an increasing map changed the tests of ranks")
	}
	if d := n.WassersteinDistance(); math.Abs(tripled.WassersteinDistance()-3*d) > 1e-12 || math.Abs(tripled.Wasserstein()-n.Wasserstein()) > 1e-12 {
		t.Error("the Wasserstein distance does not grow with the scale, or its norm does")
	}
	if math.Abs(n.KolmogorovSmirnov().P-swapped.KolmogorovSmirnov().P) > 1e-12 || math.Abs(n.MannWhitney().P-swapped.MannWhitney().P) > 1e-12 {
		t.Error("swapping the windows changed a two-sided test")
	}
	edges, r, c := n.Histogram()
	var sumR, sumC float64
	for i := range r {
		sumR, sumC = sumR+r[i], sumC+c[i]
	}
	if len(edges) != len(r)+1 || !slices.IsSorted(edges) || math.Abs(sumR-1) > 1e-12 || math.Abs(sumC-1) > 1e-12 {
		t.Errorf("the histogram has edges %v and shares %v, %v", edges, r, c)
	}
}

func BenchmarkNumbers(b *testing.B) {
	reference, current := bell(1, 100_000), bell(2, 100_000)
	for b.Loop() {
		n, err := NewNumbers(NewSample(reference), NewSample(current))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = n.KolmogorovSmirnov(), n.Wasserstein()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/column")
}
