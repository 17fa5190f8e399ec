package drift

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"jobstrom/drift/alarms"
	"jobstrom/drift/stats"
)

// compareWords compares a categorical column: its verdict by the preset, its distances by package stats.
func (fs *frames) compareWords(name string, blocks [2][][]int, o Options) (Column, error) {
	names := fs.dictionaries[name].names
	column := Column{Name: name, Kind: Categorical}
	// In the order of their names, so that results do not depend on what was read first.
	order := make([]int, len(names)) // of the dictionary's numbers
	sorted := slices.Sorted(slices.Values(names))
	for i, n := range names {
		order[i], _ = slices.BinarySearch(sorted, n)
	}
	var windows [2]alarms.Categories
	for side, f := range []*frame{&fs.reference, &fs.current} {
		words := f.words[name]
		for _, block := range blocks[side] {
			var counts []alarms.Count
			for _, i := range block {
				if i >= len(words) || words[i] < 0 {
					column.Missing[side]++
					continue
				}
				counts = append(counts, alarms.Count{Category: order[words[i]], Rows: 1})
			}
			if err := windows[side].AddBlock(counts...); err != nil {
				return column, err
			}
		}
	}
	compare := alarms.Categorical
	if o.Preset == Evidently {
		compare = alarms.DescribeCategorical
	}
	var err error
	if column.Result, err = compare(&windows[0], &windows[1], o.Alarms); err != nil {
		return column, err
	}
	column.Column = name
	var counts [2][]int
	for side := range windows {
		counts[side] = append(windows[side].Counts(), make([]int, len(sorted)-len(windows[side].Counts()))...)
	}
	for side := range counts {
		column.Summary[side] = summariseCategories(sorted, counts[side], column.Missing[side])
	}
	column.Values = sorted
	column.ReferenceShares, column.CurrentShares = shares(counts[0]), shares(counts[1])
	table, err := stats.NewTable(counts[0], counts[1])
	if errors.Is(err, stats.ErrEmpty) {
		return column, nil // the reason says so
	}
	if err != nil {
		return column, err
	}
	chiSquare, contingency := table.ChiSquare(), table.Contingency()
	column.Statistics = map[string]float64{
		"psi": table.PSI(), "kl": table.KL(), "jensen_shannon": table.JensenShannon(), "hellinger": table.Hellinger(), "total_variation": table.TotalVariation(),
		"chi_square": chiSquare.Statistic, "chi_square_p": chiSquare.P, "contingency": contingency.Statistic, "contingency_p": contingency.P,
	}
	if len(sorted) == 2 {
		z := table.Z()
		column.Statistics["z"], column.Statistics["z_p"] = z.Statistic, z.P
	}
	column.finite()
	if o.Preset == Evidently && column.Reason == "" {
		evidently(&column.Result, stats.EvidentlyCategorical(table))
	}
	return column, nil
}

// compareNumbers does the same for a numeric column.
func (fs *frames) compareNumbers(name string, blocks [2][][]int, o Options) (Column, error) {
	column := Column{Name: name, Kind: Numeric}
	var windows [2]alarms.Numbers
	var samples [2]stats.Sample
	for side, f := range []*frame{&fs.reference, &fs.current} {
		values := f.numbers[name]
		var all []float64
		for _, block := range blocks[side] {
			var some []float64
			for _, i := range block {
				if i >= len(values) || math.IsNaN(values[i]) {
					column.Missing[side]++
					continue
				}
				some = append(some, values[i])
			}
			windows[side].AddBlock(some...)
			all = append(all, some...)
		}
		samples[side] = stats.NewSample(all)
	}
	compare := alarms.Numeric
	if o.Preset == Evidently {
		compare = alarms.DescribeNumeric
	}
	var err error
	if column.Result, err = compare(&windows[0], &windows[1], o.Alarms); err != nil {
		return column, err
	}
	column.Column = name
	for side := range samples {
		column.Summary[side] = summariseNumbers(samples[side], column.Missing[side])
	}
	numbers, err := stats.NewNumbers(samples[0], samples[1])
	if errors.Is(err, stats.ErrEmpty) {
		return column, nil
	}
	if err != nil {
		return column, err
	}
	ks, mw, binned := numbers.KolmogorovSmirnov(), numbers.MannWhitney(), numbers.Binned()
	before, after := numbers.Means()
	column.Statistics = map[string]float64{
		"ks": ks.Statistic, "ks_p": ks.P, "wasserstein": numbers.Wasserstein(), "mann_whitney": mw.Statistic, "mann_whitney_p": mw.P, "reference_mean": before, "current_mean": after,
		"psi": binned.PSI(), "jensen_shannon": binned.JensenShannon(),
	}
	column.finite()
	column.Edges, column.ReferenceShares, column.CurrentShares = numbers.Histogram()
	if o.Preset == Evidently && column.Reason == "" {
		evidently(&column.Result, stats.EvidentlyNumeric(numbers))
	}
	return column, nil
}

// finite leaves out statistics that are infinite, as χ² is with a value that the reference lacks: JSON has no number for them.
func (c *Column) finite() {
	for name, v := range c.Statistics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			delete(c.Statistics, name)
		}
	}
}

// shares divides counts by their sum.
func shares(counts []int) []float64 {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	all := make([]float64, len(counts))
	for i, n := range counts {
		all[i] = float64(n) / float64(max(sum, 1))
	}
	return all
}

// Label names value i: the category itself, or the bounds of a bin.
func (c *Column) Label(i int) string {
	if c.Kind == Categorical {
		return c.Values[i]
	}
	return fmt.Sprintf("%.4g–%.4g", c.Edges[i], c.Edges[i+1])
}
