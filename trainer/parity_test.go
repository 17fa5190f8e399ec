package trainer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
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

// parityExamples are those of testdata/make_parity.py, and the sum of their whole numbers.
func parityExamples() (e Examples, sum int64) {
	const n, dim, categories = 5000, 384, 22
	var parts []int64
	total := int64(0)
	for c := range int64(categories) {
		total += 3 + c*c/3
		parts = append(parts, total)
	}
	noise, centres, mean := splitmix(2, n*dim), splitmix(3, categories*dim), splitmix(4, dim)
	for i, u := range splitmix(1, n) {
		c, _ := slices.BinarySearch(parts, u%total+1)
		v := make([]float32, dim)
		for j := range v {
			whole := 4*noise[i*dim+j] + centres[c*dim+j] + mean[j] - 3<<20
			sum += whole
			v[j] = float32(whole) / (1 << 22)
		}
		e.Vectors, e.Categories = append(e.Vectors, v), append(e.Categories, c)
	}
	return e, sum
}

// TestParity compares with what scikit-learn finds on 5,000 × 384 numbers, see testdata/make_parity.py.
func TestParity(t *testing.T) {
	data, err := os.ReadFile("testdata/parity.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Sum    int64
		Counts []int
		Fits   []struct {
			ClassWeights     string    `json:"class_weights"`
			Squares          float64   `json:"squares"`
			MeanCoefficients []float64 `json:"mean_coefficients"`
			Probabilities    [][]float64
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	e, sum := parityExamples()
	counts := make([]int, 22)
	for _, c := range e.Categories {
		counts[c]++
	}
	if sum != golden.Sum || !slices.Equal(counts, golden.Counts) || len(golden.Fits) != 2 {
		t.Fatalf("the examples are others than scikit-learn saw: sum %d, categories %v", sum, counts)
	}
	for _, want := range golden.Fits {
		// scikit-learn's C = 1 is an L2 of 1 / (C × number of examples).
		c := fit(t, e, Options{Categories: 22, L2: 1.0 / 5000, Tolerance: 1e-8, ClassWeights: want.ClassWeights})
		if c.Training["stopped"] != "gradient" {
			t.Errorf("%s: the fit ended by %s", want.ClassWeights, c.Training["stopped"])
		}
		var squares float64
		means := make([]float64, 22)
		for i, w := range c.Weights {
			squares += float64(w) * float64(w)
			means[i/384] += float64(w) / 384
		}
		if math.Abs(squares-want.Squares) > 1e-4*want.Squares {
			t.Errorf("%s: the squared coefficients add up to %v, scikit-learn's to %v", want.ClassWeights, squares, want.Squares)
		}
		near(t, want.ClassWeights+": mean coefficient", means, want.MeanCoefficients)
		for i, p := range Probabilities(Scores(c, e.Vectors[:len(want.Probabilities)]), 1) {
			near(t, want.ClassWeights+": probability", widen(p), want.Probabilities[i])
		}
		if want.ClassWeights != WeightsNone {
			continue
		}
		raw, err := os.ReadFile("testdata/parity.f32")
		if err != nil {
			t.Fatal(err)
		}
		coefficients := make([]float32, 22*385)
		if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, coefficients); err != nil {
			t.Fatal(err)
		}
		near(t, "coefficient", widen(c.Weights), widen(coefficients[:22*384]))
		// The intercepts belong to vectors that are not centred, and only their differences matter.
		intercepts, theirs, shift := widen(c.Bias), widen(coefficients[22*384:]), 0.0
		for k := range intercepts {
			for j, m := range c.Mean {
				intercepts[k] -= float64(c.Weights[k*384+j]) * float64(m)
			}
			shift += (theirs[k] - intercepts[k]) / 22
		}
		for k := range intercepts {
			intercepts[k] += shift
		}
		near(t, "intercept", intercepts, theirs)
	}
}

// near compares numbers to 1e-4.
func near(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d × %s, scikit-learn has %d", len(got), what, len(want))
	}
	worst := 0
	for i := range want {
		if math.Abs(got[i]-want[i]) > math.Abs(got[worst]-want[worst]) {
			worst = i
		}
	}
	if d := math.Abs(got[worst] - want[worst]); !(d <= 1e-4) {
		t.Errorf("%s %d is %v, scikit-learn has %v: a difference of %.2g", what, worst, got[worst], want[worst], d)
	} else {
		t.Logf("%s: the largest difference is %.2g", what, d)
	}
}
