package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Table counts k values of a category in two windows. It is valid whenever NewTable returned it.
type Table struct {
	reference, current []float64 // how often each value occurs; never zero in both
	n, m               float64   // their sums, never zero
	empty              int       // bins that are filled though they hold no row of either window
}

// Count is what a table may be made from: rows, or sums of weights.
type Count interface {
	~int | ~int64 | ~uint64 | ~float64
}

// NewTable compares how often each of k values occurs in the reference and in the current window: both slices have k counts, of the same values in the same
// order. Values that occur in neither window are dropped, as if unknown. It returns ErrShape when the lengths differ, ErrCount when a count is negative or not
// finite, ErrEmpty when a window counts nothing.
func NewTable[C Count](reference, current []C) (Table, error) {
	if len(reference) != len(current) {
		return Table{}, fmt.Errorf("comparing counts of %d values with counts of %d: %w", len(reference), len(current), ErrShape)
	}
	both := make([]float64, 2*len(reference))
	t := Table{reference: both[:0:len(reference)], current: both[len(reference):len(reference)]}
	for i := range reference {
		r, c := float64(reference[i]), float64(current[i])
		if !(r >= 0 && c >= 0) || math.IsInf(r+c, 0) {
			return Table{}, fmt.Errorf("comparing counts %v and %v of value %d: %w", r, c, i, ErrCount)
		}
		if r > 0 || c > 0 {
			t.reference, t.current = append(t.reference, r), append(t.current, c)
			t.n, t.m = t.n+r, t.m+c
		}
	}
	if t.n == 0 || t.m == 0 {
		return Table{}, fmt.Errorf("comparing %v reference with %v current rows: %w", t.n, t.m, ErrEmpty)
	}
	if math.IsInf(t.n+t.m, 0) {
		return Table{}, fmt.Errorf("summing counts: %w", ErrCount)
	}
	return t, nil
}

// Values says how many different values occur in at least one window.
func (t Table) Values() int { return len(t.reference) }

// Sizes returns how many rows the reference and the current window have.
func (t Table) Sizes() (reference, current float64) { return t.n, t.m }

// Test is what a test of significance says.
type Test struct {
	// Statistic is the test's own figure. It is +Inf where a value of the current window is impossible under the hypothesis, P then being 0.
	Statistic float64
	// DF are the degrees of freedom, 0 for a test without any.
	DF float64
	// P is how likely a statistic at least as extreme is without drift, in [0, 1].
	P float64
}

// fill is the share that stands for a share of 0: 1e-4, or, where the smallest other share is no larger than that, a millionth of it.
func fill(counts []float64, sum float64) float64 {
	least := math.Inf(1)
	for _, c := range counts {
		if c > 0 {
			least = min(least, c/sum)
		}
	}
	if least <= 1e-4 {
		return least / 1e6
	}
	return 1e-4
}

// filled calls f with the shares of each value, zeros filled. Filled shares are not made to sum to 1 again.
func (t Table) filled(f func(p, q float64)) {
	zeroP, zeroQ := fill(t.reference, t.n), fill(t.current, t.m)
	for i, r := range t.reference {
		p, q := r/t.n, t.current[i]/t.m
		if p == 0 {
			p = zeroP
		}
		if q == 0 {
			q = zeroQ
		}
		f(p, q)
	}
	for range t.empty {
		f(zeroP, zeroQ)
	}
}

// PSI is the population stability index, the sum of (p−q)·ln(p/q) over the shares p of the reference and q of the current window. A share of 0 counts as 1e-4, or,
// where the window's smallest other share is no larger than 1e-4, as a millionth of that share (Evidently's get_binned_data).
func (t Table) PSI() (psi float64) {
	t.filled(func(p, q float64) { psi += (p - q) * math.Log(p/q) })
	return psi
}

// KL is the Kullback–Leibler divergence of the reference from the current window, the sum of p·ln(p/q), in nats. Zeros are filled as for PSI, then the shares
// are made to sum to 1 again (Evidently's _kl_div, scipy.stats.entropy).
func (t Table) KL() float64 {
	var sum, sumP, sumQ float64
	t.filled(func(p, q float64) {
		sum += p * math.Log(p/q)
		sumP, sumQ = sumP+p, sumQ+q
	})
	return max(0, sum/sumP-math.Log(sumP/sumQ))
}

// JensenShannon is the Jensen–Shannon distance, the square root of the divergence with natural logarithms, in [0, √ln 2]. Zeros are left as they are
// (Evidently's _jensenshannon, scipy.spatial.distance.jensenshannon).
func (t Table) JensenShannon() float64 {
	var sum float64
	for i, r := range t.reference {
		p, q := r/t.n, t.current[i]/t.m
		mean := (p + q) / 2
		if p > 0 {
			sum += p * math.Log(p/mean)
		}
		if q > 0 {
			sum += q * math.Log(q/mean)
		}
	}
	return math.Sqrt(max(0, sum/2))
}

// Hellinger is the Hellinger distance √(1 − Σ√(p·q)), in [0, 1] (Evidently's _hellinger_distance of categorical columns), summed as ½Σ(√p − √q)², which loses
// nothing where the windows are nearly the same.
func (t Table) Hellinger() float64 {
	var sum float64
	for i, r := range t.reference {
		difference := math.Sqrt(r/t.n) - math.Sqrt(t.current[i]/t.m)
		sum += difference * difference
	}
	return math.Sqrt(min(1, sum/2))
}

// TotalVariation is half the sum of |p − q|, in [0, 1]: the largest difference in share of any set of values. It is what Evidently's TVD test permutes.
func (t Table) TotalVariation() float64 {
	var sum float64
	for i, r := range t.reference {
		sum += math.Abs(r/t.n - t.current[i]/t.m)
	}
	return sum / 2
}

// ChiSquare is Pearson's test of the current counts against the reference's shares, which it takes for exactly known, with k−1 degrees of freedom
// (Evidently's _chi_stat_test: scipy.stats.chisquare with the reference scaled to the current size). It alarms too often when the reference is not much larger
// than the current window; Contingency takes both for samples. A value that only the current window has makes the statistic +Inf and P 0.
func (t Table) ChiSquare() Test {
	var sum float64
	for i, r := range t.reference {
		expected := r * (t.m / t.n)
		difference := t.current[i] - expected
		sum += difference * difference / expected // +Inf where expected is 0
	}
	return t.test(sum)
}

// G is the likelihood-ratio test of the current counts against the reference's shares, with k−1 degrees of freedom (scipy.stats.power_divergence with
// "log-likelihood" and the reference scaled to the current size). Evidently's g_test, which does not scale, is the same where the windows are of one size and
// refuses others. A value that only the current window has makes the statistic +Inf and P 0.
func (t Table) G() Test {
	var sum float64
	for i, r := range t.reference {
		if c := t.current[i]; c > 0 {
			sum += c * math.Log(c/(r*(t.m/t.n)))
		}
	}
	return t.test(2 * sum)
}

// Contingency is Pearson's test that both windows are samples of one distribution, with k−1 degrees of freedom (scipy.stats.chi2_contingency without correction).
func (t Table) Contingency() Test {
	var sum float64
	for i, r := range t.reference {
		difference := r - (r+t.current[i])*(t.n/(t.n+t.m))
		sum += difference * difference / (r + t.current[i])
	}
	return t.test(sum * (t.n + t.m) / t.n * ((t.n + t.m) / t.m))
}

// ContingencyG is the likelihood-ratio test that both windows are samples of one distribution, with k−1 degrees of freedom (scipy.stats.chi2_contingency with
// "log-likelihood" and without correction).
func (t Table) ContingencyG() Test {
	var sum float64
	for i, r := range t.reference {
		c := t.current[i]
		share := (r + c) / (t.n + t.m)
		if r > 0 {
			sum += r * math.Log(r/(share*t.n))
		}
		if c > 0 {
			sum += c * math.Log(c/(share*t.m))
		}
	}
	return t.test(2 * sum)
}

// test looks a statistic up in χ² with k−1 degrees of freedom. One value in both windows is no drift.
func (t Table) test(statistic float64) Test {
	df := float64(t.Values() - 1)
	switch {
	case df <= 0:
		return Test{P: 1}
	case math.IsInf(statistic, 1):
		return Test{Statistic: statistic, DF: df}
	}
	statistic = max(0, statistic) // a sum of rounded logarithms may be below
	return Test{Statistic: statistic, DF: df, P: distuv.ChiSquared{K: df}.Survival(statistic)}
}

// Z is the two-sided test that the share of the first value that occurs is the same in both windows, with the pooled variance (Evidently's z_stat_test, which is
// for columns of two values). The statistic is positive when the reference has less of the first value. P is 1 when both windows hold one value only, the same.
func (t Table) Z() Test {
	if t.Values() <= 1 {
		return Test{P: 1}
	}
	p, q := 1-t.reference[0]/t.n, 1-t.current[0]/t.m
	pooled := (p*t.n + q*t.m) / (t.n + t.m)
	variance := pooled * (1 - pooled) * (1/t.n + 1/t.m)
	if variance <= 0 { // by rounding alone
		return Test{P: 1}
	}
	z := (p - q) / math.Sqrt(variance)
	return Test{Statistic: z, P: math.Erfc(math.Abs(z) / math.Sqrt2)}
}
