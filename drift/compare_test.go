package drift

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jobstrom/drift/alarms"
	"jobstrom/warehouse"
)

// stream makes vacancies of employers that post one to ten of a day, of categories that come in such bursts.
type stream struct {
	random *rand.Rand
	offset int64
	// what may change between windows:
	sales  float64 // share of the bursts that are of category Salg
	longer float64 // added to the logarithm of the text's length
	shift  float32 // added to the first component of the vectors
	region string
}

func (s *stream) publish(t *testing.T, w *warehouse.Warehouse, from time.Time, bursts int) {
	t.Helper()
	insert(t, w, s.rows(from, bursts))
}

// rows makes the rows of so many bursts in the 20 days from then on.
func (s *stream) rows(from time.Time, bursts int) (r rows) {
	for burst := range bursts {
		names := []string{"Ledelse", "It", "Sundhed", "Salg"}
		category := names[s.random.IntN(3)]
		if s.random.Float64() < s.sales {
			category = "Salg"
		}
		employer := fmt.Appendf(nil, "%016d", s.random.IntN(100))
		published := from.Add(time.Duration(burst%20)*24*time.Hour + 9*time.Hour)
		for range 1 + s.random.IntN(10) {
			s.offset++
			vector := make([]float32, 16)
			for i := range vector {
				vector[i] = float32(s.random.NormFloat64())
			}
			vector[0] += s.shift
			vector[len(category)%16] += 2
			c := warehouse.Coordinates{TopicID: topic, Offset: s.offset}
			id := fmt.Sprint("v", s.offset)
			r.embeddings = append(r.embeddings, warehouse.EmbeddingRow{
				Coordinates: c, ReceivedAt: day(30, 0), VacancyID: id, Encoder: "e1", Vector: vector, Tokens: 100, Source: "test", Language: "da",
				TextLength: uint32(math.Exp(7 + s.longer + s.random.NormFloat64()/2)), EmployerHash: employer, PublishedAt: published, Attributes: map[string]string{"region": s.region},
			})
			// Right as often as its confidence says.
			confidence, index := float32(.5+s.random.Float64()/2), slices.Index(names, category)
			chances := []float32{(1 - confidence) / 3, (1 - confidence) / 3, (1 - confidence) / 3, (1 - confidence) / 3}
			chances[index] = confidence
			truth := category
			if s.random.Float32() > confidence {
				truth = names[(index+1+s.random.IntN(3))%4]
			}
			r.predictions = append(r.predictions, warehouse.PredictionRow{
				Coordinates: c, ReceivedAt: day(30, 0), VacancyID: id, Encoder: "e1", Model: "m1", CategoryIndex: uint16(index), Category: category, Confidence: confidence,
				Probabilities: chances, Occupations: make([]string, 1+s.random.IntN(3)), PublishedAt: published, ClassifiedAt: day(30, 1),
			})
			if s.offset%4 == 0 {
				r.labels = append(r.labels, warehouse.LabelRow{TopicID: uuid.UUID{2}, Offset: s.offset, ReceivedAt: day(30, 2), VacancyID: id, Category: truth, LabelledAt: day(30, 2)})
			}
		}
	}
	return r
}

func TestCompare(t *testing.T) {
	w := openInstalled(t)
	s := &stream{random: rand.New(rand.NewPCG(1, 1)), sales: .1, region: "Fyn"}
	s.publish(t, w, day(1, 0), 300) // January
	s.publish(t, w, day(32, 0), 150)
	s.sales, s.longer, s.shift, s.region = .4, .5, 2, "Als"
	s.publish(t, w, day(60, 0), 150)
	compare := func(current string, change func(*Options)) *Comparison {
		t.Helper()
		o := Options{Reference: window(t, "2026-01"), Current: window(t, current)}
		if change != nil {
			change(&o)
		}
		c, err := Compare(t.Context(), w, o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	verdicts := func(c *Comparison) map[string]alarms.Verdict {
		all := map[string]alarms.Verdict{}
		for _, column := range c.Columns {
			all[column.Name] = column.Verdict
		}
		return all
	}
	const none, drift, unknown = alarms.None, alarms.Drift, alarms.Unknown
	calm := compare("2026-02", nil)
	want := map[string]alarms.Verdict{
		"category": none, "label": none, "confidence": none, "text_length": none, "tokens": none, "occupations": none, "skills": none, "tasks": none, "truncated": none,
		"language": none, "source": none, "attribute.region": none, "embedding": none,
	}
	if got := verdicts(calm); !reflect.DeepEqual(got, want) || calm.Verdict != none || calm.Encoder != "e1" {
		t.Errorf("without drift: %v, in all %s, encoder %s", got, calm.Verdict, calm.Encoder)
	}
	shifted := compare("2026-03", nil)
	for _, c := range calm.Columns {
		if (c.Name == "attribute.region" || c.Name == "tokens") && (c.Reason != "" || c.P != 1 || c.Effect != 0) {
			t.Errorf("%s holds one value: %+v", c.Name, c.Result)
		}
	}
	want["category"], want["label"], want["text_length"], want["attribute.region"], want["embedding"] = drift, drift, drift, drift, drift
	if got := verdicts(shifted); !reflect.DeepEqual(got, want) || shifted.Verdict != drift {
		t.Errorf("with drift: %v, in all %s", got, shifted.Verdict)
	}
	for _, c := range shifted.Columns {
		if c.Reason == "" && (c.Reference.Rows == 0 || c.Current.Rows == 0 || c.EffectName == "") {
			t.Errorf("%s has a verdict without figures: %+v", c.Name, c.Result)
		}
		if c.Name == "category" {
			if strings.Join(c.Values, " ") != "It Ledelse Salg Sundhed" || math.Abs(c.CurrentShares[2]-.4) > .1 || math.Abs(c.Statistics["total_variation"]-c.Effect) > 1e-12 {
				t.Errorf("%+v", c)
			}
		}
		if rows := c.Reference.Rows + c.Missing[0]; c.Kind != Embedding && rows != shifted.Vacancies[0] {
			t.Errorf("%s has %d rows and %d without a value, of %d", c.Name, c.Reference.Rows, c.Missing[0], shifted.Vacancies[0])
		}
	}
	for side, p := range shifted.Performance {
		if p == nil || p.Labelled == nil {
			t.Fatalf("no performance of window %d: %+v, notes %q", side, p, shifted.Notes)
		}
		if p.Estimated.Rows != shifted.Vacancies[side] || math.Abs(p.Estimated.Accuracy-.75) > .02 || p.Labelled.Share < p.Labelled.Interval.Low || math.Abs(p.Labelled.Share-.75) > .06 {
			t.Errorf("window %d: estimated %+v, labelled %+v", side, p.Estimated, p.Labelled)
		}
	}
	described(t, shifted)
	if s := calm.Columns[len(calm.Columns)-1].Statistics; s["drifted_components"] != 0 || s["roc_auc"] > .6 {
		t.Errorf("statistics of embeddings without drift: %v", s)
	} else if _, told := s["drifted_components"]; !told {
		t.Error("that no component has drifted is not told")
	}
	again, err := json.Marshal(compare("2026-03", nil))
	if first, _ := json.Marshal(shifted); err != nil || string(first) != string(again) {
		t.Errorf("the same windows give another result: %v", err)
	}
	// Evidently's rule takes a constant for a value like others, and does not see bursts.
	evidently := compare("2026-03", func(o *Options) { o.Preset = Evidently })
	if got := verdicts(evidently); got["category"] != drift || got["text_length"] != drift || got["confidence"] != none || got["tokens"] != none || got["embedding"] != drift {
		t.Errorf("by Evidently's rules: %v", got)
	}
	for _, c := range evidently.Columns {
		if c.Resamples != 0 {
			t.Errorf("by Evidently's rules, %s was drawn %d times", c.Name, c.Resamples)
		}
	}

	// A second model in one window is said.
	if err := w.InsertPredictions(t.Context(), []warehouse.PredictionRow{{
		Coordinates: warehouse.Coordinates{TopicID: uuid.UUID{1}, Offset: 1}, ReceivedAt: day(30, 0), VacancyID: "v1", Encoder: "e1", Model: "m2", Category: "It", CategoryIndex: 1, Probabilities: []float32{0, 1, 0, 0}, PublishedAt: day(1, 9), ClassifiedAt: day(40, 0),
	}}); err != nil {
		t.Fatal(err)
	}
	if c := compare("2026-02", nil); len(c.Notes) != 1 || c.Models[0]["m2"] != 1 || c.Vacancies != calm.Vacancies {
		t.Errorf("notes %q, models %v", c.Notes, c.Models)
	}
	if c := compare("2026-02", func(o *Options) { o.Model = "m1" }); len(c.Notes) != 0 || c.Models[0]["m2"] != 0 {
		t.Errorf("notes %q, models %v", c.Notes, c.Models)
	}

	f := func(want string, change func(*Options)) {
		t.Helper()
		o := Options{Reference: window(t, "2026-01"), Current: window(t, "2026-02")}
		change(&o)
		if c, err := Compare(t.Context(), w, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want %q", c, err, want)
		}
	}
	f("overlap", func(o *Options) { o.Current = window(t, "2026-01-31..2026-02-05") })
	f("the reference window 2020 holds no vacancy", func(o *Options) { o.Reference = window(t, "2020") })
	f("the current window 2027 holds no vacancy", func(o *Options) { o.Current = window(t, "2027") })
	f("only by [e1]", func(o *Options) { o.Encoder = "e2" })
	f("preset (x)", func(o *Options) { o.Preset = "x" })
	f("Alpha", func(o *Options) { o.Alarms.Alpha = 2 })

	// A window of fewer than ten vacancies gets no verdict.
	s.publish(t, w, time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), 1)
	few := compare("2026-05", nil)
	for _, c := range few.Columns {
		if c.Verdict != unknown || c.Reason == "" {
			t.Errorf("%s: %s of %d rows: %s", c.Name, c.Verdict, c.Current.Rows, c.Reason)
		}
	}
	if _, err := json.Marshal(few); err != nil {
		t.Error(err)
	}
	if few.Map != nil || len(few.Nearest) != 0 || !slices.ContainsFunc(few.Notes, func(n string) bool { return strings.Contains(n, "at least 10 are needed") }) {
		t.Errorf("a window of %d vacancies has the map %v and the notes %q", few.Vacancies[1], few.Map, few.Notes)
	}
}

// described holds that what stands beside the verdicts of a window whose vectors have moved along the first component says so.
func described(t *testing.T, c *Comparison) {
	t.Helper()
	for _, column := range c.Columns {
		for side, s := range column.Summary {
			if column.Kind != Embedding && (s.Rows+s.Missing != c.Vacancies[side] || s.Missing != column.Missing[side]) {
				t.Errorf("%s: %+v of %d vacancies", column.Name, s, c.Vacancies[side])
			}
		}
	}
	if s := c.Summary; s.Rows != c.Vacancies || s.Columns[Categorical] != 6 || s.Columns[Numeric] != 6 || s.Columns[Embedding] != 1 || !reflect.DeepEqual(s.Constant[0], []string{"tokens", "skills", "tasks", "truncated", "language", "source", "attribute.region"}) {
		t.Errorf("%+v", s)
	}
	s := c.Columns[slices.IndexFunc(c.Columns, func(c Column) bool { return c.Kind == Embedding })].Statistics
	if math.Abs(s["euclidean"]-2) > .4 || s["chebyshev"] > s["euclidean"] || s["cityblock"] < s["euclidean"] || s["mmd2"] <= 0 || s["mmd2_error"] != 0 || s["roc_auc"] < .8 || s["roc_auc"] > 1 || s["roc_auc_gate"] < .5 {
		t.Errorf("statistics of embeddings: %v", s)
	}
	if ours, theirs := s["drifted_components"], s["drifted_components_evidently"]; ours < 1./16 || ours > .5 || theirs < ours-1e-9 {
		t.Errorf("a share of %v of the components differs, and %v by Evidently's rule", ours, theirs)
	}
	m := c.Map
	if len(m.Reference) != mapPoints || len(m.Current) != mapPoints || m.Vectors != c.Vacancies || m.Explained[0] < m.Explained[1] || m.Explained[1] <= 0 {
		t.Fatalf("a map of %d and %d points of %v vectors, explaining %v", len(m.Reference), len(m.Current), m.Vectors, m.Explained)
	}
	if away := math.Hypot(m.Means[1].X-m.Means[0].X, m.Means[1].Y-m.Means[0].Y); away < 1 || away > s["euclidean"]+.01 {
		t.Errorf("the means on the map are %v apart, in space %v", away, s["euclidean"])
	}
	for _, p := range append(m.Reference, m.Current...) {
		if p.Category == "" || p.VacancyID == "" {
			t.Fatalf("a point is of no vacancy: %+v", p)
		}
	}
	if len(c.Nearest) != 2*mostExamples {
		t.Fatalf("%d examples", len(c.Nearest))
	}
	for _, e := range c.Nearest {
		if e.New != (e.Projection > 1) || e.Category == "" || e.Confidence < .5 || e.PublishedAt.Before(c.Current.From) {
			t.Errorf("%+v", e)
		}
	}
	if c.CategoryModel != "m1" || len(c.CategoryShifts) != 4 || c.CategoryShifts[0].Category != "Salg" || c.CategoryShifts[0].EuclideanDistance == nil {
		t.Errorf("of model %s: %+v", c.CategoryModel, c.CategoryShifts)
	}
}

// Of a window of many vacancies a sample is drawn for what takes the vectors themselves, and the report says so.
func TestCompareSamples(t *testing.T) {
	w := openInstalled(t)
	random := rand.New(rand.NewPCG(2, 2))
	var rows []warehouse.EmbeddingRow
	for i := range domainVectors + 50 {
		published := day(1, 0)
		if i < 40 {
			published = day(20, 0)
		}
		rows = append(rows, vectorRow(i, "e", []float32{random.Float32(), random.Float32(), random.Float32()}, published))
	}
	if err := w.InsertEmbeddings(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	c, err := Compare(t.Context(), w, Options{Reference: january("").Reference, Current: january("").Current})
	if err != nil {
		t.Fatal(err)
	}
	if c.Vacancies != [2]int{domainVectors + 10, 40} || c.Map == nil || c.Map.Vectors != [2]int{mapVectors, 40} || len(c.Map.Reference) != mapPoints || len(c.Map.Current) != 40 {
		t.Errorf("%v vacancies, map %+v", c.Vacancies, c.Map)
	}
	if len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "holds 5010 embeddings") || !strings.Contains(c.Notes[0], "come from 5000 that the seed draws") {
		t.Errorf("notes %q", c.Notes)
	}
	if len(c.CategoryShifts) != 0 || c.CategoryModel != "" || len(c.Nearest) != 2*mostExamples || c.Nearest[0].Category != "" {
		t.Errorf("without predictions: %+v of model %q, %+v", c.CategoryShifts, c.CategoryModel, c.Nearest)
	}
}

func TestCompareInAnEmptyDatabase(t *testing.T) {
	_, err := Compare(t.Context(), openInstalled(t), Options{Reference: window(t, "2026-01"), Current: window(t, "2026-02")})
	if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "publish vacancies first") {
		t.Error(err)
	}
}

func TestBlocks(t *testing.T) {
	f := frame{
		rows:     7,
		vacancy:  []uint64{1, 2, 3, 4, 1, 5, 5},
		employer: []uint64{9, 9, 9, 8, 9, 0, 0},
		day:      []uint32{1, 1, 2, 1, 3, 1, 2},
	}
	// Vacancy 1 is published again on day 3: it belongs to day 1. Vacancy 5 has no employer.
	if got, want := f.blocks(), [][]int{{0, 1, 4}, {2}, {3}, {5, 6}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func window(t *testing.T, text string) Window {
	t.Helper()
	w, err := ParseWindow(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return w
}
