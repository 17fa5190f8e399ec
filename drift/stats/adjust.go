package stats

import (
	"cmp"
	"slices"
)

// BenjaminiHochberg adjusts p-values so that those of at most α hold a share of at most α of false alarms, for independent or positively dependent tests (Benjamini
// and Hochberg, 1995; scipy.stats.false_discovery_control). The result is in the order of p; p must hold no NaN.
func BenjaminiHochberg(p []float64) []float64 {
	order := ascending(p)
	adjusted, least := make([]float64, len(p)), 1.
	for rank := len(p) - 1; rank >= 0; rank-- {
		i := order[rank]
		least = min(least, p[i]*float64(len(p))/float64(rank+1))
		adjusted[i] = least
	}
	return adjusted
}

// Holm adjusts p-values so that the chance of any false alarm among those of at most α is at most α, for any dependence (Holm, 1979; statsmodels' multipletests). The
// result is in the order of p; p must hold no NaN.
func Holm(p []float64) []float64 {
	adjusted, most := make([]float64, len(p)), 0.
	for rank, i := range ascending(p) {
		most = max(most, p[i]*float64(len(p)-rank))
		adjusted[i] = min(1, most)
	}
	return adjusted
}

// ascending returns the places of p from its smallest.
func ascending(p []float64) []int {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	return order
}
