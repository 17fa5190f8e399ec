package stats

import "math"

// Windows without equal numbers of which one has at most mannWhitneyFew get the exact distribution, as in SciPy, up to so many pairs.
const (
	mannWhitneyFew   = 8
	mannWhitneyPairs = 4_000_000
)

// MannWhitney is the two-sided rank test; its statistic is U of the reference: how many pairs have the larger number in the reference, half of the equal ones counted.
// P is exact when a window has at most 8 numbers and no two of all are equal (up to 4,000,000 pairs), otherwise normal, corrected for ties and continuity
// (scipy.stats.mannwhitneyu, method "auto").
func (n Numbers) MannWhitney() Test {
	u, p := n.mannWhitney(func(u, other float64) float64 { return max(u, other) })
	return Test{Statistic: u, P: min(1, 2*p)}
}

// MannWhitneyLess is the same test with the alternative that the reference is the lower window, which is how Evidently's mannw calls it: it is blind to a current
// window that moved down.
func (n Numbers) MannWhitneyLess() Test {
	u, p := n.mannWhitney(func(_, other float64) float64 { return other })
	return Test{Statistic: u, P: p}
}

// mannWhitney returns U of the reference, and how likely a U is at least as large as the one that is chosen from it and that of the current window.
func (n Numbers) mannWhitney(choose func(u, other float64) float64) (u, p float64) {
	var before, ranks, ties float64
	for i, r := range n.reference {
		equal := r + n.current[i]
		ranks += r * (before + (equal+1)/2)
		ties += equal * (equal*equal - 1)
		before += equal
	}
	pairs := n.n * n.m
	u = ranks - n.n*(n.n+1)/2
	chosen := choose(u, pairs-u)
	if min(n.n, n.m) <= mannWhitneyFew && ties == 0 && pairs <= mannWhitneyPairs {
		return u, mannWhitneyExact(int(min(n.n, n.m)), int(max(n.n, n.m)), int(math.Round(chosen)))
	}
	all := n.n + n.m
	variance := pairs / 12 * (all + 1 - ties/(all*(all-1)))
	if !(variance > 1e-12*pairs) { // all numbers are equal
		return u, 1
	}
	return u, math.Erfc((chosen-pairs/2-.5)/math.Sqrt(2*variance)) / 2
}

// mannWhitneyExact is how likely U of n and m different numbers is at least u. The orders with each U are counted by the Gaussian binomial coefficient, the product
// of (1−q^(m+i))/(1−q^i) (Mann and Whitney, 1947), as numbers that are at most seven times larger than their sum.
func mannWhitneyExact(n, m, u int) float64 {
	pairs := n * m
	least := min(u, pairs-u) // the distribution is symmetric
	ways := make([]float64, least+1)
	ways[0] = 1
	for i := 1; i <= n; i++ {
		for j := least; j >= m+i; j-- {
			ways[j] -= ways[j-m-i]
		}
		for j := i; j <= least; j++ {
			ways[j] += ways[j-i]
		}
	}
	all := 1.
	for i := 1; i <= n; i++ {
		all *= float64(m+i) / float64(i)
	}
	var sum float64
	for _, w := range ways {
		sum += w
	}
	if u == least && 2*u != pairs {
		return 1 - (sum-ways[least])/all
	}
	return min(1, sum/all)
}
