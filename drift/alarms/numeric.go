package alarms

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// mostCells is into how many cells of about equally many rows numbers are sorted at most. Kolmogorov and Smirnov's distance is
// then at most 1 / mostCells below that of the numbers themselves, of which no test of fewer than millions of rows takes note.
const mostCells = 4096

// Numeric compares the distributions of numbers in two windows by Kolmogorov and Smirnov's distance. It is exact for up to
// 4,096 different numbers, beyond that of as many quantiles of both windows: resamples then need no sorting.
//
// Effect is Wasserstein's distance over the reference's standard deviation, beside it stands the difference of the means in
// the same unit. The standard deviation is that of both windows where the reference's is 0. Errors are of the options alone.
func Numeric(reference, current *Numbers, o Options) (Result, error) {
	r, chance, err := compareNumbers(reference, current, o)
	return chance.test(r), err
}

// DescribeNumeric is Numeric without drawing: P and Q stay 1.
func DescribeNumeric(reference, current *Numbers, o Options) (Result, error) {
	r, _, err := compareNumbers(reference, current, o)
	return r, err
}

func compareNumbers(reference, current *Numbers, o Options) (Result, null, error) {
	r := Result{StatisticName: "Kolmogorov-Smirnov", EffectName: "normed Wasserstein distance", P: 1, Q: 1, Reference: reference.size, Current: current.size}
	o, err := o.ensured()
	if err != nil {
		return r, null{}, err
	}
	r.Gate = o.NumberGate
	if r = r.comparable(o.Alpha); r.Reason != "" {
		return r, null{}, nil
	}
	a, b := slices.Sorted(slices.Values(reference.values)), slices.Sorted(slices.Values(current.values))
	both := slices.Sorted(slices.Values(slices.Concat(a, b)))
	if both[0] == both[len(both)-1] {
		r.Verdict, r.Beside = None, []Effect{{"difference of means", 0}} // there is one number, and no spread to divide by
		return r, null{}, nil
	}
	spread := stat.PopStdDev(a, nil)
	if a[0] == a[len(a)-1] {
		spread = stat.PopStdDev(both, nil)
	}
	// Where all numbers of a window lie closer than rounding, the mean is off by more than they are: the range bounds the spread from below.
	spread = max(spread, (both[len(both)-1]-both[0])/float64(2*len(both)))
	r.Effect = wasserstein(a, b) / spread
	r.Beside = []Effect{{"difference of means", (stat.Mean(b, nil) - stat.Mean(a, nil)) / spread}}

	edges := cells(both)
	ref, cur := reference.in(edges), current.in(edges)
	p := newPool(ref, cur, o.Seed, mostBursts)
	smaller := cur // the window that the draws stand for
	if cur.size.Blocks > ref.size.Blocks {
		smaller = ref
	}
	observed := make([]int, len(p.counts))
	copy(observed, smaller.counts)
	r.Statistic = distance(observed, p.counts, smaller.size.Rows, p.rows)
	// Draws of blocks hold more or fewer rows: as √(n·m/(n+m)) times the distance they can be compared.
	scaled := func(counts []int, rows int) float64 {
		return distance(counts, p.counts, rows, p.rows) * math.Sqrt(float64(rows)*(float64(p.rows-rows)/float64(p.rows)))
	}
	return r, null{scaled(observed, smaller.size.Rows), o.Resamples, func() float64 { return scaled(p.draw()) }}, nil
}

// cells returns the upper edges of the cells that the sorted numbers fall into.
func cells(sorted []float64) []float64 {
	different := slices.Compact(slices.Clone(sorted))
	if len(different) <= mostCells {
		return different
	}
	edges := make([]float64, mostCells)
	for i := range edges {
		edges[i] = sorted[(i+1)*len(sorted)/mostCells-1]
	}
	return slices.Compact(edges)
}

// in returns the window with cells in place of numbers.
func (n *Numbers) in(edges []float64) *Categories {
	c := &Categories{counts: make([]int, len(edges)), singles: make([]int, len(edges)), size: n.size}
	values := n.values
	var block []Count
	for _, rows := range n.blocks {
		block = block[:0]
		for _, v := range values[:rows] {
			cell, _ := slices.BinarySearch(edges, v)
			c.counts[cell]++
			if rows == 1 {
				c.singles[cell]++
			}
			block = append(block, Count{cell, 1})
		}
		if rows > 1 {
			c.blocks.add(rows, block...)
		}
		values = values[rows:]
	}
	return c
}

// distance returns the largest difference of the cumulated shares of some rows and of all others.
func distance(counts, all []int, rows, total int) (largest float64) {
	if rows == 0 || rows == total {
		return 0
	}
	n, m := 1/float64(rows), 1/float64(total-rows)
	x, y := 0, 0
	for c, drawn := range counts {
		x, y = x+drawn, y+all[c]-drawn
		largest = max(largest, math.Abs(float64(x)*n-float64(y)*m))
	}
	return largest
}

// wasserstein returns the area between the cumulated shares of two sorted samples.
func wasserstein(a, b []float64) (area float64) {
	i, j := 0, 0
	last := min(a[0], b[0])
	for i < len(a) || j < len(b) {
		next := math.Inf(1)
		if i < len(a) {
			next = a[i]
		}
		if j < len(b) {
			next = min(next, b[j])
		}
		area += math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))) * (next - last)
		for i < len(a) && a[i] == next {
			i++
		}
		for j < len(b) && b[j] == next {
			j++
		}
		last = next
	}
	return area
}
