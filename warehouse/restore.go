package warehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// RestoreOptions say what is restored from where.
type RestoreOptions struct {
	From Destination
	// Add lets the backup's rows come beside those that the database holds; of rows with the same key the one inserted last counts. Without it the database must hold none.
	Add bool
	// Erasures are tombstones that came after the backup, from topics and exports. Those of this database are added.
	Erasures []Erasure
	// ErasuresOf names other databases on this server whose tombstones count as well. What is not there is passed over.
	ErasuresOf []string
	Logger     *slog.Logger
	// Progress is called with what is done, and how much of it; nil is allowed.
	Progress Progress
}

// Restored says what a restore did.
type Restored struct {
	Manifest Manifest `json:"manifest"`
	// Tombstones that were known in all, and rows of the backup that they erased.
	Tombstones int    `json:"tombstones"`
	Erased     uint64 `json:"erased"`
}

// ErrHoldsRows is returned for a database that is not empty.
var ErrHoldsRows = errors.New("the database holds rows already: restore into an empty one (--clickhouse-database), or add the backup's rows to them with --add")

// Restore puts a backup's rows into this database. No erased vacancy can be seen in it at any time: the rows lie in a database <name>_restore, where they are compared with the
// backup's manifest, brought to this version's schema and cleaned of what any tombstone erases, and come from there, tombstones first, as links that are made at once.
// Until then nothing is changed, and whatever ends it, it can be repeated; after a server that died while the links were made, with Add.
func (w *Warehouse) Restore(ctx context.Context, o RestoreOptions) (Restored, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r, err := w.restore(ctx, o)
	if err != nil {
		return r, fmt.Errorf("restoring %s from %s: %w", w.options.Database, o.From, err)
	}
	return r, nil
}

func (w *Warehouse) restore(ctx context.Context, o RestoreOptions) (r Restored, err error) {
	if err := w.requireEmpty(ctx, o); err != nil {
		return r, err
	}
	aside, err := w.beside(ctx, "_restore")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, aside.drop(ctx)) }()
	if r.Manifest, err = aside.fetch(ctx, o); err != nil {
		return r, err
	}
	if err := aside.compare(ctx, r.Manifest, o.Progress); err != nil {
		return r, err
	}
	// Every migration, because the views that a later one builds on are not in the backup. On tables that have it already a statement changes nothing.
	if err := aside.conn.Exec(ctx, "DROP TABLE schema_migrations SYNC"); err != nil {
		return r, fmt.Errorf("bringing the backup to this version's schema: %w", err)
	}
	if err := aside.migrate(ctx, migrationFiles, o.Logger); err != nil {
		return r, fmt.Errorf("bringing the backup to this version's schema: %w", err)
	}
	before, err := aside.erasableRows(ctx)
	if err != nil {
		return r, err
	}
	known, err := w.tombstones(ctx, o)
	if err != nil {
		return r, err
	}
	if r.Tombstones, err = aside.clean(ctx, known, o.Progress); err != nil {
		return r, err
	}
	after, err := aside.erasableRows(ctx)
	if err != nil {
		return r, err
	}
	r.Erased = before - after
	if err := w.Migrate(ctx, o.Logger); err != nil {
		return r, err
	}
	if err := ctx.Err(); err != nil {
		return r, fmt.Errorf("stopped: nothing was changed: %w", err)
	}
	// From here on it goes through, also when ctx ends: it takes moments.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
	defer cancel()
	if err := w.takeIn(work, aside, r.Manifest, o.Progress); err != nil {
		return r, fmt.Errorf("the database holds a part of the backup: repeat it with --add: %w", err)
	}
	return r, nil
}

// requireEmpty refuses a database with rows, unless they are to be added to.
func (w *Warehouse) requireEmpty(ctx context.Context, o RestoreOptions) error {
	if o.Add {
		return nil
	}
	names, err := w.keptTables(ctx)
	if err != nil {
		return err
	}
	for _, table := range names {
		if table == "schema_migrations" || table == "erasure_rows" { // tombstones alone may be there: they came to be kept
			continue
		}
		var rows uint64
		if err := w.conn.QueryRow(ctx, "SELECT count() FROM "+table).Scan(&rows); err != nil {
			return fmt.Errorf("counting %s: %w", table, err)
		}
		if rows > 0 {
			return fmt.Errorf("%w (%s has %d)", ErrHoldsRows, table, rows)
		}
	}
	return nil
}

// fetch restores the manifest, and when this version can read that, the tables that it names.
func (w *Warehouse) fetch(ctx context.Context, o RestoreOptions) (m Manifest, err error) {
	named := func(table string) string {
		return fmt.Sprintf("TABLE %s.%s AS %s.%[2]s", backupDatabase, table, w.options.Database)
	}
	if err := w.await(ctx, "RESTORE "+named(manifestTable)+" FROM "+o.From.expression, "", "finding the backup", nil, o.From); err != nil {
		return m, err
	}
	if m, err = w.readManifest(ctx); err != nil {
		return m, err
	}
	var tables []string
	for _, t := range m.Tables {
		tables = append(tables, named(t.Table))
	}
	return m, w.await(ctx, "RESTORE "+strings.Join(tables, ", ")+" FROM "+o.From.expression, "", "reading the backup", o.Progress, o.From)
}

// compare reads everything that was restored and compares it with the manifest.
func (w *Warehouse) compare(ctx context.Context, m Manifest, step Progress) error {
	for i, want := range m.Tables {
		step.show("comparing with the manifest", i, len(m.Tables))
		got, err := w.sum(ctx, want.Table)
		if err != nil {
			return fmt.Errorf("the backup is damaged, or the server cannot read it: use another one: %w", err)
		}
		if got.Rows != want.Rows || got.Checksum != want.Checksum {
			return fmt.Errorf("the backup is damaged: %s has %d rows with checksum %d, its manifest says %d with %d: use another one", want.Table, got.Rows, got.Checksum, want.Rows, want.Checksum)
		}
	}
	return nil
}

// tombstones gathers what is known of erasures beside the backup.
func (w *Warehouse) tombstones(ctx context.Context, o RestoreOptions) ([]Erasure, error) {
	known := slices.Clone(o.Erasures)
	for _, database := range append([]string{w.options.Database}, o.ErasuresOf...) {
		var there uint64
		err := w.conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = 'erasure_rows'", database).Scan(&there)
		if err == nil && there > 0 {
			err = w.eachErasure(ctx, database, func(e Erasure) error { known = append(known, e); return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("reading the tombstones of %s: %w", database, diagnose(err, w.options))
		}
	}
	return known, nil
}

// cleanChunk bounds the tombstones that are carried out at once.
const cleanChunk = 10_000

// clean carries out tombstones, those that it holds already included, and has the bytes of what they erase leave the disk. It returns how many there are.
func (w *Warehouse) clean(ctx context.Context, known []Erasure, step Progress) (int, error) {
	if err := w.eachErasure(ctx, w.options.Database, func(e Erasure) error { known = append(known, e); return nil }); err != nil {
		return 0, err
	}
	done := 0
	for chunk := range slices.Chunk(known, cleanChunk) {
		step.show("erasing what was erased since", done, len(known))
		if err := w.Erase(ctx, chunk); err != nil {
			return 0, err
		}
		done += len(chunk)
	}
	for _, p := range erasable {
		var masked uint64
		err := w.conn.QueryRow(ctx, "SELECT count() FROM "+p.table+" WHERE NOT _row_exists SETTINGS apply_deleted_mask = 0").Scan(&masked)
		if err == nil && masked > 0 {
			err = w.conn.Exec(ctx, "ALTER TABLE "+p.table+" APPLY DELETED MASK SETTINGS mutations_sync = 2")
		}
		if err != nil {
			return 0, fmt.Errorf("purging %s of erased rows: %w", p.table, err)
		}
	}
	var distinct uint64
	if err := w.conn.QueryRow(ctx, "SELECT count() FROM erasure_rows FINAL").Scan(&distinct); err != nil {
		return 0, fmt.Errorf("counting the tombstones: %w", err)
	}
	return int(distinct), nil
}

// erasableRows counts the rows of vacancies, each once.
func (w *Warehouse) erasableRows(ctx context.Context) (total uint64, err error) {
	for _, p := range erasable {
		var n uint64
		if err := w.conn.QueryRow(ctx, "SELECT count() FROM "+p.table+" FINAL").Scan(&n); err != nil {
			return 0, fmt.Errorf("counting %s: %w", p.table, err)
		}
		total += n
	}
	return total, nil
}

// takeIn links the parts of cleaned tables into this database's, tombstones first. What live tombstones erased meanwhile is erased again.
func (w *Warehouse) takeIn(ctx context.Context, from *Warehouse, m Manifest, step Progress) error {
	tables, err := from.keptTables(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(tables) // keptTables has tombstones last
	for i, table := range tables {
		step.show("taking the rows in", i, len(tables))
		if table == "schema_migrations" {
			continue // says what was applied here
		}
		if err := w.conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION ALL FROM %s.%[1]s", table, from.options.Database)); err != nil {
			return fmt.Errorf("taking in %s: %w", table, Explain(err))
		}
	}
	similar, err := w.similarTables(ctx)
	if err != nil {
		return err
	}
	for _, table := range similar { // links do not pass by the view that fills it: the next EnsureSimilar does
		if err := w.conn.Exec(ctx, "ALTER TABLE "+table+" MODIFY COMMENT ''"); err != nil {
			return fmt.Errorf("having %s filled again: %w", table, err)
		}
	}
	var again []Erasure
	if err := w.eachErasure(ctx, w.options.Database, func(e Erasure) error { again = append(again, e); return nil }); err != nil {
		return err
	}
	for chunk := range slices.Chunk(again, cleanChunk) {
		if err := w.Erase(ctx, chunk); err != nil {
			return err
		}
	}
	for _, t := range m.Tables {
		if set, err := w.Retention(ctx, t.Table); err != nil || set > 0 || t.Retention == 0 {
			continue // what the settings say now counts
		}
		if err := w.retain(ctx, tableRetention{t.Table, time.Duration(t.Retention) * time.Second}, slog.New(slog.DiscardHandler)); err != nil {
			return fmt.Errorf("setting the retention of %s: %w", t.Table, err)
		}
	}
	return w.SaveOffsets(ctx, m.Offsets)
}
