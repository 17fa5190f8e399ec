package report

import (
	"errors"
	"fmt"
	"strings"

	"jobstrom/drift"
)

// described is a line that describes the data of both windows, "–" where there is nothing to say.
type described struct{ Name, Reference, Current string }

// describe makes a line of what f says of each window.
func describe(name string, f func(side int) string) described { return described{name, f(0), f(1)} }

// dataset describes both windows as a whole; nothing where the comparison does not.
func dataset(c *drift.Comparison) []described {
	s := c.Summary
	if len(s.Columns) == 0 {
		return nil
	}
	names := func(all [2][]string) func(int) string {
		return func(side int) string {
			if len(all[side]) == 0 {
				return "none"
			}
			var names []string
			for _, n := range all[side] {
				names = append(names, shown(n))
			}
			return fmt.Sprintf("%d: %s", len(names), list(names))
		}
	}
	return []described{
		describe("vacancies", func(side int) string { return count(s.Rows[side]) }),
		describe("published again", func(side int) string { return share(s.Repeated[side], s.Rows[side]) }),
		describe("missing values", func(side int) string {
			return fmt.Sprintf("%s (%s)", count(s.Missing[side]), percent(s.MissingShare[side]))
		}),
		describe("columns of one value", names(s.Constant)),
		describe("columns without a value", names(s.Empty)),
	}
}

// values describes the values of a column; nothing of an embedding.
func values(c drift.Column) []described {
	if c.Summary[0] == nil || c.Summary[1] == nil {
		return nil
	}
	of := func(name string, f func(s *drift.ColumnSummary) string) described {
		return describe(name, func(side int) string { return f(c.Summary[side]) })
	}
	all := []described{
		of("values", func(s *drift.ColumnSummary) string { return count(s.Rows) }),
		of("missing", func(s *drift.ColumnSummary) string { return share(s.Missing, s.Rows+s.Missing) }),
		of("different values", func(s *drift.ColumnSummary) string { return count(s.Distinct) }),
	}
	if c.Kind == drift.Categorical {
		return append(all, of("most common", func(s *drift.ColumnSummary) string {
			if s.CategorySummary == nil {
				return "–"
			}
			return fmt.Sprintf("%s (%s)", shown(s.MostCommon), percent(s.MostCommonShare))
		}))
	}
	figure := func(name string, f func(n *drift.NumberSummary) *float64) {
		all = append(all, of(name, func(s *drift.ColumnSummary) string {
			if s.NumberSummary == nil || f(s.NumberSummary) == nil {
				return "–"
			}
			return number(*f(s.NumberSummary))
		}))
	}
	figure("mean", func(n *drift.NumberSummary) *float64 { return &n.Mean })
	figure("standard deviation", func(n *drift.NumberSummary) *float64 { return n.Std })
	figure("smallest", func(n *drift.NumberSummary) *float64 { return &n.Min })
	figure("first quartile", func(n *drift.NumberSummary) *float64 { return &n.Q25 })
	figure("median", func(n *drift.NumberSummary) *float64 { return &n.Median })
	figure("third quartile", func(n *drift.NumberSummary) *float64 { return &n.Q75 })
	figure("largest", func(n *drift.NumberSummary) *float64 { return &n.Max })
	return all
}

// share writes a count with what share it is of a total.
func share(n, of int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", count(n), percent(float64(n)/float64(max(of, 1))))
}

// validateSummaries says which figure that describes the data is none.
func validateSummaries(c *drift.Comparison) error {
	var wrong []error
	if s := c.Summary.MissingShare; !finite(s[:]...) {
		wrong = append(wrong, fmt.Errorf("the shares of missing values %v must be finite", s))
	}
	for _, column := range c.Columns {
		for side, s := range column.Summary {
			var figures []float64
			if s != nil && s.NumberSummary != nil {
				figures = append(figures, s.Mean, s.Min, s.Q25, s.Median, s.Q75, s.Max)
				if s.Std != nil {
					figures = append(figures, *s.Std)
				}
			}
			if s != nil && s.CategorySummary != nil {
				figures = append(figures, s.MostCommonShare)
			}
			if !finite(figures...) {
				wrong = append(wrong, fmt.Errorf("column %q: the summary of the %s window %v must be finite", shown(column.Name), strings.Fields("reference current")[side], figures))
			}
		}
	}
	return errors.Join(wrong...)
}
