package alarms

import (
	"fmt"

	"jobstrom/drift/stats"
)

// Judge fills the verdicts and q-values of the results of several columns of the same windows. Of the columns that it says differ
// (Possible or Drift), no more than Alpha are expected to do so by chance: Benjamini and Hochberg (1995), which holds for columns
// that are independent or vary together. Results that have a verdict were not tested: they keep it and do not count, or they would make others' q larger.
func Judge(results []Result, o Options) error {
	o, err := o.ensured()
	if err != nil {
		return err
	}
	var p []float64
	var judged []int
	for i, r := range results {
		if r.Verdict != "" {
			continue
		}
		if !(r.P >= 0 && r.P <= 1) {
			return fmt.Errorf("judging %q: p (%v) must be within 0 and 1", r.Column, r.P)
		}
		if r.Resamples == 0 {
			return fmt.Errorf("judging %q: it was described, not tested: p is unknown", r.Column)
		}
		p, judged = append(p, r.P), append(judged, i)
	}
	q := stats.BenjaminiHochberg(p)
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
