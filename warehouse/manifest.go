package warehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// Manifest says what a backup holds. It is a table of the backup, so that nothing can be lost beside it.
type Manifest struct {
	Format int `json:"format"`
	// Version of the jobstrom that made the backup, Schema that of the tables.
	Version string    `json:"version"`
	Schema  uint32    `json:"schema"`
	At      time.Time `json:"at"`
	// Database that was backed up.
	Database string     `json:"database"`
	Tables   []TableSum `json:"tables"`
	// Offsets say how far the sink had read when the backup began: what lies before them is in the backup, what lies behind may be.
	Offsets []Offset `json:"offsets"`
}

// TableSum is what a table holds, each row once.
type TableSum struct {
	Table string `json:"table"`
	Rows  uint64 `json:"rows"`
	// Checksum is the sum of the SipHash of each row.
	Checksum uint64 `json:"checksum"`
	// Retention in seconds; 0 keeps the rows.
	Retention int64 `json:"retention"`
}

// Offset is the next record to read of a partition.
type Offset struct {
	Topic     string    `json:"topic" ch:"topic"`
	TopicID   uuid.UUID `json:"topic_id" ch:"topic_id"`
	Partition int32     `json:"partition" ch:"topic_partition"`
	Next      int64     `json:"next" ch:"next_offset"`
}

// manifestFormat is the version of the manifest and of what stands around it.
const manifestFormat = 1

// manifestTable holds the manifest in the backup.
const manifestTable = "backup_manifest"

// backupDatabase is the database's name in every backup.
const backupDatabase = "jobstrom"

// Rows of all tables.
func (m Manifest) Rows() (n uint64) {
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// validate refuses what this version cannot restore.
func (m Manifest) validate() error {
	known, err := readMigrations(migrationFiles)
	switch {
	case err != nil:
		return err
	case m.Format != manifestFormat:
		return fmt.Errorf("the backup has format %d, this jobstrom knows %d: use a newer jobstrom", m.Format, manifestFormat)
	case m.Schema > uint32(len(known)):
		return fmt.Errorf("the backup's schema version is %d, made by jobstrom %s; this one knows %d: use a newer jobstrom", m.Schema, m.Version, len(known))
	case m.Schema == 0 || len(m.Tables) == 0:
		return errors.New("the backup's manifest names no schema or no table: it is no whole backup of jobstrom")
	}
	for _, t := range m.Tables {
		if !databaseName.MatchString(t.Table) {
			return fmt.Errorf("the backup's manifest names the table %.80q, which no jobstrom makes", t.Table)
		}
	}
	return nil
}

// madeTable finds what a migration makes.
var madeTable = regexp.MustCompile(`(?m)^CREATE TABLE IF NOT EXISTS (\w+)`)

// keptTables lists the tables that a backup holds, erasure_rows last: a row that is copied before its tombstone is erased by it, in no other order. What is searched for similar
// vacancies is made of embedding_rows again, and tables of other people's are theirs to back up.
func (w *Warehouse) keptTables(ctx context.Context) ([]string, error) {
	own, err := ownTables()
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Name   string `ch:"name"`
		Engine string `ch:"engine"`
	}
	if err := w.conn.Select(ctx, &rows, "SELECT name, engine FROM system.tables WHERE database = currentDatabase() AND name IN (?) ORDER BY name = 'erasure_rows', name", own); err != nil {
		return nil, fmt.Errorf("listing the tables of %s: %w", w.options.Database, diagnose(err, w.options))
	}
	var names []string
	for _, r := range rows {
		if r.Engine == "Distributed" {
			return nil, fmt.Errorf("%s.%s is spread over a cluster's shards, which one server's backup does not hold: use BACKUP … ON CLUSTER (docs/backup.md)", w.options.Database, r.Name)
		}
		names = append(names, r.Name)
	}
	return names, nil
}

// ownTables names the tables that migrations make, and the one of the migrations.
func ownTables() ([]string, error) {
	migrations, err := readMigrations(migrationFiles)
	names := []string{"schema_migrations"}
	for _, m := range migrations {
		for _, s := range m.statements {
			if found := madeTable.FindStringSubmatch(s); found != nil {
				names = append(names, found[1])
			}
		}
	}
	return names, err
}

// sum counts a table's rows and hashes them. Rows that were inserted twice count once, as merges would leave them, so the sum holds whatever is merged.
func (w *Warehouse) sum(ctx context.Context, table string) (TableSum, error) {
	s := TableSum{Table: table}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"do_not_merge_across_partitions_select_final": 1}))
	if err := w.conn.QueryRow(ctx, "SELECT count(), sum(sipHash64(tuple(*))) FROM "+table+" FINAL").Scan(&s.Rows, &s.Checksum); err != nil {
		return s, fmt.Errorf("reading all of %s: %w", table, Explain(err))
	}
	return s, nil
}

// schemaVersion is that of the database's tables.
func (w *Warehouse) schemaVersion(ctx context.Context) (version uint32, err error) {
	err = w.conn.QueryRow(ctx, "SELECT max(version) FROM schema_migrations").Scan(&version)
	if err != nil {
		err = fmt.Errorf("reading schema_migrations: %w", err)
	}
	return version, err
}

func (w *Warehouse) writeManifest(ctx context.Context, m Manifest) error {
	text, err := json.Marshal(m)
	if err == nil {
		err = w.conn.Exec(ctx, "CREATE TABLE "+manifestTable+" (manifest String) ENGINE = MergeTree ORDER BY tuple()")
	}
	if err == nil {
		err = w.conn.Exec(ctx, "INSERT INTO "+manifestTable+" (manifest) VALUES (?)", string(text))
	}
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	return nil
}

func (w *Warehouse) readManifest(ctx context.Context) (m Manifest, err error) {
	var texts []struct {
		Manifest string `ch:"manifest"`
	}
	if err := w.conn.Select(ctx, &texts, "SELECT manifest FROM "+manifestTable); err != nil {
		return m, fmt.Errorf("reading the backup's manifest: %w", err)
	}
	if len(texts) != 1 {
		return m, fmt.Errorf("reading the backup's manifest: it has %d, want 1", len(texts))
	}
	if err := json.Unmarshal([]byte(texts[0].Manifest), &m); err != nil {
		return m, fmt.Errorf("reading the backup's manifest: %w", err)
	}
	return m, m.validate()
}
