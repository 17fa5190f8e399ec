package stats

import (
	"fmt"
	"math"
	"slices"
)

// Sample holds the numbers of one window as different values, each with how often it occurs.
type Sample struct {
	values, counts []float64 // values ascending, counts positive
	rows           float64   // the sum of counts
	missing        float64
}

// NewSample sorts the values of a window, which it does not change. NaN and the infinities are missing: dropped and counted.
func NewSample(values []float64) Sample {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if finite(v) {
			sorted = append(sorted, v)
		}
	}
	slices.Sort(sorted)
	s := Sample{rows: float64(len(sorted)), missing: float64(len(values) - len(sorted)), counts: make([]float64, 0, len(sorted))}
	s.values = sorted[:0] // what is different is never behind what is read
	for i, v := range sorted {
		if i > 0 && v == s.values[len(s.values)-1] {
			s.counts[len(s.counts)-1]++
			continue
		}
		s.values, s.counts = append(s.values, v), append(s.counts, 1)
	}
	return s
}

// NewWeightedSample takes values with how often each occurs, in any order, a value possibly more than once. It changes neither slice. Counts are rows: a test
// rounds their sum to a whole number. It returns ErrShape when the lengths differ and ErrCount when a count is negative or not finite.
func NewWeightedSample(values, counts []float64) (Sample, error) {
	if len(values) != len(counts) {
		return Sample{}, fmt.Errorf("weighing %d values by %d counts: %w", len(values), len(counts), ErrShape)
	}
	var s Sample
	order := make([]int, 0, len(values))
	for i, c := range counts {
		switch {
		case !(c >= 0) || math.IsInf(c, 0):
			return Sample{}, fmt.Errorf("weighing the value %v by %v: %w", values[i], c, ErrCount)
		case !finite(values[i]):
			s.missing += c
		case c > 0:
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if values[a] < values[b] {
			return -1
		}
		if values[a] > values[b] {
			return 1
		}
		return 0
	})
	for _, i := range order {
		s.rows += counts[i]
		if last := len(s.values) - 1; last >= 0 && s.values[last] == values[i] {
			s.counts[last] += counts[i]
			continue
		}
		s.values, s.counts = append(s.values, values[i]), append(s.counts, counts[i])
	}
	if math.IsInf(s.rows+s.missing, 0) {
		return Sample{}, fmt.Errorf("summing counts: %w", ErrCount)
	}
	return s, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Rows says how many values the sample has that are not missing.
func (s Sample) Rows() float64 { return s.rows }

// Missing says how many values were dropped.
func (s Sample) Missing() float64 { return s.missing }

// Values returns the different values, ascending, and how often each occurs. The caller must not change them.
func (s Sample) Values() (values, counts []float64) { return s.values, s.counts }
