package trainer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Slice is how good the predictions of some of the vacancies are.
type Slice struct {
	// Name says which: a source or a period.
	Name     string  `json:"name"`
	N        int     `json:"n"`
	Top1     float64 `json:"top1"`
	Top1Low  float64 `json:"top1_low"`
	Top1High float64 `json:"top1_high"`
	Balanced float64 `json:"balanced_accuracy"`
	MacroF1  float64 `json:"macro_f1"`
	LogLoss  float64 `json:"log_loss"`
	ECE      float64 `json:"ece"`
}

// NoName is the slice of vacancies without a source or time.
const NoName = "unknown"

// SlicesBySource evaluates each source by itself, the largest first.
func SlicesBySource(sources []string, probabilities [][]float32, truth []int, k int) []Slice {
	all := sliced(sources, probabilities, truth, k)
	slices.SortStableFunc(all, func(a, b Slice) int { return cmp.Compare(b.N, a.N) })
	return all
}

// SlicesByTime evaluates each period by itself, the oldest first. Periods are days, weeks, months, quarters
// or years in UTC: the shortest that make at most maxPeriods.
func SlicesByTime(times []time.Time, probabilities [][]float32, truth []int, k int) []Slice {
	var names []string
	for _, name := range periods {
		names = names[:0]
		distinct := map[string]bool{}
		for _, t := range times {
			period := ""
			if !t.IsZero() {
				period = name(t.UTC())
			}
			names, distinct[period] = append(names, period), true
		}
		if len(distinct) <= maxPeriods {
			break
		}
	}
	return sliced(names, probabilities, truth, k)
}

// maxPeriods bounds the slices by time, so that a page shows them all.
const maxPeriods = 24

// periods name the period of a time, shortest first. The names sort by time.
var periods = []func(time.Time) string{
	func(t time.Time) string { return t.Format(time.DateOnly) },
	func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprintf("%d-W%02d", year, week) },
	func(t time.Time) string { return t.Format("2006-01") },
	func(t time.Time) string { return fmt.Sprintf("%d-Q%d", t.Year(), (t.Month()+2)/3) },
	func(t time.Time) string { return t.Format("2006") },
}

// sliced evaluates the vacancies of each name, in the names' order.
func sliced(names []string, probabilities [][]float32, truth []int, k int) []Slice {
	if len(names) != len(truth) {
		panic(fmt.Sprintf("BUG: %d names of %d vacancies", len(names), len(truth)))
	}
	outcomes, positions := outcomes(probabilities, truth), map[string][]int{}
	for i, name := range names {
		if name = strings.TrimSpace(name); name == "" {
			name = NoName
		}
		positions[name] = append(positions[name], i)
	}
	var all []Slice
	for name, at := range positions {
		e := tally(outcomes, k, at)
		all = append(all, Slice{
			Name: name, N: e.N, Top1: e.Top1, Top1Low: e.Top1Low, Top1High: e.Top1High,
			Balanced: e.Balanced, MacroF1: e.MacroF1, LogLoss: e.LogLoss, ECE: e.ECE,
		})
	}
	slices.SortFunc(all, func(a, b Slice) int { return strings.Compare(a.Name, b.Name) })
	return all
}
