package drift

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"jobstrom/warehouse"
)

// Recomputed says what Recompute did.
type Recomputed struct {
	// Hours were computed again from the rows.
	Hours int
	// Kept hours were touched as well, but hold their last counts, because rows that they count have expired.
	Kept int
}

// dataset is one source of hourly counts.
type dataset struct {
	name string
	view string // its values, one row a column of each row
	// tables bound by their retention how long an hour can be computed again.
	tables []string
	// chunk bounds the hours of one statement, and so its memory: an hour has up to some thousand different numbers a column and model. Labels have
	// few different values, but each statement reads all of them.
	chunk int
}

// datasets lists the sources. Their names are those of the touched hours.
func datasets() []dataset {
	return []dataset{
		{"predictions", "drift_prediction_values", []string{"prediction_rows"}, 100},
		{"embeddings", "drift_embedding_values", []string{"embedding_rows"}, 100},
		{"labels", "drift_label_values", []string{"embedding_rows", "label_rows"}, 2000},
	}
}

// clockMargin is by how much the clocks of ClickHouse's servers may differ. An hour that was touched so shortly before it is computed counts as touched still.
const clockMargin = 10 * time.Second

// Recompute counts the touched hours again, from the deduplicated rows, and replaces their states. The views' answers are the same before and after, only faster
// afterwards. It may be killed, repeated, and run on many machines at once. Hours that are touched while it runs are left to the next time.
//
// Counts outlive rows: an hour keeps its states when its rows expire by the tables' retention, so that the past remains there to compare with. An hour is computed again
// only while all rows that it counts are young enough to be there. When one of them is older, the hour is kept as it is, whatever touches it later: a late label,
// an import, or an erasure (counts have no ids). Until Recompute has said so of an hour that was touched, views answer from the rows that are left.
func Recompute(ctx context.Context, w *warehouse.Warehouse) (Recomputed, error) {
	return recompute(ctx, w, clockMargin)
}

func recompute(ctx context.Context, w *warehouse.Warehouse, margin time.Duration) (done Recomputed, err error) {
	for _, d := range datasets() {
		r := recomputing{w, d, margin}
		if err := r.run(ctx, &done); err != nil {
			return done, fmt.Errorf("counting the %s of touched hours: %w", d.name, warehouse.Explain(err))
		}
	}
	return done, nil
}

// recomputing is the work on one dataset.
type recomputing struct {
	w *warehouse.Warehouse
	dataset
	margin time.Duration
}

func (r recomputing) run(ctx context.Context, done *Recomputed) error {
	keep, err := r.retention(ctx)
	if err != nil {
		return err
	}
	touched, err := r.hours(ctx, "SELECT hour FROM drift_touched_hours WHERE dataset = ? ORDER BY hour", r.name)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(touched, r.chunk) {
		var began time.Time // by the server's clock, before any row is read
		if err := r.w.Conn().QueryRow(ctx, "SELECT now64(3, 'UTC') - toIntervalMillisecond(?)", r.margin.Milliseconds()).Scan(&began); err != nil {
			return err
		}
		kept, err := r.expired(ctx, chunk, keep)
		if err != nil {
			return err
		}
		counted := slices.DeleteFunc(slices.Clone(chunk), func(hour time.Time) bool { return slices.ContainsFunc(kept, hour.Equal) })
		if err := r.count(ctx, counted, began); err != nil {
			return err
		}
		if err := r.carry(ctx, kept, began); err != nil {
			return err
		}
		// The states are in: from here on they hold, unless the hours were touched since.
		err = r.w.Conn().Exec(ctx, fmt.Sprintf("INSERT INTO touched_hour_rows (dataset, hour, touched_at, computed_at) SELECT ?, arrayJoin(%s), 0, %s", list(chunk), moment(began)), r.name)
		if err != nil {
			return err
		}
		done.Hours, done.Kept = done.Hours+len(counted), done.Kept+len(kept)
	}
	return nil
}

// count replaces the states of these hours by what the rows say.
func (r recomputing) count(ctx context.Context, hours []time.Time, at time.Time) error {
	if len(hours) == 0 {
		return nil
	}
	first, last := hours[0], hours[len(hours)-1].Add(time.Hour)
	return r.w.Conn().Exec(ctx, fmt.Sprintf(`INSERT INTO drift_hour_rows (dataset, column, subject, hour, rows, values, numbers, counts, received_from, computed_at)
		SELECT ?, column, subject, hour, sum(n), (arraySort(groupArray((value, number, n))) AS sorted).1, sorted.2, sorted.3, min(oldest), %s
		FROM
		(
			SELECT column, subject, hour, value, number, count() AS n, min(received_at) AS oldest
			FROM %s
			WHERE published_at >= %s AND published_at < %s AND hour IN %s
			GROUP BY column, subject, hour, value, number
		)
		GROUP BY column, subject, hour`, moment(at), r.view, moment(first), moment(last), list(hours)), r.name)
}

// valid restricts drift_hour_rows, as s, to a dataset's states that belong to the last computation of their hours, touched since or not. What an earlier one
// found and the last one did not is no part of it.
const valid = `GLOBAL INNER JOIN (SELECT hour, max(touched_hour_rows.computed_at) AS computed_at FROM touched_hour_rows WHERE dataset = ? GROUP BY hour) AS h ON h.hour = s.hour
	WHERE s.computed_at >= h.computed_at AND s.dataset = ? AND s.hour IN %s`

// expired returns which of these hours count rows that have outlived the retention.
func (r recomputing) expired(ctx context.Context, hours []time.Time, keep time.Duration) ([]time.Time, error) {
	if keep == 0 {
		return nil, nil
	}
	return r.hours(ctx, fmt.Sprintf("SELECT DISTINCT s.hour FROM drift_hour_rows AS s FINAL "+valid+" AND s.received_from < now64(3) - toIntervalSecond(?)", list(hours)), r.name, r.name, int64(keep.Seconds()))
}

// carry makes the last states of these hours those of a later computation.
func (r recomputing) carry(ctx context.Context, hours []time.Time, at time.Time) error {
	if len(hours) == 0 {
		return nil
	}
	return r.w.Conn().Exec(ctx, fmt.Sprintf(`INSERT INTO drift_hour_rows (dataset, column, subject, hour, rows, values, numbers, counts, received_from, computed_at)
		SELECT s.dataset, s.column, s.subject, s.hour, s.rows, s.values, s.numbers, s.counts, s.received_from, %s FROM drift_hour_rows AS s FINAL `+valid, moment(at), list(hours)), r.name, r.name)
}

// hours returns what a query finds.
func (r recomputing) hours(ctx context.Context, query string, args ...any) (hours []time.Time, err error) {
	rows, err := r.w.Conn().Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var hour time.Time
		if err := rows.Scan(&hour); err != nil {
			return nil, err
		}
		hours = append(hours, hour)
	}
	return hours, rows.Err()
}

// retention is the shortest of the dataset's tables, 0 when they keep everything.
func (r recomputing) retention(ctx context.Context) (keep time.Duration, err error) {
	for _, table := range r.tables {
		k, err := r.w.Retention(ctx, table)
		if err != nil {
			return 0, err
		}
		if k > 0 && (keep == 0 || k < keep) {
			keep = k
		}
	}
	return keep, nil
}

// moment writes a time in SQL, in milliseconds, which the client's own binding would drop.
func moment(t time.Time) string {
	return fmt.Sprintf("fromUnixTimestamp64Milli(toInt64(%d), 'UTC')", t.UnixMilli())
}

// list writes hours in SQL, as an array.
func list(hours []time.Time) string {
	texts := make([]string, len(hours))
	for i, hour := range hours {
		texts[i] = fmt.Sprintf("toDateTime(%d, 'UTC')", hour.Unix())
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
