package warehouse

import (
	"context"
	"fmt"
)

// ShadowRow is what a reprocessing said of a vacancy.
type ShadowRow struct {
	// Name is that of the reprocessing.
	Name string `ch:"name"`
	PredictionRow
}

// InsertShadows inserts the rows as one block.
func (w *Warehouse) InsertShadows(ctx context.Context, rows []ShadowRow) error {
	return insert(ctx, w, "shadow_rows", rows)
}

// Comparison sets a reprocessing beside what consumers were told of the same records.
type Comparison struct {
	// Shadow counts the rows of the reprocessing, Both those that have a live prediction too, Same those of them with the same category.
	Shadow uint64 `ch:"shadow"`
	Both   uint64 `ch:"both"`
	Same   uint64 `ch:"same"`
}

// CompareShadow compares a reprocessing with the live predictions. Where several models answered a record live, the newest answer counts.
func (w *Warehouse) CompareShadow(ctx context.Context, name string) (c Comparison, err error) {
	err = w.conn.QueryRow(ctx, `SELECT count() AS shadow, countIf(p.known) AS both, countIf(p.known AND p.category_index = s.category_index) AS same
		FROM shadow_predictions AS s
		LEFT ANY JOIN (SELECT raw_topic_id, raw_partition, raw_offset, argMax(category_index, classified_at) AS category_index, true AS known
			FROM predictions GROUP BY ALL) AS p USING (raw_topic_id, raw_partition, raw_offset)
		WHERE s.name = ?`, name).ScanStruct(&c)
	if err != nil {
		return c, fmt.Errorf("comparing reprocessing %s with the live predictions: %w", name, err)
	}
	return c, nil
}
