package warehouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// BackupOptions say what is backed up to where.
type BackupOptions struct {
	To Destination
	// Base is an earlier backup: only files that it lacks are written, and it is needed to restore this one.
	Base Destination
	// Version of this jobstrom.
	Version string
	// Offsets say how far the sink had read before the backup was asked for.
	Offsets []Offset
	// Progress is called with what is done, and how much of it; nil is allowed.
	Progress Progress
}

// Progress tells of a phase's progress: so much is done, of so much, or of nobody knows how much (0).
type Progress func(phase string, done, of int)

func (s Progress) show(phase string, done, of int) {
	if s != nil {
		s(phase, done, of)
	}
}

// Backup writes the tables' rows to a place that the server reaches. The sink may go on: the backup holds what the tables held at one moment each, tombstones last.
//
// The moment is held by a database <name>_backup of hard links, which takes no room and is dropped afterwards, also after an error. In it rows are counted and hashed, so that a
// restore can tell that it has all of them.
func (w *Warehouse) Backup(ctx context.Context, o BackupOptions) (Manifest, error) {
	m, err := w.backup(ctx, o)
	if err != nil {
		return m, fmt.Errorf("backing up %s to %s: %w", w.options.Database, o.To, err)
	}
	return m, nil
}

func (w *Warehouse) backup(ctx context.Context, o BackupOptions) (m Manifest, err error) {
	m = Manifest{Format: manifestFormat, Version: o.Version, Database: w.options.Database, At: time.Now().UTC().Truncate(time.Millisecond), Offsets: o.Offsets}
	tables, err := w.keptTables(ctx)
	if err != nil {
		return m, err
	}
	if !slices.Contains(tables, "schema_migrations") || !slices.Contains(tables, "erasure_rows") {
		return m, errors.New("it holds no tables of jobstrom: correct --clickhouse-database")
	}
	copied, err := w.beside(ctx, "_backup")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, copied.drop(ctx)) }()
	if m.Schema, err = w.schemaVersion(ctx); err != nil {
		return m, err
	}
	for i, table := range tables {
		o.Progress.show("holding the tables", i, len(tables))
		if err := w.link(ctx, copied, table); err != nil {
			return m, err
		}
	}
	for i, table := range tables {
		o.Progress.show("counting the rows", i, len(tables))
		sum, err := copied.sum(ctx, table)
		if err != nil {
			return m, err
		}
		kept, err := w.Retention(ctx, table)
		if err != nil {
			return m, fmt.Errorf("reading the retention of %s: %w", table, err)
		}
		sum.Retention = int64(kept.Seconds())
		m.Tables = append(m.Tables, sum)
	}
	if err := copied.writeManifest(ctx, m); err != nil {
		return m, err
	}
	statement, settings := "BACKUP DATABASE "+copied.options.Database+" AS "+backupDatabase+" TO "+o.To.expression, ""
	if !o.Base.IsZero() {
		settings = ", base_backup = " + o.Base.expression
	}
	return m, copied.await(ctx, statement, settings, "writing", o.Progress, o.To, o.Base)
}

// beside opens an empty database beside this one, named after it. What a process that was killed left there goes.
func (w *Warehouse) beside(ctx context.Context, suffix string) (*Warehouse, error) {
	o := w.options
	o.Database, o.CreateDatabase = w.options.Database+suffix, true
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := dropDatabase(ctx, w, o.Database); err != nil {
		return nil, err
	}
	return Open(ctx, o)
}

// drop drops the database, in bounded time and also when ctx has ended, and closes the connections.
func (w *Warehouse) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(dropDatabase(ctx, w, w.options.Database), w.Close())
}

func dropDatabase(ctx context.Context, w *Warehouse, database string) error {
	// A server refuses to drop large tables, for fear of a slip; links are none.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_table_size_to_drop": 0, "max_partition_size_to_drop": 0}))
	if err := w.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+database+" SYNC"); err != nil {
		return fmt.Errorf("dropping the database %s, in which nothing is kept: %w", database, diagnose(err, w.options))
	}
	return nil
}

// replicated is what an engine's text has for replicas.
var replicated = regexp.MustCompile(`^Replicated(\w*MergeTree\()'(?:[^'\\]|\\.)*', '(?:[^'\\]|\\.)*'(?:, )?`)

// link gives another database a table of the same parts. It has no retention and no replicas: nothing but merges changes it.
func (w *Warehouse) link(ctx context.Context, to *Warehouse, table string) error {
	var engine string
	err := w.conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?", table).Scan(&engine)
	if err == nil {
		engine = ttl.ReplaceAllString(replicated.ReplaceAllString(engine, "$1"), "")
		err = to.conn.Exec(ctx, fmt.Sprintf("CREATE TABLE %s AS %s.%[1]s ENGINE = %[3]s", table, w.options.Database, engine))
	}
	if err == nil {
		err = to.conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION ALL FROM %s.%[1]s", table, w.options.Database))
	}
	if err != nil {
		return fmt.Errorf("holding %s: %w", table, diagnose(Explain(err), w.options))
	}
	return nil
}

// awaitEvery is how often the server is asked how far it is.
const awaitEvery = 100 * time.Millisecond

// await has the server carry out a BACKUP or RESTORE and waits for it. When ctx ends the server is told to stop.
func (w *Warehouse) await(ctx context.Context, statement, settings, phase string, step Progress, places ...Destination) error {
	id := uuid.NewString()
	err := w.conn.Exec(ctx, fmt.Sprintf("%s SETTINGS id = '%s'%s ASYNC", statement, id, settings))
	for err == nil {
		var status, reason string
		var files, bytes, read uint64
		err = w.conn.QueryRow(ctx, "SELECT toString(status), error, num_files, total_size, bytes_read FROM system.backups WHERE id = ?", id).Scan(&status, &reason, &files, &bytes, &read)
		switch {
		case err != nil:
			if strings.Contains(err.Error(), "no rows") {
				return errors.New("the server has forgotten it: it was started again meanwhile; do it again, a backup under another name")
			}
		case status == "BACKUP_CREATED" || status == "RESTORED":
			step.show(phase, max(int(bytes), 1), max(int(bytes), 1))
			return nil
		case reason != "":
			err = errors.New(firstLine(reason))
		default:
			step.show(phase, int(read), int(bytes))
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-time.After(awaitEvery):
			}
		}
	}
	if ctx.Err() != nil {
		w.cancelBackup(ctx, id)
		return fmt.Errorf("stopped: nothing was changed: %w", ctx.Err())
	}
	message := err.Error()
	for _, place := range places {
		message = place.hide(message)
	}
	if remedy := backupRemedy(message); remedy != "" {
		return fmt.Errorf("%s: %s", remedy, message)
	}
	if message == err.Error() {
		return diagnose(Explain(err), w.options)
	}
	return errors.New(message)
}

// cancelBackup has the server stop what it was told to do, and waits until it has.
func (w *Warehouse) cancelBackup(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var query string
	if w.conn.QueryRow(ctx, "SELECT query_id FROM system.backups WHERE id = ?", id).Scan(&query) == nil {
		_ = w.conn.Exec(ctx, "KILL QUERY WHERE query_id = ? SYNC FORMAT Null", query) // without the right it goes on, and its database stays until the next backup
	}
}

// firstLine is a server's message without the stack below it.
func firstLine(message string) string {
	message, _, _ = strings.Cut(message, ", Stack trace")
	message, _, _ = strings.Cut(message, "\n")
	return message
}

// backupRemedy says what to do about what the server says of a BACKUP or RESTORE; "" where nothing is known. The server's codes stand in the text.
func backupRemedy(message string) string {
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(message, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("'backups.allowed_path'", "'backups.allowed_disk'", "allowed for backups"):
		return "the server may not write there: name a place below its backups.allowed_path or on its backups.allowed_disk (docs/backup.md says how its operator sets them)"
	case has("BACKUP_ALREADY_EXISTS", "already exists"):
		return "a backup lies there already: choose another name"
	case has("BACKUP_NOT_FOUND"):
		return "no backup lies there: correct its name"
	case has("BACKUP_ENTRY_NOT_FOUND", "was not found in backup", "not found in backup"):
		return "it is no whole backup of jobstrom: a part of it is missing"
	case has("BACKUP_DAMAGED", "CHECKSUM_DOESNT_MATCH", "CANNOT_READ_ALL_DATA", "BAD_SIZE_OF_FILE_IN_DATA_PART", "ATTEMPT_TO_READ_AFTER_EOF", "CANNOT_UNPACK_ARCHIVE", "CORRUPTED_DATA", "CANNOT_DECOMPRESS", "has unexpected size", "in copy: No such file or directory"):
		return "the backup is damaged: use another one"
	case has("minizip library is disabled"):
		return "this server writes no zip: choose a name that ends in .tar, or a folder"
	case has("ACCESS_DENIED"):
		return "the user lacks a right on ClickHouse (docs/backup.md lists what a backup needs)"
	case has("NOT_ENOUGH_SPACE", "No space left on device"):
		return "the disk of the backups is full: make room"
	}
	return ""
}
