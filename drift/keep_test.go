package drift

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"jobstrom/health"
)

// Hours that are touched while Keep runs are counted, and ClickHouse's refusals end nothing.
func TestKeep(t *testing.T) {
	w := openInstalled(t)
	touched := func() (n uint64) {
		t.Helper()
		if err := w.Conn().QueryRow(t.Context(), "SELECT count() FROM touched_hour_rows FINAL WHERE computed_at = 0").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- Keep(ctx, KeepOptions{Warehouse: w, Interval: 50 * time.Millisecond, Board: &health.Board{}})
	}()
	s := &stream{random: rand.New(rand.NewPCG(1, 1)), region: "Fyn"}
	for round := range 2 {
		s.publish(t, w, day(1+30*round, 0), 5)
		if err := w.Conn().Exec(t.Context(), "RENAME TABLE drift_hour_rows TO away"); err != nil { // for a moment
			t.Fatal(err)
		}
		if err := w.Conn().Exec(t.Context(), "RENAME TABLE away TO drift_hour_rows"); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(3 * time.Minute); touched() > 0; <-time.After(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d hours were not counted in 3 minutes", touched())
			}
		}
	}
	var n uint64
	if err := w.Conn().QueryRow(t.Context(), "SELECT sum(rows) FROM drift_hour_rows FINAL WHERE column = 'source'").Scan(&n); err != nil || int64(n) != s.offset {
		t.Errorf("%d vacancies are counted, want %d: %v", n, s.offset, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
