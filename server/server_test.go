package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/health"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
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
	s := httptest.NewServer(New(Options{Classify: pipeline.NewLimit(p.Run, 256).Do, Taxonomy: taxonomy, Encoder: encoder.Card().ID, Problems: problems, Gatherer: registry, Registerer: registry}))
	t.Cleanup(func() {
		s.Close()
		_ = encoder.Close()
	})
	return s.URL
}

func TestServer(t *testing.T) {
	var board health.Board
	url := serve(t, board.Problems)
	f := func(method, path, accept, body string, status int, want string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
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
	if n := strings.Count(page, "data-index="); n != 22 {
		t.Fatalf("the page has %d bars, want 22", n)
	}
	for _, file := range regexp.MustCompile(`/static/[a-z.]+`).FindAllString(page, -1) {
		f("GET", file, "*/*", "", 200, `.`)
	}
	f("GET", "/static/nothing.js", "*/*", "", 404, `no such file`)
	f("GET", "/static/..%2fpage.go", "*/*", "", 404, `no such`)
	f("GET", "/nothing", "*/*", "", 404, `no such page`)
	f("GET", "/healthz", "*/*", "", 200, `OK`)
	f("GET", "/readyz", "*/*", "", 200, `OK`)
	at := health.Place{Part: "partition", Stage: "embed", Topic: "vacancies.extracted", Partition: 3}
	board.Report(health.Problem{Place: at, Reason: "87 records are unread", Remedy: "start a worker"}, 0)
	f("GET", "/readyz", "*/*", "", 503, `"part":"partition","stage":"embed","topic":"vacancies.extracted","partition":3,"since":"2.*Z","reason":"87 records are unread","remedy":"start a worker".*"status-code":503`)
	board.Clear(at)
	f("GET", "/readyz", "*/*", "", 200, `OK`)

	answer := f("POST", "/classify", "*/*", `{"id":"a","title":"Sygeplejerske","text":"Du skal pleje patienter og give medicin."}`, 200, `"id"`)
	c := &schemas.Classification{}
	if err := schemas.Decode(schemas.JSON, []byte(answer), c); err != nil {
		t.Fatal(err)
	}
	if c.Id != "a" || c.CategoryIndex != 16 || len(c.Probabilities) != 22 || c.Model == "" || c.Encoder == "" || c.ClassifiedAt == nil {
		t.Fatalf("got %v", c)
	}
	f("POST", "/classify", "*/*", `{"text":`, 400, `not a JSON object.*"status-code":400`)
	f("POST", "/classify", "*/*", `{"title":"Kok"}`, 400, `text is missing`)
	f("POST", "/classify", "*/*", "{\"text\":\"\xff\"}", 400, `not UTF-8`)
	f("POST", "/classify", "*/*", `{"text":"???"}`, 422, `nothing extracted`)
	f("POST", "/classify", "*/*", `{"text":"`+strings.Repeat("x", 2<<20)+`"}`, 400, `text has 2097152 bytes, the limit is 1000000`)
	f("POST", "/classify", "*/*", strings.Repeat("x", maxBody+1), 413, `more than 16777216 bytes`)
	f("GET", "/classify", "*/*", "", 404, `POST /classify`)

	batch := f("POST", "/batch_classify", "*/*", `[{"id":"a","text":"Vi søger en murer til facaderenovering"},{"id":"b"},{"id":"c","text":"Vi søger en kok til restauranten"},{"text":"?"}]`, 200, `^\[`)
	var items []map[string]any
	if err := json.Unmarshal([]byte(batch), &items); err != nil {
		t.Fatal(err)
	}
	if len(items) != 4 || items[0]["category"] != "Bygge og anlæg" || items[1]["error"] == nil || items[2]["category_index"] != 4. || items[3]["error"] == nil {
		t.Fatalf("got %s", batch)
	}
	f("POST", "/batch_classify", "*/*", `{}`, 400, `not a JSON array`)
	f("POST", "/batch_classify", "*/*", `[]`, 400, `holds 0 vacancies`)
	f("GET", "/metrics", "*/*", "", 200, `jobstrom_http_request_seconds_count\{route="POST /classify",status="422"\} 1`)
}
