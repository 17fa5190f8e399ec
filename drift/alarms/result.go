package alarms

import (
	"fmt"
	"math"
)

// Verdict is what Judge makes of a result.
type Verdict string

const (
	// None: chance explains the difference.
	None Verdict = "none"
	// Possible: chance does not explain the difference, but it is smaller than the gate.
	Possible Verdict = "possible"
	// Drift: chance does not explain the difference, and it is as large as the gate or larger.
	Drift Verdict = "drift"
	// Unknown: the windows cannot be compared. The result's Reason says why.
	Unknown Verdict = "unknown"
)

// Size is how much a window holds.
type Size struct {
	Rows   int `json:"rows"`
	Blocks int `json:"blocks"`
	// Missing counts the numbers that are none (NaN or infinite). They are no rows.
	Missing int `json:"missing,omitempty"`
}

// Effect is a size of a difference that does not depend on how many rows there are.
type Effect struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Difference is what became of one category.
type Difference struct {
	Category int `json:"category"`
	// Reference and Current are its shares of the rows.
	Reference float64 `json:"reference"`
	Current   float64 `json:"current"`
	// Residual is the signed difference in standard deviations, as Categorical finds it.
	Residual float64 `json:"residual"`
}

// Result compares two windows of one column. No field is ever NaN or infinite.
type Result struct {
	// Column is for the caller.
	Column string `json:"column,omitempty"`
	// Statistic is what the test compares with chance.
	Statistic     float64 `json:"statistic"`
	StatisticName string  `json:"statistic_name"`
	// P is how often chance makes a statistic as large; Q, which Judge fills, is P corrected for the number of columns.
	P float64 `json:"p"`
	Q float64 `json:"q"`
	// Effect is what Gate is compared with.
	Effect     float64 `json:"effect"`
	EffectName string  `json:"effect_name"`
	Gate       float64 `json:"gate"`
	// Beside holds further effect sizes.
	Beside    []Effect `json:"beside,omitempty"`
	Reference Size     `json:"reference"`
	Current   Size     `json:"current"`
	// Resamples is how often blocks were drawn, 0 where nothing was tested.
	Resamples int `json:"resamples"`
	// Differences are those of the categories that either window holds, in the order of the categories. Only Categorical gives them.
	Differences []Difference `json:"differences,omitempty"`
	// Verdict is filled by Judge, but for Unknown, and for None where all rows of both windows hold the same: P is 1 without a draw then.
	Verdict Verdict `json:"verdict,omitempty"`
	// Reason says why there is no verdict.
	Reason string `json:"reason,omitempty"`
}

// unknown gives the result a reason.
func (r Result) unknown(format string, args ...any) Result {
	r.Verdict, r.Reason = Unknown, fmt.Sprintf(format, args...)
	return r
}

// comparable says in its reason when the windows are too small for any verdict.
func (r Result) comparable(alpha float64) Result {
	for _, w := range []struct {
		name string
		Size
	}{{"reference", r.Reference}, {"current", r.Current}} {
		missing := ""
		if w.Missing > 0 {
			missing = fmt.Sprintf(", not counting %d that hold no number", w.Missing)
		}
		switch {
		case w.Rows == 0:
			return r.unknown("the %s window is empty%s: choose other dates", w.name, missing)
		case w.Rows < minRows:
			return r.unknown("the %s window has %d rows%s, at least %d are needed: choose a longer window", w.name, w.Rows, missing, minRows)
		}
	}
	if choose(r.Reference.Blocks+r.Current.Blocks, min(r.Reference.Blocks, r.Current.Blocks)) < 1/alpha {
		return r.unknown("the rows came in %d and %d bursts: so few can differ by chance alone in most cases, choose longer windows", r.Reference.Blocks, r.Current.Blocks)
	}
	return r
}

// choose returns in how many ways k of n can be drawn, or infinity.
func choose(n, k int) float64 {
	ways := 1.0
	for i := range k {
		if ways *= float64(n-i) / float64(i+1); ways > 1e9 {
			return math.Inf(1)
		}
	}
	return ways
}
