package extract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"jobstrom/pipeline/extract/gliner2"
	"jobstrom/pipeline/extract/gliner2/gliner2test"
	"jobstrom/schemas"
)

// referenceFields are the labels of the reference system in their fields, and one that has none.
var referenceFields = map[string]Field{"stillingsbetegnelser": Occupations, "kompetencer": Skills, "arbejdsopgaver": Tasks, "ansøgningsfrist": NoField}

// withModel returns an extractor with the tiny model, whose weights are random: what it finds means nothing, and at a low threshold it finds nearly everything.
func withModel(t testing.TB, method Method, threshold float32) *Extractor {
	t.Helper()
	var labels []gliner2.Label
	for _, name := range []string{"stillingsbetegnelser", "kompetencer", "arbejdsopgaver", "ansøgningsfrist"} {
		labels = append(labels, gliner2.Label{Name: name, Threshold: threshold})
	}
	m := gliner2test.Open(t, "gliner2/testdata/tiny", gliner2.Options{Labels: labels})
	return newExtractor(t, Options{Method: method, GLiNER2: m, Fields: referenceFields})
}

// some returns every n-th sample.
func some(t testing.TB, n int) []*schemas.Vacancy {
	t.Helper()
	var out []*schemas.Vacancy
	for i, v := range readVacancies(t, "../../samples/vacancies.jsonl") {
		if i%n == 0 {
			out = append(out, v)
		}
	}
	return out
}

func extractAll(t testing.TB, x *Extractor, vacancies []*schemas.Vacancy) []Result {
	t.Helper()
	results, err := x.Extract(t.Context(), vacancies)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// Whatever the model marks, what leaves holds no personal data but what the scrubber does not know: CPR numbers, addresses of e-mail and pages and phone numbers none at all.
func TestPersonalDataOfModel(t *testing.T) {
	type text struct {
		vacancy *schemas.Vacancy
		planted []planted
	}
	var texts []text
	type sentence struct {
		Text   string    `json:"text"`
		Remove []planted `json:"remove"`
	}
	for i, row := range readLines[sentence](t, "../../samples/pii.jsonl") {
		texts = append(texts, text{&schemas.Vacancy{Id: fmt.Sprintf("pii-%d", i+1), Text: row.Text}, row.Remove})
	}
	byID := map[string][]planted{}
	for _, item := range readLines[planted](t, "../../samples/planted-vacancies.jsonl") {
		byID[item.ID] = append(byID[item.ID], item)
	}
	for _, v := range readVacancies(t, "../../samples/vacancies.jsonl") {
		texts = append(texts, text{v, byID[v.Id]})
	}
	vacancies := make([]*schemas.Vacancy, len(texts))
	for i, text := range texts {
		vacancies[i] = text.vacancy
	}
	x := withModel(t, Both, 1e-6)
	count, marked, letters := newTally(), 0, 0
	for i, r := range extractAll(t, x, vacancies) {
		if r.Err != nil {
			t.Errorf("%s: %s", vacancies[i].Id, r.Err)
			continue
		}
		source := sourceOf(vacancies[i], Clean(vacancies[i].Text))
		known, _ := x.scrubber.Remove(source.text, source.employer)
		letters += utf8.RuneCountInString(source.text)
		said := held(r.Extraction)
		for _, e := range r.Extraction.GetEntities() {
			if e.Label == "kompetencer" {
				marked += utf8.RuneCountInString(e.Text)
			}
		}
		for _, item := range texts[i].planted {
			count.planted[item.Kind]++
			if remains(said, item) {
				count.remain[item.Kind]++
				if limits[item.Kind] == 0 || !remains(known, item) {
					t.Errorf("%s: %s %q is in what was extracted", vacancies[i].Id, item.Kind, item.Text)
				}
			}
		}
	}
	count.check(t)
	if marked*10 < letters*6 { // or nothing is proved
		t.Errorf("the model marked %d of %d characters for one label", marked, letters)
	}
}

// checkOffsets reports entities with offsets that the source text does not say there, or that meet personal data, and counts those with and without.
func checkOffsets(t *testing.T, x *Extractor, v *schemas.Vacancy, e *schemas.Extraction) (placed, unplaced int) {
	t.Helper()
	source := sourceOf(v, Clean(v.Text))
	source.spans = x.scrubber.Find(source.text, source.employer)
	runes := []rune(source.text)
	if source.text != Source(v) {
		t.Fatal("Source is another text than what is extracted")
	}
	for _, e := range e.GetEntities() {
		if e.End == 0 && e.Start == 0 {
			unplaced++
			continue
		}
		placed++
		if e.Start >= e.End || int(e.End) > len(runes) || string(runes[e.Start:e.End]) != e.Text {
			t.Errorf("%s: %q is not from %d to %d", v.Id, e.Text, e.Start, e.End)
			continue
		}
		from := len(string(runes[:e.Start]))
		if sp, meets := overlapping(source.spans, from, from+len(e.Text)); meets {
			t.Errorf("%s: %q meets %s", v.Id, e.Text, sp.Kind)
		}
	}
	return placed, unplaced
}

// An entity with offsets is what the source text says there, clear of personal data, by whichever method.
func TestOffsets(t *testing.T) {
	vacancies := append(some(t, 10), &schemas.Vacancy{Id: "astral", Title: "𝔎ok 🐟", Text: "Vi søger en kok ☃ til kroen. Kørekort B er et krav. 👩‍🍳 Du skal lave mad."})
	for _, x := range []*Extractor{newExtractor(t, Options{}), withModel(t, GLiNER2, .5), withModel(t, Both, 1e-6)} {
		placed, unplaced := 0, 0
		for i, r := range extractAll(t, x, vacancies) {
			with, without := checkOffsets(t, x, vacancies[i], r.Extraction)
			placed, unplaced = placed+with, unplaced+without
		}
		t.Logf("%s: %d with offsets, %d without", x.Identity(), placed, unplaced)
		if placed < 10*unplaced {
			t.Errorf("%s: %d entities have offsets, %d have none", x.Identity(), placed, unplaced)
		}
	}
}

// FuzzModel holds for any text and a model that marks nearly everything: no panic, true offsets, and nothing personal that has a form of its own.
func FuzzModel(f *testing.F) {
	for _, seed := range []string{"", "ring 22 31 44 56", "22 31 a@b.dk44 56", "Dine opgaver:\n- lave mad\nRing 22 31 44 56", "\ufffc\ufffb İ ΣΑΣ", "Kontakt Mette\nHansen-", "e\u0301 \u00ad\u200b😀 www.kro.dk"} {
		f.Add("Kok 22", seed)
	}
	x := withModel(f, Both, 1e-6)
	f.Fuzz(func(t *testing.T, title, text string) {
		v := &schemas.Vacancy{Title: title, Text: text}
		e := extractAll(t, x, []*schemas.Vacancy{v})[0].Extraction
		if e == nil {
			return
		}
		checkOffsets(t, x, v, e)
		for s := range strings.SplitSeq(held(e), "\n") {
			if !utf8.ValidString(s) || strings.ContainsRune(s, contactMark) || strings.ContainsRune(s, nameMark) {
				t.Errorf("%q is not clean", s)
			}
			for _, sp := range findTraces(s) {
				t.Errorf("%q holds %s %q", s, sp.Kind, s[sp.Start:sp.End])
			}
		}
	})
}

// GLiNER2 alone gives the encoder its entities by label; both begin with them, list them first and add what the rules find, once.
func TestMethods(t *testing.T) {
	vacancies := some(t, 10)
	rules, model, both := extractAll(t, newExtractor(t, Options{}), vacancies), extractAll(t, withModel(t, GLiNER2, .5), vacancies), extractAll(t, withModel(t, Both, .5), vacancies)
	longer := 0
	for i, v := range vacancies {
		r, m, b := rules[i].Extraction, model[i].Extraction, both[i].Extraction
		if b == nil || r == nil {
			t.Fatalf("%s: %v %v", v.Id, rules[i].Err, both[i].Err)
		}
		if r.Extractor != "rules" || !strings.HasPrefix(b.Extractor, "both:") || len(b.Extractor) != len("both:")+64 {
			t.Errorf("%s: extractors %q, %q", v.Id, r.Extractor, b.Extractor)
		}
		if m != nil {
			var joined []string
			for _, e := range m.Entities {
				joined = append(joined, e.Text)
			}
			// The model's order of labels is that of the field's; what the scan of the whole cuts is the other tests'.
			if whole := strings.Join(joined, ", "); utf8.RuneCountInString(whole) < maxText-40 && m.Text != strings.Trim(whole, " ,") {
				t.Errorf("%s:\n got %q\nwant %q", v.Id, m.Text, whole)
			}
			if !strings.HasPrefix(b.Text, m.Text) {
				t.Errorf("%s: the text of both %q begins with another than %q", v.Id, b.Text, m.Text)
			}
			if len(b.Text) > len(m.Text) {
				longer++
			}
		}
		for name, lists := range map[string][3][]string{
			"occupations": {r.Occupations, m.GetOccupations(), b.Occupations}, "skills": {r.Skills, m.GetSkills(), b.Skills}, "tasks": {r.Tasks, m.GetTasks(), b.Tasks},
		} {
			if !slices.Equal(lists[2][:len(lists[1])], lists[1]) {
				t.Errorf("%s: %s of both %q do not begin with those of the model %q", v.Id, name, lists[2], lists[1])
			}
			seen := map[string]bool{}
			for _, s := range lists[2] {
				if seen[strings.ToLower(s)] {
					t.Errorf("%s: %q is twice among the %s", v.Id, s, name)
				}
				seen[strings.ToLower(s)] = true
			}
			for _, s := range lists[0] {
				if !seen[strings.ToLower(s)] && !slices.ContainsFunc(b.Entities, func(e *schemas.Entity) bool {
					return strings.EqualFold(e.Text, s) || strings.HasPrefix(strings.ToLower(e.Text), s)
				}) {
					t.Errorf("%s: %q of the rules is not among the %s of both", v.Id, s, name)
				}
			}
		}
		byRules := false
		for _, e := range b.Entities {
			if byRules && e.By != string(Rules) {
				t.Errorf("%s: an entity of the model stands behind one of the rules", v.Id)
			}
			byRules = e.By == string(Rules)
		}
	}
	if longer == 0 {
		t.Error("the rules added nothing to any text")
	}
}

// What a vacancy is extracted to does not depend on the batch it came in.
func TestModelAnswerDoesNotDependOnTheBatch(t *testing.T) {
	x := withModel(t, Both, .3)
	vacancies := some(t, 30)
	together := extractAll(t, x, vacancies)
	for i, v := range vacancies {
		alone := extractAll(t, x, []*schemas.Vacancy{v})[0].Extraction
		for k, e := range alone.Entities {
			if other := together[i].Extraction.Entities[k]; e.Score-other.Score > 1e-5 || other.Score-e.Score > 1e-5 {
				t.Errorf("%s: score %v alone, %v together", v.Id, e.Score, other.Score)
			} else {
				e.Score = other.Score
			}
		}
		if !proto.Equal(alone, together[i].Extraction) {
			t.Errorf("%s:\nalone    %s\ntogether %s", v.Id, protojson.Format(alone), protojson.Format(together[i].Extraction))
		}
	}
}

// An error of the model is one of the batch: no vacancy of it is refused.
func TestModelFails(t *testing.T) {
	x := withModel(t, GLiNER2, .5)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if results, err := x.Extract(t.Context(), some(t, 100)); !errors.Is(err, gliner2.ErrClosed) || results != nil {
		t.Errorf("got %v, %v", results, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := withModel(t, GLiNER2, .5).Extract(ctx, some(t, 100)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestZeroShot(t *testing.T) {
	x := withModel(t, GLiNER2, .5)
	labels := schemas.Jobnet().Names()
	probabilities, err := x.Classify(t.Context(), some(t, 100), labels)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range probabilities {
		sum := float32(0)
		for _, p := range row {
			sum += p
		}
		if len(row) != len(labels) || sum < .9999 || sum > 1.0001 {
			t.Errorf("%d probabilities with the sum %v", len(row), sum)
		}
	}
	if _, err := newExtractor(t, Options{}).Classify(t.Context(), some(t, 100), labels); !errors.Is(err, ErrNoModel) {
		t.Errorf("without a model: %v", err)
	}
}

func TestModelOptionsFailure(t *testing.T) {
	f := func(o Options, want ...string) {
		t.Helper()
		_, err := New(o)
		if err == nil {
			t.Fatalf("%+v: no error", o)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
	f(Options{Method: Both}, "Method (both) needs GLiNER2")
	f(Options{Method: "spacy"}, "Method (spacy) must be one of [rules gliner2 both]")
	m := gliner2test.Open(t, "gliner2/testdata/tiny", gliner2.Options{})
	f(Options{Method: GLiNER2, GLiNER2: m, Fields: map[string]Field{"kompetencer": "competences", "title": Tasks}}, "Fields[kompetencer] (competences) must be one of", "Fields[title] must name a label")
}

func TestField(t *testing.T) {
	x := withModel(t, Rules, .5)
	for label, want := range map[string]Field{"kompetencer": Skills, "tasks": Tasks, "ansøgningsfrist": NoField, "x": NoField} {
		if got := x.Field(label); got != want {
			t.Errorf("%s: got %q, want %q", label, got, want)
		}
	}
}
