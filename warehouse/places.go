package warehouse

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// ReadPlaces calls f with the raw coordinates of a view's rows and how many rows have them. The condition is a part of SQL of our own.
func (w *Warehouse) ReadPlaces(ctx context.Context, view, condition string, topic uuid.UUID, f func(partition int32, offset int64, rows uint64)) error {
	rows, err := w.conn.Query(ctx, fmt.Sprintf("SELECT raw_partition, raw_offset, count() FROM %s WHERE raw_topic_id = ? AND (%s) GROUP BY raw_partition, raw_offset", view, condition), topic)
	if err != nil {
		return fmt.Errorf("reading the coordinates of %s: %w", view, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var (
			partition int32
			offset    int64
			count     uint64
		)
		if err := rows.Scan(&partition, &offset, &count); err != nil {
			return fmt.Errorf("reading the coordinates of %s: %w", view, err)
		}
		f(partition, offset, count)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the coordinates of %s: %w", view, err)
	}
	return nil
}
