package warehouse

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"jobstrom/embedded/clickhousetest"
)

// backupName names a backup after the test.
func backupName(t *testing.T, suffix string) Destination {
	t.Helper()
	d, err := ParseDestination(clickhousetest.Database(t) + suffix)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// openOther opens a database beside the test's, to restore into.
func openOther(t *testing.T, suffix string) *Warehouse {
	t.Helper()
	o := testOptions(t)
	o.Database += suffix
	return open(t, o)
}

// contents are the rows of each view, in order, as ClickHouse writes them.
func contents(t *testing.T, w *Warehouse) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, view := range append(viewsOfVacancies, "erasures", "training_runs", "model_history", "drift_events", "all_embeddings", "all_predictions") {
		all[view] = []string{}
		for _, row := range selected[struct {
			Text string `ch:"text"`
		}](t, w, "SELECT toString(tuple(*)) AS text FROM "+view+" ORDER BY text") {
			all[view] = append(all[view], row.Text)
		}
	}
	return all
}

// insertAll inserts what no vacancy has.
func insertAll(t *testing.T, w *Warehouse) {
	t.Helper()
	err := errors.Join(
		w.InsertTrainingRun(t.Context(), TrainingRun{RunID: "r", StartedAt: noon, Encoder: "e5", Confusion: [][]uint32{{1, 2}}, Settings: map[string]string{"a": "b"}}),
		w.InsertModelEvents(t.Context(), []ModelEventRow{{EventID: "e", At: noon, Action: "register", Model: "m1", Metrics: map[string]float64{"top1": .9}, Prior: []float32{.5, .5}}}),
		w.InsertDriftEvents(t.Context(), []DriftEventRow{{EventID: "d", At: noon, Kind: "raised", Changes: []ShareChange{{"a", .1, .2}}}}),
		w.InsertAPI(t.Context(), []EmbeddingRow{embedding(900, "asked", "e5")}, []PredictionRow{prediction(900, "asked", "m1")}),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// What was backed up is there again, in every view; what was erased since is not, whoever knows of it; and the backup of a later day holds only what the earlier lacks.
func TestBackupAndRestore(t *testing.T) {
	w := openMigrated(t)
	insertAll(t, w)
	for range 2 { // duplicates
		for i := range int64(8) {
			insertVacancy(t, w, fmt.Sprintf("v%d", i), 10*i)
		}
	}
	if err := w.Erase(t.Context(), tombstones("v3", 35)); err != nil {
		t.Fatal(err)
	}
	want := contents(t, w)
	full, later := backupName(t, "full"), backupName(t, "later")
	read := []Offset{{Topic: "vacancies.labels", TopicID: uuid.UUID{1}, Partition: 2, Next: 77}}
	m, err := w.Backup(t.Context(), BackupOptions{To: full, Version: "0.2.0", Offsets: read})
	if err != nil {
		t.Fatal(err)
	}
	if m.Rows() == 0 || m.Schema == 0 || m.Database != w.options.Database {
		t.Errorf("the manifest is %+v", m)
	}
	restored := openOther(t, "_restored")
	r, err := restored.Restore(t.Context(), RestoreOptions{From: full})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, contents(t, restored)); diff != "" {
		t.Errorf("restored:\n%s", diff)
	}
	if diff := cmp.Diff(m, r.Manifest); diff != "" || r.Erased != 0 || r.Tombstones != 3 {
		t.Errorf("restored says %d erased, %d tombstones\n%s", r.Erased, r.Tombstones, diff)
	}
	if got, err := restored.ReadOffsets(t.Context()); err != nil || !cmp.Equal(got, read) {
		t.Errorf("a rebuild begins at %v, %v", got, err)
	}
	// It is a database like any other: it takes rows and erases them, and Migrate has nothing to do.
	insertVacancy(t, restored, "new", 1000)
	if err := errors.Join(restored.Erase(t.Context(), tombstones("v4", 2000)), restored.Migrate(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, restored); len(got["predictions"]) != len(want["predictions"]) {
		t.Errorf("after one vacancy more and one less there are %d predictions, want %d", len(got["predictions"]), len(want["predictions"]))
	}
	// What is not empty is left alone, unless told.
	if _, err := restored.Restore(t.Context(), RestoreOptions{From: full}); !errors.Is(err, ErrHoldsRows) {
		t.Errorf("restoring into a database with rows: %v", err)
	}
	if _, err := restored.Restore(t.Context(), RestoreOptions{From: full, Add: true}); err != nil {
		t.Fatal(err)
	}
	for _, from := range append(viewsOfVacancies, tablesOfVacancies...) {
		if from != "embedding_rows" && len(offsets(t, restored, from, "v4")) > 0 {
			t.Errorf("%s holds v4, which the database had erased", from)
		}
		if len(offsets(t, restored, from, "new")) != 1 {
			t.Errorf("%s has lost what came after the backup", from)
		}
	}
	insertVacancy(t, w, "v8", 80)
	want = contents(t, w)
	if _, err := w.Backup(t.Context(), BackupOptions{To: later, Base: full, Version: "0.2.0"}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(clickhousetest.Dir(t), "backups")
	// How many files it has depends on what was merged meanwhile.
	before := files(t, filepath.Join(dir, clickhousetest.Database(t)+"full"))
	for content, name := range files(t, filepath.Join(dir, clickhousetest.Database(t)+"later")) {
		if before[content] != "" {
			t.Errorf("the incremental backup has %s, which is %s of the full one", name, before[content])
		}
	}
	incremental := openOther(t, "_incremental")
	if _, err := incremental.Restore(t.Context(), RestoreOptions{From: later}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, contents(t, incremental)); diff != "" {
		t.Errorf("restored from an incremental backup:\n%s", diff)
	}
	if left := selected[struct {
		Name string `ch:"name"`
	}](t, w, "SELECT name FROM system.databases WHERE match(name, '_(backup|restore)$')"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// files names the files of a folder by their contents.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found[string(data)] = path
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("%s has no files", dir)
	}
	return found
}
