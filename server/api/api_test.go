package api_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"jobstrom/health"
	"jobstrom/pipeline"
	"jobstrom/schemas"
	"jobstrom/server"
	"jobstrom/server/access"
	"jobstrom/server/api"
	"jobstrom/server/api/apitest"
	"jobstrom/telemetry/logtest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata anew")

const nurse = "Vi søger en sygeplejerske til medicinsk afdeling, der kan pleje patienter og give medicin."

// site is a server of a flow in memory.
type site struct {
	t    *testing.T
	flow *apitest.Flow
	url  string
	log  *logtest.Buffer
	// handler is what answers.
	handler http.Handler
	stop    context.CancelFunc
}

// serve starts a server, as change wants it.
func serve(t *testing.T, change func(*server.Options)) *site {
	t.Helper()
	flow, err := apitest.New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &site{t: t, flow: flow, log: &logtest.Buffer{}, stop: stop}
	o := server.Options{
		API: api.Options{Sources: flow.Sources()}, Problems: func() []health.Problem { return nil },
		Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	handler, err := server.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	web := httptest.NewServer(handler)
	s.url = web.URL
	t.Cleanup(func() {
		stop()
		web.Close()
	})
	return s
}

// ask sends a request with a JSON body, if there is one, and expects a status and an answer that matches want.
func (s *site) ask(method, path, body string, status int, want string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != status || !regexp.MustCompile(want).Match(answer) {
		s.t.Fatalf("%s %s: %d, want %d: %.1000s, want %s", method, path, response.StatusCode, status, answer, want)
	}
	if kind := response.Header.Get("Content-Type"); status >= 400 && kind != "application/problem+json" {
		s.t.Errorf("%s %s: %d has the content type %q", method, path, status, kind)
	}
	return response, string(answer)
}

func TestRoutes(t *testing.T) {
	s := serve(t, nil)
	s.ask("POST", "/v1/classify", `{"text":"`+nurse+`"}`, 200, `^\{"categori_label":"Sundhed, omsorg og personlig pleje","categori_idx":16,.*"frontend_error_message":null,.*"occupations":\["sygeplejerske"`)
	if n := s.flow.Predicted(); n != 1 {
		t.Errorf("%d predictions were kept, want 1", n)
	}
	s.ask("POST", "/classify?jobopslag="+url.QueryEscape(nurse), "", 200, `"categori_idx":16,`)
	s.ask("POST", "/classify", `{"text":"`+nurse+`"}`, 200, `"categori_idx":16,`, "Content-Type", "application/x-www-form-urlencoded") // as curl -d says
	s.ask("POST", "/batch_classify", `["`+nurse+`","?"]`, 200, `^\{"0":\{"categori_label":"Sundhed.*"1":.*"frontend_error_message":"Vi fandt hverken`)

	s.ask("POST", "/v1/feedback", `{"id":"a","category":"sundhed, omsorg og personlig pleje"}`, 200, `^\{"category":"Sundhed, omsorg og personlig pleje","category_index":16,"source":"api:local",`)
	s.ask("POST", "/v1/feedback", `{"id":"a","category":"4"}`, 200, `"category_index":4,`)
	s.ask("POST", "/v1/feedback", `{"id":"a","category":"nonsense"}`, 422, `unknown category`)
	s.ask("POST", "/v1/feedback", `{"id":" ","category":"4"}`, 422, `id is missing`)
	if labels := s.flow.Labels(); len(labels) != 2 || labels[0].Id != "a" || labels[0].CategoryIndex != 16 || labels[0].LabelledAt == nil {
		t.Errorf("the labels are %v", labels)
	}

	response, _ := s.ask("POST", "/v1/vacancies", `{"id":"a/b","text":"`+nurse+`","category":"Sundhed, omsorg og personlig pleje"}`, 202, `^\{"ids":\["a/b"\]\}`)
	if at := response.Header.Get("Location"); at != "/v1/vacancies/a%2Fb" {
		t.Errorf("Location is %q", at)
	}
	s.ask("GET", "/v1/vacancies/a%2Fb", "", 200, `"id":"a/b","state":"classified","classification":\{"category":"Sundhed`)
	s.ask("POST", "/v1/vacancies", `[{"text":"`+nurse+` Aften."},{"id":"c","text":"?"}]`, 202, `^\{"ids":\["[-0-9a-f]{36}","c"\]\}`)
	s.ask("GET", "/v1/vacancies/c", "", 200, `"state":"refused","stage":"extract","class":"nothing_extracted"`)
	s.ask("GET", "/v1/vacancies/nobody", "", 404, `nobody has heard.*"remedy"`)
	s.ask("POST", "/v1/vacancies", `[{"text":"Vi søger"},{"text":" "},{"text":"Vi søger","category":"x"}]`, 422, `2 of 3 vacancies.*"location":"body\[1\]".*"location":"body\[2\]"`)
	s.ask("POST", "/v1/vacancies", `[]`, 422, `match`)
	s.ask("POST", "/v1/similar", `{"text":"`+nurse+`","most":2}`, 200, `^\{"neighbours":\[\{"id":"[^"]+","similarity":1,`)
	s.ask("POST", "/v1/similar", `{"text":"`+nurse+`","category":"10"}`, 200, `^\{"neighbours":\[\]\}`)
	s.ask("POST", "/v1/similar", `{"text":"`+nurse+`","since":"2026-01-02T00:00:00Z","until":"2026-01-02T00:00:00Z"}`, 422, `since must be before`)
	s.ask("POST", "/v1/similar", `{"text":"?"}`, 422, `nothing extracted`)
	s.ask("POST", "/v1/similar", `{"text":"x","most":101}`, 422, `body.most`)

	s.ask("GET", "/v1/models", "", 200, `^\{"encoder":"e+","models":\[\{"id":"a+","role":"champion",.*"history":\[`)
	s.ask("POST", "/v1/models/"+apitest.Before+"/promote", `{"expect":"`+apitest.Before+`","reason":"try"}`, 409, `look again`)
	s.ask("POST", "/v1/models/"+apitest.Before+"/promote", `{"expect":"`+apitest.Model+`","reason":"try"}`, 200, `"action":"promoted","model":"b+","previous":"a+","reason":"try"`)
	s.ask("POST", "/v1/models/nobody/promote", `{"expect":"`+apitest.Before+`"}`, 404, `not known`)
	s.ask("POST", "/v1/models/rollback", `{"expect":"`+apitest.Before+`"}`, 200, `"action":"rolled_back","model":"a+"`)
	for _, path := range []string{"/v1/models/" + apitest.Model + "/report", "/v1/drift/report"} {
		response, _ := s.ask("GET", path, "", 200, `^<!doctype html>`)
		if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s has the policy %q", path, policy)
		}
	}
	s.ask("GET", "/v1/models/"+apitest.Before+"/report", "", 404, `not known`)
	s.ask("GET", "/v1/drift?since=2026-03-01T00:00:00Z&until=2026-03-03T00:00:00Z", "", 200, `^\{"since":"2026-03-01T00:00:00Z","until":"2026-03-03T00:00:00Z","alarms":\[\{`)
	s.ask("GET", "/v1/drift?since=yesterday", "", 422, `query.since`)
	s.ask("GET", "/v1/drift?since=", "", 422, `query.since is empty`)
	s.ask("GET", "/v1/drift/report?since=2026-03-01T00:00:00Z&until=2026-03-01T00:01:00Z", "", 409, `too few`)

	s.ask("GET", "/v1/deadletters?most=1", "", 200, `^\{"waiting":2,"letters":\[\{"partition":1,"offset":7,[^{]*\]\}`)
	s.ask("POST", "/v1/deadletters/replay", `{}`, 422, `all or which`)
	s.ask("POST", "/v1/deadletters/replay", `{"letters":[{"partition":1,"offset":7},{"partition":9,"offset":9}]}`, 200, `^\{"replayed":1,"skipped":0,"refused":\{"no such letter":1\}\}`)
	s.ask("POST", "/v1/deadletters/replay", `{"all":true}`, 200, `^\{"replayed":1,"skipped":1\}`)
	if n := s.flow.Predicted(); n != 4 {
		t.Errorf("%d predictions were kept, want those of 4 vacancies that were classified: a search is none", n)
	}
}

// What is not there says so, and what to start.
func TestAbsentSources(t *testing.T) {
	s := serve(t, func(o *server.Options) {
		o.API.Sources = api.Sources{Classify: o.API.Classify, Taxonomy: o.API.Taxonomy, Encoder: o.API.Encoder}
	})
	s.ask("POST", "/v1/classify", `{"text":"`+nurse+`"}`, 200, `"categori_idx":16,`)
	for _, route := range [][3]string{
		{"POST", "/v1/feedback", `{"id":"a","category":"4"}`}, {"POST", "/v1/vacancies", `{"text":"x"}`}, {"GET", "/v1/vacancies/a"}, {"POST", "/v1/similar", `{"text":"x"}`},
		{"GET", "/v1/models"}, {"POST", "/v1/models/a/promote", `{"expect":""}`}, {"POST", "/v1/models/rollback", `{"expect":""}`}, {"GET", "/v1/models/a/report"},
		{"GET", "/v1/drift"}, {"GET", "/v1/drift/report"}, {"GET", "/v1/deadletters"}, {"POST", "/v1/deadletters/replay", `{"all":true}`}, {"GET", "/v1/events"},
	} {
		s.ask(route[0], route[1], route[2], 503, `"type":"/docs#problem-not-here".*not connected.*"remedy":"start jobstrom up`)
	}
}

func TestErrors(t *testing.T) {
	var failure error
	s := serve(t, func(o *server.Options) {
		o.API.Limits = api.Limits{MaxBytes: 1000, MaxTexts: 2}
		classify := o.API.Classify
		o.API.Classify = func(ctx context.Context, v []*schemas.Vacancy) ([]pipeline.Result, error) {
			if errors.Is(failure, errPanic) {
				panic("the vacancy says " + v[0].Text)
			}
			if failure != nil {
				return nil, failure
			}
			return classify(ctx, v)
		}
	})
	f := func(err error, status int, want, retry string) {
		t.Helper()
		failure = err
		for _, request := range [][2]string{{"/v1/classify", `{"text":"secret"}`}, {"/classify", `{"text":"secret"}`}, {"/classify?jobopslag=secret", ""}, {"/batch_classify", `["secret"]`}, {"/v1/batch", `"secret"`}, {"/v1/similar", `{"text":"secret"}`}} {
			response, answer := s.ask("POST", request[0], request[1], status, want)
			if got := response.Header.Get("Retry-After"); got != retry {
				t.Errorf("%s: Retry-After is %q, want %q", request[0], got, retry)
			}
			if id := response.Header.Get("X-Request-Id"); id == "" || !strings.Contains(answer, `"instance":"`+id+`"`) {
				t.Errorf("%s: the instance is not %s: %s", request[0], id, answer)
			}
			if reference := strings.Contains(request[0], "classify") && !strings.HasPrefix(request[0], "/v1"); reference != strings.Contains(answer, fmt.Sprintf(`"status-code":%d`, status)) {
				t.Errorf("%s: %s", request[0], answer)
			}
			if strings.Contains(answer, "secret") {
				t.Errorf("%s: the answer quotes: %s", request[0], answer)
			}
		}
	}
	f(pipeline.ErrOverloaded, 429, `"type":"/docs#problem-overloaded"`, "1")
	f(pipeline.ErrNoClassifier, 503, `"type":"/docs#problem-not-ready"`, "10")
	f(fmt.Errorf("asking: %w", api.ErrAway), 503, `"type":"/docs#problem-away"`, "5")
	f(errors.New("a defect"), 500, `"type":"/docs#problem-internal".*which was logged`, "")
	f(errPanic, 500, `"type":"/docs#problem-internal".*which was logged`, "")
	if log := s.log.String(); strings.Contains(log, "secret") || !strings.Contains(log, "a defect") || !strings.Contains(log, "panicked") || !strings.Contains(log, "TestErrors") {
		t.Errorf("the log quotes, or does not say what happened: %.3000s", log)
	}
	failure = nil
	s.ask("POST", "/v1/classify", `{"text":`, 400, `"type":"/docs#problem-malformed".*at byte 8 of 8`)
	s.ask("POST", "/v1/classify", `{"text":5}`, 422, `"detail":"body.text: expected string","instance":"[^"]+","errors":\[\{"location":"body.text","message":"expected string"\}\]`)
	s.ask("POST", "/v1/classify", `{"text":"x"}`, 415, `"type":"/docs#problem-unsupported-media-type"`, "Content-Type", "text/plain")
	s.ask("POST", "/v1/classify", "", 400, `required`)
	s.ask("POST", "/v1/classify", strings.Repeat(" ", 1001), 413, `more than 1000 bytes`)
	s.ask("POST", "/v1/classify", `{"text":"`+nurse+`"`+strings.Repeat(" ", 1000-len(nurse)-12)+`}`, 200, `categori_idx`)
	s.ask("POST", "/batch_classify", `["a","b","c"]`, 413, `3 texts in one request, the limit is 2`)
	s.ask("POST", "/v1/vacancies", `[{"text":"a"},{"text":"b"},{"text":"c"}]`, 413, `3 texts in one request, the limit is 2`)
	response, _ := s.ask("PUT", "/v1/classify", "", 405, `this path knows POST`)
	if allow := response.Header.Get("Allow"); allow != "POST" {
		t.Errorf("Allow is %q", allow)
	}
	s.ask("GET", "/v2", "", 404, `"type":"/docs#problem-not-found"`)
}

var errPanic = errors.New("panic")

// Whoever asks without the scope that the description names is refused, and whoever has it is not.
func TestScopes(t *testing.T) {
	file := t.TempDir() + "/tokens.yaml"
	secrets := map[string]string{}
	var tokens []access.Token
	for _, scope := range access.Scopes {
		token, secret := access.NewToken(string(scope), []access.Scope{scope}, apitest.Began, apitest.Began.AddDate(100, 0, 0))
		tokens, secrets[string(scope)] = append(tokens, token), "Bearer "+secret.Reveal()
	}
	if err := access.ChangeTokens(file, func([]access.Token) ([]access.Token, error) { return tokens, nil }); err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(o *server.Options) { o.Access.Tokens = file })
	routes := document(t, s).Paths
	if len(routes) < 15 {
		t.Fatalf("the description has %d paths", len(routes))
	}
	for path, methods := range routes {
		for method, op := range methods {
			method = strings.ToUpper(method)
			if path == "/" {
				s.ask(method, path, "", 200, "OK")
				continue
			}
			needed := op.Security[0]["token"][0]
			response, _ := s.ask(method, path, "", 401, `token with the scope `+needed)
			if response.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: no WWW-Authenticate", method, path)
			}
			s.ask(method, path, "", 401, `"status":401`, "Authorization", "Bearer js_nobody")
			for scope, bearer := range secrets {
				if path == "/v1/events" && (scope == needed || scope == "admin") {
					continue // it would not end
				}
				request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", bearer)
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if may := scope == needed || scope == "admin"; may == (response.StatusCode == 403) {
					t.Errorf("%s %s needs %s: a token with %s is answered %d", method, path, needed, scope, response.StatusCode)
				}
			}
		}
	}
}

// A caller who goes takes the place in the queue along.
func TestCancelledRequestLeaves(t *testing.T) {
	entered, left := make(chan bool), make(chan error, 1)
	s := serve(t, func(o *server.Options) {
		classify := o.API.Classify
		limit := pipeline.NewLimit(func(ctx context.Context, v []*schemas.Vacancy) ([]pipeline.Result, error) {
			if v[0].Text != "wait" {
				return classify(ctx, v)
			}
			entered <- true
			<-ctx.Done()
			left <- ctx.Err()
			return nil, ctx.Err()
		}, 1)
		o.API.Classify = limit.Do
	})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		request, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/classify", strings.NewReader(`{"text":"wait"}`))
		if err == nil {
			request.Header.Set("Content-Type", "application/json")
			_, err = http.DefaultClient.Do(request)
		}
		gone <- err
	}()
	<-entered
	s.ask("POST", "/v1/classify", `{"text":"`+nurse+`"}`, 429, `overloaded`)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v", err)
	}
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the classifier's context ended with %v", err)
	}
	for { // the place is free as soon as the handler has returned
		response, err := http.Post(s.url+"/v1/classify", "application/json", strings.NewReader(`{"text":"`+nurse+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode == 200 {
			break
		}
		if response.StatusCode != 429 {
			t.Fatalf("status %d", response.StatusCode)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; look at it and run the test with -rewrite", path)
	}
}
