package warehouse

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// tombstones of a vacancy: one in each of the three partitions, at this offset.
func tombstones(vacancy string, offset int64) (erasures []Erasure) {
	for partition := range int32(3) {
		erasures = append(erasures, Erasure{VacancyID: vacancy, TopicID: topicID, Partition: partition, Offset: offset, ErasedAt: noon})
	}
	return erasures
}

// insertVacancy inserts a row into every table, known by this offset.
func insertVacancy(t *testing.T, w *Warehouse, vacancy string, offset int64) {
	t.Helper()
	letter := deadLetter(offset, "extract")
	letter.VacancyID = vacancy
	err := errors.Join(
		w.InsertEmbeddings(t.Context(), []EmbeddingRow{embedding(offset, vacancy, "e5"), embedding(offset, vacancy, "bge")}),
		w.InsertPredictions(t.Context(), []PredictionRow{prediction(offset, vacancy, "m1"), prediction(offset, vacancy, "m2")}),
		w.InsertLabels(t.Context(), []LabelRow{label(offset, vacancy, 3, noon)}),
		w.InsertDeadLetters(t.Context(), []DeadLetterRow{letter}),
		w.InsertShadows(t.Context(), []ShadowRow{{"trial", prediction(offset, vacancy, "m3")}}),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// offsets returns the offsets of a vacancy's rows that a view or table holds.
func offsets(t *testing.T, w *Warehouse, from, vacancy string) (offsets []int64) {
	t.Helper()
	column := "raw_offset"
	if from == "labels" || from == "label_rows" {
		column = "label_offset"
	}
	if strings.HasSuffix(from, "history") { // it shows no coordinates; offsets are minutes after noon
		column = "dateDiff('minute', toDateTime64('2026-03-14 12:00:00', 3, 'UTC'), received_at)"
	}
	for _, row := range selected[struct {
		N int64 `ch:"n"`
	}](t, w, fmt.Sprintf("SELECT DISTINCT toInt64(%s) AS n FROM %s WHERE vacancy_id = '%s' ORDER BY n", column, from, vacancy)) {
		offsets = append(offsets, row.N)
	}
	return offsets
}

var (
	viewsOfVacancies  = []string{"embeddings", "predictions", "dead_letters", "labels", "history", "shadow_predictions"}
	tablesOfVacancies = []string{"embedding_rows", "prediction_rows", "deadletter_rows", "label_rows", "shadow_rows"}
)

// A row is erased if it lies before the tombstone of its own partition; all its duplicates are, in tables and views, and other vacancies' are not.
func TestErase(t *testing.T) {
	w := openMigrated(t)
	for range 2 { // duplicates
		insertVacancy(t, w, "gone", 4)
		insertVacancy(t, w, "it's\\ gone", 5)
		insertVacancy(t, w, "other", 6)
	}
	f := func(from, vacancy string, want ...int64) {
		t.Helper()
		if diff := cmp.Diff(want, offsets(t, w, from, vacancy)); diff != "" {
			t.Errorf("%s of %s:\n%s", from, vacancy, diff)
		}
	}
	for range 2 { // it may be repeated
		if err := w.Erase(t.Context(), append(tombstones("gone", 10), tombstones("it's\\ gone", 5)...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range append(tablesOfVacancies, viewsOfVacancies...) {
		f(from, "gone")
		f(from, "it\\'s\\\\ gone", 5) // its tombstone does not follow it
		f(from, "other", 6)
	}
	// An older row that comes late, from a replay or a slower sink, is in no view; a newer one is.
	insertVacancy(t, w, "gone", 7)
	for _, from := range viewsOfVacancies {
		f(from, "gone")
	}
	insertVacancy(t, w, "gone", 12)
	for _, from := range viewsOfVacancies {
		f(from, "gone", 12)
	}
	for _, from := range tablesOfVacancies {
		f(from, "gone", 7, 12)
	}
	traces, err := w.ReadTraces(t.Context(), []string{"gone", "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, trace := range traces {
		if trace.VacancyID != "gone" || trace.TopicID != topicID || trace.ReceivedAt.IsZero() {
			t.Errorf("trace %+v", trace)
		}
		rows[fmt.Sprintf("%s at %d/%d", trace.Table, trace.Partition, trace.Offset)]++
	}
	want := map[string]int{
		"embedding_rows at 1/7": 2, "embedding_rows at 0/12": 2, "prediction_rows at 1/7": 2, "prediction_rows at 0/12": 2,
		"label_rows at 1/7": 1, "label_rows at 0/12": 1, "deadletter_rows at 1/7": 1, "deadletter_rows at 0/12": 1,
		"shadow_rows at 1/7": 1, "shadow_rows at 0/12": 1,
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("traces:\n%s", diff)
	}
	// The next tombstone of another topic that says the same cleans up.
	if err := w.Erase(t.Context(), tombstones("gone", 10)); err != nil {
		t.Fatal(err)
	}
	for _, from := range append(tablesOfVacancies, viewsOfVacancies...) {
		f(from, "gone", 12)
	}
	// An older tombstone that is read again takes nothing back.
	if err := w.Erase(t.Context(), tombstones("gone", 2)); err != nil {
		t.Fatal(err)
	}
	insertVacancy(t, w, "gone", 7)
	f("predictions", "gone", 12)
}

// Partitions are compared each with its own tombstone, topics by their id.
func TestErasureIsPerPartition(t *testing.T) {
	w := openMigrated(t)
	insertVacancy(t, w, "v", 7) // partition 1
	insertVacancy(t, w, "v", 8) // partition 2
	erasures := []Erasure{{"v", topicID, 1, 8, noon}, {"v", topicID, 2, 3, noon}, {"v", uuid.New(), 2, 100, noon}}
	if err := w.Erase(t.Context(), erasures); err != nil {
		t.Fatal(err)
	}
	for _, from := range append(tablesOfVacancies, viewsOfVacancies...) {
		if diff := cmp.Diff([]int64{8}, offsets(t, w, from, "v")); diff != "" {
			t.Errorf("%s:\n%s", from, diff)
		}
	}
	erased, err := w.ReadErased(t.Context(), []string{"v", "w"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(want bool, vacancy string, partition int32, offset int64) {
		t.Helper()
		if erased.Has(vacancy, topicID, partition, offset) != want {
			t.Errorf("%s at %d/%d: want %t", vacancy, partition, offset, want)
		}
	}
	f(true, "v", 1, 7)
	f(false, "v", 1, 8)
	f(true, "v", 2, 2)
	f(false, "v", 0, 0)
	f(false, "w", 1, 7)
}

// Purge leaves no part with deleted rows on disk.
func TestPurge(t *testing.T) {
	w := openMigrated(t)
	masked := func() (n uint64) {
		t.Helper()
		if err := w.Conn().QueryRow(t.Context(), "SELECT countIf(has_lightweight_delete) FROM system.parts WHERE active AND database = currentDatabase()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	insertVacancy(t, w, "v", 1)
	insertVacancy(t, w, "stays", 2)
	if err := errors.Join(w.Conn().Exec(t.Context(), "OPTIMIZE TABLE prediction_rows FINAL"), w.Erase(t.Context(), tombstones("v", 5))); err != nil {
		t.Fatal(err)
	}
	if masked() == 0 {
		t.Fatal("no part has deleted rows: there is nothing to test")
	}
	if err := w.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(3 * time.Minute); masked() > 0; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("deleted rows stay on disk")
		}
	}
	if got := offsets(t, w, "prediction_rows", "stays"); len(got) != 1 {
		t.Errorf("the other vacancy has rows at %v", got)
	}
}

// A block's vacancies are asked for at once, whatever their ids' length.
func TestReadErasedOfManyVacancies(t *testing.T) {
	w := openMigrated(t)
	ids := make([]string, 50_000)
	for i := range ids {
		ids[i] = fmt.Sprintf("vacancy-%0200d", i)
	}
	if err := w.Erase(t.Context(), tombstones(ids[49_999], 5)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	erased, err := w.ReadErased(t.Context(), ids)
	if err != nil || len(erased) != 3 {
		t.Fatalf("%d tombstones, %v", len(erased), err)
	}
	t.Logf("asked for %d vacancies in %v", len(ids), time.Since(start))
}
