package warehouse

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// touched returns the touched hours of a dataset, in hours after noon.
func touched(t *testing.T, w *Warehouse, dataset string) (hours []int64) {
	t.Helper()
	for _, row := range selected[struct {
		N int64 `ch:"n"`
	}](t, w, "SELECT DISTINCT dateDiff('hour', toDateTime('2026-03-14 12:00:00', 'UTC'), hour) AS n FROM touched_hour_rows WHERE dataset = '"+dataset+"' ORDER BY n") {
		hours = append(hours, row.N)
	}
	return hours
}

func TestTouch(t *testing.T) {
	w := openMigrated(t)
	f := func(embeddings, predictions, labels []int64) {
		t.Helper()
		for dataset, want := range map[string][]int64{"embeddings": embeddings, "predictions": predictions, "labels": labels} {
			if diff := cmp.Diff(want, touched(t, w, dataset)); diff != "" {
				t.Errorf("%s:\n%s", dataset, diff)
			}
		}
		if err := w.Conn().Exec(t.Context(), "TRUNCATE TABLE touched_hour_rows"); err != nil {
			t.Fatal(err)
		}
	}
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	published := func(hours time.Duration, e EmbeddingRow) EmbeddingRow {
		e.PublishedAt = noon.Add(hours * time.Hour)
		return e
	}
	late := published(0, embedding(4, "late", "e5"))
	late.PublishedAt = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC) // has no hour
	try(w.InsertEmbeddings(t.Context(), []EmbeddingRow{published(0, embedding(1, "a", "e5")), published(0, embedding(2, "b", "e5")), published(5, embedding(3, "a", "e5")), late}))
	f([]int64{0, 5}, nil, []int64{0, 5})
	try(w.InsertPredictions(t.Context(), []PredictionRow{prediction(1, "a", "m1")}))
	f(nil, []int64{0}, nil)
	// A label touches every hour in which its vacancy was published.
	try(w.InsertLabels(t.Context(), []LabelRow{label(1, "a", 3, noon), label(2, "late", 3, noon), label(3, "unknown", 3, noon)}))
	f(nil, nil, []int64{0, 5})
	try(w.Erase(t.Context(), tombstones("a", 10)))
	f([]int64{0, 5}, []int64{0}, []int64{0, 5})
	try(w.Erase(t.Context(), tombstones("unknown", 10)))
	f(nil, nil, nil)
	try(w.InsertLabels(t.Context(), []LabelRow{label(3, "a", 3, noon)})) // nothing of a is left
	f(nil, nil, nil)
}

// Rows of before the migration are touched by it.
func TestTouchOfMigration(t *testing.T) {
	w := openMigrated(t)
	if err := w.InsertEmbeddings(t.Context(), []EmbeddingRow{embedding(1, "a", "e5")}); err != nil {
		t.Fatal(err)
	}
	if err := w.InsertPredictions(t.Context(), []PredictionRow{prediction(1, "a", "m1")}); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"TRUNCATE TABLE touched_hour_rows", "TRUNCATE TABLE schema_migrations"} {
		if err := w.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Migrate(t.Context(), nil); err != nil { // again, which every statement allows
		t.Fatal(err)
	}
	for dataset, want := range map[string][]int64{"embeddings": {-1}, "predictions": {0}, "labels": {-1}} {
		if diff := cmp.Diff(want, touched(t, w, dataset)); diff != "" {
			t.Errorf("%s:\n%s", dataset, diff)
		}
	}
}
