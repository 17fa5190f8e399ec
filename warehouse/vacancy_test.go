package warehouse

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What happened last to the last record of a vacancy is what became of it.
func TestReadVacancy(t *testing.T) {
	w := openMigrated(t)
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	f := func(id, want string) {
		t.Helper()
		v, err := w.ReadVacancy(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got := v.State
		if v.Prediction != nil {
			got += fmt.Sprintf(" by %s at %d", v.Prediction.Model, v.Prediction.Offset)
		}
		if v.Refusal != nil {
			got += fmt.Sprintf(" in %s at %d", v.Refusal.Stage, v.Refusal.Offset)
		}
		if v.Label != nil {
			got += fmt.Sprintf(", labelled %d", v.Label.CategoryIndex)
		}
		if got != want || (v.State != "") == v.At.IsZero() {
			t.Errorf("%s: got %q at %v, want %q", id, got, v.At, want)
		}
	}
	letter := func(offset int64, id, stage string, failed time.Time) error {
		l := deadLetter(offset, stage)
		l.VacancyID, l.FailedAt, l.ReceivedAt = id, failed, noon.Add(time.Duration(offset)*time.Minute)
		return w.InsertDeadLetters(t.Context(), []DeadLetterRow{l})
	}
	f("nobody", "")
	later := prediction(1, "a", "m2")
	later.ClassifiedAt = later.ClassifiedAt.Add(time.Hour)
	must(
		w.InsertPredictions(t.Context(), []PredictionRow{prediction(1, "a", "m1"), later, prediction(2, "b", "m1"), prediction(4, "replayed", "m1"), prediction(9, "it's gone", "m1")}),
		w.InsertLabels(t.Context(), []LabelRow{label(1, "a", 3, noon), label(2, "a", 5, noon.Add(time.Minute)), label(3, "a", 4, noon), label(5, "labelled", 7, noon)}),
		letter(3, "b", "extract", noon), // what was published anew is refused
		letter(4, "replayed", "classify", noon),
		letter(5, "refused", "embed", noon),
		letter(6, "kept", "sink", noon), // a record that the sink refused says nothing of the vacancy
	)
	f("a", "classified by m2 at 1, labelled 5")
	f("b", "refused in extract at 3")
	f("replayed", "classified by m1 at 4")
	f("refused", "refused in embed at 5")
	f("kept", "")
	f("labelled", ", labelled 7")
	must(w.InsertPredictions(t.Context(), []PredictionRow{prediction(7, "kept", "m1")}))
	f("kept", "classified by m1 at 7")
	must(w.Erase(t.Context(), append(tombstones("it's gone", 10), tombstones("refused", 10)...)))
	f("it's gone", "erased")
	f("refused", "erased")
	must(w.InsertPredictions(t.Context(), []PredictionRow{prediction(8, "it's gone", "m1")})) // late, of before
	f("it's gone", "erased")
	must(w.InsertPredictions(t.Context(), []PredictionRow{prediction(11, "it's gone", "m1")})) // published anew
	f("it's gone", "classified by m1 at 11")
}

// Letters come with what became of them, the newest first; only those whose place is known, and not too old, are listed and counted.
func TestReadDeadLetters(t *testing.T) {
	w := openMigrated(t)
	var letters []DeadLetterRow
	for offset := range int64(5) {
		l := deadLetter(offset, "extract")
		l.FailedAt, l.VacancyID = noon.Add(time.Duration(offset)*time.Hour), fmt.Sprint("v-", offset)
		letters = append(letters, l)
	}
	letters[4].LetterPartition, letters[4].LetterOffset = -1, -1 // of a version that did not know it
	err := errors.Join(
		w.InsertDeadLetters(t.Context(), append(letters, letters[2])), // a replay of the sink
		w.InsertDeadLetterReplays(t.Context(), []DeadLetterReplayRow{replay(2, "extract")}),
		w.Erase(t.Context(), tombstones("v-3", 10)),
	)
	if err != nil {
		t.Fatal(err)
	}
	f := func(since time.Time, most int, wantWaiting uint64, want ...string) {
		t.Helper()
		rows, waiting, err := w.ReadDeadLetters(t.Context(), since, most)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			got = append(got, fmt.Sprintf("%d/%d %s %s %v", r.LetterPartition, r.LetterOffset, r.Class, r.VacancyID, r.ReplayedAt != nil))
		}
		if diff := cmp.Diff(want, got); diff != "" || waiting != wantWaiting {
			t.Errorf("%d wait, want %d\n%s", waiting, wantWaiting, diff)
		}
	}
	f(noon, 10, 2, "1/102 malformed v-2 true", "1/101 malformed v-1 false", "1/100 malformed v-0 false")
	f(noon, 1, 2, "1/102 malformed v-2 true")
	f(noon.Add(time.Hour), 10, 1, "1/102 malformed v-2 true", "1/101 malformed v-1 false")
	f(noon.Add(5*time.Hour), 10, 0)
}
