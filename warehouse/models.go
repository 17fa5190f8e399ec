package warehouse

import (
	"context"
	"fmt"
	"time"
)

// ModelEventRow says what was done to a model. What is said of the model itself is there when it is registered, and empty otherwise.
type ModelEventRow struct {
	EventID       string    `ch:"event_id"`
	HistoryOffset int64     `ch:"history_offset"` // its place in models.history
	At            time.Time `ch:"at"`
	Action        string    `ch:"action"`
	Model         string    `ch:"model"`
	Taxonomy      string    `ch:"taxonomy"`
	Encoder       string    `ch:"encoder"`
	Previous      string    `ch:"previous"` // the champion whose place it took
	Reason        string    `ch:"reason"`
	Version       string    `ch:"version"`

	TrainedAt        time.Time          `ch:"trained_at"`
	TrainedBy        string             `ch:"trained_by"` // version of jobstrom
	EncoderName      string             `ch:"encoder_name"`
	Metrics          map[string]float64 `ch:"metrics"`
	Settings         map[string]string  `ch:"settings"`
	HistoryRows      uint64             `ch:"history_rows"`
	HistoryFirst     time.Time          `ch:"history_first"`
	HistoryLast      time.Time          `ch:"history_last"`
	Temperature      float32            `ch:"temperature"`
	Prior            []float32          `ch:"prior"`
	BaselineRows     uint64             `ch:"baseline_rows"`
	BaselineMean     []float32          `ch:"baseline_mean"`
	BaselineVariance []float32          `ch:"baseline_variance"`
	BaselineShares   []float32          `ch:"baseline_shares"`
}

// InsertModelEvents inserts the rows as one block.
func (w *Warehouse) InsertModelEvents(ctx context.Context, rows []ModelEventRow) error {
	return insert(ctx, w, "model_history_rows", rows)
}

// PairFilter chooses vacancies that two models answered and a person labelled.
type PairFilter struct {
	// Champion answered live, Challenger beside it.
	Champion, Challenger string
	// Since bounds when the vacancy was received: later than this. Zero does not.
	Since time.Time
	// Limit takes the newest vacancies, so many at most. Zero takes all.
	Limit int
}

// Pair is what two models said of one vacancy.
type Pair struct {
	Truth      uint16    `ch:"truth"`
	Champion   []float32 `ch:"champion"`   // probabilities
	Challenger []float32 `ch:"challenger"` // probabilities
}

// ReadPairs calls f with each vacancy that a filter chooses, newest first. A vacancy that was published several times counts once, as it was last.
func (w *Warehouse) ReadPairs(ctx context.Context, filter PairFilter, f func(Pair) error) error {
	limit := ""
	if filter.Limit > 0 {
		limit = fmt.Sprintf(" LIMIT %d", filter.Limit)
	}
	since := int64(0)
	if !filter.Since.IsZero() {
		since = filter.Since.UnixMilli()
	}
	const models = `SELECT raw_topic_id, raw_partition, raw_offset, vacancy_id, received_at, probabilities FROM %s
		WHERE model = ? AND received_at > fromUnixTimestamp64Milli(toInt64(?), 'UTC')`
	rows, err := w.conn.Query(ctx, `SELECT l.category_index AS truth, p.probabilities AS champion, s.probabilities AS challenger
		FROM (`+fmt.Sprintf(models, "shadow_predictions")+` AND name = 'challenger') AS s
		INNER JOIN (`+fmt.Sprintf(models, "predictions")+`) AS p USING (raw_topic_id, raw_partition, raw_offset)
		INNER JOIN labels AS l ON l.vacancy_id = p.vacancy_id
		ORDER BY p.received_at DESC, raw_topic_id, raw_partition, raw_offset DESC LIMIT 1 BY p.vacancy_id`+limit,
		filter.Challenger, since, filter.Champion, since)
	if err != nil {
		return fmt.Errorf("reading what both models said: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p Pair
		if err := rows.ScanStruct(&p); err != nil {
			return fmt.Errorf("reading what both models said: %w", err)
		}
		if err := f(p); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading what both models said: %w", err)
	}
	return nil
}
