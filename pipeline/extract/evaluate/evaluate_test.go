package evaluate

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"jobstrom/pipeline/extract"
)

func extractor(t *testing.T) *extract.Extractor {
	t.Helper()
	x, err := extract.New(extract.Options{MinLength: 1})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func run(t *testing.T, texts []Text, o Options) (*Evaluation, map[int]error) {
	t.Helper()
	refused := map[int]error{}
	e, err := Run(t.Context(), extractor(t), texts, o, func(line int, err error) { refused[line] = err })
	if err != nil {
		t.Fatal(err)
	}
	return e, refused
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// at is an item at some places.
func at(text string, ends ...int) item {
	i := item{text: text}
	for k := 0; k < len(ends); k += 2 {
		i.places = append(i.places, [2]int{ends[k], ends[k+1]})
	}
	return i
}

// Two texts, counted by hand. Of label a: text 1 has 3 annotated (0-5, 10-20, 30-40) and 4 found (0-5 exact, 12-18 within, 19-22 that overlaps 10-20 as well, 50-60 nothing):
// 1 exact, 2 overlap. Text 2 has 1 annotated (0-10) and 2 found within it (0-4, 5-10): 0 exact, 1 overlap. Together 4 annotated, 6 found, 1 exact, 3 overlap. Of label b: 2
// annotated, 1 found, exact.
func TestCounts(t *testing.T) {
	s := newScorer(Options{Examples: 3, Resamples: 100}, map[string]bool{"a": true, "b": true})
	s.compare(1, map[string][]item{"a": {at("w", 0, 5), at("x", 10, 20), at("y", 30, 40)}, "b": {at("z", 0, 5), at("q", 6, 8)}},
		map[string][]item{"a": {at("w", 0, 5), at("in x", 12, 18), at("end of x", 19, 22), at("far", 50, 60)}, "b": {at("z", 0, 5)}})
	s.compare(9, map[string][]item{"a": {at("long", 0, 10)}}, map[string][]item{"a": {at("lo", 0, 4), at("ng", 5, 10)}})
	e := s.evaluation("rules")
	a, b := e.Labels[0], e.Labels[1]
	if a.Label != "a" || a.Annotated != 4 || a.Found != 6 || a.Exact.Correct != 1 || a.Overlap.Correct != 3 || b.Annotated != 2 || b.Found != 1 || b.Exact.Correct != 1 {
		t.Errorf("got %+v", e.Labels)
	}
	near(t, "precision of a", a.Exact.Precision, 1./6)
	near(t, "recall of a", a.Exact.Recall, 1./4)
	near(t, "F1 of a", a.Exact.F1, .2)
	near(t, "overlapping F1 of a", a.Overlap.F1, .6)
	near(t, "F1 of b", b.Exact.F1, 2./3)
	near(t, "micro precision", e.Micro.Exact.Precision, 2./7)
	near(t, "micro recall", e.Micro.Exact.Recall, 2./6)
	near(t, "micro F1", e.Micro.Exact.F1, 4./13)
	near(t, "micro overlapping F1", e.Micro.Overlap.F1, 8./13)
	near(t, "macro precision", e.Macro.Exact.Precision, (1./6+1)/2)
	near(t, "macro recall", e.Macro.Exact.Recall, (1./4+1./2)/2)
	near(t, "macro F1", e.Macro.Exact.F1, (.2+2./3)/2)
	if m := e.Micro.Overlap; m.Low == nil || *m.Low > m.F1 || *m.High < m.F1 || *m.Low < 0 || *m.High > 1 {
		t.Errorf("the interval of %+v", m)
	}
	got, _ := json.Marshal(e.Examples)
	const want = `[{"kind":"missed","label":"a","line":1,"annotated":"y"},{"kind":"missed","label":"b","line":1,"annotated":"q"},` +
		`{"kind":"false","label":"a","line":1,"found":"end of x"},{"kind":"false","label":"a","line":1,"found":"far"},{"kind":"false","label":"a","line":9,"found":"ng"},` +
		`{"kind":"boundary","label":"a","line":1,"annotated":"x","found":"in x"},{"kind":"boundary","label":"a","line":9,"annotated":"long","found":"lo"}]`
	if string(got) != want {
		t.Errorf("examples\n got %s\nwant %s", got, want)
	}
}

// Nothing annotated and nothing found are no reason for a NaN, and JSON has none.
func TestCountsOfNothing(t *testing.T) {
	s := newScorer(Options{Examples: 3, Resamples: 10}, map[string]bool{"a": true})
	s.compare(1, nil, nil)
	s.compare(2, nil, nil)
	if _, err := json.Marshal(s.evaluation("rules")); err != nil {
		t.Error(err)
	}
	e, _ := run(t, nil, Options{})
	if data, err := json.Marshal(e); err != nil || !strings.Contains(string(data), `"labels":[]`) {
		t.Errorf("%s %v", data, err)
	}
}

func TestRun(t *testing.T) {
	texts := []Text{
		{1, "Vi søger en kok til kroen.", []Entity{{"occupations", 12, 15}}},
		{2, "Vi  søger\r\nen smed \u00ad til værftet. Vi søger en smed.", []Entity{{"OCC", 14, 18}, {"OCC", 46, 50}}},
		{3, "<p>Vi søger en kok</p>", []Entity{{"OCC", 15, 18}}},
		{4, strings.Repeat("ord ", 6000), nil},
		{5, "Vi søger en pædagog til børnehaven. Arbejdet er sjovt.", []Entity{{"OCC", 12, 15}, {"place", 24, 34}}},
	}
	e, refused := run(t, texts, Options{Labels: map[string]string{"OCC": "occupations", "place": ""}})
	if len(refused) != 2 || !errors.Is(refused[3], errUnlike) || !errors.Is(refused[4], errLong) {
		t.Errorf("refused: %v", refused)
	}
	// Annotated are 1 + 2 + 1; found one each: kok and the first smed as annotated, pædagog where pæd is.
	m := e.Micro
	if e.Texts != 3 || len(e.Labels) != 1 || m.Annotated != 4 || m.Found != 3 || m.Exact.Correct != 2 || m.Overlap.Correct != 3 {
		t.Errorf("got %+v", e)
	}
	if e.Unasked["tasks"] != 1 || e.Extractor != "rules" {
		t.Errorf("left out: %v, extractor %q", e.Unasked, e.Extractor)
	}
	e, _ = run(t, texts, Options{Labels: map[string]string{"OCC": "occupations", "place": ""}, Distinct: true})
	if e.Micro.Annotated != 3 || e.Micro.Exact.Correct != 2 {
		t.Errorf("distinct: %+v", e.Micro)
	}
	if texts[1].Entities[0].Label != "OCC" {
		t.Errorf("Run changed the texts it was given: %+v", texts[1])
	}
}

func TestRunFailure(t *testing.T) {
	for _, o := range []Options{{Examples: -2}, {Resamples: -1}} {
		if _, err := Run(t.Context(), extractor(t), nil, o, nil); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

func TestAlign(t *testing.T) {
	f := func(text, source string, want ...int) {
		t.Helper()
		got, err := align(text, source)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q: %v %v", text, got, err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: got %v, want %v", text, got, want)
				return
			}
		}
	}
	f("kok", "\n\nkok", 2, 3, 4)
	f(" a\u00ad\tb ", "\n\na b", 0, 2, 3, 3, 4, 5)
	f("a \r\n b", "\n\na\nb", 2, 3, 3, 3, 4, 4)
}

// match makes as many pairs as trying every assignment makes.
func TestMatch(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 0))
	for range 500 {
		n, m := random.IntN(6), random.IntN(6)
		fits := make([][]bool, n)
		for i := range fits {
			fits[i] = make([]bool, m)
			for j := range fits[i] {
				fits[i][j] = random.IntN(3) == 0
			}
		}
		var best func(i int, used int) int
		best = func(i, used int) int {
			if i == n {
				return 0
			}
			most := best(i+1, used)
			for j := range m {
				if fits[i][j] && used&(1<<j) == 0 {
					most = max(most, 1+best(i+1, used|1<<j))
				}
			}
			return most
		}
		pair := make([]int, n)
		for i := range pair {
			pair[i] = -1
		}
		got, seen := match(pair, m, func(i, j int) bool { return fits[i][j] }), map[int]bool{}
		for i, j := range got {
			if j >= 0 && (!fits[i][j] || seen[j]) {
				t.Fatalf("pair %d-%d of %v", i, j, got)
			}
			if j >= 0 {
				seen[j] = true
			}
		}
		if matched(got) != best(0, 0) {
			t.Fatalf("%d pairs, want %d of %v", matched(got), best(0, 0), fits)
		}
	}
}
