package warehouse

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whatever is written again and in whichever order, an event stays what it was and delivered once it is.
func TestDriftEvents(t *testing.T) {
	w := openMigrated(t)
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	event := func(id, kind, alarm string, hours int) DriftEventRow {
		return DriftEventRow{
			EventID: id, At: at.Add(time.Duration(hours) * time.Hour), Watch: "last 7d against model", Kind: kind, AlarmID: alarm, Column: "category", Verdict: "drift",
			Effect: .25, EffectName: "total variation", Gate: .1, Q: .001, ReferenceFrom: at.AddDate(0, 0, -28), ReferenceTo: at.AddDate(0, 0, -7), ReferenceVacancies: 1000,
			CurrentFrom: at.AddDate(0, 0, -7), CurrentTo: at, CurrentVacancies: 300, Changes: []ShareChange{{"Salg", .1, .35}, {"Ledelse", .2, .1}}, Encoder: "e", Reason: "for people", Version: "v",
		}
	}
	first, second, end := event("a", "raised", "a", 0), event("b", "raised", "b", 1), event("c", "cleared", "a", 2)
	other := event("d", "raised", "d", 3)
	other.Watch = "last 4w against before"
	published := first
	published.PublishedAt = at.Add(time.Minute)
	done := published
	done.CalledAt = at.Add(2 * time.Minute)
	for _, rows := range [][]DriftEventRow{{first, second}, {done}, {first, published}, {end}, {other}, {first}} {
		if err := w.InsertDriftEvents(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	f := func(filter DriftEventFilter, want ...DriftEventRow) {
		t.Helper()
		got, err := w.ReadDriftEvents(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", filter, diff)
		}
	}
	f(DriftEventFilter{}, done, second, end, other)
	f(DriftEventFilter{Watch: first.Watch}, done, second, end)
	f(DriftEventFilter{Watch: first.Watch, Open: true}, second)
	f(DriftEventFilter{Watch: first.Watch, Undelivered: true}, second, end)
	f(DriftEventFilter{Since: at.Add(150 * time.Minute)}, other)
	f(DriftEventFilter{Watch: "none"})
	if err := w.Conn().Exec(t.Context(), "OPTIMIZE TABLE drift_event_rows FINAL"); err != nil {
		t.Fatal(err)
	}
	f(DriftEventFilter{}, done, second, end, other)
}
