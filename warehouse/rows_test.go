package warehouse

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var (
	topicID = uuid.MustParse("7a0e6f3c-4f5d-4c1b-9d8e-2b1a3c4d5e6f")
	noon    = time.Date(2026, 3, 14, 12, 0, 0, 123e6, time.UTC)
)

func at(offset int64) Coordinates { return Coordinates{topicID, int32(offset % 3), offset} }

func embedding(offset int64, vacancy, encoder string) EmbeddingRow {
	return EmbeddingRow{
		Coordinates: at(offset), ReceivedAt: noon.Add(time.Duration(offset) * time.Minute), VacancyID: vacancy, Encoder: encoder,
		Vector: []float32{float32(offset), .5, -.25}, Tokens: 17, Truncated: offset%2 == 1, Source: "jobnet", Language: "da",
		TextLength: 1234, EmployerHash: []byte("0123456789abcdef"), PublishedAt: noon.Add(-time.Hour),
		Attributes: map[string]string{"region": "Nordjylland"},
	}
}

func prediction(offset int64, vacancy, model string) PredictionRow {
	return PredictionRow{
		Coordinates: at(offset), ReceivedAt: noon.Add(time.Duration(offset) * time.Minute), VacancyID: vacancy, Model: model, Encoder: "e5",
		CategoryIndex: 14, Category: "Rengøring, ejendomsservice og renovation", Confidence: .75, Probabilities: []float32{.25, .75},
		Occupations: []string{"rengøringsassistent"}, Skills: []string{}, Tasks: []string{"gulvvask", "vinduer"},
		PublishedAt: noon, ClassifiedAt: noon.Add(time.Second),
	}
}

func label(offset int64, vacancy string, category uint16, labelledAt time.Time) LabelRow {
	return LabelRow{
		TopicID: topicID, Partition: int32(offset % 3), Offset: offset, ReceivedAt: noon.Add(time.Duration(offset) * time.Minute), VacancyID: vacancy,
		CategoryIndex: category, Category: fmt.Sprint("kategori ", category), Source: "publisher", LabelledAt: labelledAt,
	}
}

func deadLetter(offset int64, stage string) DeadLetterRow {
	return DeadLetterRow{
		Coordinates: at(offset), ReceivedAt: noon, RefusedTopic: "vacancies.raw", RefusedPartition: 1, RefusedOffset: offset,
		Stage: stage, Class: "malformed", Reason: "decoding: text is missing", FailedAt: noon.Add(time.Second),
		LetterPartition: 1, LetterOffset: 100 + offset, Attempts: 2, Model: "m1", Version: "1.2", Replays: 1,
	}
}

func replay(offset int64, stage string) DeadLetterReplayRow {
	return DeadLetterReplayRow{
		Coordinates: at(offset), ReceivedAt: noon, RefusedTopic: "vacancies.raw", RefusedPartition: 1, RefusedOffset: offset,
		Stage: stage, ReplayedAt: noon.Add(time.Minute),
	}
}

// selected reads a view into rows of type Row.
func selected[Row any](t *testing.T, w *Warehouse, query string) (rows []Row) {
	t.Helper()
	if err := w.Conn().Select(context.Background(), &rows, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return rows
}

func counts(t *testing.T, w *Warehouse) map[string]uint64 {
	t.Helper()
	counts, err := w.Counts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// What is inserted is read again from the view, field by field.
func TestInsertRoundTrip(t *testing.T) {
	w := openMigrated(t)
	ctx := t.Context()

	embeddings := []EmbeddingRow{embedding(1, "a", "e5"), embedding(2, "b", "e5")}
	embeddings[1].EmployerHash, embeddings[1].Attributes = nil, nil
	if err := w.InsertEmbeddings(ctx, embeddings); err != nil {
		t.Fatal(err)
	}
	got := selected[EmbeddingRow](t, w, "SELECT * REPLACE (unhex(employer_hash) AS employer_hash) FROM embeddings ORDER BY raw_offset")
	embeddings[1].Attributes = map[string]string{}
	if diff := cmp.Diff(embeddings, got); diff != "" {
		t.Errorf("embeddings:\n%s", diff)
	}

	predictions := []PredictionRow{prediction(1, "a", "m1"), prediction(1, "a", "m2")}
	if err := w.InsertPredictions(ctx, predictions); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(predictions, selected[PredictionRow](t, w, "SELECT * FROM predictions ORDER BY model")); diff != "" {
		t.Errorf("predictions:\n%s", diff)
	}

	labels := []LabelRow{label(7, "a", 14, noon)}
	if err := w.InsertLabels(ctx, labels); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(labels, selected[LabelRow](t, w, "SELECT * FROM labels")); diff != "" {
		t.Errorf("labels:\n%s", diff)
	}

	letters := []DeadLetterRow{deadLetter(3, "extract"), deadLetter(4, "embed")}
	if err := w.InsertDeadLetters(ctx, letters); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(letters, selected[DeadLetterRow](t, w, "SELECT * EXCEPT replayed_at FROM dead_letters ORDER BY raw_offset")); diff != "" {
		t.Errorf("dead letters:\n%s", diff)
	}

	run := TrainingRun{
		RunID: "r1", StartedAt: noon, Encoder: "e5", Taxonomy: "jobnet", Rows: 330, Seed: 1 << 63, Settings: map[string]string{"l2": "1e-3"},
		Metrics: map[string]float64{}, Confusion: [][]uint32{},
	}
	if err := w.InsertTrainingRun(ctx, run); err != nil {
		t.Fatal(err)
	}
	run.FinishedAt, run.Model, run.Published = noon.Add(time.Minute), "m2", true
	run.Metrics, run.Confusion = map[string]float64{"top1": .9}, [][]uint32{{9, 1}, {0, 10}}
	if err := w.InsertTrainingRun(ctx, run); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]TrainingRun{run}, selected[TrainingRun](t, w, "SELECT * FROM training_runs")); diff != "" {
		t.Errorf("training runs:\n%s", diff)
	}

	want := map[string]uint64{"embeddings": 2, "predictions": 2, "labels": 1, "dead_letters": 2, "history": 1, "training_runs": 1}
	if diff := cmp.Diff(want, counts(t, w)); diff != "" {
		t.Errorf("counts:\n%s", diff)
	}
}

// A replay in other batches, before and after a merge, changes no answer of any view.
func TestReplayChangesNoAnswer(t *testing.T) {
	w := openMigrated(t)
	ctx := t.Context()
	var embeddings []EmbeddingRow
	var predictions []PredictionRow
	var labels []LabelRow
	var letters []DeadLetterRow
	var replays []DeadLetterReplayRow
	for i := range int64(300) {
		vacancy := fmt.Sprint("v", i%200) // a third is published twice
		embeddings = append(embeddings, embedding(i, vacancy, "e5"), embedding(i, vacancy, "bge"))
		predictions = append(predictions, prediction(i, vacancy, "m1"), prediction(i, vacancy, "m2"))
		labels = append(labels, label(i, vacancy, uint16(i%22), noon.Add(time.Duration(i%250)*time.Second)))
		letters = append(letters, deadLetter(i, "extract"))
		replays = append(replays, replay(i, []string{"extract", "embed"}[i%2])) // every second one is of another letter
		// Over a year of partitions.
		embeddings[2*i].ReceivedAt = noon.AddDate(0, -int(i)/25, 0)
		embeddings[2*i+1].ReceivedAt = embeddings[2*i].ReceivedAt
	}
	insert := func(from, to int) {
		t.Helper()
		err := errors.Join(
			w.InsertEmbeddings(ctx, embeddings[2*from:2*to]), w.InsertPredictions(ctx, predictions[2*from:2*to]),
			w.InsertLabels(ctx, labels[from:to]), w.InsertDeadLetters(ctx, letters[from:to]), w.InsertDeadLetterReplays(ctx, replays[from:to]),
			w.InsertTrainingRun(ctx, TrainingRun{RunID: "r", StartedAt: noon, FinishedAt: noon}),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	answers := func() map[string]uint64 {
		t.Helper()
		sums := make(map[string]uint64)
		for _, view := range views {
			rows := selected[struct {
				Sum uint64 `ch:"sum"`
			}](t, w, "SELECT sum(cityHash64(toString(tuple(*)))) AS sum FROM "+view)
			sums[view] = rows[0].Sum
		}
		return sums
	}
	insert(0, 300)
	wantCounts, want := counts(t, w), answers()
	if diff := cmp.Diff(map[string]uint64{"embeddings": 600, "predictions": 600, "labels": 200, "dead_letters": 300, "history": 400, "training_runs": 1}, wantCounts); diff != "" {
		t.Errorf("counts of the first time:\n%s", diff)
	}
	check := func(when string) {
		t.Helper()
		rows := selected[struct {
			N uint64 `ch:"n"`
		}](t, w, "SELECT countIf(replayed_at = received_at + 60) AS n FROM dead_letters WHERE raw_offset % 2 = 0 OR replayed_at IS NOT NULL")
		if rows[0].N != 150 {
			t.Errorf("%d letters are replayed %s, want 150", rows[0].N, when)
		}
		if diff := cmp.Diff(wantCounts, counts(t, w)); diff != "" {
			t.Errorf("counts %s:\n%s", when, diff)
		}
		if diff := cmp.Diff(want, answers()); diff != "" {
			t.Errorf("answers %s:\n%s", when, diff)
		}
	}
	insert(100, 300)
	insert(0, 150)
	if rows := selected[struct {
		N uint64 `ch:"n"`
	}](t, w, "SELECT count() AS n FROM prediction_rows"); rows[0].N <= 600 {
		t.Errorf("%d rows before the merge, want more than 600: the replay did not reach the table", rows[0].N)
	}
	check("after the replay")
	for _, table := range []string{"embedding_rows", "prediction_rows", "label_rows", "deadletter_rows", "deadletter_replay_rows", "training_run_rows"} {
		if err := w.Conn().Exec(ctx, "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			t.Fatal(err)
		}
	}
	check("after the merge")
}

func TestNewestLabelWins(t *testing.T) {
	w := openMigrated(t)
	f := func(vacancy string, want uint16, labels ...LabelRow) {
		t.Helper()
		for _, l := range labels { // each in a part of its own
			if err := w.InsertLabels(t.Context(), []LabelRow{l}); err != nil {
				t.Fatal(err)
			}
		}
		rows := selected[LabelRow](t, w, "SELECT * FROM labels WHERE vacancy_id = '"+vacancy+"'")
		if len(rows) != 1 || rows[0].CategoryIndex != want {
			t.Errorf("%s: got %v, want one label of category %d", vacancy, rows, want)
		}
	}
	f("in order", 2, label(1, "in order", 1, noon), label(2, "in order", 2, noon.Add(time.Millisecond)))
	f("late", 2, label(3, "late", 2, noon.Add(time.Hour)), label(4, "late", 9, noon))
	f("same time", 5, label(5, "same time", 8, noon), label(6, "same time", 5, noon))
	// The newest label is replaced whole, not field by field.
	newest := label(8, "whole", 0, noon.Add(time.Hour))
	newest.Source = ""
	f("whole", 0, newest, label(9, "whole", 21, noon))
	rows := selected[LabelRow](t, w, "SELECT * FROM labels WHERE vacancy_id = 'whole'")
	if diff := cmp.Diff([]LabelRow{newest}, rows); diff != "" {
		t.Error(diff)
	}
}

// The server's default limit is 100 partitions a block, and a partition is a month.
func TestInsertTenYears(t *testing.T) {
	w := openMigrated(t)
	var rows []DeadLetterRow
	for i := range int64(120) {
		row := deadLetter(i, "extract")
		row.ReceivedAt = noon.AddDate(0, -int(i), 0)
		rows = append(rows, row)
	}
	if err := w.InsertDeadLetters(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if n := counts(t, w)["dead_letters"]; n != 120 {
		t.Errorf("%d rows, want 120", n)
	}
}

func TestInsertNothing(t *testing.T) {
	w := openMigrated(t)
	if err := errors.Join(w.InsertEmbeddings(t.Context(), nil), w.InsertLabels(t.Context(), []LabelRow{})); err != nil {
		t.Error(err)
	}
}
