package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// A vector similarity index takes vectors of one length, and embedding_rows holds those of several encoders. So each encoder has a table of its own, similar_<hash of the
// encoder>_<length>, of one row for each vacancy. A view fills it as rows come into embedding_rows: replays replace rows, Erase deletes them, and the retention is that of
// the embeddings. Searches never trust the table alone: they look for tombstones.

// similarPrefix begins the tables' names.
const similarPrefix = "similar_"

// similarIndex is the index's name.
const similarIndex = "by_vector"

// similarFilled is the comment of a table that has every row that there was when it was made.
const similarFilled = "filled"

// similarTable names the table of an encoder's vectors of this length.
func similarTable(encoder string, dim int) string {
	sum := sha256.Sum256([]byte(encoder))
	return fmt.Sprintf("%s%s_%d", similarPrefix, hex.EncodeToString(sum[:8]), dim)
}

// similarColumns are taken over from embedding_rows.
const similarColumns = "vacancy_id, received_at, raw_topic_id, raw_partition, raw_offset, published_at, source, vector"

// EnsureSimilar makes the table of an encoder's vectors of this length, with its index, unless it is there, and fills it with what embedding_rows has, which reads
// all of its vectors once. It may be repeated, and broken off: until it has returned once, Similar searches embedding_rows.
//
// The index (HNSW in bfloat16) is built when parts are merged, not while the sink waits: what is not merged yet is searched without it.
func (w *Warehouse) EnsureSimilar(ctx context.Context, encoder string, dim int) error {
	table := similarTable(encoder, dim)
	err := w.ensureSimilar(ctx, table, encoder, dim)
	if err != nil {
		return fmt.Errorf("making %s, the index of the vectors of encoder %.12s: %w", table, encoder, Explain(err))
	}
	return nil
}

func (w *Warehouse) ensureSimilar(ctx context.Context, table, encoder string, dim int) error {
	filled, err := w.similarIsFilled(ctx, table)
	if err != nil || filled {
		return err
	}
	err = w.Define(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s
(
    vacancy_id    String CODEC(ZSTD(1)),
    received_at   DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    raw_topic_id  UUID CODEC(ZSTD(1)),
    raw_partition Int32 CODEC(ZSTD(1)),
    raw_offset    Int64 CODEC(ZSTD(1)),
    published_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    source        LowCardinality(String),
    vector        Array(Float32) CODEC(NONE),
    INDEX %s vector TYPE vector_similarity('hnsw', 'cosineDistance', %d, 'bf16', 16, 64)
)
ENGINE = ReplacingMergeTree(received_at)
ORDER BY vacancy_id`, table, similarIndex, dim))
	if err != nil {
		return err
	}
	rows := fmt.Sprintf("SELECT %s FROM embedding_rows WHERE encoder = %s AND length(vector) = %d AND %s", similarColumns, quoted(encoder), dim, streamRows)
	// First, so that no row falls between it and what is copied. What comes both ways is replaced.
	if err := w.Define(ctx, fmt.Sprintf("CREATE MATERIALIZED VIEW IF NOT EXISTS %s_feed TO %[1]s AS %s", table, rows)); err != nil {
		return err
	}
	if err := w.conn.Exec(withoutIndexing(ctx, clickhouse.Settings{}), fmt.Sprintf("INSERT INTO %s (%s) %s", w.target(table), similarColumns, w.fromHere(rows))); err != nil {
		return err
	}
	if err := w.retain(ctx, tableRetention{table, w.options.Retention.Embeddings}, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	return w.Define(ctx, fmt.Sprintf("ALTER TABLE %s MODIFY COMMENT '%s'", table, similarFilled))
}

// target and fromHere name what a server that is asked alone fills, and from what: its own rows, when they are sharded.
func (w *Warehouse) target(table string) string {
	if l := w.options.Layout; l.Here {
		return l.local(table)
	}
	return table
}

func (w *Warehouse) fromHere(rows string) string {
	return strings.Replace(rows, " FROM embedding_rows ", " FROM "+w.target("embedding_rows")+" ", 1)
}

// similarIsFilled says whether an encoder's table can be searched.
func (w *Warehouse) similarIsFilled(ctx context.Context, table string) (bool, error) {
	var n uint64
	err := w.conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = ? AND comment = ?", table, similarFilled).Scan(&n)
	return n > 0, err
}

// similarTables lists the tables of all encoders.
func (w *Warehouse) similarTables(ctx context.Context) ([]string, error) {
	var rows []struct {
		Name string `ch:"name"`
	}
	err := w.conn.Select(ctx, &rows, "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, ?) ORDER BY name", "^"+similarPrefix+"[0-9a-f]{16}_[0-9]+$")
	if err != nil {
		return nil, fmt.Errorf("listing the tables of similar vacancies: %w", err)
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Name
	}
	return names, nil
}

// withoutIndexing adds to an insert's settings what leaves the building of the vectors' index to merges.
func withoutIndexing(ctx context.Context, s clickhouse.Settings) context.Context {
	s["exclude_materialize_skip_indexes_on_insert"] = similarIndex
	// A Distributed table returns when the shards have the rows, and takes the same replica of each as long as it is there.
	s["distributed_foreground_insert"] = 1
	s["load_balancing"] = "in_order"
	return clickhouse.Context(ctx, clickhouse.WithSettings(s))
}

// quoted is a string of SQL.
func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
