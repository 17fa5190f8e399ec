package watch

import (
	"time"

	"jobstrom/drift/alarms"
)

// Hysteresis knows since when each column has had its verdict: neighbouring windows share most of their vacancies, so a column near its threshold would raise and
// clear its alarm again and again.
type Hysteresis struct {
	// RaiseAfter and ClearAfter are how long a verdict must have held, from the end of one window to that of another. 0: the first counts.
	RaiseAfter, ClearAfter time.Duration
	columns                map[string]streak
}

// streak is since when a column has had a verdict, by the end of the first window that gave it.
type streak struct {
	verdict alarms.Verdict
	since   time.Time
}

// Change is what becomes of an alarm.
type Change int

// Changes.
const (
	Stays Change = iota
	Raises
	Clears
)

// See takes the verdict on a column in the window that ends then, and says what becomes of its alarm, which the window that ended at open raised; zero: it has none. An
// alarm is not cleared by the window that raised it. An unknown verdict counts for nothing; possible raises no alarm and clears none.
func (h *Hysteresis) See(column string, open time.Time, verdict alarms.Verdict, end time.Time) Change {
	if verdict == alarms.Unknown {
		return Stays
	}
	if h.columns == nil {
		h.columns = map[string]streak{}
	}
	if s := h.columns[column]; s.verdict != verdict {
		h.columns[column] = streak{verdict, end}
	}
	held := end.Sub(h.columns[column].since)
	switch {
	case open.IsZero() && verdict == alarms.Drift && held >= h.RaiseAfter:
		return Raises
	case !open.IsZero() && verdict == alarms.None && held >= h.ClearAfter && end.After(open):
		return Clears
	}
	return Stays
}
