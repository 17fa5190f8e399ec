package warehouse

import (
	"context"
	"fmt"
)

// offsetsTable holds how far a rebuild has come, and after a restore where it begins. It is no part of the schema: a database that was never rebuilt has none.
const offsetsTable = "rebuild_offsets"

// SaveOffsets remembers that the database holds what lies before these offsets.
func (w *Warehouse) SaveOffsets(ctx context.Context, offsets []Offset) error {
	err := w.conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+offsetsTable+` (topic String, topic_id UUID, topic_partition Int32, next_offset Int64, saved_at DateTime64(3, 'UTC') DEFAULT now64(3))
		ENGINE = ReplacingMergeTree(next_offset) ORDER BY (topic, topic_id, topic_partition)`)
	if err == nil {
		err = insert(ctx, w, offsetsTable, offsets)
	}
	if err != nil {
		return fmt.Errorf("remembering how far the topics were read: %w", Explain(err))
	}
	return nil
}

// ReadOffsets returns what SaveOffsets has remembered, the furthest of each partition.
func (w *Warehouse) ReadOffsets(ctx context.Context) (offsets []Offset, err error) {
	var there uint64
	err = w.conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = ?", offsetsTable).Scan(&there)
	if err == nil && there > 0 {
		err = w.conn.Select(ctx, &offsets, "SELECT topic, topic_id, topic_partition, max(next_offset) AS next_offset FROM "+offsetsTable+" GROUP BY ALL ORDER BY ALL")
	}
	if err != nil {
		return nil, fmt.Errorf("reading how far the topics were read: %w", Explain(err))
	}
	return offsets, nil
}
