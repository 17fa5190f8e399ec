package warehouse

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"jobstrom/embedded/clickhousetest"
)

// Whatever ends a backup or a restore is said with what to do; nothing is changed, nothing left behind, and it can be done again.
func TestRestoreFailure(t *testing.T) {
	w := openMigrated(t)
	insertVacancy(t, w, "a", 1)
	insertVacancy(t, w, "b", 2)
	if _, err := w.Backup(t.Context(), BackupOptions{To: backupName(t, "whole")}); err != nil {
		t.Fatal(err)
	}
	target := openOther(t, "_target")
	refused := func(name string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
		left := selected[struct {
			Name string `ch:"name"`
		}](t, w, "SELECT name FROM system.databases WHERE match(name, '_(backup|restore)$') UNION ALL SELECT name FROM system.tables WHERE database = '"+target.options.Database+"'")
		if len(left) > 0 {
			t.Errorf("%s left behind %v", name, left)
		}
	}
	restore := func(d Destination) error {
		_, err := target.Restore(t.Context(), RestoreOptions{From: d})
		return err
	}
	_, err := w.Backup(t.Context(), BackupOptions{To: backupName(t, "whole")})
	refused("a name twice", err, "choose another name")
	outside, err := ParseDestination("File('/etc/jobstrom')")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Backup(t.Context(), BackupOptions{To: outside})
	refused("a place that is not allowed", err, "backups.allowed_path")
	_, err = w.Backup(t.Context(), BackupOptions{To: backupName(t, "later"), Base: backupName(t, "never")})
	refused("a base that is not there", err, "no backup lies there")
	_, err = target.Backup(t.Context(), BackupOptions{To: backupName(t, "empty")})
	refused("another database", err, "correct --clickhouse-database")
	refused("no backup", restore(backupName(t, "never")), "no backup lies there")

	// Files of a backup that are cut off, changed or gone. The file of most bytes holds vectors.
	dir := filepath.Join(clickhousetest.Dir(t), "backups")
	damage := func(name string, change func(path string, data []byte) error) {
		t.Helper()
		copied := clickhousetest.Database(t) + name
		if err := os.CopyFS(filepath.Join(dir, copied), os.DirFS(filepath.Join(dir, clickhousetest.Database(t)+"whole"))); err != nil {
			t.Fatal(err)
		}
		all, err := filepath.Glob(filepath.Join(dir, copied, "data", "jobstrom", "embedding_rows", "*", "*.bin"))
		if err != nil || len(all) == 0 {
			t.Fatalf("the backup has no files of data: %v", err)
		}
		data, err := os.ReadFile(all[0])
		if err == nil {
			err = change(all[0], data)
		}
		if err != nil {
			t.Fatal(err)
		}
		refused(name, restore(backupName(t, name)), "damaged")
	}
	damage("truncated", func(path string, data []byte) error { return os.WriteFile(path, data[:len(data)/2], 0o644) })
	damage("changed", func(path string, data []byte) error {
		data = slices.Clone(data)
		data[len(data)/2] ^= 0x40
		return os.WriteFile(path, data, 0o644)
	})
	damage("lost", func(path string, _ []byte) error { return os.Remove(path) })

	// Backups that are whole, and not what they should be.
	by := func(name string, m *Manifest) Destination {
		t.Helper()
		other := openOther(t, "_"+name)
		if m != nil {
			if err := other.writeManifest(t.Context(), *m); err != nil {
				t.Fatal(err)
			}
		}
		if err := other.conn.Exec(t.Context(), "BACKUP DATABASE "+other.options.Database+" AS jobstrom TO "+backupName(t, name).expression); err != nil {
			t.Fatal(err)
		}
		return backupName(t, name)
	}
	refused("somebody else's", restore(by("foreign", nil)), "no whole backup of jobstrom")
	one := []TableSum{{Table: "label_rows"}}
	refused("a newer schema", restore(by("newer", &Manifest{Format: 1, Version: "9.0", Schema: 9999, Tables: one})), "made by jobstrom 9.0")
	refused("a newer format", restore(by("format", &Manifest{Format: 2, Schema: 1, Tables: one})), "use a newer jobstrom")
	refused("a table that is not there", restore(by("lacks", &Manifest{Format: 1, Schema: 1, Tables: one})), "no whole backup of jobstrom")
	refused("a manifest with a statement", restore(by("statement", &Manifest{Format: 1, Schema: 1, Tables: []TableSum{{Table: "a; DROP"}}})), "which no jobstrom makes")

	// Stopped.
	ctx, cancel := context.WithCancel(t.Context())
	_, err = w.Backup(ctx, BackupOptions{To: backupName(t, "stopped"), Progress: func(phase string, _, _ int) {
		if phase == "writing" || phase == "counting the rows" {
			cancel()
		}
	}})
	refused("a stopped backup", err, "context canceled")
	ctx, cancel = context.WithCancel(t.Context())
	_, err = target.Restore(ctx, RestoreOptions{From: backupName(t, "whole"), Progress: func(phase string, _, _ int) {
		if phase == "comparing with the manifest" {
			cancel()
		}
	}})
	refused("a stopped restore", err, "context canceled")
	if err := restore(backupName(t, "whole")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents(t, w), contents(t, target)); diff != "" {
		t.Errorf("after all:\n%s", diff)
	}
}

// A user with the rights that docs/security.md names backs up and restores; one without is told which lack.
func TestBackupRights(t *testing.T) {
	kept := testOptions(t)
	kept.Database = "kept"
	flow := open(t, kept)
	if err := flow.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	insertVacancy(t, flow, "a", 1)
	insertVacancy(t, flow, "b", 2)
	if err := flow.Erase(t.Context(), tombstones("b", 3)); err != nil {
		t.Fatal(err)
	}
	kept.Username, kept.Password.Value, kept.CreateDatabase = "archivist", "s3cret-of-the-test", false
	regained := kept
	regained.Database, regained.CreateDatabase = "regained", true
	if _, err := open(t, kept).Backup(t.Context(), BackupOptions{To: backupName(t, "kept")}); err != nil {
		t.Fatalf("with the rights to back up: %v", err)
	}
	target := open(t, regained)
	if _, err := target.Restore(t.Context(), RestoreOptions{From: backupName(t, "kept")}); err != nil {
		t.Fatalf("with the rights to restore: %v", err)
	}
	if diff := cmp.Diff(contents(t, flow), contents(t, target)); diff != "" {
		t.Errorf("restored:\n%s", diff)
	}

	o := testOptions(t)
	o.Database = "worker"
	if err := open(t, o).Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	o.CreateDatabase, o.Username, o.Password.Value = false, "poor", "s3cret-of-the-test"
	poor := open(t, o)
	if _, err := poor.Backup(t.Context(), BackupOptions{To: backupName(t, "")}); err == nil || !strings.Contains(err.Error(), `gives the user "poor" too few rights`) {
		t.Errorf("a user that may only look: %v", err)
	}
}

// A backup of an earlier jobstrom is restored and brought to this one's tables.
func TestRestoreOlder(t *testing.T) {
	files := fstest.MapFS{}
	migrations, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations[:4] {
		text, err := migrationFiles.ReadFile("migrations/" + m.name)
		if err != nil {
			t.Fatal(err)
		}
		files["migrations/"+m.name] = &fstest.MapFile{Data: text}
	}
	w := open(t, testOptions(t))
	if err := w.migrate(t.Context(), files, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.Exec(t.Context(), "INSERT INTO label_rows (label_topic_id, label_partition, label_offset, received_at, vacancy_id, category_index, category, source, labelled_at) SELECT generateUUIDv4(), 0, number, now64(3), toString(number), 3, 'x', 'y', now64(3) FROM numbers(5)"); err != nil {
		t.Fatal(err)
	}
	m, err := w.Backup(t.Context(), BackupOptions{To: backupName(t, "")})
	if err != nil || m.Schema != 4 {
		t.Fatalf("schema %d, %v", m.Schema, err)
	}
	target := openOther(t, "_target")
	if _, err := target.Restore(t.Context(), RestoreOptions{From: backupName(t, "")}); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, target); len(got["labels"]) != 5 {
		t.Errorf("%d labels, want 5", len(got["labels"]))
	}
	insertVacancy(t, target, "new", 1)
	if version, err := target.schemaVersion(t.Context()); err != nil || int(version) != len(migrations) {
		t.Errorf("schema %d, %v; want %d", version, err, len(migrations))
	}
}

// What was erased after the backup is never seen in the database that is restored, by whichever way it is known: that database's own tombstones, another database's, an export, or what
// the caller gives.
func TestRestoredStayErased(t *testing.T) {
	w := openMigrated(t)
	for i, id := range []string{"own", "live", "exported", "given", "kept"} {
		insertVacancy(t, w, id, int64(10*i))
	}
	if _, err := w.Backup(t.Context(), BackupOptions{To: backupName(t, "")}); err != nil {
		t.Fatal(err)
	}
	target, live, elsewhere := openOther(t, "_target"), openOther(t, "_live"), openOther(t, "_elsewhere")
	err := errors.Join(target.Migrate(t.Context(), nil), live.Migrate(t.Context(), nil), elsewhere.Migrate(t.Context(), nil),
		target.Erase(t.Context(), tombstones("own", 100)), live.Erase(t.Context(), tombstones("live", 100)), elsewhere.Erase(t.Context(), tombstones("exported", 100)))
	if err != nil {
		t.Fatal(err)
	}
	var export bytes.Buffer
	if n, err := elsewhere.ExportErasures(t.Context(), &export); err != nil || n != 3 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := ImportErasures(bytes.NewReader(export.Bytes()[:export.Len()-5])); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("an export that is cut off: %v", err)
	}
	erasures, err := ImportErasures(&export)
	if err != nil {
		t.Fatal(err)
	}
	gone := []string{"own", "live", "exported", "given"}
	// Somebody looks all the time.
	ctx, cancel := context.WithCancel(t.Context())
	seen, looks := make(chan string, 1), 0
	go func() {
		defer close(seen)
		for ; ctx.Err() == nil; looks++ {
			for _, from := range append(slices.Clone(tablesOfVacancies), viewsOfVacancies...) {
				var n uint64
				if target.conn.QueryRow(ctx, "SELECT count() FROM "+from+" WHERE vacancy_id IN (?)", gone).Scan(&n) == nil && n > 0 {
					seen <- from
					return
				}
			}
		}
	}()
	r, err := target.Restore(t.Context(), RestoreOptions{From: backupName(t, ""), Erasures: append(erasures, tombstones("given", 100)...), ErasuresOf: []string{live.options.Database, "nowhere"}})
	cancel()
	if from, any := <-seen; any || looks == 0 {
		t.Errorf("%s has shown what was erased, in %d looks", from, looks)
	}
	if err != nil || r.Tombstones != 12 || r.Erased != 4*7 {
		t.Errorf("%d tombstones, %d erased rows, %v", r.Tombstones, r.Erased, err)
	}
	for _, from := range append(slices.Clone(tablesOfVacancies), viewsOfVacancies...) {
		for _, id := range gone {
			if got := offsets(t, target, from, id); len(got) > 0 {
				t.Errorf("%s holds %s", from, id)
			}
		}
		if got := offsets(t, target, from, "kept"); len(got) != 1 {
			t.Errorf("%s of what is kept: %v", from, got)
		}
	}
	for _, table := range tablesOfVacancies { // nor are its bytes there
		var masked uint64
		if err := target.conn.QueryRow(t.Context(), "SELECT count() FROM "+table+" WHERE NOT _row_exists SETTINGS apply_deleted_mask = 0").Scan(&masked); err != nil || masked > 0 {
			t.Errorf("%s still has the bytes of %d rows, %v", table, masked, err)
		}
	}
}

func TestDestination(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		d, err := ParseDestination(text)
		if err != nil || d.String() != want {
			t.Errorf("%s: shown as %s, %v; want %s", text, d, err, want)
		}
	}
	f("2026-11-28", "File('2026-11-28')")
	f("File('a/b.tar')", "File('a/b.tar')")
	f("Disk('backups', 'a')", "Disk('backups', 'a')")
	f("S3(offsite, 'sunday')", "S3(offsite, …)")
	f("S3('https://a/b', 'AKIA', 's3cret')", "S3('https://a/b', …)")
	f("AzureBlobStorage('AccountKey=s3cret', 'c', 'p')", "AzureBlobStorage(…)")
	d, err := ParseDestination("S3('https://a/b', 'AKIA', 's3cret')")
	if err != nil || strings.Contains(d.hide("of S3('https://a/b', 'AKIA', 's3cret')"), "s3cret") {
		t.Errorf("a message shows the secret: %v", err)
	}
	for _, wrong := range []string{"", "..", "a/b", "File('a'", "File('a'); DROP", "URL('http://a')", "File('a') SETTINGS x = 1", "S3('a' 'b')", "File('a\\')"} {
		if d, err := ParseDestination(wrong); err == nil {
			t.Errorf("%q is taken as %s", wrong, d)
		}
	}
}
