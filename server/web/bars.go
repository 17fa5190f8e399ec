package web

import (
	"cmp"
	"slices"
)

// bar is one category's probability.
type bar struct {
	Index int
	Name  string
	Share float64
	// Width is the bar's, in percent of the room.
	Width float64
}

// barsOf returns the categories of a distribution, the most probable first. It has one value for each name.
func barsOf(distribution []float64, names []string) []bar {
	bars := make([]bar, 0, len(names))
	for i, name := range names {
		if i < len(distribution) {
			bars = append(bars, bar{Index: i, Name: name, Share: distribution[i], Width: 100 * min(max(distribution[i], 0), 1)})
		}
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(b.Share, a.Share) })
	return bars
}
