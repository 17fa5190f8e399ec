package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// HistoryRow is a labelled vacancy with its newest embedding by one encoder.
type HistoryRow struct {
	VacancyID     string    `ch:"vacancy_id"`
	Encoder       string    `ch:"encoder"`
	Vector        []float32 `ch:"vector"`
	CategoryIndex uint16    `ch:"category_index"`
	Source        string    `ch:"source"`        // where the vacancy comes from
	EmployerHash  string    `ch:"employer_hash"` // 32 hexadecimal digits or none
	ReceivedAt    time.Time `ch:"received_at"`
	LabelledAt    time.Time `ch:"labelled_at"`
}

// HistoryFilter chooses from the history; a zero field does not restrict it.
type HistoryFilter struct {
	Encoder string
	// Origin says whose embeddings; of OriginAll a vacancy is there once, as it was answered last. Empty is the stream.
	Origin Origin
	Since  time.Time // received at this time or later
	Until  time.Time // received before this time
	Source string    // where the vacancy comes from
}

func (f HistoryFilter) where() (string, []any) {
	conditions, args := []string{"1"}, []any{}
	add := func(condition string, arg any) {
		conditions, args = append(conditions, condition), append(args, arg)
	}
	if f.Encoder != "" {
		add("encoder = ?", f.Encoder)
	}
	// As integers, because the client binds a time in whole seconds.
	if !f.Since.IsZero() {
		add("received_at >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("received_at < fromUnixTimestamp64Milli(toInt64(?), 'UTC')", f.Until.UnixMilli())
	}
	if f.Source != "" {
		add("source = ?", f.Source)
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}

// ReadHistory calls f with every row the filter chooses, ordered by vacancy and encoder, so that the same history is read
// in the same order wherever it was loaded. Rows are streamed; f may keep what it gets. It stops at f's first error and
// returns it.
func (w *Warehouse) ReadHistory(ctx context.Context, filter HistoryFilter, f func(HistoryRow) error) error {
	where, args := filter.where()
	// Vectors beyond so many bytes are sorted on disk. Blocks of the default 65,409 rows take twice the memory and no less
	// time.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_bytes_before_external_sort": 256 << 20,
		"max_block_size":                 8192,
	}))
	rows, err := w.conn.Query(ctx, `SELECT vacancy_id, encoder, vector, category_index, source, employer_hash, received_at, labelled_at
		FROM `+filter.Origin.View("history")+where+` ORDER BY vacancy_id, encoder`, args...)
	if err != nil {
		return fmt.Errorf("reading the labelled history: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var row HistoryRow
		if err := rows.ScanStruct(&row); err != nil {
			return fmt.Errorf("reading the labelled history: %w", err)
		}
		if err := f(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the labelled history: %w", err)
	}
	return nil
}

// CountHistory returns how many rows ReadHistory would give.
func (w *Warehouse) CountHistory(ctx context.Context, filter HistoryFilter) (uint64, error) {
	where, args := filter.where()
	var n uint64
	if err := w.conn.QueryRow(ctx, "SELECT count() FROM "+filter.Origin.View("history")+where, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the labelled history: %w", err)
	}
	return n, nil
}

// CountHistoryByEncoder returns how many labelled vacancies of an origin there are of each encoder.
func (w *Warehouse) CountHistoryByEncoder(ctx context.Context, origin Origin) (map[string]uint64, error) {
	rows, err := w.conn.Query(ctx, "SELECT encoder, count() FROM "+origin.View("history")+" GROUP BY encoder")
	if err != nil {
		return nil, fmt.Errorf("counting the labelled history: %w", err)
	}
	defer rows.Close()
	counts := map[string]uint64{}
	for rows.Next() {
		var encoder string
		var n uint64
		if err := rows.Scan(&encoder, &n); err != nil {
			return nil, fmt.Errorf("counting the labelled history: %w", err)
		}
		counts[encoder] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("counting the labelled history: %w", err)
	}
	return counts, nil
}
