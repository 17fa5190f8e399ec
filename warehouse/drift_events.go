package warehouse

import (
	"context"
	"fmt"
	"time"
)

// DriftEventRow is an event of the watch. Inserting it again changes nothing but its deliveries: the row that was delivered furthest counts.
type DriftEventRow struct {
	EventID            string        `ch:"event_id"`
	At                 time.Time     `ch:"at"`
	Watch              string        `ch:"watch"`
	Kind               string        `ch:"kind"`
	AlarmID            string        `ch:"alarm_id"` // EventID of the event that raised the alarm
	Column             string        `ch:"column"`
	Verdict            string        `ch:"verdict"`
	Effect             float64       `ch:"effect"`
	EffectName         string        `ch:"effect_name"`
	Gate               float64       `ch:"gate"`
	Q                  float64       `ch:"q"`
	ReferenceFrom      time.Time     `ch:"reference_from"`
	ReferenceTo        time.Time     `ch:"reference_to"`
	ReferenceVacancies uint64        `ch:"reference_vacancies"`
	CurrentFrom        time.Time     `ch:"current_from"`
	CurrentTo          time.Time     `ch:"current_to"`
	CurrentVacancies   uint64        `ch:"current_vacancies"`
	Changes            []ShareChange `ch:"changes"`
	Encoder            string        `ch:"encoder"`
	Model              string        `ch:"model"`
	Reason             string        `ch:"reason"`
	Version            string        `ch:"version"`
	PublishedAt        time.Time     `ch:"published_at"` // zero before it was
	CalledAt           time.Time     `ch:"called_at"`    // zero before the webhook took it
}

// ShareChange is what became of one value's share of the vacancies.
type ShareChange struct {
	Value     string  `ch:"value"`
	Reference float64 `ch:"reference"`
	Current   float64 `ch:"current"`
}

// InsertDriftEvents inserts the rows as one block.
func (w *Warehouse) InsertDriftEvents(ctx context.Context, rows []DriftEventRow) error {
	return insert(ctx, w, "drift_event_rows", rows)
}

// DriftEventFilter chooses events of the watch. Zero fields choose all.
type DriftEventFilter struct {
	Watch string
	// Since is the earliest moment.
	Since time.Time
	// Open chooses those of alarms that were not cleared.
	Open bool
	// Undelivered chooses those that are not on the topic yet, or not with the webhook.
	Undelivered bool
}

// ReadDriftEvents returns the events that a filter chooses, the oldest first.
func (w *Warehouse) ReadDriftEvents(ctx context.Context, filter DriftEventFilter) ([]DriftEventRow, error) {
	query, args := "SELECT * FROM drift_events WHERE at >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')", []any{max(0, filter.Since.UnixMilli())}
	if filter.Watch != "" {
		query, args = query+" AND watch = ?", append(args, filter.Watch)
	}
	if filter.Open {
		query += " AND alarm_id NOT IN (SELECT alarm_id FROM drift_event_rows WHERE kind = 'cleared')"
	}
	if filter.Undelivered {
		query += " AND (published_at = 0 OR called_at = 0)"
	}
	var rows []DriftEventRow
	if err := w.conn.Select(ctx, &rows, query+" ORDER BY at, kind, column, event_id", args...); err != nil {
		return nil, fmt.Errorf("reading the events of the watch: %w", Explain(err))
	}
	for i := range rows {
		for _, t := range []*time.Time{&rows[i].PublishedAt, &rows[i].CalledAt} {
			if t.UnixMilli() == 0 {
				*t = time.Time{}
			}
		}
	}
	return rows, nil
}
