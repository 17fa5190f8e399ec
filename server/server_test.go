package server

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/health"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/server/api"
)

// serve starts the real thing.
func serve(t *testing.T, problems func() []health.Problem) string {
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
	p := &pipeline.Pipeline{Extractor: extractor, Encoder: encoder, Live: &classify.Live{}, Taxonomy: taxonomy}
	classifier, err := classify.Default(taxonomy, encoder.Card().ID)
	if err != nil {
		t.Fatal(err)
	}
	p.Live.Store(classifier)
	registry := prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	handler, err := New(ctx, Options{
		API:      api.Options{Sources: api.Sources{Classify: pipeline.NewLimit(p.Run, 256).Do, Taxonomy: taxonomy, Encoder: encoder.Card().ID}},
		Problems: problems, Gatherer: registry, Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		cancel()
		s.Close()
		_ = encoder.Close()
	})
	return s.URL
}

func TestServer(t *testing.T) {
	var board health.Board
	base := serve(t, board.Problems)
	f := func(method, path, accept, body string, status int, want string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != status || !regexp.MustCompile(want).Match(answer) {
			t.Fatalf("%s %s: %d, want %d: %.300s, want %s", method, path, response.StatusCode, status, answer, want)
		}
		return string(answer)
	}
	f("GET", "/", "*/*", "", 200, `^\{"message":"OK","status-code":200\}\s$`)
	page := f("GET", "/", "text/html,*/*", "", 200, `Klassificér`)
	f("GET", "/nothing", "text/html,*/*", "", 404, `Siden findes ikke`)
	f("GET", "/classify", "text/html,*/*", "", 405, `Sådan kan siden ikke bruges`)
	f("GET", "/live", "text/html,*/*", "", 503, `jobstrom up`)
	for _, file := range regexp.MustCompile(`/static/[a-z.]+`).FindAllString(page, -1) {
		f("GET", file, "*/*", "", 200, `.`)
	}
	f("GET", "/static/nothing.js", "*/*", "", 404, `nothing is served`)
	f("GET", "/static/..%2fpage.go", "*/*", "", 404, `nothing is served`)
	f("GET", "/nothing", "*/*", "", 404, `nothing is served`)
	f("GET", "/healthz", "*/*", "", 200, `OK`)
	f("GET", "/readyz", "*/*", "", 200, `OK`)
	at := health.Place{Part: "partition", Stage: "embed", Topic: "vacancies.extracted", Partition: 3}
	board.Report(health.Problem{Place: at, Reason: "87 records are unread", Remedy: "start a worker"}, 0)
	f("GET", "/readyz", "*/*", "", 503, `"part":"partition","stage":"embed","topic":"vacancies.extracted","partition":3,"since":"2.*Z","reason":"87 records are unread","remedy":"start a worker".*"status-code":503`)
	board.Clear(at)
	f("GET", "/readyz", "*/*", "", 200, `OK`)

	// The reference system's contract, through the query parameter and the body.
	contract := func(query, body, category string, index int) {
		t.Helper()
		answer := f("POST", "/classify"+query, "*/*", body, 200, `^\{"categori_label":"[^"]+","categori_idx":\d+,"probability_distribution":\[[^]]+\],"frontend_error_message":`)
		var c struct {
			Label        string    `json:"categori_label"`
			Index        *int      `json:"categori_idx"`
			Distribution []float64 `json:"probability_distribution"`
			Message      *string   `json:"frontend_error_message"`
			Confidence   float64   `json:"confidence"`
		}
		if err := json.Unmarshal([]byte(answer), &c); err != nil {
			t.Fatal(err)
		}
		sum := 0.
		for _, p := range c.Distribution {
			sum += p
		}
		if c.Index == nil || len(c.Distribution) != 22 || math.Abs(sum-1) > 1e-9 || c.Message != nil != (category == "") {
			t.Fatalf("got %s", answer)
		}
		if category != "" && (c.Label != category || *c.Index != index || c.Distribution[index] != c.Confidence || slices.Max(c.Distribution) != c.Confidence) {
			t.Fatalf("got %s", answer)
		}
	}
	nurse := "Du skal pleje patienter og give medicin."
	contract("?jobopslag="+url.QueryEscape("Sygeplejerske. "+nurse), "", "Sundhed, omsorg og personlig pleje", 16)
	contract("", `{"text":"Sygeplejerske. `+nurse+`"}`, "Sundhed, omsorg og personlig pleje", 16)
	contract("", `{"id":"a","title":"Sygeplejerske","employer":null,"text":"`+nurse+`","more":1}`, "Sundhed, omsorg og personlig pleje", 16)
	contract("?jobopslag=%3F%3F%3F", "", "", 0)
	contract("?jobopslag=", "", "", 0)
	contract("", `{"text":"???"}`, "", 0)
	f("POST", "/classify", "*/*", `{"text":`, 400, `not JSON: at byte 8 of 8.*"error":".*"status-code":400`)
	f("POST", "/classify", "*/*", `{"title":"Kok"}`, 422, `text to be present.*"status-code":422`)
	f("POST", "/classify", "*/*", "", 422, `there is no text.*"status-code":422`)
	f("POST", "/classify", "*/*", "{\"text\":\"\xff\"}", 400, `not UTF-8`)
	f("POST", "/classify", "*/*", `{"text":"`+strings.Repeat("æ", 600_000)+`"}`, 422, `text has 1200000 bytes, the limit is 1000000`)
	f("POST", "/classify", "*/*", strings.Repeat("x", 16<<20+1), 413, `more than 16777216 bytes`)
	f("GET", "/classify", "*/*", "", 405, `this path knows POST`)

	batch := f("POST", "/batch_classify", "*/*", `["Vi søger en murer til facaderenovering",{"id":"c","text":"Vi søger en kok til restauranten"},"?"]`, 200, `^\{"0":`)
	var items map[string]map[string]any
	if err := json.Unmarshal([]byte(batch), &items); err != nil {
		t.Fatal(err)
	}
	if len(items) != 3 || items["0"]["categori_label"] != "Bygge og anlæg" || items["0"]["frontend_error_message"] != nil || items["1"]["categori_idx"] != 4. || items["1"]["id"] != "c" || items["2"]["frontend_error_message"] == nil {
		t.Fatalf("got %s", batch)
	}
	f("POST", "/batch_classify", "*/*", `{}`, 422, `expected array`)
	f("POST", "/batch_classify", "*/*", `[]`, 200, `^\{\}`)
	f("POST", "/batch_classify", "*/*", `[`+strings.Repeat(`"?",`, 256)+`"?"]`, 413, `257 texts in one request, the limit is 256`)

	// Places are those of the source text, where personal data is blanked.
	answer := f("POST", "/v1/classify", "*/*", `{"text":"Vi søger en tømrer til vores hold. Ring til Mette på 20 30 40 50 eller skriv til mette@firma.dk."}`, 200, `"redactions":\[\{"kind":"name"`)
	var placed api.Answer
	if err := json.Unmarshal([]byte(answer), &placed); err != nil {
		t.Fatal(err)
	}
	source := []rune("\n\nVi søger en tømrer til vores hold. Ring til Mette på 20 30 40 50 eller skriv til mette@firma.dk.")
	for _, r := range placed.Redactions {
		if got := string(source[r.Start:r.End]); !strings.Contains("Mette 20 30 40 50 mette@firma.dk", got) {
			t.Errorf("%s is at %q", r.Kind, got)
		}
	}
	for _, e := range placed.Entities {
		if e.End > 0 && string(source[e.Start:e.End]) != e.Text {
			t.Errorf("%q is at %q", e.Text, string(source[e.Start:e.End]))
		}
	}
	if len(placed.Redactions) != 3 || len(placed.Entities) == 0 {
		t.Errorf("got %s", answer)
	}
	f("POST", "/v1/classify", "*/*", `{"text":"???"}`, 422, `"type":"/docs#problem-nothing-extracted".*"instance":"[A-Z0-9]+"`)
	f("GET", "/metrics", "*/*", "", 200, `jobstrom_http_request_seconds_count\{route="POST /classify",status="422"\} 3`)
}
