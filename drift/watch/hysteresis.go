package watch

import (
	"time"

	"jobstrom/drift/alarms"
)

// hysteresis counts verdicts in a row, column by column: neighbouring windows share most of their vacancies, so a column near its threshold would
// raise and clear its alarm again and again.
type hysteresis struct {
	// raise and clear are how many evaluations in a row it takes.
	raise, clear int
	columns      map[string]streak
}

// streak is how often in a row a column had a verdict.
type streak struct {
	verdict alarms.Verdict
	count   int
	end     time.Time // of the newest window
}

// change is what becomes of an alarm.
type change int

const (
	stays change = iota
	raised
	cleared
)

// see takes the verdict on a column in the window that ends then, and says what becomes of its alarm, which was raised by the window that ended at since; zero: it has
// none. A window that is evaluated again counts once, and that which raised an alarm does not clear it. An unknown verdict counts for nothing; possible raises
// no alarm and clears none.
func (h *hysteresis) see(column string, since time.Time, verdict alarms.Verdict, end time.Time) change {
	if verdict == alarms.Unknown {
		return stays
	}
	if h.columns == nil {
		h.columns = map[string]streak{}
	}
	s := h.columns[column]
	switch {
	case s.verdict != verdict:
		s = streak{verdict, 1, end}
	case end.After(s.end):
		s.count, s.end = s.count+1, end
	}
	h.columns[column] = s
	switch {
	case since.IsZero() && verdict == alarms.Drift && s.count >= h.raise:
		return raised
	case !since.IsZero() && verdict == alarms.None && s.count >= h.clear && end.After(since):
		return cleared
	}
	return stays
}
