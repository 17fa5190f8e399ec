package warehouse

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jobstrom/embedded"
	"jobstrom/models"
)

// A server that is killed in the middle of a backup or of a restore loses nothing and leaves nothing that counts: what it began is refused or gone, and can be done again.
func TestKilledServer(t *testing.T) {
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	o := embedded.ClickHouseOptions{DataDir: t.TempDir(), Library: filepath.Join(native, models.LibraryClickHouse)}
	var engine *embedded.ClickHouse
	start := func() {
		t.Helper()
		if engine, err = embedded.StartClickHouse(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() {
		if err := engine.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	database := func(name string) *Warehouse {
		return open(t, Options{Addr: []string{engine.Addr()}, Database: name, CreateDatabase: true})
	}
	// killed kills the server when the work reaches a phase, starts it again, and tells what came of the work.
	killed := func(phase string, work func(Progress) error) error {
		t.Helper()
		done := false
		err := work(func(reached string, _, _ int) {
			if reached == phase && !done {
				done = true
				engine.Kill()
			}
		})
		if !done {
			t.Fatalf("the phase %q never came; the error is %v", phase, err)
		}
		start()
		return err
	}
	w := database("flow")
	if err := w.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for i := range int64(20) {
		insertVacancy(t, w, "v", 10*i)
	}
	want := contents(t, w)

	for _, phase := range []string{"holding the tables", "counting the rows", "writing"} {
		name, err := ParseDestination("killed-" + phase[:3])
		if err != nil {
			t.Fatal(err)
		}
		err = killed(phase, func(p Progress) error {
			_, err := w.Backup(t.Context(), BackupOptions{To: name, Progress: p})
			return err
		})
		if err == nil && phase != "writing" { // which may have been over before it was reported
			t.Errorf("a backup succeeds though the server was killed while %s", phase)
		}
		w = database("flow")
		if diff := cmp.Diff(want, contents(t, w)); diff != "" {
			t.Fatalf("after a kill while %s:\n%s", phase, diff)
		}
		target := database("from_" + phase[:3])
		_, restored := target.Restore(t.Context(), RestoreOptions{From: name})
		switch {
		// The server may have written all of it, and be killed before it said so.
		case err == nil && restored != nil, restored == nil && err != nil && phase != "writing":
			t.Errorf("a backup that ended with %v while %s is restored with %v", err, phase, restored)
		case restored == nil:
			if diff := cmp.Diff(want, contents(t, target)); diff != "" {
				t.Errorf("restored:\n%s", diff)
			}
		}
	}
	whole, err := ParseDestination("whole")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Backup(t.Context(), BackupOptions{To: whole}); err != nil {
		t.Fatalf("a backup after all: %v", err)
	}

	for _, phase := range []string{"comparing with the manifest", "taking the rows in"} {
		target := database("restored")
		if err := killed(phase, func(p Progress) error {
			_, err := target.Restore(t.Context(), RestoreOptions{From: whole, Progress: p})
			return err
		}); err == nil {
			t.Errorf("a restore succeeds though the server was killed while %s", phase)
		}
		target = database("restored")
		// Only its last step writes into the database: then what is there may be added to.
		if _, err := target.Restore(t.Context(), RestoreOptions{From: whole, Add: phase == "taking the rows in"}); err != nil {
			t.Fatalf("a restore after a kill while %s: %v", phase, err)
		}
		if diff := cmp.Diff(want, contents(t, target)); diff != "" {
			t.Errorf("restored after a kill while %s:\n%s", phase, diff)
		}
		if err := target.conn.Exec(t.Context(), "DROP DATABASE restored SYNC"); err != nil {
			t.Fatal(err)
		}
	}
	left := selected[struct {
		Name string `ch:"name"`
	}](t, database("flow"), "SELECT name FROM system.databases WHERE match(name, '_(backup|restore)$')")
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
