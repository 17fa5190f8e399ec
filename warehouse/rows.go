package warehouse

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// Coordinates name a record of the raw topic, or for what the API answered one of predictions.api; rows made from the same record carry the same.
type Coordinates struct {
	TopicID   uuid.UUID `ch:"raw_topic_id"`
	Partition int32     `ch:"raw_partition"`
	Offset    int64     `ch:"raw_offset"`
}

// EmbeddingRow is a vacancy's vector by one encoder. Times are kept in milliseconds, here and below.
type EmbeddingRow struct {
	Coordinates
	ReceivedAt   time.Time         `ch:"received_at"` // time of the raw record; a replay must give the same
	VacancyID    string            `ch:"vacancy_id"`
	Encoder      string            `ch:"encoder"`
	Vector       []float32         `ch:"vector"`
	Tokens       uint32            `ch:"tokens"`
	Truncated    bool              `ch:"truncated"`
	Source       string            `ch:"source"`
	Language     string            `ch:"language"`
	TextLength   uint32            `ch:"text_length"`
	TextHash     TextHash          `ch:"text_hash"`     // zeros: unknown; no view shows it
	EmployerHash []byte            `ch:"employer_hash"` // 16 bytes or none; the views give it in hexadecimal
	PublishedAt  time.Time         `ch:"published_at"`
	Attributes   map[string]string `ch:"attributes"`
}

// PredictionRow is what one model said of a vacancy.
type PredictionRow struct {
	Coordinates
	ReceivedAt    time.Time `ch:"received_at"` // time of the raw record; a replay must give the same
	VacancyID     string    `ch:"vacancy_id"`
	Model         string    `ch:"model"`
	Encoder       string    `ch:"encoder"`
	CategoryIndex uint16    `ch:"category_index"`
	Category      string    `ch:"category"`
	Confidence    float32   `ch:"confidence"`
	Probabilities []float32 `ch:"probabilities"`
	Occupations   []string  `ch:"occupations"`
	Skills        []string  `ch:"skills"`
	Tasks         []string  `ch:"tasks"`
	Truncated     bool      `ch:"truncated"`
	PublishedAt   time.Time `ch:"published_at"`
	ClassifiedAt  time.Time `ch:"classified_at"`
}

// LabelRow is a true category that a person gave. TopicID, Partition and Offset are those of the label's own record.
type LabelRow struct {
	TopicID       uuid.UUID `ch:"label_topic_id"`
	Partition     int32     `ch:"label_partition"`
	Offset        int64     `ch:"label_offset"`
	ReceivedAt    time.Time `ch:"received_at"` // time of the label record; a replay must give the same
	VacancyID     string    `ch:"vacancy_id"`
	CategoryIndex uint16    `ch:"category_index"`
	Category      string    `ch:"category"`
	Source        string    `ch:"source"`
	LabelledAt    time.Time `ch:"labelled_at"`
}

// DeadLetterRow is a record that a stage refused, without its content.
type DeadLetterRow struct {
	Coordinates
	ReceivedAt       time.Time `ch:"received_at"` // time of the raw record; a replay must give the same
	RefusedTopic     string    `ch:"refused_topic"`
	RefusedPartition int32     `ch:"refused_partition"`
	RefusedOffset    int64     `ch:"refused_offset"`
	Stage            string    `ch:"stage"`
	Class            string    `ch:"class"`
	Reason           string    `ch:"reason"`
	VacancyID        string    `ch:"vacancy_id"` // empty where the refused record could not be read that far
	FailedAt         time.Time `ch:"failed_at"`
	LetterPartition  int32     `ch:"letter_partition"` // place on the dead-letter topic
	LetterOffset     int64     `ch:"letter_offset"`
	Attempts         uint32    `ch:"attempts"`
	Model            string    `ch:"model"`
	Version          string    `ch:"version"`
	Replays          uint32    `ch:"replays"` // how often the record had been replayed before it was refused
}

// DeadLetterReplayRow says that a dead letter was sent again. The view of the dead letters shows when.
type DeadLetterReplayRow struct {
	Coordinates
	ReceivedAt       time.Time `ch:"received_at"` // that of the letter
	RefusedTopic     string    `ch:"refused_topic"`
	RefusedPartition int32     `ch:"refused_partition"`
	RefusedOffset    int64     `ch:"refused_offset"`
	Stage            string    `ch:"stage"`
	ReplayedAt       time.Time `ch:"replayed_at"`
}

// TrainingRun is one run of the trainer. Inserting it again replaces it, so it may be inserted at its start and its end.
type TrainingRun struct {
	RunID      string             `ch:"run_id"`
	StartedAt  time.Time          `ch:"started_at"`
	FinishedAt time.Time          `ch:"finished_at"` // zero while it goes on
	Encoder    string             `ch:"encoder"`
	Taxonomy   string             `ch:"taxonomy"`
	Model      string             `ch:"model"`
	Rows       uint64             `ch:"rows"`
	Seed       uint64             `ch:"seed"`
	Settings   map[string]string  `ch:"settings"`
	Metrics    map[string]float64 `ch:"metrics"`
	Confusion  [][]uint32         `ch:"confusion"` // row: true category, column: predicted
	Published  bool               `ch:"published"`
}

// InsertEmbeddings inserts the rows as one block; give it thousands. The same rows may be inserted again, all or some of
// them, without a change to what the views answer; so it is with the other inserts. The hours in which the vacancies were published are remembered as touched
// once the rows are in; after an error the rows must be inserted again.
func (w *Warehouse) InsertEmbeddings(ctx context.Context, rows []EmbeddingRow) error {
	if err := insert(ctx, w, "embedding_rows", rows); err != nil {
		return err
	}
	touched := hours{}
	for _, r := range rows {
		touched.add(r.PublishedAt, datasetEmbeddings, datasetLabels) // labels may have come before
	}
	return w.touch(ctx, touched)
}

// InsertPredictions inserts the rows as one block.
func (w *Warehouse) InsertPredictions(ctx context.Context, rows []PredictionRow) error {
	if err := insert(ctx, w, "prediction_rows", rows); err != nil {
		return err
	}
	touched := hours{}
	for _, r := range rows {
		touched.add(r.PublishedAt, datasetPredictions)
	}
	return w.touch(ctx, touched)
}

// InsertLabels inserts the rows as one block.
func (w *Warehouse) InsertLabels(ctx context.Context, rows []LabelRow) error {
	if err := insert(ctx, w, "label_rows", rows); err != nil || len(rows) == 0 {
		return err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.VacancyID
	}
	touched, err := w.hoursOf(ctx, ids, datasetLabels)
	if err != nil {
		return err
	}
	return w.touch(ctx, touched)
}

// InsertDeadLetters inserts the rows as one block.
func (w *Warehouse) InsertDeadLetters(ctx context.Context, rows []DeadLetterRow) error {
	return insert(ctx, w, "deadletter_rows", rows)
}

// InsertDeadLetterReplays inserts the rows as one block.
func (w *Warehouse) InsertDeadLetterReplays(ctx context.Context, rows []DeadLetterReplayRow) error {
	return insert(ctx, w, "deadletter_replay_rows", rows)
}

// InsertTrainingRun inserts or replaces a run.
func (w *Warehouse) InsertTrainingRun(ctx context.Context, run TrainingRun) error {
	return insert(ctx, w, "training_run_rows", []TrainingRun{run})
}

// maxMonths bounds the partitions (months) of one INSERT: each is a part and memory of its own. The server's default of 100 refuses history of ten years.
const maxMonths = 200

// Times outside of these are kept as the nearest: DateTime64 holds no others, and the index has a part for each month in between.
var (
	earliest = time.UnixMilli(0).UTC()
	latest   = time.Date(2199, 12, 31, 23, 59, 59, 999e6, time.UTC)
)

// insert inserts rows as one block, or as few as maxMonths allows. It sets times that no column can hold to the nearest that can, in the rows given.
func insert[Row any](ctx context.Context, w *Warehouse, table string, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	var columns []string
	var times [][]int // fields that hold a time
	received := -1    // which of them is received_at
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Row]()) {
		column := field.Tag.Get("ch")
		if column == "" {
			continue
		}
		columns = append(columns, column)
		if field.Type == reflect.TypeFor[time.Time]() {
			if column == "received_at" {
				received = len(times)
			}
			times = append(times, field.Index)
		}
	}
	months, blocks := map[int]bool{}, [][]int{nil}
	for i := range rows {
		row := reflect.ValueOf(&rows[i]).Elem()
		for k, field := range times {
			at := row.FieldByIndex(field).Addr().Interface().(*time.Time)
			if !at.IsZero() {
				*at = within(*at)
			}
			if k == received {
				month := 12*at.UTC().Year() + int(at.UTC().Month())
				if !months[month] && len(months) == maxMonths {
					clear(months)
					blocks = append(blocks, nil)
				}
				months[month] = true
			}
		}
		last := len(blocks) - 1
		blocks[last] = append(blocks[last], i)
	}
	ctx = withoutIndexing(ctx, clickhouse.Settings{"max_partitions_per_insert_block": maxMonths})
	for _, block := range blocks {
		if err := insertBlock(ctx, w, table, columns, rows, block); err != nil {
			return err
		}
	}
	return nil
}

func insertBlock[Row any](ctx context.Context, w *Warehouse, table string, columns []string, rows []Row, block []int) error {
	batch, err := w.conn.PrepareBatch(ctx, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+")")
	if err != nil {
		return fmt.Errorf("inserting %d rows into %s: %w", len(block), table, Explain(err))
	}
	defer batch.Close()
	for _, i := range block {
		if err := batch.AppendStruct(&rows[i]); err != nil {
			return fmt.Errorf("inserting into %s: row %d: %w", table, i, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("inserting %d rows into %s: %w", len(block), table, Explain(err))
	}
	return nil
}

// within returns the time nearest to t that a column can hold.
func within(t time.Time) time.Time {
	if t.Before(earliest) {
		return earliest
	}
	if t.After(latest) {
		return latest
	}
	return t
}
