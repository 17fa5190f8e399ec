package trainer

import (
	"context"
	"errors"
	"iter"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"jobstrom/schemas"
)

func epochs(t testing.TB, stream Epochs, o Options) (*schemas.Classifier, Curve) {
	t.Helper()
	c, curve, err := FitEpochs(t.Context(), stream, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, curve
}

// TestAdamWSteps holds the first steps to the paper's formulas, computed the slow way with all examples in one batch.
func TestAdamWSteps(t *testing.T) {
	e := clouds(40, 3, 2, 1, 1)
	o := Options{Categories: 2, AdamW: AdamW{LearningRate: .01, Batch: 64, Epochs: 3, Decay: .5}, Seed: 5}
	// A fit of one step that learns next to nothing shows where it starts.
	small := o
	small.AdamW.LearningRate, small.AdamW.Epochs = 1e-12, 1
	start, _ := epochs(t, e.Epochs(1), small)
	x := append(widen(start.Weights), widen(start.Bias)...)
	m, v := make([]float64, len(x)), make([]float64, len(x))
	for step := 1; step <= 3; step++ {
		g := make([]float64, len(x))
		for i, row := range e.Vectors {
			scores := []float64{x[6], x[7]}
			for j, a := range row {
				scores[0] += x[j] * float64(a)
				scores[1] += x[3+j] * float64(a)
			}
			for k := range 2 {
				p := math.Exp(scores[k] - logSumExp(scores))
				if e.Categories[i] == k {
					p--
				}
				g[6+k] += p / 40
				for j, a := range row {
					g[3*k+j] += p / 40 * float64(a)
				}
			}
		}
		for i := range x {
			x[i] -= .01 * .5 * x[i]
			m[i] = .9*m[i] + .1*g[i]
			v[i] = .999*v[i] + .001*g[i]*g[i]
			x[i] -= .01 * (m[i] / (1 - math.Pow(.9, float64(step)))) / (math.Sqrt(v[i]/(1-math.Pow(.999, float64(step)))) + 1e-8)
		}
	}
	shift := (x[6] + x[7]) / 2
	x[6], x[7] = x[6]-shift, x[7]-shift
	c, curve := epochs(t, e.Epochs(1), o)
	for i, got := range append(widen(c.Weights), widen(c.Bias)...) {
		// The start's bias is known but for a constant that its decay shrinks alike, so weights and differences agree.
		if math.Abs(got-x[i]) > 1e-5 {
			t.Errorf("parameter %d is %v after 3 steps, want %v", i, got, x[i])
		}
	}
	if len(curve.Points) != 3 || curve.Points[2].Loss >= curve.Points[0].Loss || curve.Stopped != "epochs" {
		t.Errorf("the curve is %+v", curve)
	}
}

func TestAdamWLearns(t *testing.T) {
	e := clouds(3000, 16, 5, 1, 8)
	train, held := e.Select(positions(0, 2400)), e.Select(positions(2400, 3000))
	o := Options{Categories: 5, AdamW: AdamW{LearningRate: .01}}
	c, curve := epochs(t, train.Epochs(1), o)
	best := fit(t, train, Options{Categories: 5})
	if got, want := top1(c, held), top1(best, held); got < want-.01 {
		t.Fatalf("top-1 by AdamW is %v, by L-BFGS %v", got, want)
	}
	batches := 0
	for _, n := range curve.Gradients.Counts {
		batches += n
	}
	if len(curve.Points) != 15 || batches != 15*5 {
		t.Fatalf("%d epochs and %d gradients were recorded", len(curve.Points), batches)
	}
	// Fit with the method is the same.
	if again := fit(t, train, Options{Categories: 5, Method: MethodAdamW, AdamW: AdamW{LearningRate: .01}}); again.Training["method"] != MethodAdamW || top1(again, held) < .9*top1(c, held) {
		t.Fatalf("Fit by AdamW gives %v", again.Training)
	}
}

func positions(from, to int) (all []int) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

// blocks streams examples in blocks of a size, in the same order each epoch.
func blocks(e Examples, size int) Epochs {
	return func(context.Context, int) iter.Seq2[Examples, error] {
		return func(yield func(Examples, error) bool) {
			for part := range slices.Chunk(positions(0, e.Len()), size) {
				if !yield(e.Select(part), nil) {
					return
				}
			}
		}
	}
}

// TestAdamWIsDeterministic: neither cores nor threads matter, nor whether a block's rows lie side by side.
func TestAdamWIsDeterministic(t *testing.T) {
	e := clouds(3000, 8, 3, .5, 2)
	var first *schemas.Classifier
	for _, cores := range []int{1, 2, 5} {
		old := runtime.GOMAXPROCS(cores)
		c, _ := epochs(t, blocks(e, 700), Options{Categories: 3, Threads: cores, Seed: 4, ClassWeights: WeightsBalanced, AdamW: AdamW{Epochs: 2, Batch: 600}})
		runtime.GOMAXPROCS(old)
		if first == nil {
			first = c
		}
		if !slices.Equal(c.Weights, first.Weights) || !slices.Equal(c.Bias, first.Bias) {
			t.Fatalf("%d cores give another classifier than 1", cores)
		}
	}
	other, _ := epochs(t, blocks(e, 700), Options{Categories: 3, Seed: 5, AdamW: AdamW{Epochs: 2, Batch: 600}})
	if slices.Equal(other.Weights, first.Weights) {
		t.Fatal("another seed gives the same classifier")
	}
}

func TestFitEpochsFailure(t *testing.T) {
	broken := errors.New("the connection broke")
	f := func(stream Epochs, o Options, want ...string) {
		t.Helper()
		_, _, err := FitEpochs(t.Context(), stream, o)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("FitEpochs = %v, want an error with %q", err, w)
			}
		}
	}
	o := Options{Categories: 3, AdamW: AdamW{Epochs: 2}}
	e := clouds(100, 2, 3, 1, 1)
	at := func(epoch int, change func(Examples) (Examples, error)) Epochs {
		return func(ctx context.Context, n int) iter.Seq2[Examples, error] {
			if n != epoch {
				return blocks(e, 50)(ctx, n)
			}
			return func(yield func(Examples, error) bool) { yield(change(e)) }
		}
	}
	f(Examples{}.Epochs(1), o, "there are none")
	f(at(0, func(e Examples) (Examples, error) { return e, broken }), o, "counting, after 0 examples", broken.Error())
	f(at(2, func(e Examples) (Examples, error) { return e, broken }), o, "epoch 2", broken.Error())
	f(at(1, func(e Examples) (Examples, error) { return e.Select(positions(0, 90)), nil }), o, "epoch 1 streamed 90 examples, the first pass 100")
	f(at(0, func(e Examples) (Examples, error) {
		e = e.Select(positions(0, 100))
		e.Vectors[7] = []float32{1, float32(math.NaN())}
		return e, nil
	}), o, "1 of 100 have components that are not finite, the first is example 7")
	f(at(0, func(e Examples) (Examples, error) { e.Categories = make([]int, 100); return e, nil }), o, "1 categories have examples")
	f(blocks(e, 10), Options{Categories: 2}, "a category outside 0 to 1")
	f(blocks(e, 10), Options{Categories: 3, Mean: []float32{1}}, "Mean has 1 values, the vectors have 2")
	f(blocks(e, 10), Options{Categories: 3, ClassWeights: "some", AdamW: AdamW{LearningRate: 2, Batch: -1, Epochs: -1, Decay: 1}},
		`ClassWeights ("some")`, "LearningRate (2)", "Batch (-1)", "Epochs (-1)", "Decay (1)")
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(int, float64) { cancel() }
	if _, _, err := FitEpochs(ctx, blocks(e, 10), o); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled fit gives %v", err)
	}
}
