package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"google.golang.org/protobuf/proto"

	"jobstrom/models/onnx"
	"jobstrom/schemas"
)

// clouds returns n vectors around one centre a category, spread 1 around centres that lie about apart from
// each other, in groups of about 4.
func clouds(n, dim, categories int, apart float64, seed uint64) Examples {
	random := rand.New(rand.NewPCG(seed, 1))
	centres := make([][]float64, categories)
	for c := range centres {
		for range dim {
			centres[c] = append(centres[c], apart*random.NormFloat64())
		}
	}
	var e Examples
	for i := range n {
		c := i % categories
		v := make([]float32, dim)
		for j := range v {
			v[j] = float32(centres[c][j] + random.NormFloat64())
		}
		e.Vectors, e.Categories = append(e.Vectors, v), append(e.Categories, c)
		e.Groups = append(e.Groups, fmt.Sprint("employer ", random.IntN(max(1, n/4))))
	}
	return e
}

func fit(t testing.TB, e Examples, o Options) *schemas.Classifier {
	t.Helper()
	c, err := Fit(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func top1(c *schemas.Classifier, e Examples) float64 {
	return Evaluate(Probabilities(Scores(c, e.Vectors), float64(c.Temperature)), e.Categories, int(c.Categories)).Top1
}

// testObjective returns the loss of examples around their own mean.
func testObjective(t testing.TB, e Examples, categories int, l2 float64) *objective {
	t.Helper()
	options := Options{Categories: categories}
	options.EnsureDefaults()
	if err := onnx.Open(options.Library); err != nil {
		t.Fatal(err)
	}
	o, err := newObjective(e, categories, e.mean(), l2, 2, make([]lane, lanesFor(e.Len())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(o.close(), onnx.Close()); err != nil {
			t.Error(err)
		}
	})
	return o
}

func TestGradientAgreesWithDifferences(t *testing.T) {
	f := func(e Examples) {
		t.Helper()
		o := testObjective(t, e, 3, .1)
		random := rand.New(rand.NewPCG(2, 2))
		x := make([]float64, o.parameters())
		for i := range x {
			x[i] = random.NormFloat64()
		}
		evaluate := func(x []float64, precise bool) (float64, []float64) {
			gradient := make([]float64, len(x))
			loss, err := o.evaluate(x, gradient, precise, nil)
			if err != nil {
				t.Fatal(err)
			}
			return loss, gradient
		}
		want := fd.Gradient(nil, func(x []float64) float64 { loss, _ := evaluate(x, true); return loss }, x, &fd.Settings{Formula: fd.Central})
		loss, precise := evaluate(x, true)
		rough, single := evaluate(x, false)
		if math.Abs(loss-rough) > 1e-5*loss {
			t.Fatalf("the loss is %v in float64 and %v in float32", loss, rough)
		}
		for i := range want {
			if math.Abs(precise[i]-want[i]) > 1e-7 || math.Abs(single[i]-want[i]) > 1e-5 {
				t.Fatalf("gradient[%d] is %v in float64 and %v in float32, differences say %v", i, precise[i], single[i], want[i])
			}
		}
	}
	e := clouds(50, 5, 3, 1, 1)
	f(e)
	for i := range e.Len() {
		e.Weights = append(e.Weights, float64(i%4))
	}
	f(e)
	for i := range e.Len() {
		target := []float32{.2, .2, .2}
		target[e.Categories[i]] = .6
		e.Targets = append(e.Targets, target)
	}
	f(e)
	for i := range e.Len() {
		e.Offsets = append(e.Offsets, []float64{1, 0, float64(i % 3)})
	}
	f(e)
	f(clouds(2*blockRows+7, 5, 3, 1, 1)) // three blocks
}

// TestFitBesideOffsets: where the offsets say it all, nothing is left to learn.
func TestFitBesideOffsets(t *testing.T) {
	e := clouds(200, 5, 3, 1, 3)
	for _, c := range e.Categories {
		offset := make([]float64, 3)
		offset[c] = 40
		e.Offsets = append(e.Offsets, offset)
	}
	for i, w := range fit(t, e, Options{Categories: 3}).Weights {
		if math.Abs(float64(w)) > 1e-6 {
			t.Fatalf("weights[%d] is %v beside offsets that are right", i, w)
		}
	}
}

// TestFitAgreesWithScikitLearn compares with weights and intercepts that testdata/make_golden.py found.
func TestFitAgreesWithScikitLearn(t *testing.T) {
	data, err := os.ReadFile("testdata/logistic.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Vectors    [][]float32
		Categories []int
		Weights    []float64
		Fits       []struct {
			L2        float64
			Weights   [][]float64
			Intercept []float64
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Fits) != 3 {
		t.Fatalf("the golden has %d fits, want 3", len(golden.Fits))
	}
	for _, want := range golden.Fits {
		c := fit(t, Examples{Vectors: golden.Vectors, Categories: golden.Categories, Weights: golden.Weights}, Options{Categories: 4, L2: want.L2, Tolerance: 1e-9})
		for k := range 4 {
			intercept := float64(c.Bias[k])
			for j, w := range want.Weights[k] {
				got := float64(c.Weights[k*8+j])
				if math.Abs(got-w) > 1e-4 {
					t.Fatalf("L2 %g: weight %d of category %d is %v, scikit-learn has %v", want.L2, j, k, got, w)
				}
				intercept -= got * float64(c.Mean[j])
			}
			if math.Abs(intercept-want.Intercept[k]) > 1e-4 {
				t.Fatalf("L2 %g: intercept of category %d is %v, scikit-learn has %v", want.L2, k, intercept, want.Intercept[k])
			}
		}
	}
}

func TestFitSeparable(t *testing.T) {
	e := clouds(400, 6, 4, 20, 3)
	var losses []float64
	c := fit(t, e, Options{Categories: 5, Progress: func(iteration int, loss float64) { losses = append(losses, loss) }})
	if got := top1(c, e); got != 1 {
		t.Fatalf("top-1 on separable examples is %v", got)
	}
	if len(losses) < 2 || losses[len(losses)-1] >= losses[0] {
		t.Fatalf("losses reported: %v", losses)
	}
	if c.Dim != 6 || c.Categories != 5 || len(c.Weights) != 30 || c.Temperature != 1 || c.Prior[0] != .25 || c.Prior[4] != 0 {
		t.Fatalf("classifier is %d × %d, temperature %v, prior %v", c.Categories, c.Dim, c.Temperature, c.Prior)
	}
}

// TestFitWeights: an example with weight 3 counts like three, one with weight 0 like none.
func TestFitWeights(t *testing.T) {
	e := clouds(60, 4, 3, 1, 4)
	weighted, repeated := e, Examples{}
	for i := range e.Len() {
		w := i % 3 * (i % 2) // 0, 1 or 2
		weighted.Weights = append(weighted.Weights, float64(w))
		for range w {
			repeated.Vectors, repeated.Categories = append(repeated.Vectors, e.Vectors[i]), append(repeated.Categories, e.Categories[i])
		}
	}
	o := Options{Categories: 3, L2: .01, Tolerance: 1e-9}
	a, b := fit(t, weighted, o), fit(t, repeated, o)
	for i := range a.Weights {
		if math.Abs(float64(a.Weights[i]-b.Weights[i])) > 1e-4 {
			t.Fatalf("weight %d is %v by weights, %v by repetition", i, a.Weights[i], b.Weights[i])
		}
	}
}

func TestFitIsDeterministic(t *testing.T) {
	e := clouds(9000, 48, 7, .3, 5)
	var first []byte
	for _, cores := range []int{1, 2, 5} {
		old := runtime.GOMAXPROCS(cores)
		c := fit(t, e, Options{Categories: 7})
		runtime.GOMAXPROCS(old)
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = data
		}
		if string(data) != string(first) {
			t.Fatalf("%d cores give another classifier than 1", cores)
		}
	}
}

func TestFitFailure(t *testing.T) {
	f := func(change func(*Examples, *Options), want ...string) {
		t.Helper()
		e, o := clouds(20, 3, 2, 1, 6), Options{Categories: 2}
		change(&e, &o)
		_, err := Fit(t.Context(), e, o)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Fatalf("Fit = %v, want an error with %q", err, w)
			}
		}
	}
	f(func(e *Examples, o *Options) { *e = Examples{} }, "there are none")
	f(func(e *Examples, o *Options) { clear(e.Categories) }, "1 categories have examples", "at least 2")
	f(func(e *Examples, o *Options) {
		e.Weights = make([]float64, 20)
	}, "0 categories have examples with weight")
	f(func(e *Examples, o *Options) { e.Categories[3], e.Categories[9] = 2, -1 }, "2 of 20 have a category outside 0 to 1, the first is example 3")
	f(func(e *Examples, o *Options) { e.Vectors[5][1] = float32(math.NaN()) }, "1 of 20 have components that are not finite, the first is example 5")
	f(func(e *Examples, o *Options) { e.Vectors[7] = e.Vectors[7][:2] }, "another width than 3", "example 7")
	f(func(e *Examples, o *Options) { e.Vectors[0] = nil }, "without components")
	f(func(e *Examples, o *Options) { e.Categories = e.Categories[1:]; e.Weights = []float64{1} }, "20 vectors and 19 categories", "and 1 weights")
	f(func(e *Examples, o *Options) { e.Weights = slices.Repeat([]float64{-1}, 20) }, "negative")
	f(func(e *Examples, o *Options) { e.Targets = slices.Repeat([][]float32{{.5, .6}}, 20) }, "targets that are not 2 probabilities")
	f(func(e *Examples, o *Options) { e.Offsets = slices.Repeat([][]float64{{0, math.Inf(1)}}, 20) }, "offsets that are not 2 finite scores")
	f(func(e *Examples, o *Options) { o.Mean = []float32{1} }, "Mean has 1 values")
	f(func(e *Examples, o *Options) { o.Method, o.ClassWeights, o.Threads = "sgd", "some", -1 }, `Method ("sgd")`, `ClassWeights ("some")`, "Threads (-1)")
	f(func(e *Examples, o *Options) { o.Library = "absent.so" }, "absent.so", "make setup")
	f(func(e *Examples, o *Options) { o.Categories, o.L2, o.MaxIterations, o.Tolerance = 1, -1, -1, 2 }, "Categories (1)", "L2 (-1)", "MaxIterations (-1)", "Tolerance (2)")

	if _, err := Fit(t.Context(), Examples{}, Options{Categories: 2}); !errors.Is(err, ErrExamples) {
		t.Fatalf("Fit = %v, want ErrExamples", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Fit(ctx, clouds(20, 3, 2, 1, 6), Options{Categories: 2, Progress: func(iteration int, loss float64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled fit gives %v", err)
	}
}
