package watch

import (
	"testing"
	"time"

	"jobstrom/drift/alarms"
)

// Each letter is the verdict of an evaluation, one an hour: d drift, p possible, . none, u unknown. D and : evaluate the window of before again.
func TestHysteresis(t *testing.T) {
	f := func(verdicts, want string) {
		t.Helper()
		h := Hysteresis{RaiseAfter: time.Hour, ClearAfter: 2 * time.Hour}
		end, since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}
		got := ""
		for _, v := range verdicts {
			verdict := map[rune]alarms.Verdict{'d': alarms.Drift, 'D': alarms.Drift, 'p': alarms.Possible, '.': alarms.None, ':': alarms.None, 'u': alarms.Unknown}[v]
			if v != 'D' && v != ':' {
				end = end.Add(time.Hour)
			}
			switch h.See("category", since, verdict, end) {
			case Raises:
				got, since = got+"R", end
			case Clears:
				got, since = got+"C", time.Time{}
			default:
				got += "-"
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", verdicts, got, want)
		}
	}
	f("", "")
	f("dddddddd", "-R------")               // one shift, one alarm
	f("d.d.d.d.", "--------")               // near the threshold nothing is raised,
	f("dd.d.d..d..d...", "-R------------C") // and what is raised stays
	f("dpdpddpp....", "-----R----C-")
	f("ddpppppp", "-R------")
	f("duudu.u.uuu.", "---R---C----") // what is not known ends nothing
	f("dDDDd", "----R")               // a window counts once, however often it is evaluated
	f("dd.:::..", "-R-----C")
	f("......dd", "-------R")
	f("dd...dd...", "-R--C-R--C")
	f("uuuuuu", "------")
}

// An alarm is not cleared by the window that raised it, or the next one that raises could not be told from it.
func TestHysteresisOfOne(t *testing.T) {
	h := Hysteresis{}
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := h.See("category", time.Time{}, alarms.Drift, end); got != Raises {
		t.Error("not raised")
	}
	if got := h.See("category", end, alarms.None, end); got != Stays {
		t.Error("cleared by its own window")
	}
	if got := h.See("category", end, alarms.None, end.Add(time.Hour)); got != Clears {
		t.Error("not cleared")
	}
	if got := h.See("label", time.Time{}, alarms.Drift, end); got != Raises {
		t.Error("columns are not apart")
	}
}
