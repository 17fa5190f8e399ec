// Package report writes a comparison of two windows for people: as one page and as text for a terminal.
//
// The page needs no network and no script. Neither holds a vacancy's text; both hold the values of its columns, cut where they are long, with what a
// terminal would obey taken out.
package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
)

// Options say what is reported.
type Options struct {
	Comparison *drift.Comparison
	// Version is that of the program; may be empty.
	Version string
	// Made is when the comparison was made; zero: not told.
	Made time.Time
}

// Validate reports every violation: a comparison that was read from a file may be of any shape.
func (o Options) Validate() error {
	if o.Comparison == nil {
		return errors.New("there is no comparison")
	}
	var wrong []error
	for _, c := range o.Comparison.Columns {
		if err := validate(c); err != nil {
			wrong = append(wrong, fmt.Errorf("column %q: %w", shown(c.Name), err))
		}
	}
	if m := o.Comparison.Map; m != nil {
		if err := validateMap(m); err != nil {
			wrong = append(wrong, fmt.Errorf("the map: %w", err))
		}
	}
	wrong = append(wrong, validateShift(o.Comparison), validateSummaries(o.Comparison))
	return errors.Join(wrong...)
}

// validate says what in a column cannot be drawn.
func validate(c drift.Column) error {
	n := len(c.ReferenceShares)
	switch {
	case len(c.CurrentShares) != n:
		return fmt.Errorf("it has %d shares in the reference window and %d in the current one", n, len(c.CurrentShares))
	case c.Kind == drift.Categorical && len(c.Values) != n:
		return fmt.Errorf("it has %d values but %d shares", len(c.Values), n)
	case c.Kind == drift.Numeric && n > 0 && len(c.Edges) != n+1:
		return fmt.Errorf("its %d bins have %d edges, not one more", n, len(c.Edges))
	}
	for i, e := range c.Edges {
		if !finite(e, e-c.Edges[0]) || i > 0 && e < c.Edges[i-1] { // bins of no width occur: floating point may not have as many numbers there
			return fmt.Errorf("edge %d (%v) must be finite and not below the one before", i, e)
		}
	}
	if last := len(c.Edges) - 1; last > 0 && c.Edges[0] == c.Edges[last] {
		return fmt.Errorf("all its edges are %v: its bins have no width", c.Edges[0])
	}
	for _, s := range slices.Concat(c.ReferenceShares, c.CurrentShares) {
		if !(s >= 0 && s <= 1+1e-9) {
			return fmt.Errorf("share %v must be within 0 and 1", s)
		}
	}
	for _, d := range c.Differences {
		if d.Category < 0 || d.Category >= len(c.Values) {
			return fmt.Errorf("it tells of category %d but has %d values", d.Category, len(c.Values))
		}
		if !finite(d.Reference, d.Current, d.Residual) {
			return fmt.Errorf("the difference of category %d (%+v) must be finite", d.Category, d)
		}
	}
	for name, v := range c.Statistics {
		if !finite(v) {
			return fmt.Errorf("%s (%v) must be finite", name, v)
		}
	}
	for _, e := range append([]alarms.Effect{{Name: c.EffectName, Value: c.Effect}, {Name: c.StatisticName, Value: c.Statistic}, {Name: "gate", Value: c.Gate}, {Name: "p", Value: c.P}, {Name: "q", Value: c.Q}}, c.Beside...) {
		if !finite(e.Value) {
			return fmt.Errorf("%s (%v) must be finite", e.Name, e.Value)
		}
	}
	return nil
}

func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
