package stats

import "math"

// sturgesValues is how many different reference values Evidently still compares as categories.
const sturgesValues = 20

// Binned is the table that Evidently makes of a numeric column for PSI, KL and Jensen–Shannon: the values themselves when the reference has at most 20 different
// ones, otherwise Sturges' bins over the rows of both windows (get_binned_data). Table holds the values in any case.
func (n Numbers) Binned() Table {
	if n.distinct() <= sturgesValues {
		return n.Table
	}
	return n.bins(n.edges(n.n + n.m))
}

// Hellinger is the Hellinger distance over Sturges' bins for as many rows as there are different values, which is how Evidently's _hellinger_distance bins numbers.
func (n Numbers) Hellinger() float64 { return n.bins(n.edges(float64(n.Values()))).Hellinger() }

// Histogram returns the edges of Sturges' bins over the rows of both windows, ascending, and the share of each window in each bin, one fewer than edges. The
// last bin holds its upper edge, the others do not.
func (n Numbers) Histogram() (edges, reference, current []float64) {
	edges = n.edges(n.n + n.m)
	reference, current = n.count(edges)
	for i := range reference {
		reference[i] /= n.n
		current[i] /= n.m
	}
	return edges, reference, current
}

// edges are those of numpy.histogram_bin_edges with "sturges" for so many rows: 1+log₂(rows) bins, rounded up, none narrower than 1 where all numbers are whole.
// numpy looks at the column's type instead.
func (n Numbers) edges(rows float64) []float64 {
	first, last := n.values[0], n.values[len(n.values)-1]
	bins := 1
	if first == last {
		first, last = first-.5, last+.5
	} else {
		width := (last - first) / (math.Log2(rows) + 1)
		if width < 1 && n.whole() {
			width = 1
		}
		if width > 0 {
			bins = int(math.Ceil((last - first) / width))
		}
	}
	edges := make([]float64, bins+1)
	step := (last - first) / float64(bins)
	for i := range edges {
		edges[i] = float64(float64(i)*step) + first // not fused: numpy rounds twice
	}
	edges[bins] = last
	return edges
}

// count sums the rows of each window in each bin.
func (n Numbers) count(edges []float64) (reference, current []float64) {
	bins := len(edges) - 1
	reference, current = make([]float64, bins), make([]float64, bins)
	bin := 0
	for i, v := range n.values {
		for bin < bins-1 && v >= edges[bin+1] {
			bin++
		}
		reference[bin] += n.reference[i]
		current[bin] += n.current[i]
	}
	return reference, current
}

// bins is the table of the rows in each bin. Evidently fills bins that hold none, which changes KL.
func (n Numbers) bins(edges []float64) Table {
	reference, current := n.count(edges)
	t := Table{n: n.n, m: n.m}
	for i, r := range reference {
		if r > 0 || current[i] > 0 {
			t.reference, t.current = append(t.reference, r), append(t.current, current[i])
		} else {
			t.empty++
		}
	}
	return t
}
