package warehouse

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// apiTopic is the id of predictions.api.
var apiTopic = uuid.MustParse("11111111-4f5d-4c1b-9d8e-2b1a3c4d5e6f")

// insertAPI inserts what the API answered, known by this offset. Its partition and offset may be those of the stream's: the topic tells them apart.
func insertAPI(t *testing.T, w *Warehouse, vacancy string, offset int64) (EmbeddingRow, PredictionRow) {
	t.Helper()
	e, p := embedding(offset, vacancy, "e5"), prediction(offset, vacancy, "m1")
	e.TopicID, p.TopicID, e.TextHash = apiTopic, apiTopic, HashText("api "+vacancy)
	if err := w.InsertAPI(t.Context(), []EmbeddingRow{e}, []PredictionRow{p}); err != nil {
		t.Fatal(err)
	}
	return e, p
}

// answers renders what views say, to see that nothing changes it.
func answers(t *testing.T, w *Warehouse, names ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range names {
		for _, row := range selected[struct {
			Row string `ch:"row"`
		}](t, w, fmt.Sprintf("SELECT toString(tuple(*)) AS row FROM %s ORDER BY ALL", name)) {
			all[name] += row.Row + "\n"
		}
	}
	return all
}

// The views of the stream do not see what the API answered; views of their own do, each row once.
func TestAPIRowsStandApart(t *testing.T) {
	w := openMigrated(t)
	insertVacancy(t, w, "both", 4)
	insertVacancy(t, w, "stream", 5)
	stream := append(viewsOfVacancies, "predictions_with_models", "touched_hour_rows")
	before, counted := answers(t, w, stream...), counts(t, w)
	for range 2 { // a replay makes no difference
		insertAPI(t, w, "both", 4)
		insertAPI(t, w, "both", 7)
		insertAPI(t, w, "api", 8)
	}
	if diff := cmp.Diff(before, answers(t, w, stream...)); diff != "" {
		t.Errorf("the stream's views changed:\n%s", diff)
	}
	if diff := cmp.Diff(counted, counts(t, w)); diff != "" {
		t.Error(diff)
	}
	f := func(from, vacancy string, want ...int64) {
		t.Helper()
		if diff := cmp.Diff(want, offsets(t, w, from, vacancy)); diff != "" {
			t.Errorf("%s of %s:\n%s", from, vacancy, diff)
		}
	}
	for _, name := range []string{"embeddings", "predictions"} {
		f("api_"+name, "both", 4, 7)
		f("api_"+name, "api", 8)
		f("api_"+name, "stream")
		f("all_"+name, "both", 4, 7)
		f("all_"+name, "stream", 5)
	}
	for _, name := range []string{"embeddings", "predictions", "history"} {
		columns := func(of string) string {
			return selected[struct {
				C string `ch:"c"`
			}](t, w, "SELECT arrayStringConcat(groupArray(concat(name, ' ', type))) AS c FROM system.columns WHERE database = currentDatabase() AND table = '"+of+"'")[0].C
		}
		if got, want := columns("api_"+name), columns(name); got != want {
			t.Errorf("api_%s has %s, want %s", name, got, want)
		}
		if got, want := columns("all_"+name), columns(name)+"origin LowCardinality(String)"; got != want {
			t.Errorf("all_%s has %s, want %s", name, got, want)
		}
	}
	if got := selected[struct {
		N uint64 `ch:"n"`
	}](t, w, "SELECT count() AS n FROM api_predictions"); got[0].N != 3 {
		t.Errorf("%d predictions of the API, want 3", got[0].N)
	}
	// An answer of the API saves the stream's encoder the same text.
	found, err := w.ReadVectors(t.Context(), "e5", []TextHash{HashText("api api")})
	if err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

// A label joins what the API answered where it is asked for: feedback can be trained on.
func TestHistoryByOrigin(t *testing.T) {
	w := openMigrated(t)
	early, late := embedding(1, "both", "e5"), embedding(9, "both", "e5")
	if err := w.InsertEmbeddings(t.Context(), []EmbeddingRow{early, embedding(2, "stream", "e5")}); err != nil {
		t.Fatal(err)
	}
	apiBoth, _ := insertAPI(t, w, "both", 5)
	apiOnly, _ := insertAPI(t, w, "api", 6)
	insertAPI(t, w, "unlabelled", 7)
	labels := []LabelRow{label(1, "both", 1, noon), label(2, "stream", 2, noon), label(3, "api", 3, noon)}
	if err := w.Conn().Exec(t.Context(), "TRUNCATE TABLE touched_hour_rows"); err != nil {
		t.Fatal(err)
	}
	if err := w.InsertLabels(t.Context(), labels[2:]); err != nil {
		t.Fatal(err)
	}
	if got := touched(t, w, "labels"); got != nil {
		t.Errorf("feedback to the API touched hours %v of drift", got)
	}
	if err := w.InsertLabels(t.Context(), labels[:2]); err != nil {
		t.Fatal(err)
	}
	f := func(origin Origin, want map[string]time.Time) {
		t.Helper()
		got := map[string]time.Time{}
		for _, row := range readHistory(t, w, HistoryFilter{Origin: origin, Encoder: "e5"}) {
			got[row.VacancyID] = row.ReceivedAt
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", origin, diff)
		}
		n, err := w.CountHistory(t.Context(), HistoryFilter{Origin: origin})
		if err != nil || n != uint64(len(want)) {
			t.Errorf("%s: counted %d, %v, want %d", origin, n, err, len(want))
		}
		encoders, err := w.CountHistoryByEncoder(t.Context(), origin)
		if err != nil || encoders["e5"] != uint64(len(want)) {
			t.Errorf("%s: counted %v, %v, want %d", origin, encoders, err, len(want))
		}
	}
	streamOnly := embedding(2, "stream", "e5")
	for _, origin := range []Origin{"", OriginStream} {
		f(origin, map[string]time.Time{"both": early.ReceivedAt, "stream": streamOnly.ReceivedAt})
	}
	f(OriginAPI, map[string]time.Time{"both": apiBoth.ReceivedAt, "api": apiOnly.ReceivedAt})
	f(OriginAll, map[string]time.Time{"both": apiBoth.ReceivedAt, "stream": streamOnly.ReceivedAt, "api": apiOnly.ReceivedAt})
	if err := w.InsertEmbeddings(t.Context(), []EmbeddingRow{late}); err != nil { // published after all
		t.Fatal(err)
	}
	f(OriginAll, map[string]time.Time{"both": late.ReceivedAt, "stream": streamOnly.ReceivedAt, "api": apiOnly.ReceivedAt})
}

// What the API answered is erased by the tombstones of its own topic, as exactly as the stream's by those of the raw topic.
func TestEraseOfAPIRows(t *testing.T) {
	w := openMigrated(t)
	views := []string{"api_embeddings", "api_predictions", "api_history", "all_embeddings", "all_predictions", "all_history"}
	if err := w.InsertLabels(t.Context(), []LabelRow{label(20, "gone", 3, noon), label(21, "other", 3, noon)}); err != nil {
		t.Fatal(err)
	}
	insertAPI(t, w, "gone", 4)
	insertAPI(t, w, "other", 6)
	f := func(from, vacancy string, want ...int64) {
		t.Helper()
		if diff := cmp.Diff(want, offsets(t, w, from, vacancy)); diff != "" {
			t.Errorf("%s of %s:\n%s", from, vacancy, diff)
		}
	}
	if err := w.Conn().Exec(t.Context(), "TRUNCATE TABLE touched_hour_rows"); err != nil {
		t.Fatal(err)
	}
	// A tombstone of the raw topic says nothing of another topic's places.
	if err := w.Erase(t.Context(), tombstones("gone", 10)); err != nil {
		t.Fatal(err)
	}
	f("api_predictions", "gone", 4)
	var own []Erasure
	for _, e := range tombstones("gone", 10) {
		e.TopicID = apiTopic
		own = append(own, e)
	}
	for range 2 {
		if err := w.Erase(t.Context(), own); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range append([]string{"embedding_rows", "prediction_rows"}, views...) {
		f(from, "gone")
	}
	for _, dataset := range []string{"embeddings", "predictions", "labels"} {
		if got := touched(t, w, dataset); got != nil {
			t.Errorf("erasing an answer of the API touched hours %v of %s", got, dataset)
		}
	}
	insertAPI(t, w, "gone", 7) // late, from a second sink
	for _, view := range views[:2] {
		f(view, "gone")
	}
	insertAPI(t, w, "gone", 12)
	for _, view := range []string{"api_embeddings", "api_predictions", "all_embeddings", "all_predictions"} {
		f(view, "gone", 12)
		f(view, "other", 6)
	}
	if n := len(readHistory(t, w, HistoryFilter{Origin: OriginAPI})); n != 2 {
		t.Errorf("%d of the API's history, want 2: the label came later", n)
	}
	if found, err := w.ReadVectors(t.Context(), "e5", []TextHash{HashText("api gone")}); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

// Rows of before the column are the stream's, and the migration may break off anywhere and begin again.
func TestOriginOfRowsOfBefore(t *testing.T) {
	w := open(t, testOptions(t))
	before, err := fs.Glob(migrationFiles, "migrations/000*.sql")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, path := range before {
		text, err := fs.ReadFile(migrationFiles, path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = &fstest.MapFile{Data: text}
	}
	if err := w.migrate(t.Context(), files, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	insertVacancies := func(from int64) {
		t.Helper()
		err := errors.Join(
			insert(t.Context(), w, "embedding_rows", []EmbeddingRow{embedding(from, "a", "e5"), embedding(from+1, "b", "e5")}),
			insert(t.Context(), w, "prediction_rows", []PredictionRow{prediction(from, "a", "m1"), prediction(from+1, "b", "m1")}),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	insertVacancies(1)
	if err := insert(t.Context(), w, "label_rows", []LabelRow{label(1, "a", 3, noon)}); err != nil {
		t.Fatal(err)
	}
	want := answers(t, w, "embeddings", "predictions", "history")
	if len(want) != 3 {
		t.Fatalf("got %v", want)
	}
	all, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	origin := all[9]
	for i := range origin.statements { // breaks off behind each
		for _, statement := range origin.statements[:i+1] {
			if err := w.Conn().Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, answers(t, w, "embeddings", "predictions", "history")); diff != "" {
		t.Error(diff)
	}
	insertAPI(t, w, "c", 3)
	insertVacancies(4)
	for name, n := range map[string]int{"embeddings": 4, "predictions": 4, "api_embeddings": 1, "api_predictions": 1, "all_embeddings": 5, "all_predictions": 5} {
		if got := selected[struct {
			N uint64 `ch:"n"`
		}](t, w, "SELECT count() AS n FROM "+name); got[0].N != uint64(n) {
			t.Errorf("%s has %d rows, want %d", name, got[0].N, n)
		}
	}
}

func TestOriginValidates(t *testing.T) {
	for _, o := range append(Origins(), "") {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	if err := Origin("API").Validate(); err == nil || err.Error() != `origin "API" must be stream, api or all` {
		t.Errorf("got %v", err)
	}
}
