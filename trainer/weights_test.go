package trainer

import (
	"math"
	"testing"
)

func TestCategoryWeights(t *testing.T) {
	counts := []float64{10, 0, 1000, 3990}
	f := func(kind string, want func(n float64) float64) {
		t.Helper()
		got := categoryWeights(kind, counts)
		var sum float64
		for c, n := range counts {
			sum += n * got[c]
			if n == 0 && got[c] != 0 {
				t.Errorf("%s: a category without examples has weight %v", kind, got[c])
			}
			if n > 0 && math.Abs(got[c]/got[0]-want(n)/want(10)) > 1e-12 {
				t.Errorf("%s: %v examples have %v of the weight of 10, want %v", kind, n, got[c]/got[0], want(n)/want(10))
			}
		}
		if math.Abs(sum-5000) > 1e-9 {
			t.Errorf("%s: the weights add up to %v, not to the number of examples", kind, sum)
		}
	}
	f(WeightsNone, func(float64) float64 { return 1 })
	f(WeightsBalanced, func(n float64) float64 { return 1 / n })
	f(WeightsEffective, func(n float64) float64 { return (1 - .999) / (1 - math.Pow(.999, n)) })
}

// TestClassWeightsFindTheRare: a category of 1 % that overlaps the others is found more often with class weights.
func TestClassWeightsFindTheRare(t *testing.T) {
	e := clouds(6000, 6, 3, .5, 5)
	var kept []int
	for i, c := range e.Categories {
		if c > 0 || i%40 == 0 {
			kept = append(kept, i)
		}
	}
	e = e.Select(kept)
	recall := func(kind string) float64 {
		c := fit(t, e, Options{Categories: 3, ClassWeights: kind})
		return Evaluate(Probabilities(Scores(c, e.Vectors), 1), e.Categories, 3).Categories[0].Recall
	}
	none, effective, balanced := recall(WeightsNone), recall(WeightsEffective), recall(WeightsBalanced)
	if !(none < effective && effective <= balanced && balanced > .5) {
		t.Fatalf("recall of the rarest is %v without weights, %v effective, %v balanced", none, effective, balanced)
	}
}
