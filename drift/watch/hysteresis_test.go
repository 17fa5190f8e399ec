package watch

import (
	"testing"
	"time"

	"jobstrom/drift/alarms"
)

// Each letter is the verdict of an evaluation: d drift, p possible, . none, u unknown. An upper-case letter evaluates the window of before again.
func TestHysteresis(t *testing.T) {
	f := func(verdicts, want string) {
		t.Helper()
		h := hysteresis{raise: 2, clear: 3}
		end, since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}
		got := ""
		for _, v := range verdicts {
			verdict := map[rune]alarms.Verdict{'d': alarms.Drift, 'D': alarms.Drift, 'p': alarms.Possible, '.': alarms.None, ':': alarms.None, 'u': alarms.Unknown}[v]
			if v != 'D' && v != ':' {
				end = end.Add(time.Hour)
			}
			switch h.see("category", since, verdict, end) {
			case raised:
				got, since = got+"R", end
			case cleared:
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
	f("duudu.u.uuu.", "---R-------C") // nothing known is no evaluation
	f("dDDDd", "----R")               // a window counts once, however often it is evaluated
	f("dd.:::..", "-R-----C")
	f("......dd", "-------R")
	f("dd...dd...", "-R--C-R--C")
	f("uuuuuu", "------")
}

// An alarm is not cleared by the window that raised it, or the next one that raises could not be told from it.
func TestHysteresisOfOne(t *testing.T) {
	h := hysteresis{raise: 1, clear: 1}
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := h.see("category", time.Time{}, alarms.Drift, end); got != raised {
		t.Error("not raised")
	}
	if got := h.see("category", end, alarms.None, end); got != stays {
		t.Error("cleared by its own window")
	}
	if got := h.see("category", end, alarms.None, end.Add(time.Hour)); got != cleared {
		t.Error("not cleared")
	}
	if got := h.see("label", time.Time{}, alarms.Drift, end); got != raised {
		t.Error("columns are not apart")
	}
}
