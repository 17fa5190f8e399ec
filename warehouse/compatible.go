package warehouse

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// During a rolling upgrade, and after a rollback, binaries of two releases work on one database. A migration whose first line is additiveMark promises that those who do not
// know it read and write as before: it only makes tables and indices, adds columns with a default, and makes views over again. Every other migration is one that an
// older binary must not meet.
//
// Additions are recorded in a table of their own, schema_additions, because jobstrom 0.1.0 refuses every number that it does not know in schema_migrations. So an older binary,
// 0.1.0 included, starts on a database that was only added to, and is refused by one that was changed.

// additiveMark is the first line of a migration that is only an addition.
const additiveMark = "-- additive"

func isAdditive(text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(first) == additiveMark
}

// additions are the statements that an additive migration may hold.
var additions = regexp.MustCompile(`(?is)^(CREATE TABLE IF NOT EXISTS |CREATE (OR REPLACE VIEW|VIEW IF NOT EXISTS|MATERIALIZED VIEW IF NOT EXISTS) |ALTER TABLE \S+ (ADD COLUMN IF NOT EXISTS \S+ .*\b(DEFAULT|MATERIALIZED|ALIAS)\b|ADD INDEX IF NOT EXISTS ))`)

// changes are what an addition may not hold anywhere.
var changes = regexp.MustCompile(`(?i)\b(DROP|MODIFY|RENAME)\b`)

// validate checks that a migration keeps what its first line promises. It cannot know everything: that a view made over again still has its columns, a test must say.
func (m migration) validate() error {
	if !m.additive {
		return nil
	}
	for i, statement := range m.statements {
		if !additions.MatchString(statement) || changes.MatchString(statement) {
			return fmt.Errorf("statement %d of %s is no addition (%.60q): leave out the line %q, which makes older binaries refuse the database, or add instead", i+1, m.name, statement, additiveMark)
		}
	}
	return nil
}

// appliedMigration is what the database says of one.
type appliedMigration struct {
	Version  uint32 `ch:"version"`
	Name     string `ch:"name"`
	SHA256   string `ch:"sha256"`
	Additive bool   `ch:"additive"`
}

// createAdditions makes the table of additions, as schema_migrations is made.
func (w *Warehouse) createAdditions(ctx context.Context) error {
	err := w.Define(ctx, `CREATE TABLE IF NOT EXISTS schema_additions
		(version UInt32, name String, sha256 String, applied_at DateTime64(3, 'UTC'))
		ENGINE = ReplacingMergeTree(applied_at) ORDER BY version`)
	if err != nil {
		return fmt.Errorf("creating schema_additions: %w", err)
	}
	return nil
}

// applied lists what was applied, additions and others, by number. A database that no migration has met since there are additions has no table of them.
func (w *Warehouse) applied(ctx context.Context) ([]appliedMigration, error) {
	query := "SELECT version, name, sha256, false AS additive FROM " + w.target("schema_migrations") + " FINAL"
	var additions bool
	if err := w.conn.QueryRow(ctx, "SELECT count() > 0 FROM system.tables WHERE database = currentDatabase() AND name = ?", w.target("schema_additions")).Scan(&additions); err != nil {
		return nil, fmt.Errorf("looking for schema_additions: %w", err)
	}
	if additions {
		query += " UNION ALL SELECT version, name, sha256, true FROM " + w.target("schema_additions") + " FINAL"
	}
	var applied []appliedMigration
	if err := w.conn.Select(ctx, &applied, "SELECT version, name, sha256, additive FROM ("+query+") ORDER BY version"); err != nil {
		return nil, fmt.Errorf("reading schema_migrations and schema_additions: %w", err)
	}
	return applied, nil
}

// record says that a migration was applied.
func (w *Warehouse) record(ctx context.Context, m migration) error {
	table := "schema_migrations"
	if m.additive {
		table = "schema_additions"
	}
	return w.conn.Exec(withoutIndexing(ctx, clickhouse.Settings{}), "INSERT INTO "+w.target(table)+" VALUES (?, ?, ?, now64(3))", m.version, m.name, m.sha256)
}
