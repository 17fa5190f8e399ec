package warehouse

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
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
	kept, err := w.retentions(ctx)
	if err != nil {
		return fmt.Errorf("migrating the database %s: %w", w.options.Database, err)
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
	if err := w.checkLayout(ctx); err != nil {
		return err
	}
	if on := w.options.Layout.onCluster(); on != "" {
		if err := w.conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+w.options.Database+on); err != nil {
			return fmt.Errorf("creating the database on every server: %w", err)
		}
	}
	// Two machines may record the same migration, hence the engine and the FINAL below.
	err = w.Define(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations
		(version UInt32, name String, sha256 String, applied_at DateTime64(3, 'UTC'))
		ENGINE = ReplacingMergeTree(applied_at) ORDER BY version`)
	if err != nil {
		return fmt.Errorf("creating schema_migrations: %w", err)
	}
	if err := w.createAdditions(ctx); err != nil {
		return err
	}
	pending, err := w.pending(ctx, migrations, logger)
	if err != nil {
		return err
	}
	recorded := pending
	if w.options.Layout.Here {
		pending = migrations // what the others have applied is not here; every statement can be run again
	}
	for _, m := range pending {
		start := time.Now()
		for i, statement := range m.statements {
			if err := w.Define(ctx, statement); err != nil {
				return fmt.Errorf("applying statement %d of %s: %w", i+1, m.name, err)
			}
		}
		if !slices.ContainsFunc(recorded, func(r migration) bool { return r.version == m.version }) {
			continue
		}
		if err := w.record(ctx, m); err != nil {
			return fmt.Errorf("recording %s: %w", m.name, err)
		}
		logger.Info("applied migration", "name", m.name, "database", w.options.Database, "took", time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// Define runs a statement that makes or changes tables or views, as the layout has it. It is written for one server, and has one of the forms that layouts know.
func (w *Warehouse) Define(ctx context.Context, statement string) error {
	statements, err := w.options.Layout.statements(w.options.Database, statement)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if err := w.conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// pending returns the migrations that were not applied. It refuses a database that is newer in more than additions, or was made by other files.
func (w *Warehouse) pending(ctx context.Context, migrations []migration, logger *slog.Logger) ([]migration, error) {
	applied, err := w.applied(ctx)
	if err != nil {
		return nil, err
	}
	done := make(map[uint32]bool, len(applied))
	for _, a := range applied {
		if a.Version > uint32(len(migrations)) {
			if !a.Additive {
				return nil, fmt.Errorf("its schema version is %d, this binary knows %d: use a newer jobstrom or another database", a.Version, len(migrations))
			}
			logger.Info("the database has an addition of a newer jobstrom, which this one leaves alone", "name", a.Name, "database", w.options.Database)
			continue
		}
		if m := migrations[a.Version-1]; m.sha256 != a.SHA256 {
			return nil, fmt.Errorf("%s has changed since it was applied (sha256 was %s, is %s): restore the file and put the change into a new one, or use another database", m.name, a.SHA256, m.sha256)
		}
		done[a.Version] = true
	}
	return slices.DeleteFunc(slices.Clone(migrations), func(m migration) bool { return done[m.version] }), nil
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
