package trainer

import (
	"math"
	"testing"
)

// TestFitterCurves: the loss falls in every iteration, and a penalty near the last one costs few passes.
func TestFitterCurves(t *testing.T) {
	e := clouds(9000, 24, 6, .5, 6)
	f, err := NewFitter(e, Options{Categories: 6})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if sampled := f.curvature.objective.examples.Len(); sampled < 4096 || sampled > 4200 {
		t.Fatalf("%d of 9,000 examples were sampled", sampled)
	}
	for _, l2 := range []float64{1e-2, 1e-3, 1e-3} {
		c, curve, err := f.Fit(t.Context(), l2)
		if err != nil {
			t.Fatal(err)
		}
		points := curve.Points
		for i, p := range points[1:] {
			if p.Loss > points[i].Loss+1e-7 || p.Step != i+1 || p.Evaluations <= points[i].Evaluations || p.Seconds < points[i].Seconds {
				t.Fatalf("L2 %v: point %+v follows %+v", l2, p, points[i])
			}
		}
		last := points[len(points)-1]
		if curve.Stopped != "gradient" || last.Gradient > 1e-6 || last.Evaluations > 20 {
			t.Fatalf("L2 %v ended by %s at %+v", l2, curve.Stopped, last)
		}
		// One fit alone ends at the same weights.
		alone := fit(t, e, Options{Categories: 6, L2: l2})
		for i, w := range c.Weights {
			if math.Abs(float64(w-alone.Weights[i])) > 1e-3 {
				t.Fatalf("L2 %v: weight %d is %v after other penalties, %v alone", l2, i, w, alone.Weights[i])
			}
		}
	}
	again, curve, err := f.Fit(t.Context(), 1e-3)
	if err != nil || len(curve.Points) != 1 || again.Training["iterations"] != "0" {
		t.Fatalf("fitting the same again took %v, %v", curve.Points, err)
	}
}

// TestFitFarFromZero: vectors whose mean is a thousand times their spread, where float32 alone would not do.
func TestFitFarFromZero(t *testing.T) {
	near := clouds(600, 4, 3, 1, 7)
	far := near.Select(positions(0, 600))
	for i, v := range far.Vectors {
		far.Vectors[i] = make([]float32, len(v))
		for j := range v {
			far.Vectors[i][j] = v[j] + 1000
		}
	}
	o := Options{Categories: 3, L2: 1e-3}
	a, b := fit(t, near, o), fit(t, far, o)
	for i := range a.Weights {
		if math.Abs(float64(a.Weights[i]-b.Weights[i])) > 2e-3 {
			t.Fatalf("weight %d is %v near zero and %v far from it", i, a.Weights[i], b.Weights[i])
		}
	}
}

func TestFitRoundingEnds(t *testing.T) {
	c := fit(t, clouds(300, 4, 3, 1, 7), Options{Categories: 3, Tolerance: 1e-20})
	if c.Training["stopped"] != "rounding" {
		t.Fatalf("a gradient of 1e-20 was reached: %v", c.Training)
	}
	c = fit(t, clouds(300, 4, 3, 1, 7), Options{Categories: 3, MaxIterations: 1})
	if c.Training["stopped"] != "iterations" || c.Training["iterations"] != "1" {
		t.Fatalf("one iteration was allowed: %v", c.Training)
	}
	huge := clouds(300, 4, 3, 1, 7)
	huge.Vectors[5][1] = math.MaxFloat32
	if _, err := Fit(t.Context(), huge, Options{Categories: 3}); err == nil {
		t.Fatal("components of 1e38 were fitted")
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, v := range []float64{0, 1e-30, 1e9} {
		h.Add(v)
	}
	if h.Counts[0] != 2 || h.Counts[63] != 1 {
		t.Fatalf("outside values are counted %v", h.Counts)
	}
	for i := range h.Counts {
		low, high := h.Bounds(i)
		before := h.Counts[i]
		h.Add(math.Sqrt(low * high))
		if h.Counts[i] != before+1 {
			t.Fatalf("the middle of %g to %g is not counted in bin %d", low, high, i)
		}
	}
}

// A weak penalty on few, separable examples, from afresh: the gradient rises while the loss falls, which is no rounding.
func TestFitUnderWeakPenalties(t *testing.T) {
	e := clouds(300, 384, 22, .08, 3)
	for i := range e.Vectors {
		var length float64
		for _, x := range e.Vectors[i] {
			length += float64(x) * float64(x)
		}
		for j := range e.Vectors[i] {
			e.Vectors[i][j] /= float32(math.Sqrt(length))
		}
	}
	for _, l2 := range []float64{1e-5, 1e-6, 1e-7} {
		for _, weights := range []string{WeightsNone, WeightsEffective} {
			c := fit(t, e, Options{Categories: 22, L2: l2, ClassWeights: weights})
			if c.Training["stopped"] != "gradient" {
				t.Errorf("L2 %g, weights %s: it ended by %s after %s iterations", l2, weights, c.Training["stopped"], c.Training["iterations"])
			}
		}
	}
}
