package warehouse

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMigrateTwice(t *testing.T) {
	w := open(t, testOptions(t))
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	type applied struct {
		Version   uint32    `ch:"version"`
		Name      string    `ch:"name"`
		AppliedAt time.Time `ch:"applied_at"`
	}
	read := func() (rows []applied) {
		t.Helper()
		if err := w.Conn().Select(t.Context(), &rows, "SELECT version, name, applied_at FROM schema_migrations ORDER BY version"); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if err := w.Migrate(t.Context(), logger); err != nil {
		t.Fatal(err)
	}
	first := read()
	files, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range files {
		if len(first) != len(files) || first[i].Name != m.name {
			t.Fatalf("applied %v, want %s and so on", first, m.name)
		}
	}
	if n := strings.Count(log.String(), "applied migration"); n != len(files) {
		t.Errorf("logged %d migrations, want %d:\n%s", n, len(files), log.String())
	}
	log.Reset()
	if err := w.Migrate(t.Context(), logger); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, read()); diff != "" {
		t.Errorf("the second time changed what is applied:\n%s", diff)
	}
	if log.Len() > 0 {
		t.Errorf("the second time logged %s", log.String())
	}
}

// A migration that breaks off is not recorded, and is applied wholly the next time.
func TestMigrateSteps(t *testing.T) {
	w := open(t, testOptions(t))
	logger := slog.New(slog.DiscardHandler)
	files := fstest.MapFS{
		"migrations/0001_one.sql": {Data: []byte("-- A comment; with a semicolon;\nCREATE TABLE IF NOT EXISTS one (s String DEFAULT 'a;b')\nENGINE = Memory;\n\nCREATE TABLE IF NOT EXISTS two (n UInt8) ENGINE = Memory\n")},
		"migrations/0002_bad.sql": {Data: []byte("CREATE TABLE IF NOT EXISTS three (n UInt8) ENGINE = Memory;\nCREATE NONSENSE;\n")},
	}
	f := func(want ...string) {
		t.Helper()
		err := w.migrate(t.Context(), files, logger)
		if len(want) == 0 && err != nil {
			t.Error(err)
		}
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("got %v, want it to contain %q", err, part)
			}
		}
	}
	f("statement 2 of 0002_bad.sql", "Syntax error")
	files["migrations/0002_bad.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE IF NOT EXISTS three (n UInt8) ENGINE = Memory;")}
	f()
	var n uint64
	if err := w.Conn().QueryRow(t.Context(), "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('one', 'two', 'three')").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 3 {
		t.Errorf("%d tables, want 3", n)
	}

	kept := files["migrations/0001_one.sql"]
	files["migrations/0001_one.sql"] = &fstest.MapFile{Data: []byte("SELECT 1")}
	f("0001_one.sql has changed since it was applied", "restore the file")
	files["migrations/0001_one.sql"] = kept
	bad := files["migrations/0002_bad.sql"]
	delete(files, "migrations/0002_bad.sql")
	f("schema version is 2, this binary knows 1", "newer jobstrom")
	files["migrations/0003_gap.sql"] = bad
	f("file 2 is 0003_gap.sql", "0002_")
}

func TestRetention(t *testing.T) {
	o := testOptions(t)
	engineOf := func(w *Warehouse, table string) (engine string) {
		t.Helper()
		err := w.Conn().QueryRow(context.Background(), "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?", table).Scan(&engine)
		if err != nil {
			t.Fatal(err)
		}
		return engine
	}
	migrate := func(r Retention) (*Warehouse, string) {
		t.Helper()
		o.Retention = r
		w := open(t, o)
		var log bytes.Buffer
		if err := w.Migrate(t.Context(), slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		return w, log.String()
	}
	w, _ := migrate(Retention{})
	for _, r := range o.Retention.tables() {
		if e := engineOf(w, r.table); strings.Contains(e, "TTL") {
			t.Errorf("%s has a TTL by default: %s", r.table, e)
		}
	}
	all := Retention{Embeddings: 24 * time.Hour, Predictions: 48 * time.Hour, Labels: 72 * time.Hour, DeadLetters: time.Hour}
	w, log := migrate(all)
	for _, r := range all.tables() {
		if e := engineOf(w, r.table); !strings.Contains(e, "TTL toDateTime(received_at)") {
			t.Errorf("%s has no TTL on received_at: %s", r.table, e)
		}
	}
	if n, want := strings.Count(log, "set retention"), len(all.tables()); n != want {
		t.Errorf("set %d times, want %d:\n%s", n, want, log)
	}
	if _, log := migrate(all); log != "" {
		t.Errorf("an equal retention was set again:\n%s", log)
	}
	w, log = migrate(Retention{Labels: 96 * time.Hour})
	if n := strings.Count(log, "set retention"); n != 1 {
		t.Errorf("set %d times, want once:\n%s", n, log)
	}

	old, young := label(1, "old", 3, time.Now()), label(2, "young", 3, time.Now())
	old.ReceivedAt, young.ReceivedAt = time.Now().Add(-97*time.Hour), time.Now().Add(-95*time.Hour)
	if err := w.InsertLabels(t.Context(), []LabelRow{old, young}); err != nil {
		t.Fatal(err)
	}
	if err := w.Conn().Exec(t.Context(), "OPTIMIZE TABLE label_rows FINAL"); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := w.Conn().QueryRow(t.Context(), "SELECT groupArray(vacancy_id) FROM labels").Scan(&left); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"young"}, left); diff != "" {
		t.Errorf("labels left:\n%s", diff)
	}
}
