package drift

import (
	"testing"
	"time"
)

func TestParseWindow(t *testing.T) {
	now := time.Date(2026, 3, 31, 15, 42, 1, 0, time.FixedZone("CEST", 2*3600))
	f := func(text, from, to, again string) {
		t.Helper()
		w, err := ParseWindow(text, now)
		if err != nil {
			t.Error(err)
			return
		}
		if got := w.From.Format(time.RFC3339) + " " + w.To.Format(time.RFC3339); got != from+"Z "+to+"Z" {
			t.Errorf("%s: got %s, want %sZ %sZ", text, got, from, to)
		}
		if w.String() != again {
			t.Errorf("%s: written as %s, want %s", text, w, again)
		}
		if back, err := ParseWindow(w.String(), now); err != nil || back != w {
			t.Errorf("%s: written and read again it is %v, %v", text, back, err)
		}
	}
	f("2024", "2024-01-01T00:00:00", "2025-01-01T00:00:00", "2024")
	f(" 2024-02 ", "2024-02-01T00:00:00", "2024-03-01T00:00:00", "2024-02")
	f("2024-02-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00", "2024-02-29")
	f("2022..2023", "2022-01-01T00:00:00", "2024-01-01T00:00:00", "2022-01-01..2023-12-31")
	f("2022-11..2023-02-03", "2022-11-01T00:00:00", "2023-02-04T00:00:00", "2022-11-01..2023-02-03")
	f("2022-11-01T08:00..2022-11-01T12:00", "2022-11-01T08:00:00", "2022-11-01T12:00:00", "2022-11-01T08:00..2022-11-01T12:00")
	f("last 12h", "2026-03-31T01:00:00", "2026-03-31T13:00:00", "2026-03-31T01:00..2026-03-31T13:00")
	f("last7d", "2026-03-24T13:00:00", "2026-03-31T13:00:00", "2026-03-24T13:00..2026-03-31T13:00")
	f("last 2w", "2026-03-17T13:00:00", "2026-03-31T13:00:00", "2026-03-17T13:00..2026-03-31T13:00")

	for _, text := range []string{"", "now", "last", "last 0d", "last 7y", "2024-13", "2023-02-29", "2024..2023", "2024-03-01T08:00", "2024-03-01T08:30..2024-03-01T09:30", "1800", "..", "2024..", "last 99999w"} {
		if w, err := ParseWindow(text, now); err == nil && w.Validate() == nil {
			t.Errorf("%q is taken for %v", text, w)
		}
	}
}

func TestOverlaps(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"2022", "2023", false}, {"2022..2023", "2023", true}, {"2023-05-01", "2023", true}, {"2023-01", "2023-02", false}} {
		if got := window(t, c.a).Overlaps(window(t, c.b)); got != c.want || window(t, c.b).Overlaps(window(t, c.a)) != got {
			t.Errorf("%s and %s overlap: %v", c.a, c.b, got)
		}
	}
}

func FuzzParseWindow(f *testing.F) {
	f.Add("2024..2025")
	f.Add("last 7d")
	now := time.Date(2026, 3, 31, 15, 42, 1, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWindow(text, now)
		if err != nil {
			return
		}
		if err := w.Validate(); err != nil {
			t.Fatalf("%q gives %v: %v", text, w, err)
		}
		if back, err := ParseWindow(w.String(), now); err != nil || back != w {
			t.Fatalf("%q gives %v, which gives %v, %v", text, w, back, err)
		}
	})
}
