package warehouse

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func modelEvent(offset int64, action, model, previous string) ModelEventRow {
	e := ModelEventRow{
		EventID: fmt.Sprint("event-", offset), HistoryOffset: offset, At: noon.Add(time.Duration(offset) * time.Hour), Action: action, Model: model, Taxonomy: "t", Encoder: "e5",
		Previous: previous, Reason: "because", Version: "1.0", TrainedAt: time.UnixMilli(0).UTC(), HistoryFirst: time.UnixMilli(0).UTC(), HistoryLast: time.UnixMilli(0).UTC(),
		Metrics: map[string]float64{}, Settings: map[string]string{}, Prior: []float32{}, BaselineMean: []float32{}, BaselineVariance: []float32{}, BaselineShares: []float32{},
	}
	if action == "register" {
		e.TrainedAt, e.TrainedBy, e.Metrics, e.Settings = noon, "0.9", map[string]float64{"top1": .5}, map[string]string{"seed": "7"}
		e.HistoryRows, e.HistoryFirst, e.HistoryLast, e.Temperature, e.Prior = 9, noon, noon.Add(time.Minute), 1.5, []float32{.5, .5}
		e.EncoderName, e.BaselineRows, e.BaselineMean, e.BaselineVariance, e.BaselineShares = "small", 6, []float32{1, 2}, []float32{0, 1}, []float32{.5, .5}
	}
	return e
}

// The history says who was live when, and each prediction finds its model's card and the promotion it was made under.
func TestModelHistory(t *testing.T) {
	w := openMigrated(t)
	events := []ModelEventRow{
		modelEvent(0, "register", "a", ""), modelEvent(1, "promote", "a", ""), modelEvent(2, "register", "b", ""), modelEvent(3, "promote", "b", "a"),
		modelEvent(4, "rollback", "a", "b"), modelEvent(5, "retire", "b", ""),
	}
	under := func(offset int64, model string, hours int) PredictionRow {
		p := prediction(offset, fmt.Sprint("v", offset), model)
		p.ClassifiedAt = noon.Add(time.Duration(hours)*time.Hour + time.Minute)
		return p
	}
	live := []PredictionRow{under(1, "a", 1), under(2, "b", 3), under(3, "a", 4), under(4, "built-in", 0)}
	for range 2 {
		if err := errors.Join(w.InsertModelEvents(t.Context(), events), w.InsertPredictions(t.Context(), live)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(events, selected[ModelEventRow](t, w, "SELECT * FROM model_history ORDER BY history_offset")); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
	hour := func(h int) time.Time { return noon.Add(time.Duration(h) * time.Hour) }
	type term struct {
		Model string    `ch:"model"`
		From  time.Time `ch:"live_from"`
		Until time.Time `ch:"live_until"`
	}
	end := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	if diff := cmp.Diff([]term{{"a", hour(1), hour(3)}, {"b", hour(3), hour(4)}, {"a", hour(4), end}}, selected[term](t, w, "SELECT model, live_from, live_until FROM champions ORDER BY live_from")); diff != "" {
		t.Errorf("who was live when:\n%s", diff)
	}
	type card struct {
		Model     string             `ch:"model"`
		Rows      uint64             `ch:"history_rows"`
		Metrics   map[string]float64 `ch:"metrics"`
		FirstLive *time.Time         `ch:"first_live"`
		RetiredAt *time.Time         `ch:"retired_at"`
	}
	at := func(h int) *time.Time { at := hour(h); return &at }
	metrics := map[string]float64{"top1": .5}
	want := []card{{"a", 9, metrics, at(1), nil}, {"b", 9, metrics, at(3), at(5)}}
	if diff := cmp.Diff(want, selected[card](t, w, "SELECT model, history_rows, metrics, first_live, retired_at FROM models ORDER BY model")); diff != "" {
		t.Errorf("models:\n%s", diff)
	}
	type made struct {
		Vacancy  string     `ch:"vacancy_id"`
		Model    string     `ch:"model"`
		LiveFrom *time.Time `ch:"live_from"`
		Trained  *time.Time `ch:"trained_at"`
		Rows     uint64     `ch:"history_rows"`
	}
	predictions := []made{{"v1", "a", at(1), &noon, 9}, {"v2", "b", at(3), &noon, 9}, {"v3", "a", at(4), &noon, 9}, {"v4", "built-in", nil, nil, 0}}
	if diff := cmp.Diff(predictions, selected[made](t, w, "SELECT vacancy_id, model, live_from, trained_at, history_rows FROM predictions_with_models ORDER BY vacancy_id")); diff != "" {
		t.Errorf("predictions with their models:\n%s", diff)
	}
}

// Pairs are labelled vacancies that both models answered, each once, newest first, without erased ones and those of before.
func TestReadPairs(t *testing.T) {
	w := openMigrated(t)
	said := func(offset int64, vacancy, model string, p float32) PredictionRow {
		r := prediction(offset, vacancy, model)
		r.Probabilities = []float32{p, 1 - p}
		return r
	}
	live := []PredictionRow{
		said(1, "old", "champion", .1), said(2, "twice", "champion", .2), said(3, "twice", "champion", .3), said(4, "unlabelled", "champion", .4),
		said(5, "unanswered", "champion", .5), said(6, "of another", "other", .6), said(7, "erased", "champion", .7), said(8, "newest", "champion", .8),
	}
	var shadow []ShadowRow
	for _, p := range live {
		p.Model = "challenger"
		p.Probabilities = []float32{p.Probabilities[1], p.Probabilities[0]}
		if p.VacancyID != "unanswered" {
			shadow = append(shadow, ShadowRow{"challenger", p})
		}
		p.Probabilities = []float32{0, 1}
		shadow = append(shadow, ShadowRow{"a reprocessing", p})
	}
	var labels []LabelRow
	for i, p := range live {
		if p.VacancyID != "unlabelled" {
			labels = append(labels, label(int64(i), p.VacancyID, uint16(i%2), noon))
		}
	}
	labels = append(labels, label(50, "newest", 0, noon.Add(time.Hour))) // a newer label wins
	for range 2 {
		if err := errors.Join(w.InsertPredictions(t.Context(), live), w.InsertShadows(t.Context(), shadow), w.InsertLabels(t.Context(), labels)); err != nil {
			t.Fatal(err)
		}
	}
	gone := at(7)
	if err := w.Erase(t.Context(), []Erasure{{VacancyID: "erased", TopicID: gone.TopicID, Partition: gone.Partition, Offset: 100, ErasedAt: noon}}); err != nil {
		t.Fatal(err)
	}
	f := func(filter PairFilter, want ...Pair) {
		t.Helper()
		filter.Champion, filter.Challenger = "champion", "challenger"
		var got []Pair
		if err := w.ReadPairs(t.Context(), filter, func(p Pair) error { got = append(got, p); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v:\n%s", filter, diff)
		}
	}
	newest, twice, old := Pair{0, live[7].Probabilities, swapped(live[7])}, Pair{0, live[2].Probabilities, swapped(live[2])}, Pair{0, live[0].Probabilities, swapped(live[0])}
	f(PairFilter{}, newest, twice, old)
	f(PairFilter{Since: live[0].ReceivedAt}, newest, twice)
	f(PairFilter{Limit: 1}, newest)
	stop := errors.New("enough")
	if err := w.ReadPairs(t.Context(), PairFilter{Champion: "champion", Challenger: "challenger"}, func(Pair) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func swapped(p PredictionRow) []float32 { return []float32{p.Probabilities[1], p.Probabilities[0]} }
