package drift

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"jobstrom/warehouse"
)

// apiTopic is the id of predictions.api.
var apiTopic = uuid.UUID{3}

// answered makes rows like those of the API: other vacancies, other places.
func answered(r rows) rows {
	for i := range r.embeddings {
		r.embeddings[i].TopicID, r.embeddings[i].VacancyID = apiTopic, "api "+r.embeddings[i].VacancyID
	}
	for i := range r.predictions {
		r.predictions[i].TopicID, r.predictions[i].VacancyID = apiTopic, "api "+r.predictions[i].VacancyID
	}
	for i := range r.labels { // feedback
		r.labels[i].Partition, r.labels[i].VacancyID = 2, "api "+r.labels[i].VacancyID
	}
	return r
}

// twoMonths makes January and February of the stream, and of an API that is asked for other vacancies.
func twoMonths() (streamed, api rows) {
	both := func(s *stream) (r rows) {
		a := s.rows(day(1, 0), 60)
		b := s.rows(day(32, 0), 60)
		return rows{append(a.embeddings, b.embeddings...), append(a.predictions, b.predictions...), append(a.labels, b.labels...)}
	}
	return both(&stream{random: rand.New(rand.NewPCG(1, 1)), sales: .1, region: "Fyn"}),
		answered(both(&stream{random: rand.New(rand.NewPCG(2, 2)), sales: .8, longer: 1, shift: 3, region: "Als"}))
}

func insertAPI(t *testing.T, w *warehouse.Warehouse, r rows) {
	t.Helper()
	if err := errors.Join(w.InsertAPI(t.Context(), r.embeddings, r.predictions), w.InsertLabels(t.Context(), r.labels)); err != nil {
		t.Fatal(err)
	}
}

// said is what Compare says, without what says whose answers it is about.
func said(t *testing.T, w *warehouse.Warehouse, o Options) (c *Comparison, figures string) {
	t.Helper()
	o.Reference, o.Current = window(t, "2026-01"), window(t, "2026-02")
	c, err := Compare(t.Context(), w, o)
	if err != nil {
		t.Fatal(err)
	}
	bare := *c
	bare.Origin, bare.Notes = "", nil
	text, err := json.MarshalIndent(bare, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return c, string(text)
}

// Nothing that asks about the stream, the report, the training window or any view, in hours that were counted and in those that were not, hears of what the API answered.
func TestDriftLeavesTheAPIOut(t *testing.T) {
	w := openInstalled(t)
	streamed, api := twoMonths()
	insert(t, w, streamed)
	const of = "ref_from = '2026-01-01', ref_to = '2026-02-01', cur_from = '2026-02-01', cur_to = '2026-03-01', encoder = 'e1'"
	queries := []string{
		"SELECT * FROM drift_windows(" + of + ")",
		"SELECT column, subject, hour, rows, values, numbers, counts FROM drift_hours",
		"SELECT * FROM drift_prediction_values", "SELECT * FROM drift_embedding_values", "SELECT * FROM drift_label_values", "SELECT dataset, hour FROM drift_touched_hours",
		"SELECT * FROM drift_embedding_windows(" + of + ")", "SELECT * FROM drift_embeddings(" + of + ")",
		"SELECT * FROM drift_components(" + of + ", component_from = 1, component_to = 16)",
		"SELECT * FROM drift_component_figures(" + of + ", component_from = 1, component_to = 16)",
		"SELECT * FROM drift_nearest(" + of + ", examples = 5)", "SELECT * FROM drift_category_embeddings(" + of + ", model = 'm1')",
	}
	ask := func() map[string]string {
		t.Helper()
		all := map[string]string{}
		for _, q := range queries {
			all[q] = text(t, w, "SELECT * FROM ("+q+") ORDER BY ALL")
		}
		components, err := CompareComponents(t.Context(), w, EmbeddingWindows{Reference: window(t, "2026-01"), Current: window(t, "2026-02"), Encoder: "e1"}, ComponentOptions{})
		if err != nil {
			t.Fatal(err)
		}
		lines, err := json.Marshal(components)
		if err != nil {
			t.Fatal(err)
		}
		all["components"] = string(lines)
		v, err := ReadVectors(t.Context(), w, window(t, "2026-01"), "", 1000, 1)
		if err != nil {
			t.Fatal(err)
		}
		all["vectors"] = fmt.Sprint(v)
		_, all["report"] = said(t, w, Options{})
		return all
	}
	uncounted := ask()
	for q, rows := range uncounted {
		if rows == "" {
			t.Fatalf("%s says nothing", q)
		}
	}
	insertAPI(t, w, api)
	if diff := cmp.Diff(uncounted, ask()); diff != "" {
		t.Errorf("before hours were counted:\n%s", diff)
	}
	recomputeAll(t, w)
	counted := ask()
	for _, q := range queries {
		if !strings.Contains(q, "touched") && counted[q] != uncounted[q] {
			t.Errorf("counting the hours changed %s", q)
		}
	}
	// What the API answers from now on, feedback and erasures touch no hour.
	insertAPI(t, w, api)
	if err := w.Erase(t.Context(), []warehouse.Erasure{{VacancyID: api.embeddings[0].VacancyID, TopicID: apiTopic, Offset: 1 << 40, ErasedAt: day(50, 0)}}); err != nil {
		t.Fatal(err)
	}
	if touched := text(t, w, "SELECT count() FROM drift_touched_hours"); touched != "(0)\n" {
		t.Errorf("touched hours: %s", touched)
	}
	if diff := cmp.Diff(counted, ask()); diff != "" {
		t.Errorf("after hours were counted:\n%s", diff)
	}
}

// Where it is asked for, what the API answered gets the verdicts and figures that it would get as a stream; so do both together.
func TestCompareByOrigin(t *testing.T) {
	w, alone, together := openInstalled(t), fresh(t, "alone"), fresh(t, "together")
	streamed, api := twoMonths()
	insert(t, w, streamed)
	insertAPI(t, w, api)
	insert(t, alone, api)
	insert(t, together, streamed)
	insert(t, together, api)
	for _, preset := range Presets {
		for _, f := range []struct {
			origin warehouse.Origin
			like   *warehouse.Warehouse
			note   string
		}{{warehouse.OriginAPI, alone, "what the API answered is compared"}, {warehouse.OriginAll, together, "what the stream and the API answered is compared together"}} {
			_, want := said(t, f.like, Options{Preset: preset, VerdictsOnly: true})
			c, got := said(t, w, Options{Preset: preset, Origin: f.origin})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s:\n%s", preset, f.origin, diff)
			}
			notes := strings.Join(c.Notes, "\n")
			if c.Origin != f.origin || !strings.Contains(notes, f.note) || !strings.Contains(notes, "no map, statistics or examples of embeddings") {
				t.Errorf("%s, %s: notes %q", preset, f.origin, notes)
			}
		}
	}
	c, _ := said(t, w, Options{Origin: warehouse.OriginStream})
	if c.Origin != "" || c.Map == nil || strings.Contains(strings.Join(c.Notes, "\n"), "API") {
		t.Errorf("the stream's report speaks of %q: %v", c.Origin, c.Notes)
	}
	none := fresh(t, "none")
	insert(t, none, streamed)
	_, err := Compare(t.Context(), none, Options{Reference: window(t, "2026-01"), Current: window(t, "2026-02"), Origin: warehouse.OriginAPI})
	if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "no answer of the API") {
		t.Errorf("got %v", err)
	}
	_, err = Compare(t.Context(), none, Options{Reference: window(t, "2026-01"), Current: window(t, "2026-02"), Origin: "web"})
	if err == nil || !strings.Contains(err.Error(), `origin "web" must be stream, api or all`) {
		t.Errorf("got %v", err)
	}
}
