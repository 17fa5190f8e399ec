package warehouse

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one file, named by its number and what it does: 0001_tables.sql. A file that was applied is never changed
// again; the next one alters what it made. Every statement can be run twice, because a migration that breaks off
// begins again.
type migration struct {
	version    uint32
	name       string
	sha256     string
	statements []string
	// additive says that binaries that do not know the migration go on working beside those that do; see compatible.go.
	additive bool
}

// Migrate brings the database to the schema of this binary and applies the retention. It may run at every start and on
// many machines at once. It refuses a database with a newer schema that is not only an addition to this binary's, and a migration
// whose file has changed since it was applied.
func (w *Warehouse) Migrate(ctx context.Context, logger *slog.Logger) error {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if err := w.migrate(ctx, migrationFiles, logger); err != nil {
		return fmt.Errorf("migrating the database %s: %w", w.options.Database, err)
	}
	kept := w.options.Retention.tables()
	similar, err := w.similarTables(ctx)
	if err != nil {
		return fmt.Errorf("migrating the database %s: %w", w.options.Database, err)
	}
	for _, table := range similar {
		kept = append(kept, tableRetention{table, w.options.Retention.Embeddings})
	}
	for _, r := range kept {
		if err := w.retain(ctx, r, logger); err != nil {
			return fmt.Errorf("setting the retention of %s to %v: %w", r.table, r.keep, err)
		}
	}
	return nil
}

func (w *Warehouse) migrate(ctx context.Context, files fs.FS, logger *slog.Logger) error {
	migrations, err := readMigrations(files)
	if err != nil {
		return err
	}
	// Two machines may record the same migration, hence the engine and the FINAL below.
	err = w.conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations
		(version UInt32, name String, sha256 String, applied_at DateTime64(3, 'UTC'))
		ENGINE = ReplacingMergeTree(applied_at) ORDER BY version`)
	if err != nil {
		return fmt.Errorf("creating schema_migrations: %w", err)
	}
	if err := w.createAdditions(ctx); err != nil {
		return err
	}
	applied, err := w.applied(ctx)
	if err != nil {
		return err
	}
	done := make(map[uint32]bool, len(applied))
	for _, a := range applied {
		if a.Version > uint32(len(migrations)) {
			if !a.Additive {
				return fmt.Errorf("its schema version is %d, this binary knows %d: use a newer jobstrom or another database", a.Version, len(migrations))
			}
			logger.Info("the database has an addition of a newer jobstrom, which this one leaves alone", "name", a.Name, "database", w.options.Database)
			continue
		}
		if m := migrations[a.Version-1]; m.sha256 != a.SHA256 {
			return fmt.Errorf("%s has changed since it was applied (sha256 was %s, is %s): restore the file and put the change into a new one, or use another database", m.name, a.SHA256, m.sha256)
		}
		done[a.Version] = true
	}
	for _, m := range migrations {
		if done[m.version] {
			continue
		}
		start := time.Now()
		for i, statement := range m.statements {
			if err := w.conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("applying statement %d of %s: %w", i+1, m.name, err)
			}
		}
		if err := w.record(ctx, m); err != nil {
			return fmt.Errorf("recording %s: %w", m.name, err)
		}
		logger.Info("applied migration", "name", m.name, "database", w.options.Database, "took", time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// readMigrations returns the files in order; their numbers must count from 1 without a gap.
func readMigrations(files fs.FS) ([]migration, error) {
	paths, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	migrations := make([]migration, len(paths))
	for i, path := range paths {
		name := strings.TrimPrefix(path, "migrations/")
		if !strings.HasPrefix(name, fmt.Sprintf("%04d_", i+1)) {
			return nil, fmt.Errorf("reading migrations: file %d is %s, want a name that begins with %04d_", i+1, name, i+1)
		}
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return nil, fmt.Errorf("reading migrations: %w", err)
		}
		sum := sha256.Sum256(text)
		m := migration{version: uint32(i + 1), name: name, sha256: hex.EncodeToString(sum[:]), statements: splitStatements(string(text)), additive: isAdditive(string(text))}
		if err := m.validate(); err != nil {
			return nil, fmt.Errorf("reading migrations: %w", err)
		}
		migrations[i] = m
	}
	return migrations, nil
}

// splitStatements cuts at semicolons that end a line, and drops lines that are comments.
func splitStatements(text string) []string {
	var statements []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if strings.HasPrefix(strings.TrimSpace(line), "--") {
			continue
		}
		body, ends := strings.CutSuffix(line, ";")
		b.WriteString(body + "\n")
		if ends {
			statements = append(statements, strings.TrimSpace(b.String()))
			b.Reset()
		}
	}
	if rest := strings.TrimSpace(b.String()); rest != "" {
		statements = append(statements, rest)
	}
	return statements
}

// retain sets a table's TTL unless it is set already, because every ALTER of it rewrites parts.
func (w *Warehouse) retain(ctx context.Context, r tableRetention, logger *slog.Logger) error {
	if r.keep == 0 {
		return nil
	}
	set, err := w.Retention(ctx, r.table)
	if err != nil {
		return err
	}
	if set == r.keep.Truncate(time.Second) {
		return nil
	}
	if err := w.conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s MODIFY TTL toDateTime(received_at) + toIntervalSecond(%d)", r.table, int64(r.keep.Seconds()))); err != nil {
		return err
	}
	logger.Info("set retention", "table", r.table, "keep", r.keep)
	return nil
}

// ttl is how retain sets it.
var ttl = regexp.MustCompile(`TTL toDateTime\(received_at\) \+ toIntervalSecond\((\d+)\)`)

// Retention returns how long a table keeps its rows after they were received, by the database; 0 when it keeps them.
func (w *Warehouse) Retention(ctx context.Context, table string) (time.Duration, error) {
	var engine string
	if err := w.conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?", table).Scan(&engine); err != nil {
		return 0, err
	}
	found := ttl.FindStringSubmatch(engine)
	if found == nil {
		return 0, nil
	}
	seconds, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the retention of %s: %w", table, err)
	}
	return time.Duration(seconds) * time.Second, nil
}
