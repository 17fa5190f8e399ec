package alarms

// enough is how many resamples must reach the statistic before p is known well enough. At p = 0.05 that takes 1,000 resamples; p's error
// is then a seventh of it.
const enough = 50

// resample draws the statistic as chance makes it until enough draws reach the observed one, at most so often, and returns p and
// how often it drew. Stopping this way keeps p exact: no more than a share of p of the windows without drift get a p as small (Besag
// and Clifford 1991, Sequential Monte Carlo p-values). Windows without drift, which are most, take some 300 draws, and a drift's p gets as small as 1 / (most + 1),
// which is what the correction for many columns needs.
func resample(observed float64, most int, draw func() float64) (p float64, drawn int) {
	// Equal tables must count as equal although their sums were rounded in another order.
	observed -= 1e-9 * observed
	reached := 0
	for drawn < most {
		drawn++
		if draw() >= observed {
			if reached++; reached == enough {
				return float64(reached) / float64(drawn), drawn
			}
		}
	}
	return float64(reached+1) / float64(drawn+1), drawn
}

// null is how chance makes a statistic. The zero value is of what needs no test.
type null struct {
	observed float64
	most     int
	draw     func() float64
}

// test fills P and Resamples.
func (n null) test(r Result) Result {
	if n.draw != nil {
		r.P, r.Resamples = resample(n.observed, n.most, n.draw)
	}
	return r
}
