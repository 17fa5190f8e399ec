package stats

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// Numbers compares the numbers of two windows: every statistic is one walk over the different values of both, which are sorted once. It is valid whenever
// NewNumbers returned it. Its table holds the values as categories.
type Numbers struct {
	Table
	values []float64 // ascending, one for each of the table's
}

// extreme bounds what can be squared and summed in float64.
const extreme = 1e150

// NewNumbers puts the numbers of the reference and the current window together. It returns ErrEmpty when one has none, ErrExtreme when a number is beyond ±1e150.
func NewNumbers(reference, current Sample) (Numbers, error) {
	k := len(reference.values) + len(current.values)
	all := make([]float64, 3*k)
	n := Numbers{values: all[:0:k]}
	r, c := all[k:k:2*k], all[2*k:2*k]
	for i, j := 0, 0; i < len(reference.values) || j < len(current.values); {
		fromReference := j == len(current.values) || i < len(reference.values) && reference.values[i] <= current.values[j]
		fromCurrent := i == len(reference.values) || j < len(current.values) && current.values[j] <= reference.values[i]
		var value, inReference, inCurrent float64
		if fromReference {
			value, inReference = reference.values[i], reference.counts[i]
			i++
		}
		if fromCurrent {
			value, inCurrent = current.values[j], current.counts[j]
			j++
		}
		n.values, r, c = append(n.values, value), append(r, inReference), append(c, inCurrent)
	}
	n.Table = Table{reference: r, current: c, n: reference.rows, m: current.rows}
	if n.n == 0 || n.m == 0 {
		return Numbers{}, fmt.Errorf("comparing %v reference with %v current numbers, after %v and %v missing: %w", n.n, n.m, reference.missing, current.missing, ErrEmpty)
	}
	if max(-n.values[0], n.values[len(n.values)-1]) > extreme {
		return Numbers{}, fmt.Errorf("comparing numbers from %v to %v: %w", n.values[0], n.values[len(n.values)-1], ErrExtreme)
	}
	return n, nil
}

// steps calls f with the share of each window that is at most a value, and with how far the next value is (0 after the last).
func (n Numbers) steps(f func(reference, current, width float64)) {
	var r, c float64
	for i, v := range n.values {
		r, c = r+n.reference[i], c+n.current[i]
		width := 0.
		if i+1 < len(n.values) {
			width = n.values[i+1] - v
		}
		f(r/n.n, c/n.m, width)
	}
}

// KolmogorovSmirnov is the two-sided two-sample test: the largest gap between the windows' distribution functions. P is exact when neither window has more than
// 10,000 numbers, otherwise that of a one-sample test with nm/(n+m) numbers (scipy.stats.ks_2samp, method "auto", which Evidently calls). As there, P takes the
// numbers for different ones and is conservative where they repeat.
func (n Numbers) KolmogorovSmirnov() Test {
	var gap float64
	n.steps(func(r, c, _ float64) { gap = max(gap, math.Abs(r-c)) })
	gap = min(1, gap)
	size, other := math.Round(n.n), math.Round(n.m)
	if size < 1 || other < 1 {
		return Test{Statistic: gap, P: 1}
	}
	if max(size, other) <= kolmogorovExact {
		return smirnovExact(int(size), int(other), gap)
	}
	return Test{Statistic: gap, P: kolmogorovSurvival(math.RoundToEven(max(size, other)*min(size, other)/(size+other)), gap)}
}

// WassersteinDistance is the area between the windows' distribution functions, in the unit of the numbers (scipy.stats.wasserstein_distance).
func (n Numbers) WassersteinDistance() (area float64) {
	n.steps(func(r, c, width float64) { area += math.Abs(r-c) * width })
	return area
}

// Wasserstein is WassersteinDistance over the reference's standard deviation (of n, not n−1), which counts as 0.001 when less (Evidently's wasserstein_stat_test).
func (n Numbers) Wasserstein() float64 {
	_, squares, _, _ := n.moments()
	return n.WassersteinDistance() / max(math.Sqrt(squares/n.n), .001)
}

// Energy is the energy distance, √(2∫(F−G)²) (scipy.stats.energy_distance, Evidently's energy_dist_test).
func (n Numbers) Energy() float64 {
	var sum float64
	n.steps(func(r, c, width float64) { sum += (r - c) * (r - c) * width })
	return math.Sqrt(2 * sum)
}

// moments returns the means and the sums of squared deviations from them.
func (n Numbers) moments() (mean, squares, meanCurrent, squaresCurrent float64) {
	for i, v := range n.values {
		mean += v * (n.reference[i] / n.n)
		meanCurrent += v * (n.current[i] / n.m)
	}
	var off, offCurrent float64 // what rounding left in the means
	for i, v := range n.values {
		squares += n.reference[i] * (v - mean) * (v - mean)
		squaresCurrent += n.current[i] * (v - meanCurrent) * (v - meanCurrent)
		off += n.reference[i] * (v - mean)
		offCurrent += n.current[i] * (v - meanCurrent)
	}
	squares -= off * off / n.n
	squaresCurrent -= offCurrent * offCurrent / n.m
	return mean + off/n.n, max(0, squares), meanCurrent + offCurrent/n.m, max(0, squaresCurrent)
}

// Means returns the windows' means.
func (n Numbers) Means() (reference, current float64) {
	reference, _, current, _ = n.moments()
	return reference, current
}

// T is Student's two-sided test of equal means with a pooled variance, n+m−2 degrees of freedom (scipy.stats.ttest_ind, as Evidently's t_test calls it). It returns
// ErrTooFew for fewer than three numbers in both windows together. When neither window varies, P is 1 for equal means, otherwise 0.
func (n Numbers) T() (Test, error) {
	mean, squares, other, squaresOther := n.moments()
	df := n.n + n.m - 2
	if !(df > 0) {
		return Test{}, fmt.Errorf("testing the means of %v and %v numbers, of which 3 are needed: %w", n.n, n.m, ErrTooFew)
	}
	return student(mean-other, (squares+squaresOther)/df*(1/n.n+1/n.m), df), nil
}

// Welch is the two-sided test of equal means with a variance for each window (scipy.stats.ttest_ind with equal_var=False). It returns ErrTooFew when a window has
// fewer than two numbers. When neither window varies, P is 1 for equal means, otherwise 0.
func (n Numbers) Welch() (Test, error) {
	if n.n < 2 || n.m < 2 {
		return Test{}, fmt.Errorf("testing the means of %v and %v numbers, of which 2 are needed each: %w", n.n, n.m, ErrTooFew)
	}
	mean, squares, other, squaresOther := n.moments()
	a, b := squares/(n.n-1)/n.n, squaresOther/(n.m-1)/n.m
	df := n.n + n.m - 2
	if a+b > 0 {
		share, shareOther := a/(a+b), b/(a+b)
		df = 1 / (share*share/(n.n-1) + shareOther*shareOther/(n.m-1))
	}
	return student(mean-other, a+b, df), nil
}

// student looks a difference with a variance up in the t distribution.
func student(difference, variance, df float64) Test {
	if variance == 0 {
		if difference == 0 {
			return Test{DF: df, P: 1}
		}
		return Test{Statistic: math.Copysign(math.Inf(1), difference), DF: df}
	}
	t := difference / math.Sqrt(variance)
	if math.IsInf(t, 0) {
		return Test{Statistic: t, DF: df}
	}
	if p := mathext.RegIncBeta(df/2, .5, df/(df+t*t)); !math.IsNaN(p) {
		return Test{Statistic: t, DF: df, P: p}
	}
	return Test{Statistic: t, DF: df, P: math.Erfc(math.Abs(t) / math.Sqrt2)}
}

// distinct counts the different values of the reference.
func (n Numbers) distinct() (k int) {
	for _, r := range n.reference {
		if r > 0 {
			k++
		}
	}
	return k
}

// whole says whether every number is whole, as numpy knows it of a column of integers.
func (n Numbers) whole() bool {
	return !slices.ContainsFunc(n.values, func(v float64) bool { return v != math.Trunc(v) })
}
