package drift

import (
	"context"
	"fmt"
	"time"

	"jobstrom/warehouse"
)

// TrainingWindow returns when the vacancies that a model was trained on were published: from the first to the last of those that lay in ClickHouse, received
// between the first and the last of its history. An empty model means the champion of now, of several encoders the live one's.
func TrainingWindow(ctx context.Context, w *warehouse.Warehouse, model string) (Window, error) {
	var found []struct {
		Model   string    `ch:"model"`
		Encoder string    `ch:"encoder"`
		First   time.Time `ch:"history_first"`
		Last    time.Time `ch:"history_last"`
	}
	query, args := "SELECT model, encoder, history_first, history_last FROM models WHERE startsWith(model, ?) ORDER BY model LIMIT 2", []any{model}
	if model == "" {
		query, args = `SELECT model, encoder, history_first, history_last FROM models WHERE model IN (SELECT model FROM champions WHERE live_until > now())
			ORDER BY encoder = (SELECT argMax(encoder, history_offset) FROM model_history WHERE action IN ('live', 'switch')) DESC, trained_at DESC LIMIT 1`, nil
	}
	if err := w.Conn().Select(ctx, &found, query, args...); err != nil {
		return Window{}, fmt.Errorf("looking for the model's training window: %w", err)
	}
	switch {
	case len(found) == 0 && model == "":
		return Window{}, fmt.Errorf("no model was promoted yet, so no training window is known: name dates, or train with jobstrom train: %w", ErrNothing)
	case len(found) == 0:
		return Window{}, fmt.Errorf("ClickHouse knows no model %s (jobstrom models list shows them): %w", model, ErrNothing)
	case len(found) > 1:
		return Window{}, fmt.Errorf("more than one model begins with %s: write more of its id", model)
	}
	m := found[0]
	var rows uint64
	var first, last time.Time
	err := w.Conn().QueryRow(ctx, `SELECT count(), min(published_at), max(published_at) FROM embeddings
		WHERE encoder = ? AND received_at >= fromUnixTimestamp64Milli(toInt64(?), 'UTC') AND received_at <= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
			AND vacancy_id IN (SELECT vacancy_id FROM labels)`, m.Encoder, m.First.UnixMilli(), m.Last.UnixMilli()).Scan(&rows, &first, &last)
	if err != nil {
		return Window{}, fmt.Errorf("reading the training window of model %s: %w", m.Model, err)
	}
	if rows == 0 {
		return Window{}, fmt.Errorf("nothing that model %s was trained on lies in ClickHouse any more: name dates: %w", m.Model, ErrNothing)
	}
	return Window{first.UTC().Truncate(time.Hour), last.UTC().Truncate(time.Hour).Add(time.Hour)}, nil
}
