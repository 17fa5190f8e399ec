package warehouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The datasets of which drift keeps hourly states.
const (
	datasetEmbeddings  = "embeddings"
	datasetPredictions = "predictions"
	datasetLabels      = "labels" // of the embedded vacancies
)

// lastHour is where hours end: the database keeps them in 32 bits.
var lastHour = time.Date(2106, 1, 1, 0, 0, 0, 0, time.UTC)

// touch is an hour of published vacancies whose rows changed. The server's clock says when.
type touch struct {
	Dataset string    `ch:"dataset"`
	Hour    time.Time `ch:"hour"` // its begin
}

// hours collects touched hours, each once.
type hours map[touch]struct{}

// add remembers the hour of a time in these datasets. What is published after the last hour has none.
func (h hours) add(published time.Time, datasets ...string) {
	published = within(published)
	if published.Before(lastHour) {
		for _, dataset := range datasets {
			h[touch{dataset, published.UTC().Truncate(time.Hour)}] = struct{}{}
		}
	}
}

// touch says that the rows of these hours have changed, as of now by the server's clock: their hourly states do not hold any more. It comes after the rows: states
// computed meanwhile may or may not have them.
func (w *Warehouse) touch(ctx context.Context, h hours) error {
	if err := insert(ctx, w, "touched_hour_rows", slices.Collect(maps.Keys(h))); err != nil {
		return fmt.Errorf("remembering %d touched hours: %w", len(h), err)
	}
	return nil
}

// hoursOf returns the hours in which these vacancies were published, by the stream's rows that are there. Labels belong to the hours of the embeddings.
func (w *Warehouse) hoursOf(ctx context.Context, ids []string, datasets ...string) (hours, error) {
	found := hours{}
	ctx, err := external(ctx, ids)
	if err != nil {
		return nil, err
	}
	var selects []string
	for _, dataset := range datasets {
		table := "embedding_rows"
		if dataset == datasetPredictions {
			table = "prediction_rows"
		}
		selects = append(selects, fmt.Sprintf("SELECT '%s' AS dataset, published_at FROM %s WHERE origin = '%s' AND vacancy_id GLOBAL IN (SELECT id FROM ids)", dataset, table, OriginStream))
	}
	rows, err := w.conn.Query(ctx, "SELECT DISTINCT dataset, published_at FROM ("+strings.Join(selects, " UNION ALL ")+")")
	if err != nil {
		return nil, fmt.Errorf("looking up when vacancies were published: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var dataset string
		var published time.Time
		if err := rows.Scan(&dataset, &published); err != nil {
			return nil, fmt.Errorf("looking up when vacancies were published: %w", err)
		}
		found.add(published, dataset)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("looking up when vacancies were published: %w", err)
	}
	return found, nil
}
