package drift

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Steps count what the rows hold, whether their hours are kept as states or not; what lies before or behind is left out.
func TestSeries(t *testing.T) {
	w := openInstalled(t)
	insert(t, w, vacancies(0, 64)) // one in an hour and a half from day 1 on, by two models
	count := func(from, to float64) map[string]uint64 {
		counts := map[string]uint64{}
		for _, p := range vacancies(0, 64).predictions {
			if !p.PublishedAt.Before(day(1, from)) && p.PublishedAt.Before(day(1, to)) {
				counts[p.Category]++
			}
		}
		return counts
	}
	f := func(since, until time.Time, step time.Duration, want []Step) {
		t.Helper()
		got, err := Series(t.Context(), w, "category", since, until, step)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	f(day(1, 0), day(3, 0), 24*time.Hour, []Step{{day(1, 0), count(0, 24)}, {day(2, 0), count(24, 48)}})
	f(day(1, 3), day(1, 6), time.Hour, []Step{{day(1, 3), count(3, 4)}, {day(1, 4), count(4, 5)}})
	f(day(1, 12), day(2, 12), 24*time.Hour, []Step{{day(1, 0), count(12, 24)}, {day(2, 0), count(24, 36)}})
	f(day(300, 0), day(301, 0), time.Hour, nil)
}
