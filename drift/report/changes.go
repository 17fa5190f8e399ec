package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"jobstrom/drift"
)

// change is what became of one category.
type change struct {
	Column, Value      string
	Reference, Current float64 // shares
	// Residual is the difference in standard deviations. Untested: there is none.
	Residual float64
	Untested bool
	// Rest says that it stands for many categories.
	Rest bool
}

// Difference is in shares.
func (c change) Difference() float64 { return c.Current - c.Reference }

// Remark says of a category that only one window has it.
func (c change) Remark() string {
	switch {
	case c.Reference == 0 && c.Current > 0:
		return "new"
	case c.Current == 0 && c.Reference > 0:
		return "gone"
	}
	return ""
}

// largest returns the categories whose shares differ most, of all columns.
func largest(columns []drift.Column, limit int) []change {
	var all []change
	for _, c := range columns {
		for _, d := range c.Differences {
			if d.Current != d.Reference {
				all = append(all, change{Column: shown(c.Name), Value: shown(c.Values[d.Category]), Reference: d.Reference, Current: d.Current, Residual: d.Residual})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b change) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Difference()), math.Abs(a.Difference())), cmp.Compare(math.Abs(b.Residual), math.Abs(a.Residual)))
	})
	return all[:min(limit, len(all))]
}

// mean is what became of the mean of a numeric column.
type mean struct {
	Column             string
	Reference, Current float64
	// Shift is their difference in standard deviations.
	Shift float64
}

// shiftName is what package alarms calls a shift.
const shiftName = "difference of means"

// means returns those of the numeric columns that have them, the largest shift first.
func means(columns []drift.Column) []mean {
	var all []mean
	for _, c := range columns {
		before, known := c.Statistics["reference_mean"]
		for _, e := range c.Beside {
			if known && e.Name == shiftName {
				all = append(all, mean{shown(c.Name), before, c.Statistics["current_mean"], e.Value})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b mean) int { return cmp.Compare(math.Abs(b.Shift), math.Abs(a.Shift)) })
	return all
}

// mostBars bounds the values of a column that are shown.
const mostBars = 25

// bars returns the shares of a categorical column, the most common values first and the rest as one.
func bars(c drift.Column) []change {
	residuals := map[int]float64{}
	for _, d := range c.Differences {
		residuals[d.Category] = d.Residual
	}
	var all []change
	for i, v := range c.Values {
		residual, tested := residuals[i]
		if c.ReferenceShares[i] > 0 || c.CurrentShares[i] > 0 {
			all = append(all, change{shown(c.Name), shown(v), c.ReferenceShares[i], c.CurrentShares[i], residual, !tested, false})
		}
	}
	slices.SortStableFunc(all, func(a, b change) int {
		return cmp.Compare(max(b.Reference, b.Current), max(a.Reference, a.Current))
	})
	if len(all) <= mostBars {
		return all
	}
	others := change{Column: shown(c.Name), Value: fmt.Sprintf("%s others", count(len(all)-mostBars+1)), Untested: true, Rest: true}
	for _, rest := range all[mostBars-1:] {
		others.Reference += rest.Reference
		others.Current += rest.Current
	}
	return append(all[:mostBars-1], others)
}

// statistic is a line of a column's table.
type statistic struct{ Name, Value, P string }

// statistics returns what is known of a column beside its effect, in a fixed order; what has no name here comes last under its own.
func statistics(c drift.Column) []statistic {
	var all []statistic
	add := func(name string, v float64) {
		all = append(all, statistic{Name: strings.NewReplacer("Kolmogorov-S", "Kolmogorov–S", "Jensen-S", "Jensen–S").Replace(name), Value: number(v)})
	}
	if c.StatisticName != "" && c.StatisticName != c.EffectName && c.Reason == "" {
		add(test(c.StatisticName), c.Statistic)
	}
	for _, e := range c.Beside {
		if e.Name == shiftName {
			e.Name += " in standard deviations"
		}
		add(e.Name, e.Value)
	}
	rest := maps.Clone(c.Statistics)
	delete(rest, "reference_mean") // the summary has them
	delete(rest, "current_mean")
	if rest["mmd2_error"] == 0 {
		delete(rest, "mmd2_error")
	}
	for _, s := range []struct{ key, name string }{
		{"psi", "population stability index"}, {"kl", "Kullback–Leibler divergence"}, {"jensen_shannon", "Jensen–Shannon distance"},
		{"hellinger", "Hellinger distance"}, {"total_variation", "total variation"}, {"wasserstein", "normed Wasserstein distance"},
		{"chi_square", "χ² against the reference's shares"}, {"contingency", "χ² of both windows"}, {"z", "z test"}, {"ks", "Kolmogorov–Smirnov"}, {"mann_whitney", "Mann–Whitney U"},
		{"euclidean", "Euclidean distance of means"}, {"cosine", "cosine distance of means"}, {"cityblock", "city block distance of means"}, {"chebyshev", "largest distance in a component"},
		{"drifted_components", "share of components with drift"}, {"drifted_components_evidently", "share by Evidently's rule"}, {"mmd2", "unbiased MMD²"}, {"mmd2_error", "its error, by random features"},
		{"roc_auc", "domain classifier, ROC AUC"}, {"roc_auc_gate", "Evidently's gate for it"},
	} {
		v, known := rest[s.key]
		p, tested := rest[s.key+"_p"]
		switch {
		case known:
			add(s.name, v)
		case tested: // what is infinite is left out of a comparison
			all = append(all, statistic{Name: s.name, Value: "∞"})
		default:
			continue
		}
		if tested {
			all[len(all)-1].P = probability(p)
		}
		delete(rest, s.key)
		delete(rest, s.key+"_p")
	}
	for _, key := range slices.Sorted(maps.Keys(rest)) {
		add(strings.ReplaceAll(shown(key), "_", " "), rest[key])
	}
	// The verdict's statistic may be there under the same name with its p, which is the one to keep.
	last := map[string]int{}
	for i, s := range all {
		last[s.Name] = i
	}
	kept := all[:0]
	for i, s := range all {
		if last[s.Name] == i {
			kept = append(kept, s)
		}
	}
	return kept
}

// model is one that classified vacancies of the windows.
type model struct {
	Name               string
	Reference, Current int
}

func models(c *drift.Comparison) []model {
	names := slices.AppendSeq(slices.Collect(maps.Keys(c.Models[0])), maps.Keys(c.Models[1]))
	slices.Sort(names)
	var all []model
	for _, name := range slices.Compact(names) {
		all = append(all, model{cut(shown(name), 12), c.Models[0][name], c.Models[1][name]})
	}
	return all
}

// count writes a whole number with thin spaces between thousands.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
