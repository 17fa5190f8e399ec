package drift

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jobstrom/warehouse"
)

// bothEncoders are vacancies whose vectors have 2 components by the first encoder and 3 by the second.
func bothEncoders() rows {
	r := vacancies(0, 60)
	for i := range r.embeddings {
		e := &r.embeddings[i]
		e.Vector = make([]float32, map[string]int{"first": 2, "second": 3}[e.Encoder])
		for k := range e.Vector {
			e.Vector[k] = float32(math.Sin(float64(7*i + 3*k)))
		}
	}
	return r
}

// asked are questions to every view of drift, with an encoder where the view takes one.
func asked(t *testing.T, w *warehouse.Warehouse, encoder string) (queries []string) {
	t.Helper()
	var views []struct {
		Name   string `ch:"name"`
		Create string `ch:"create_table_query"`
	}
	if err := w.Conn().Select(t.Context(), &views, "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'drift_') AND engine = 'View' ORDER BY name"); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"ref_from": "'2026-01-01'", "ref_to": "'2026-01-03'", "cur_from": "'2026-01-03'", "cur_to": "'2026-01-05'", "first": "'2026-01-01'", "last": "'2026-01-05'",
		"column": "'tokens'", "model": "'" + encoder + "'", "encoder": "'" + encoder + "'", "hours": "24", "examples": "3", "component_from": "1", "component_to": "2",
	}
	for _, v := range views {
		var given []string
		for _, p := range regexp.MustCompile(`\{(\w+):`).FindAllStringSubmatch(v.Create, -1) {
			argument := p[1] + " = " + values[p[1]]
			if values[p[1]] == "" {
				t.Fatalf("view %s takes %s: give the test a value for it", v.Name, p[1])
			}
			if !slices.Contains(given, argument) {
				given = append(given, argument)
			}
		}
		if slices.Contains(given, "encoder = '"+encoder+"'") {
			queries = append(queries, "SELECT * FROM "+v.Name+"("+strings.Join(given, ", ")+") ORDER BY ALL")
		}
	}
	if len(queries) < 10 {
		t.Fatalf("%d views take an encoder", len(queries))
	}
	return queries
}

// Vectors of different encoders never meet: what is asked about one encoder is answered as if there were no other, though the other's have another dimension, and
// what is asked about all of them is answered or refused with a reason.
func TestEncodersNeverMeet(t *testing.T) {
	both := fresh(t, "both")
	insert(t, both, bothEncoders())
	const encoder = "second" // the one that no default order would take
	alone, r := fresh(t, encoder), bothEncoders()
	r.embeddings = slices.DeleteFunc(r.embeddings, func(e warehouse.EmbeddingRow) bool { return e.Encoder != encoder })
	insert(t, alone, r)
	for _, query := range asked(t, both, encoder) {
		if got, want := text(t, both, query), text(t, alone, query); got != want || got == "" {
			t.Errorf("%s: beside another encoder\n%sbut alone\n%s", query, got, want)
		}
	}
	window := Window{day(1, 0), day(5, 0)}
	v, err := ReadVectors(t.Context(), both, window, encoder, 100, 1)
	if err != nil || v.Of != 60 {
		t.Fatalf("%d vectors of %s, %v", v.Of, encoder, err)
	}
	learned := 0
	err = both.ReadHistory(t.Context(), warehouse.HistoryFilter{Encoder: encoder}, func(h warehouse.HistoryRow) error {
		if learned++; h.Encoder != encoder || len(h.Vector) != len(r.embeddings[0].Vector) {
			return fmt.Errorf("the history of %s holds %d components by %s", encoder, len(h.Vector), h.Encoder)
		}
		return nil
	})
	if err != nil || learned != 40 {
		t.Errorf("%d labelled vectors, %v", learned, err)
	}
	for _, query := range asked(t, both, "") {
		_ = text(t, both, query) // ends the test with the query when it fails
	}
}

// Where nothing says which encoder is meant and both have embedded as much, the live one is.
func TestLiveEncoderIsCompared(t *testing.T) {
	w := openInstalled(t)
	insert(t, w, bothEncoders())
	o := Options{Reference: Window{day(1, 0), day(3, 0)}, Current: Window{day(3, 0), day(4, 0)}}
	chosen := func(want string) {
		t.Helper()
		o := o
		if err := o.chooseEncoder(t.Context(), w); err != nil || o.Encoder != want {
			t.Fatalf("%q is compared, want %q, %v", o.Encoder, want, err)
		}
	}
	chosen("first")
	for i, encoder := range []string{"first", "second"} {
		event := warehouse.ModelEventRow{EventID: encoder, HistoryOffset: int64(i), At: day(1, 0), Action: []string{"live", "switch"}[i], Model: encoder, Encoder: encoder}
		if err := w.InsertModelEvents(t.Context(), []warehouse.ModelEventRow{event}); err != nil {
			t.Fatal(err)
		}
		chosen(encoder)
	}
}
