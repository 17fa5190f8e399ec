package extract

import (
	"bufio"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"jobstrom/schemas"
)

// readVacancies reads a file of vacancies, one a line.
func readVacancies(t testing.TB, path string) []*schemas.Vacancy {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var vacancies []*schemas.Vacancy
	sc := bufio.NewScanner(file)
	for sc.Buffer(nil, 1<<21); sc.Scan(); {
		v, err := schemas.DecodeVacancy(schemas.JSON, sc.Bytes())
		if err != nil {
			t.Fatalf("reading %s: %s", path, err)
		}
		vacancies = append(vacancies, v)
	}
	if len(vacancies) == 0 {
		t.Fatalf("%s holds no vacancy", path)
	}
	return vacancies
}

func newExtractor(t testing.TB, o Options) *Extractor {
	t.Helper()
	x, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// held is every string that an extraction holds of a vacancy's content.
func held(e *schemas.Extraction) string {
	all := slices.Concat([]string{e.Text}, e.Occupations, e.Tasks, e.Skills, slices.Collect(maps.Values(e.Attributes)))
	for _, found := range e.GetEntities() {
		all = append(all, found.Text)
	}
	return strings.Join(all, "\n")
}

// TestPersonalDataOfSamples counts twice: what extractions hold, and what a scrubbed text would hold if nothing but personal data were
// left out. The second is the harder.
func TestPersonalDataOfSamples(t *testing.T) {
	const dir = "../../samples/"
	byID := map[string][]planted{}
	for _, item := range readLines[planted](t, dir+"planted-vacancies.jsonl") {
		byID[item.ID] = append(byID[item.ID], item)
	}
	vacancies := readVacancies(t, dir+"vacancies.jsonl")
	x := newExtractor(t, Options{Attributes: []string{"all"}})
	for _, v := range vacancies {
		v.Attributes = map[string]string{"all": v.Text}
	}
	results, err := x.Extract(t.Context(), vacancies)
	if err != nil {
		t.Fatal(err)
	}
	extracted, scrubbed := newTally(), newTally()
	for i, r := range results {
		if r.Err != nil {
			t.Errorf("%s: %s", vacancies[i].Id, r.Err)
			continue
		}
		whole := r.Extraction.Attributes["all"]
		delete(r.Extraction.Attributes, "all")
		for _, item := range byID[vacancies[i].Id] {
			extracted.planted[item.Kind]++
			scrubbed.planted[item.Kind]++
			if remains(held(r.Extraction), item) {
				extracted.remain[item.Kind]++
				t.Logf("%s: %s %q remains in the extraction", item.ID, item.Kind, item.Text)
			}
			if remains(whole, item) {
				scrubbed.remain[item.Kind]++
				t.Logf("%s: %s %q remains in the text", item.ID, item.Kind, item.Text)
			}
		}
	}
	t.Log("extractions:")
	extracted.check(t)
	t.Log("scrubbed texts:")
	scrubbed.check(t)
}
