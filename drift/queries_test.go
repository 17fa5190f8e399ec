package drift

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"jobstrom/embedded/clickhousetest"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/samples"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

var (
	update  = flag.Bool("update", false, "write the cookbook's answers anew")
	process = flag.Bool("process", false, "have the real pipeline process the sample vacancies anew, for the cookbook's rows")
)

const (
	cookbook     = "../docs/drift-queries.md"
	samplesTable = "testdata/samples.jsonl" // what the real pipeline makes of the samples, without vectors
	vectorsTable = "testdata/samples.int8"  // their vectors, one after the other, in steps of 1/vectorSteps
	vectorSteps  = 512
)

// sample is a sample vacancy as the pipeline's stages leave it.
type sample struct {
	ID, Label, Employer, Source, Language, Category string
	PublishedAt                                     time.Time
	TextLength, Tokens                              uint32
	Truncated                                       bool
	CategoryIndex                                   uint16
	Confidence                                      float32
	Occupations, Skills, Tasks                      []string
	Vector                                          []float32 `json:"-"`
}

// processed has the default encoder and classifier process the samples: all that are part of the program, and 16 of each category of the history.
func processed(t *testing.T) (all []sample) {
	t.Helper()
	taxonomy := schemas.Jobnet()
	extractor, err := extract.New(extract.Options{Taxonomy: taxonomy})
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := embed.New(embed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	p := &pipeline.Pipeline{Extractor: extractor, Encoder: encoder, Live: &classify.Live{}, Taxonomy: taxonomy}
	classifier, err := classify.Default(taxonomy, encoder.Card().ID)
	if err != nil {
		t.Fatal(err)
	}
	p.Live.Store(classifier)
	history, err := os.Open("../samples/history.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer history.Close()
	for _, file := range []io.Reader{history, samples.Vacancies(), samples.Unseen()} {
		for decoder := json.NewDecoder(file); ; {
			var v struct {
				ID, Title, Employer, Source, Category, Text string
				PublishedAt                                 time.Time `json:"published_at"`
			}
			if err := decoder.Decode(&v); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if file == history && v.ID[len(v.ID)-3:] > "016" {
				continue
			}
			results, err := p.Run(t.Context(), []*schemas.Vacancy{{Id: v.ID, Title: v.Title, Text: v.Text, Source: v.Source, Employer: v.Employer}})
			if err != nil {
				t.Fatal(err)
			}
			r := results[0]
			if r.Err != nil {
				t.Fatalf("%s: %v", v.ID, r.Err)
			}
			x := r.Extraction
			all = append(all, sample{ID: v.ID, Label: v.Category, Employer: v.Employer, Source: x.GetSource(), Language: x.GetLanguage(), Category: taxonomy.Names()[r.Prediction.Category], PublishedAt: v.PublishedAt,
				TextLength: x.GetTextLength(), Tokens: uint32(r.Vector.Tokens), Truncated: r.Vector.Truncated, CategoryIndex: uint16(r.Prediction.Category), Confidence: float32(r.Prediction.Confidence),
				Occupations: x.GetOccupations(), Skills: x.GetSkills(), Tasks: x.GetTasks(), Vector: r.Vector.Values})
		}
	}
	return all
}

// readSamples returns the samples as the pipeline left them.
func readSamples(t *testing.T) (all []sample) {
	t.Helper()
	if *process {
		var b strings.Builder
		var vectors []byte
		encoder := json.NewEncoder(&b)
		for _, s := range processed(t) {
			if err := encoder.Encode(s); err != nil {
				t.Fatal(err)
			}
			for _, x := range s.Vector {
				step := math.Round(float64(x) * vectorSteps)
				if math.Abs(step) > math.MaxInt8 {
					t.Fatalf("%s: the component %v is too large for steps of 1/%d", s.ID, x, vectorSteps)
				}
				vectors = append(vectors, byte(int8(step)))
			}
		}
		if err := errors.Join(os.WriteFile(samplesTable, []byte(b.String()), 0o644), os.WriteFile(vectorsTable, vectors, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(samplesTable)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for decoder := json.NewDecoder(file); ; {
		var s sample
		if err := decoder.Decode(&s); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	vectors, err := os.ReadFile(vectorsTable)
	if err != nil {
		t.Fatal(err)
	}
	width := len(vectors) / len(all)
	if width == 0 || len(vectors) != width*len(all) {
		t.Fatalf("%d bytes are not the vectors of %d samples", len(vectors), len(all))
	}
	for i, b := range vectors {
		all[i/width].Vector = append(all[i/width].Vector, float32(int8(b))/vectorSteps)
	}
	return all
}

// sampleRows are the rows of the samples as the sink inserts them; of the current window one vacancy in three has no label.
func sampleRows(t *testing.T) (r rows) {
	t.Helper()
	for i, s := range readSamples(t) {
		at := warehouse.Coordinates{TopicID: topic, Offset: int64(i)}
		employer := uuid.NewSHA1(uuid.UUID{}, []byte(s.Employer))
		r.embeddings = append(r.embeddings, warehouse.EmbeddingRow{Coordinates: at, ReceivedAt: s.PublishedAt, VacancyID: s.ID, Encoder: "e5-small-int8", Vector: s.Vector, Tokens: s.Tokens, Truncated: s.Truncated,
			Source: s.Source, Language: s.Language, TextLength: s.TextLength, EmployerHash: employer[:], PublishedAt: s.PublishedAt})
		r.predictions = append(r.predictions, warehouse.PredictionRow{Coordinates: at, ReceivedAt: s.PublishedAt, VacancyID: s.ID, Model: "default", Encoder: "e5-small-int8", CategoryIndex: s.CategoryIndex, Category: s.Category,
			Confidence: s.Confidence, Probabilities: []float32{s.Confidence}, Occupations: s.Occupations, Skills: s.Skills, Tasks: s.Tasks, PublishedAt: s.PublishedAt})
		if s.PublishedAt.Before(day(125, 0)) || i%3 != 0 {
			r.labels = append(r.labels, warehouse.LabelRow{TopicID: topic, Partition: 1, Offset: int64(i), ReceivedAt: s.PublishedAt.AddDate(0, 0, 9), VacancyID: s.ID, Category: s.Label, LabelledAt: s.PublishedAt.AddDate(0, 0, 9)})
		}
	}
	return r
}

// question is a query of the page with its answer.
var question = regexp.MustCompile("(?s)```sql\n(.*?)```\n\n```text\n(.*?)```")

// Every answer on the page is what the database says, to a user who may only read.
func TestCookbook(t *testing.T) {
	w := openInstalled(t)
	insert(t, w, sampleRows(t))
	recomputeAll(t, w)
	insert(t, w, rows{labels: sampleRows(t).labels[:1]}) // one touched hour, which changes nothing else
	page, err := os.ReadFile(cookbook)
	if err != nil {
		t.Fatal(err)
	}
	questions := question.FindAllSubmatch(page, -1)
	if len(questions) < 20 || len(questions) != strings.Count(string(page), "\n## ") {
		t.Errorf("%d queries with answers of %d questions", len(questions), strings.Count(string(page), "\n## "))
	}
	written := question.ReplaceAllStringFunc(string(page), func(block string) string {
		parts := question.FindStringSubmatch(block)
		got := table(t, parts[1])
		if got != parts[2] && !*update {
			t.Errorf("%s\ngot\n%s\nwant\n%s", parts[1], got, parts[2])
		}
		return fmt.Sprintf("```sql\n%s```\n\n```text\n%s```", parts[1], got)
	})
	if *update {
		if err := os.WriteFile(cookbook, []byte(written), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// table answers a query over HTTP, its columns aligned.
func table(t *testing.T, query string) string {
	t.Helper()
	status, body := overHTTP(t, clickhousetest.Database(t), query+" FORMAT TabSeparatedWithNames", nil)
	if status != http.StatusOK || strings.Count(body, "\n") < 2 {
		t.Errorf("%s\n%d: %s", query, status, body)
	}
	var b strings.Builder
	aligned := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(aligned, strings.ReplaceAll(body, `\N`, "NULL"))
	if err := aligned.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
