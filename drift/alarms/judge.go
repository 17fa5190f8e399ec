package alarms

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Judge fills the verdicts and q-values of the results of several columns of the same windows. Of the columns that it says differ
// (Possible or Drift), no more than Alpha are expected to do so by chance: Benjamini and Hochberg (1995), which holds for columns
// that are independent or vary together. Results with a reason stay without a verdict and do not count.
func Judge(results []Result, o Options) error {
	o, err := o.ensured()
	if err != nil {
		return err
	}
	var p []float64
	var judged []int
	for i, r := range results {
		if r.Reason != "" {
			continue
		}
		if !(r.P >= 0 && r.P <= 1) {
			return fmt.Errorf("judging %q: p (%v) must be within 0 and 1", r.Column, r.P)
		}
		p, judged = append(p, r.P), append(judged, i)
	}
	q := qValues(p)
	for j, i := range judged {
		r := &results[i]
		r.Q = q[j]
		switch {
		case r.Q > o.Alpha:
			r.Verdict = None
		case r.Effect < r.Gate:
			r.Verdict = Possible
		default:
			r.Verdict = Drift
		}
	}
	return nil
}

// qValues returns the smallest false discovery rate at which each p is significant: the minimum of p·n/rank over this and the higher ranks.
func qValues(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	q, lowest := make([]float64, len(p)), 1.0
	for rank := len(p); rank > 0; rank-- {
		i := order[rank-1]
		lowest = math.Min(lowest, p[i]*float64(len(p))/float64(rank))
		q[i] = lowest
	}
	return q
}
