package drift

import (
	"context"
	"log/slog"
	"time"

	"jobstrom/health"
	"jobstrom/warehouse"
)

// KeepOptions configure Keep.
type KeepOptions struct {
	Warehouse *warehouse.Warehouse
	// Interval between two looks for touched hours. Default 30 s.
	Interval time.Duration
	// Board takes what is wrong; nil shows it nowhere.
	Board  *health.Board
	Logger *slog.Logger
}

// EnsureDefaults fills what is zero.
func (o *KeepOptions) EnsureDefaults() {
	if o.Interval == 0 {
		o.Interval = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// keepGrace is how long ClickHouse may refuse before anyone is told: the views' answers stay right meanwhile, they only become slower.
const keepGrace = 5 * time.Minute

// Keep recomputes the hours that are touched, again and again, until ctx ends (nil). What fails is tried again: it never ends a flow.
func Keep(ctx context.Context, o KeepOptions) error {
	o.EnsureDefaults()
	at := health.Place{Part: "clickhouse", Stage: "drift"}
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for {
		done, err := Recompute(ctx, o.Warehouse)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			o.Logger.Warn("the hours of drift are not counted, trying again", "error", err)
			o.Board.Report(health.Problem{Place: at, Reason: err.Error(), Remedy: "it is tried again by itself, drift queries are slower meanwhile; see that ClickHouse runs, can be reached and has room"}, keepGrace)
		default:
			o.Board.Clear(at)
			if done.Hours+done.Kept > 0 {
				o.Logger.Debug("counted the hours of drift", "hours", done.Hours, "kept", done.Kept)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
