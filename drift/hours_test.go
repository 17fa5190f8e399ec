package drift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"jobstrom/embedded/clickhousetest"
	"jobstrom/warehouse"
)

// rows are what the sink inserts of some vacancies.
type rows struct {
	embeddings  []warehouse.EmbeddingRow
	predictions []warehouse.PredictionRow
	labels      []warehouse.LabelRow
}

var topic = uuid.UUID{1}

// vacancies makes the rows of vacancies first up to before last, an hour and a half after one another, each by two encoders and two models, and labels for two of three.
func vacancies(first, last int) (r rows) {
	for i := first; i < last; i++ {
		at := warehouse.Coordinates{TopicID: topic, Offset: int64(i)}
		id, published, received := fmt.Sprint("v", i), day(1, 1.5*float64(i)), day(40, float64(i)/60)
		for k, name := range []string{"first", "second"} {
			e := warehouse.EmbeddingRow{Coordinates: at, ReceivedAt: received, VacancyID: id, Encoder: name, Vector: []float32{1, 0}, Tokens: uint32(10 + i%7), Truncated: i%5 == 0,
				Source: []string{"jobnet", "kommune"}[i%2], Language: "da", TextLength: uint32(100 * (i % 11)), PublishedAt: published}
			if i%3 == 0 {
				e.Attributes = map[string]string{"region": fmt.Sprint("region ", i%4)}
			}
			r.embeddings = append(r.embeddings, e)
			r.predictions = append(r.predictions, warehouse.PredictionRow{Coordinates: at, ReceivedAt: received, VacancyID: id, Model: name, Encoder: name, Category: fmt.Sprint("c", (i+k)%4),
				Confidence: float32(i%13) / 13, Probabilities: []float32{1}, Occupations: slices.Repeat([]string{"o"}, i%3), PublishedAt: published})
		}
		if i%3 != 0 {
			r.labels = append(r.labels, warehouse.LabelRow{TopicID: topic, Partition: 1, Offset: int64(i), ReceivedAt: received, VacancyID: id, Category: fmt.Sprint("c", i%4), Source: "test", LabelledAt: received})
		}
	}
	return r
}

func insert(t *testing.T, w *warehouse.Warehouse, r rows) {
	t.Helper()
	if err := errors.Join(w.InsertEmbeddings(t.Context(), r.embeddings), w.InsertPredictions(t.Context(), r.predictions), w.InsertLabels(t.Context(), r.labels)); err != nil {
		t.Fatal(err)
	}
}

// erase erases a vacancy with its labels.
func erase(t *testing.T, w *warehouse.Warehouse, ids ...string) {
	t.Helper()
	var erasures []warehouse.Erasure
	for _, id := range ids {
		for _, partition := range []int32{0, 1} {
			erasures = append(erasures, warehouse.Erasure{VacancyID: id, TopicID: topic, Partition: partition, Offset: 1000, ErasedAt: day(50, 0)})
		}
	}
	if err := w.Erase(t.Context(), erasures); err != nil {
		t.Fatal(err)
	}
}

// fresh opens another database of this test's, empty.
func fresh(t *testing.T, name string) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: clickhousetest.Database(t) + "_" + name, CreateDatabase: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := errors.Join(w.Migrate(t.Context(), nil), Install(t.Context(), w)); err != nil {
		t.Fatal(err)
	}
	return w
}

// recomputeAll recomputes until no hour is touched: one that was touched in the same millisecond is left to the next time.
func recomputeAll(t *testing.T, w *warehouse.Warehouse) (all Recomputed) {
	t.Helper()
	for {
		done, err := recompute(t.Context(), w, 0)
		if err != nil {
			t.Fatal(err)
		}
		all.Hours, all.Kept = all.Hours+done.Hours, all.Kept+done.Kept
		if text(t, w, "SELECT count() FROM drift_touched_hours") == "(0)\n" {
			return all
		}
	}
}

// text returns the first column of a query, one row a line, as the server writes it.
func text(t *testing.T, w *warehouse.Warehouse, query string) (lines string) {
	t.Helper()
	found, err := w.Conn().Query(t.Context(), "SELECT toString(tuple(*)) FROM ("+query+")")
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer found.Close()
	for found.Next() {
		var line string
		if err := found.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines += line + "\n"
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// answers are what the hours say, and what views say of two windows.
func answers(t *testing.T, w *warehouse.Warehouse, queries ...string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, query := range append(queries, "SELECT * FROM drift_hours ORDER BY column, subject, hour", "SELECT * FROM drift_accuracy(first = '2026-01-01', last = '2026-02-01', model = 'second')") {
		if got[query] = text(t, w, query); got[query] == "" {
			t.Fatalf("%s is empty", query)
		}
	}
	return got
}

// compare are the views that are made of the hours, and of predictions.
func compare() []string {
	january := "ref_from = '2026-01-01', ref_to = '2026-01-02', cur_from = '2026-01-02', cur_to = '2026-01-04'"
	return []string{
		fmt.Sprintf("SELECT * FROM drift_categories(%s, model = 'first')", january),
		fmt.Sprintf("SELECT * FROM drift_values(column = 'label', %s, model = '', encoder = 'second')", january),
		fmt.Sprintf("SELECT * FROM drift_columns(%s, model = 'first', encoder = 'first')", january),
		fmt.Sprintf("SELECT * FROM drift_numbers(column = 'text_length', %s, model = '', encoder = 'first')", january),
		fmt.Sprintf("SELECT category, reference, current, round(difference, 9) FROM drift_confidence(%s, model = 'first')", january),
		"SELECT * FROM drift_series(column = 'attribute.region', first = '2026-01-01', last = '2026-02-01', hours = 24, model = '', encoder = 'first')",
	}
}

// However rows come, go and come again, before Recompute and after it, the answers are those of a database that holds what is left and nothing else.
func TestRecompute(t *testing.T) {
	w, other := openInstalled(t), fresh(t, "other")
	all := vacancies(0, 40)
	check := func(what string, left rows, queries ...string) {
		t.Helper()
		for _, table := range []string{"embedding_rows", "prediction_rows", "label_rows"} {
			if err := other.Conn().Exec(t.Context(), "TRUNCATE TABLE "+table); err != nil {
				t.Fatal(err)
			}
		}
		insert(t, other, left)
		want := answers(t, other, queries...)
		if diff := cmp.Diff(want, answers(t, w, queries...)); diff != "" {
			t.Fatalf("%s, before Recompute:\n%s", what, diff)
		}
		if recomputed := recomputeAll(t, w); recomputed.Hours == 0 || recomputed.Kept != 0 {
			t.Fatalf("%s: %+v", what, recomputed)
		}
		if diff := cmp.Diff(want, answers(t, w, queries...)); diff != "" {
			t.Fatalf("%s, after Recompute:\n%s", what, diff)
		}
		// Nothing of the answers comes from the rows any more.
		if done, err := Recompute(t.Context(), w); err != nil || done != (Recomputed{}) {
			t.Fatalf("%s: %+v, %v with nothing touched", what, done, err)
		}
	}
	unlabelled := all
	unlabelled.labels = all.labels[:5]
	insert(t, w, unlabelled)
	check("first", unlabelled)

	replayed := vacancies(0, 40)
	slices.Reverse(replayed.embeddings)
	slices.Reverse(replayed.predictions)
	replayed.labels = nil
	insert(t, w, replayed)
	check("replayed", unlabelled)

	insert(t, w, rows{labels: all.labels[3:]})
	check("labelled late", all)

	erase(t, w, "v3", "v4", "v20", "v39")
	left := rows{}
	keep := func(id string) bool { return !slices.Contains([]string{"v3", "v4", "v20", "v39"}, id) }
	for _, e := range all.embeddings {
		if keep(e.VacancyID) {
			left.embeddings = append(left.embeddings, e)
		}
	}
	for _, p := range all.predictions {
		if keep(p.VacancyID) {
			left.predictions = append(left.predictions, p)
		}
	}
	for _, l := range all.labels {
		if keep(l.VacancyID) {
			left.labels = append(left.labels, l)
		}
	}
	check("erased", left, compare()...) // v39 was alone in its hour

	// States are what a first computation makes.
	recomputeAll(t, other)
	states := "SELECT * EXCEPT computed_at FROM drift_hour_rows FINAL WHERE (dataset, hour, computed_at) IN (SELECT dataset, hour, max(computed_at) FROM touched_hour_rows GROUP BY dataset, hour) ORDER BY column, subject, hour"
	if diff := cmp.Diff(text(t, other, states), text(t, w, states)); diff != "" {
		t.Errorf("states:\n%s", diff)
	}
}

// A computation that is killed, or runs beside another, changes no answer.
func TestRecomputeKilled(t *testing.T) {
	w := openInstalled(t)
	insert(t, w, vacancies(0, 30))
	want := text(t, w, "SELECT * FROM drift_hours ORDER BY column, subject, hour")
	check := func(what string) {
		t.Helper()
		if diff := cmp.Diff(want, text(t, w, "SELECT * FROM drift_hours ORDER BY column, subject, hour")); diff != "" {
			t.Fatalf("%s:\n%s", what, diff)
		}
	}
	// Killed between the states and the note that they are in.
	r := recomputing{w, datasets()[0], 0}
	hours, err := r.hours(t.Context(), "SELECT hour FROM drift_touched_hours WHERE dataset = 'predictions' ORDER BY hour")
	if err != nil || len(hours) < 20 {
		t.Fatalf("%d touched hours, %v", len(hours), err)
	}
	if err := r.count(t.Context(), hours[:10], time.Now()); err != nil {
		t.Fatal(err)
	}
	check("killed")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Recompute(ended, w); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	results := make(chan error)
	for range 3 {
		go func() { // ends with its result
			_, err := recompute(t.Context(), w, 0)
			results <- err
		}()
	}
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	check("at once")
	recomputeAll(t, w)
	check("again")
	// What was touched less than the margin ago stays touched, since another server's clock may be behind.
	insert(t, w, vacancies(0, 1))
	if done, err := Recompute(t.Context(), w); err != nil || done.Hours == 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if text(t, w, "SELECT count() FROM drift_touched_hours") == "(0)\n" {
		t.Error("no hour is touched")
	}
}

// Counts outlive the rows that they count, and an hour whose rows have expired keeps them whatever comes.
func TestRecomputeRetention(t *testing.T) {
	w := openInstalled(t)
	old, young := vacancies(1, 2), vacancies(2, 3)
	for _, r := range []*rows{&old, &young} {
		for i := range r.embeddings {
			r.embeddings[i].PublishedAt, r.predictions[i].PublishedAt = day(1, 0), day(1, 0)
			r.embeddings[i].ReceivedAt, r.predictions[i].ReceivedAt = time.Now(), time.Now()
		}
	}
	for i := range old.embeddings {
		old.embeddings[i].ReceivedAt, old.predictions[i].ReceivedAt = day(1, 0).AddDate(-3, 0, 0), day(1, 0).AddDate(-3, 0, 0)
	}
	young.labels = nil
	insert(t, w, old)
	recomputeAll(t, w)
	counted := text(t, w, "SELECT column, subject, values, numbers, counts FROM drift_hours ORDER BY column, subject")

	keeping, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: clickhousetest.Database(t), Retention: warehouse.Retention{Embeddings: 24 * time.Hour, Predictions: 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer keeping.Close()
	if err := keeping.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"embedding_rows", "prediction_rows"} {
		if err := w.Conn().Exec(t.Context(), "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			t.Fatal(err)
		}
	}
	if n := text(t, w, "SELECT (SELECT count() FROM embedding_rows) + (SELECT count() FROM prediction_rows)"); n != "(0)\n" {
		t.Fatalf("%s rows have not expired", n)
	}
	same := func(what string) {
		t.Helper()
		if diff := cmp.Diff(counted, text(t, w, "SELECT column, subject, values, numbers, counts FROM drift_hours ORDER BY column, subject")); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	same("expired")
	insert(t, w, young) // into the same hour
	if done := recomputeAll(t, w); done.Hours != 0 || done.Kept < 3 {
		t.Errorf("%+v", done)
	}
	same("touched")
}
