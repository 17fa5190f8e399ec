package trainer

import "math"

// Class weights: how much more an example of a rare category counts.
const (
	// WeightsNone counts every example alike.
	WeightsNone = "none"
	// WeightsBalanced gives every category the same weight in all: n / (categories · n_c), scikit-learn's "balanced".
	WeightsBalanced = "balanced"
	// WeightsEffective divides by the effective number of examples, (1 − βⁿ) / (1 − β) with β = 0.999 (Cui et al. 2019,
	// "Class-Balanced Loss Based on Effective Number of Samples"): rare categories gain, but less than their rarity.
	WeightsEffective = "effective"
)

var classWeights = []string{WeightsNone, WeightsBalanced, WeightsEffective}

// effectiveBeta is β of WeightsEffective: from about 1/(1 − β) examples on, more add little.
const effectiveBeta = .999

// categoryWeights returns the weight of each category from its number of examples. The weights of all examples have
// mean 1, so that a penalty means the same with each kind. A category without examples has weight 0.
func categoryWeights(kind string, counts []float64) []float64 {
	weights := make([]float64, len(counts))
	var total, weighted float64
	for c, n := range counts {
		if n == 0 {
			continue
		}
		switch kind {
		case WeightsBalanced:
			weights[c] = 1 / n
		case WeightsEffective:
			weights[c] = (1 - effectiveBeta) / (1 - math.Pow(effectiveBeta, n))
		default:
			weights[c] = 1
		}
		total += n
		weighted += n * weights[c]
	}
	for c := range weights {
		weights[c] *= total / weighted
	}
	return weights
}

// weigh returns the examples' weights times those of their categories; nil where all are 1.
func weigh(e Examples, kind string, categories int) []float64 {
	if kind == WeightsNone {
		return e.Weights
	}
	counts := make([]float64, categories)
	for i, c := range e.Categories {
		counts[c] += e.weight(i)
	}
	of := categoryWeights(kind, counts)
	weights := make([]float64, e.Len())
	for i, c := range e.Categories {
		weights[i] = e.weight(i) * of[c]
	}
	return weights
}
