package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/google/uuid"
)

// Erasure is a tombstone: what this partition holds of the vacancy before this offset is erased. The topic is the one whose coordinates rows carry:
// the raw topic, and for labels their own.
type Erasure struct {
	VacancyID string    `ch:"vacancy_id"`
	TopicID   uuid.UUID `ch:"topic_id"`
	Partition int32     `ch:"topic_partition"`
	Offset    int64     `ch:"topic_offset"`
	ErasedAt  time.Time `ch:"erased_at"`
}

// place is a table whose rows belong to vacancies, and the columns of their coordinates.
type place struct{ table, topic, partition, offset string }

// erasable lists the tables that hold rows of a vacancy, but for those of similar vacancies, which each encoder has of its own.
var erasable = []place{
	{"embedding_rows", "raw_topic_id", "raw_partition", "raw_offset"},
	{"prediction_rows", "raw_topic_id", "raw_partition", "raw_offset"},
	{"label_rows", "label_topic_id", "label_partition", "label_offset"},
	{"deadletter_rows", "raw_topic_id", "raw_partition", "raw_offset"},
	{"shadow_rows", "raw_topic_id", "raw_partition", "raw_offset"},
}

// deleteChunk bounds the coordinates one DELETE names: a query's text is limited.
const deleteChunk = 1000

// Erase remembers the tombstones and deletes the rows that lie before them; when it returns, no table and no view shows them. Views
// leave the rows out from the moment the tombstones are in; the bytes leave the disk when their parts are merged, see Purge. It may be repeated.
func (w *Warehouse) Erase(ctx context.Context, erasures []Erasure) error {
	if err := insert(ctx, w, "erasure_rows", erasures); err != nil || len(erasures) == 0 {
		return err
	}
	ids := make([]string, len(erasures))
	for i, e := range erasures {
		ids[i] = e.VacancyID
	}
	touched, err := w.hoursOf(ctx, ids, datasetEmbeddings, datasetPredictions, datasetLabels)
	if err != nil {
		return err
	}
	// Before, because a repetition after a crash finds no rows any more; the tombstones are in, so states that are computed from here on leave the rows out.
	if err := w.touch(ctx, touched); err != nil {
		return err
	}
	places, err := w.erasable(ctx)
	if err != nil {
		return err
	}
	for _, p := range places {
		if err := w.erase(ctx, p, ids); err != nil {
			return fmt.Errorf("erasing rows of %s: %w", p.table, err)
		}
	}
	return w.touch(ctx, touched)
}

// erase deletes a table's rows of these vacancies that are erased. They are looked up first: a vacancy has a tombstone in every partition and every
// topic, and after the first of them there is nothing left to start a mutation for.
func (w *Warehouse) erase(ctx context.Context, p place, ids []string) error {
	withIDs, err := external(ctx, ids)
	if err != nil {
		return err
	}
	rows, err := w.conn.Query(withIDs, fmt.Sprintf(`SELECT DISTINCT toString(r.%[2]s), r.%[3]s, r.%[4]s FROM %[1]s AS r
		GLOBAL INNER JOIN erasure_rows AS e ON e.vacancy_id = r.vacancy_id AND e.topic_id = r.%[2]s AND e.topic_partition = r.%[3]s
		WHERE r.vacancy_id GLOBAL IN (SELECT id FROM ids) AND e.vacancy_id GLOBAL IN (SELECT id FROM ids) AND r.%[4]s < e.topic_offset`, p.table, p.topic, p.partition, p.offset))
	if err != nil {
		return err
	}
	defer rows.Close()
	var coordinates []string
	for rows.Next() {
		var topic string
		var partition int32
		var offset int64
		if err := rows.Scan(&topic, &partition, &offset); err != nil {
			return err
		}
		coordinates = append(coordinates, fmt.Sprintf("('%s',%d,%d)", topic, partition, offset))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	// 2 waits for the deletion on every replica.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"lightweight_deletes_sync": 2}))
	for chunk := range slices.Chunk(coordinates, deleteChunk) {
		err := w.Define(ctx, fmt.Sprintf("DELETE FROM %s WHERE (%s, %s, %s) IN (%s)", p.table, p.topic, p.partition, p.offset, strings.Join(chunk, ",")))
		if err != nil {
			return err
		}
	}
	return nil
}

// Purge rewrites the parts that still hold deleted rows, so that their bytes leave the disk too. It starts the work and does not wait for it.
func (w *Warehouse) Purge(ctx context.Context) error {
	places, err := w.erasable(ctx)
	if err != nil {
		return err
	}
	for _, p := range places {
		var masked uint64
		err := w.conn.QueryRow(ctx, "SELECT count() FROM "+p.table+" WHERE NOT _row_exists SETTINGS apply_deleted_mask = 0").Scan(&masked)
		if err == nil && masked > 0 {
			err = w.Define(ctx, "ALTER TABLE "+p.table+" APPLY DELETED MASK SETTINGS mutations_sync = 0")
		}
		if err != nil {
			return fmt.Errorf("purging %s of deleted rows: %w", p.table, err)
		}
	}
	return nil
}

// Erased holds the tombstones of some vacancies.
type Erased map[erasedKey]int64

type erasedKey struct {
	vacancy   string
	topic     uuid.UUID
	partition int32
}

// Has says whether a row of the vacancy with these coordinates is erased.
func (e Erased) Has(vacancyID string, topic uuid.UUID, partition int32, offset int64) bool {
	before, known := e[erasedKey{vacancyID, topic, partition}]
	return known && offset < before
}

// ReadErased returns the tombstones of these vacancies.
func (w *Warehouse) ReadErased(ctx context.Context, ids []string) (Erased, error) {
	erased := Erased{}
	erasures, err := w.ReadErasures(ctx, ids)
	for _, e := range erasures {
		erased[erasedKey{e.VacancyID, e.TopicID, e.Partition}] = e.Offset
	}
	return erased, err
}

// ReadErasures returns the newest tombstone of each partition for these vacancies.
func (w *Warehouse) ReadErasures(ctx context.Context, ids []string) (erasures []Erasure, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if ctx, err = external(ctx, ids); err == nil {
		err = w.conn.Select(ctx, &erasures, `SELECT vacancy_id, topic_id, topic_partition, max(topic_offset) AS topic_offset,
			argMax(erased_at, erasure_rows.topic_offset) AS erased_at
			FROM erasure_rows WHERE vacancy_id GLOBAL IN (SELECT id FROM ids) GROUP BY vacancy_id, topic_id, topic_partition`)
	}
	if err != nil {
		return nil, fmt.Errorf("reading erasures: %w", err)
	}
	return erasures, nil
}

// EachErasure calls f with the newest tombstone of each vacancy and partition.
func (w *Warehouse) EachErasure(ctx context.Context, f func(Erasure) error) error {
	return w.eachErasure(ctx, w.options.Database, f)
}

// eachErasure reads those of a database on this server.
func (w *Warehouse) eachErasure(ctx context.Context, database string, f func(Erasure) error) error {
	if !databaseName.MatchString(database) {
		return fmt.Errorf("the database %q must be letters, digits and _, at most 63, and begin with no digit", database)
	}
	rows, err := w.conn.Query(ctx, "SELECT vacancy_id, topic_id, topic_partition, topic_offset, erased_at FROM "+database+".erasure_rows FINAL ORDER BY vacancy_id, topic_id, topic_partition")
	if err != nil {
		return fmt.Errorf("reading erasures: %w", diagnose(err, w.options))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e Erasure
		if err := rows.ScanStruct(&e); err != nil {
			return fmt.Errorf("reading erasures: %w", err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading erasures: %w", err)
	}
	return nil
}

// external sends ids along with a query as the table ids: a query's text is too short for the vacancies of a block.
func external(ctx context.Context, ids []string) (context.Context, error) {
	table, err := ext.NewTable("ids", ext.Column("id", "String"))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := table.Append(id); err != nil {
			return nil, err
		}
	}
	return clickhouse.Context(ctx, clickhouse.WithExternalTable(table)), nil
}

// Trace is a row of a vacancy.
type Trace struct {
	VacancyID string `ch:"vacancy_id"`
	// Table is the table's name.
	Table      string
	TopicID    uuid.UUID `ch:"topic_id"`
	Partition  int32     `ch:"topic_partition"`
	Offset     int64     `ch:"topic_offset"`
	ReceivedAt time.Time `ch:"received_at"`
}

// ReadTraces returns the rows that tables hold of these vacancies, duplicates and what views leave out included.
func (w *Warehouse) ReadTraces(ctx context.Context, ids []string) ([]Trace, error) {
	var all []Trace
	places, err := w.erasable(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		withIDs, err := external(ctx, ids)
		var some []Trace
		if err == nil {
			err = w.conn.Select(withIDs, &some, fmt.Sprintf(`SELECT vacancy_id, %s AS topic_id, %s AS topic_partition, %s AS topic_offset, received_at
				FROM %s WHERE vacancy_id GLOBAL IN (SELECT id FROM ids) ORDER BY ALL`, p.topic, p.partition, p.offset, p.table))
		}
		if err != nil {
			return nil, fmt.Errorf("reading rows of %s: %w", p.table, err)
		}
		for i := range some {
			some[i].Table = p.table
		}
		all = append(all, some...)
	}
	return all, nil
}

// ErasableTables names the tables that hold rows of a vacancy.
func (w *Warehouse) ErasableTables(ctx context.Context) ([]string, error) {
	places, err := w.erasable(ctx)
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = p.table
	}
	return names, err
}

// erasable lists every table that holds rows of a vacancy.
func (w *Warehouse) erasable(ctx context.Context) ([]place, error) {
	places := slices.Clone(erasable)
	tables, err := w.similarTables(ctx)
	for _, table := range tables {
		places = append(places, place{table, "raw_topic_id", "raw_partition", "raw_offset"})
	}
	return places, err
}
