package web

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"jobstrom/pipeline"
	"jobstrom/server/access"
	"jobstrom/server/api"
)

// openDoor lets everybody in.
func openDoor() access.Options { return access.Options{} }

// client asks a server as a browser would.
type client struct {
	t     *testing.T
	url   string
	token string
	jar   []*http.Cookie
	extra map[string]string
}

// ask sends a request with a form, or none, and does not follow redirects.
func (c *client) ask(method, path string, form url.Values) (status int, body string, header http.Header) {
	c.t.Helper()
	kind := "application/x-www-form-urlencoded"
	return c.send(method, path, strings.NewReader(form.Encode()), kind)
}

func (c *client) send(method, path string, content io.Reader, kind string) (status int, body string, header http.Header) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, content)
	if err != nil {
		c.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("Accept", "text/html")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.extra {
		r.Header.Set(name, value)
	}
	for _, cookie := range c.jar {
		r.AddCookie(cookie)
	}
	response, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if cookies := response.Cookies(); len(cookies) > 0 {
		c.jar = cookies
	}
	return response.StatusCode, string(data), response.Header
}

// wants fails the test unless the answer is as said.
func (c *client) wants(method, path string, form url.Values, status int, pattern string) string {
	c.t.Helper()
	got, body, _ := c.ask(method, path, form)
	if got != status || !regexp.MustCompile(pattern).MatchString(body) {
		c.t.Fatalf("%s %s: %d, want %d and %s:\n%.3000s", method, path, got, status, pattern, body)
	}
	return body
}

func vacancy(text string) url.Values { return url.Values{"text": {text}} }

const nurse = "Vi søger en sygeplejerske til at pleje patienter. Spørgsmål besvares af afdelingssygeplejerske Birgitte Holm Hansen på telefon 86 12 34 56."

func TestClassifyPage(t *testing.T) {
	w := newWorld(t)
	c := &client{t: t, url: serve(t, w.sources(), openDoor())}
	c.wants("GET", "/", nil, 200, `Klassificér et jobopslag`)
	c.wants("GET", "/?eksempel=2", nil, 200, `value="Murersvend til renovering"(?s:.*)eksempel=3`)
	c.wants("GET", "/?eksempel=3", nil, 200, `Softwareudvikler(?s:.*)eksempel=1`)
	body := c.wants("POST", "/", vacancy(nurse), 200, `<h2 id="category">Sundhed, omsorg og personlig pleje</h2>`)
	result := body[strings.Index(body, `class="result"`):]
	if strings.Count(result, `class="share"`) != 22 || !strings.Contains(result, "90,0\u00a0%") {
		t.Errorf("the result has not 22 shares: %s", result)
	}
	for _, personal := range []string{"86 12 34 56", "Hansen", "█"} {
		if strings.Contains(result, personal) {
			t.Errorf("the result shows %s: %s", personal, result)
		}
	}
	if !strings.Contains(result, `class="gone" title="Udeladt personoplysning">telefonnummer</span>`) {
		t.Errorf("the result does not say that a phone number was there: %s", result)
	}
	if !strings.Contains(body, "86 12 34 56") {
		t.Error("the form has lost what was written")
	}
	c.wants("POST", "/", vacancy("? ? ?"), 200, `Indsæt et mere beskrivende opslag`)
	c.wants("POST", "/", vacancy("   "), 400, `Skriv eller indsæt en tekst først`)
	c.wants("POST", "/", url.Values{"title": {"Sygeplejerske til medicinsk afsnit"}}, 200, `Sundhed`)
	c.wants("POST", "/", vacancy("\xff\xfe sygeplejerske"), 400, `Opslaget kan ikke læses`)
	c.wants("POST", "/", vacancy(strings.Repeat("x", 1_000_001)), 400, `the limit is 1000000`)
	c.wants("POST", "/", vacancy(strings.Repeat("x", 16<<20)), 413, `Det er for stort`)
	c.extra = map[string]string{pieceHeader: "1"}
	if piece := c.wants("POST", "/", vacancy(nurse), 200, `^<section class="result"`); strings.Contains(piece, "<html") {
		t.Error("a piece is a page")
	}
	c.wants("POST", "/", vacancy(""), 400, `^<div class="notice"`)
}

func TestFailuresArePages(t *testing.T) {
	w := newWorld(t)
	c := &client{t: t, url: serve(t, w.sources(), openDoor())}
	f := func(err error, status int, pattern string) {
		t.Helper()
		w.mu.Lock()
		w.fail = err
		w.mu.Unlock()
		c.wants("POST", "/", vacancy(nurse), status, pattern)
	}
	f(fmt.Errorf("classifying: %w", pipeline.ErrOverloaded), 429, `Der er travlt lige nu`)
	f(pipeline.ErrNoClassifier, 503, `Der er ingen model endnu`)
	f(api.ErrAway, 503, `kan ikke nås`)
	f(errBroken, 500, `Noget gik galt hos os`)
	if _, body, _ := c.ask("POST", "/", vacancy(nurse)); strings.Contains(body, errBroken.Error()) {
		t.Error("the page says what only the log may")
	}
	c.wants("GET", "/findes-ikke", nil, 404, `Siden findes ikke`)
	c.wants("GET", "/static/nope.js", nil, 404, `Siden findes ikke`)
	c.wants("GET", "/static/..%2fpages.go", nil, 404, `Siden findes ikke`)
	c.wants("GET", "/drift?fra=i-g%C3%A5r", nil, 400, `En dato er ikke forstået`)
	c.wants("GET", "/drift?fra=2026-11-27&til=2026-11-20", nil, 400, `Den første dato`)
	c.wants("GET", "/drift/rapport?fra=2026-11-27&til=2026-11-27", nil, 422, `for få opslag`)
	c.wants("GET", "/modeller/tag-i-brug?model=nope", nil, 404, `findes ikke her`)
	c.wants("POST", "/modeller/tag-i-brug", url.Values{"model": {"x"}, "expect": {"jobnet-2026-11"}}, 400, `Skriv hvorfor`)
	c.wants("POST", "/modeller/tag-i-brug", url.Values{"model": {"x"}, "expect": {"an old one"}, "reason": {"x"}}, 409, `En anden har skiftet modellen`)
	c.wants("POST", "/live/send-igen", nil, 400, `Vælg mindst ét brev`)
	c.wants("POST", "/live/send-igen", url.Values{"brev": {"0-x"}}, 400, `ikke forstået`)
	c.wants("POST", "/soeg", vacancy(" "), 400, `Skriv noget at søge efter`)
	c.wants("POST", "/soeg", url.Values{"text": {"x"}, "category": {"22"}}, 400, `Vælg en af kategorierne`)
	c.wants("POST", "/rettelse", url.Values{"id": {"a"}, "category": {"nope"}}, 400, `Vælg en af kategorierne`)
	c.wants("POST", "/rettelse", url.Values{"category": {"3"}}, 422, `id is missing`)
	c.wants("POST", "/fil", nil, 400, `Vælg en fil først`)
	c.wants("GET", "/login", nil, 404, `Siden findes ikke`) // nobody logs in here
	c.extra = map[string]string{"Cookie": "sprog=en"}
	c.wants("GET", "/findes-ikke", nil, 404, `There is no such page`)
}

func TestPagesWithoutSources(t *testing.T) {
	w := newWorld(t)
	c := &client{t: t, url: serve(t, api.Sources{Classify: w.classify, Taxonomy: w.taxonomy, Encoder: "e"}, openDoor())}
	for _, path := range []string{"/live", "/drift", "/drift/rapport", "/modeller", "/modeller/rapport?model=x", "/modeller/tag-i-brug?model=x", "/modeller/tilbage", "/soeg"} {
		c.wants("GET", path, nil, 503, `Start den med jobstrom up`)
	}
	for _, path := range []string{"/live/send-igen", "/modeller/tag-i-brug", "/modeller/tilbage", "/soeg"} {
		c.wants("POST", path, nil, 503, `Start den med jobstrom up`)
	}
	c.wants("POST", "/rettelse", url.Values{"id": {"a"}, "category": {"3"}}, 503, `Ikke klar`)
	if body := c.wants("POST", "/", vacancy(nurse), 200, `Sundhed`); strings.Contains(body, "/rettelse") {
		t.Error("a correction is offered that nobody would take")
	}
}

// What a caller may not do is refused, and not offered.
func TestScopes(t *testing.T) {
	w := newWorld(t)
	o, tokens := protect(t, access.Classify, access.Publish, access.Admin)
	at := serve(t, w.sources(), o)
	nobody := &client{t: t, url: at}
	if body := nobody.wants("GET", "/", nil, 200, `Du skal logge ind`); strings.Contains(body, "<textarea") {
		t.Error("who may not classify is offered the form")
	}
	pages := []string{"/live", "/drift", "/modeller", "/soeg", "/drift/rapport", "/modeller/rapport?model=a"}
	for _, path := range pages {
		nobody.wants("GET", path, nil, 401, `Log ind først(?s:.*)href="/login`)
	}
	posts := map[string]access.Scope{
		"/": access.Classify, "/fil": access.Classify, "/soeg": access.Classify, "/rettelse": access.Publish,
		"/live/send-igen": access.Admin, "/modeller/tag-i-brug": access.Admin, "/modeller/tilbage": access.Admin,
	}
	for path := range posts {
		nobody.wants("POST", path, nil, 401, `Log ind først`)
	}
	for scope, token := range tokens {
		c := &client{t: t, url: at, token: token}
		for path, needed := range posts {
			status, _, _ := c.ask("POST", path, nil)
			allowed := scope == needed || scope == access.Admin || needed == access.Classify
			if refused := status == 401 || status == 403; refused == allowed {
				t.Errorf("%s posts to %s: %d", scope, path, status)
			}
		}
		for _, path := range []string{"/modeller/tag-i-brug?model=jobnet-2026-11b", "/modeller/tilbage"} {
			if status, _, _ := c.ask("GET", path, nil); (status == 200) != (scope == access.Admin) {
				t.Errorf("%s asks for %s: %d", scope, path, status)
			}
		}
		models, live := c.wants("GET", "/modeller", nil, 200, "Modeller"), c.wants("GET", "/live", nil, 200, "Strømmen")
		if offered := strings.Contains(models, "tag-i-brug") || strings.Contains(models, "tilbage\""); offered != (scope == access.Admin) {
			t.Errorf("%s is offered to promote: %t", scope, offered)
		}
		if offered := strings.Contains(live, "send-igen"); offered != (scope == access.Admin) {
			t.Errorf("%s is offered to replay: %t", scope, offered)
		}
		if offered := strings.Contains(c.wants("POST", "/", vacancy(nurse), 200, "Sundhed"), "/rettelse"); offered != (scope != access.Classify) {
			t.Errorf("%s is offered to correct: %t", scope, offered)
		}
	}
	if len(w.labels) > 0 || len(w.replayed) > 0 || w.by != "" {
		t.Errorf("empty forms did something: %v %v %s", w.labels, w.replayed, w.by)
	}
}

func TestLoginAndLogout(t *testing.T) {
	o, tokens := protect(t, access.Classify)
	c := &client{t: t, url: serve(t, newWorld(t).sources(), o)}
	c.wants("POST", "/login", url.Values{"token": {"js_wrong"}}, 401, `Nøglen er ikke kendt her`)
	status, _, header := c.ask("POST", "/login", url.Values{"token": {tokens[access.Classify]}, "til": {"/live"}})
	if status != 303 || header.Get("Location") != "/live" || !strings.Contains(header.Get("Set-Cookie"), "HttpOnly") {
		t.Fatalf("%d %v", status, header)
	}
	c.wants("GET", "/live", nil, 200, `Log ud \(classify\)`)
	if status, _, header = c.ask("POST", "/logout", nil); status != 303 || header.Get("Location") != "/" {
		t.Fatalf("%d %v", status, header)
	}
	c.wants("GET", "/live", nil, 401, `Log ind først`)
	for _, to := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "/nope", "javascript:alert(1)"} {
		if _, _, header := c.ask("POST", "/login", url.Values{"token": {tokens[access.Classify]}, "til": {to}}); header.Get("Location") != "/" {
			t.Errorf("who wants to go to %s after logging in is sent to %s", to, header.Get("Location"))
		}
		c.jar = nil
	}
}

// A form of somebody else's page does nothing, with or without a session.
func TestForgedForms(t *testing.T) {
	w := newWorld(t)
	o, tokens := protect(t, access.Admin)
	c := &client{t: t, url: serve(t, w.sources(), o)}
	c.ask("POST", "/login", url.Values{"token": {tokens[access.Admin]}})
	forms := map[string]url.Values{
		"/": vacancy(nurse), "/fil": nil, "/soeg": vacancy("x"), "/rettelse": {"id": {"a"}, "category": {"3"}}, "/live/send-igen": {"alle": {"1"}}, "/logout": nil, "/login": nil,
		"/modeller/tag-i-brug": {"model": {"jobnet-2026-11b"}, "expect": {"jobnet-2026-11"}, "reason": {"x"}}, "/modeller/tilbage": {"expect": {"jobnet-2026-11"}, "reason": {"x"}},
	}
	for _, headers := range []map[string]string{{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}} {
		c.extra = headers
		for path, form := range forms {
			c.wants("POST", path, form, 403, `Det har du ikke adgang til`)
		}
	}
	if len(w.labels) > 0 || len(w.replayed) > 0 || w.by != "" {
		t.Errorf("forged forms did something: %v %v %s", w.labels, w.replayed, w.by)
	}
	c.extra = map[string]string{"Sec-Fetch-Site": "same-origin"}
	if status, _, _ := c.ask("POST", "/live/send-igen", forms["/live/send-igen"]); status != 303 || len(w.replayed) != 2 {
		t.Errorf("the page's own form: %d, replayed %v", status, w.replayed)
	}
}

// everyPage is the path of every page, with what a form of it sends, if it is one's answer.
func everyPage() map[string]url.Values {
	return map[string]url.Values{
		"/": nil, "/live": nil, "/drift": nil, "/modeller": nil, "/soeg": nil, "/modeller/tilbage": nil, "/findes-ikke": nil, "/live?sendt=2-1-0": nil, "/modeller?gjort=promote": nil,
		"POST /": vacancy(nurse), "POST /soeg": {"text": {"pleje"}, "fra": {"2026-11-01"}, "til": {"2026-11-30"}}, "POST /rettelse": {"id": {"a"}, "category": {"3"}},
	}
}

// The policy forbids inline scripts, styles and handlers, so no page may have one; nor a link or a form that leads elsewhere.
func TestPagesHaveNothingInline(t *testing.T) {
	w := newWorld(t)
	w.feed.recent = events(w)
	c := &client{t: t, url: serve(t, w.sources(), openDoor())}
	for path, form := range everyPage() {
		method := "GET"
		if posted, ok := strings.CutPrefix(path, "POST "); ok {
			method, path = "POST", posted
		}
		_, body, header := c.ask(method, path, form)
		if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'self'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s has the policy %q", path, policy)
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Content-Language") != "da" {
			t.Errorf("%s has the headers %v", path, header)
		}
		root, err := html.Parse(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			if n.Type == html.ElementNode && (n.Data == "style" || n.Data == "script" && n.FirstChild != nil) {
				t.Errorf("%s has an inline %s", path, n.Data)
			}
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") || (a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "formaction") && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") {
					t.Errorf("%s has %s=%q", path, a.Key, a.Val)
				}
			}
		}
		for _, file := range regexp.MustCompile(`/static/[^"]+`).FindAllString(body, -1) {
			if status, _, header := c.ask("GET", file, nil); status != 200 || !strings.Contains(header.Get("Cache-Control"), "immutable") || header.Get("Content-Type") == "" {
				t.Errorf("%s: %d %v", file, status, header)
			}
		}
	}
}

func TestReports(t *testing.T) {
	c := &client{t: t, url: serve(t, newWorld(t).sources(), openDoor())}
	// Days are those of Copenhagen, and the last one is in it.
	c.wants("GET", "/drift/rapport?fra=2026-11-20&til=2026-11-26", nil, 200, `Drift from 2026-11-19T23:00:00Z to 2026-11-26T23:00:00Z`)
	_, _, header := c.ask("GET", "/modeller/rapport?model=jobnet-2026-11", nil)
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") {
		t.Errorf("a report has the policy %s", policy)
	}
}

// sendFile posts files as a form does.
func (c *client) sendFile(content map[string]string) (status int, body string, header http.Header) {
	c.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for name, text := range content {
		part, err := w.CreateFormFile("fil", name)
		if err != nil {
			c.t.Fatal(err)
		}
		_, _ = io.WriteString(part, text)
	}
	_ = w.Close()
	return c.send("POST", "/fil", &form, w.FormDataContentType())
}

// rowsOf is a file of so many vacancies.
func rowsOf(n int) string {
	var b strings.Builder
	b.WriteString("id;titel;tekst\n")
	for i := range n {
		fmt.Fprintf(&b, "opslag-%d;Sygeplejerske;Du skal pleje patienter på afsnit %d og give medicin\n", i, i)
	}
	return b.String()
}

func TestUpload(t *testing.T) {
	w := newWorld(t)
	c := &client{t: t, url: serve(t, w.sources(), openDoor())}
	status, body, header := c.sendFile(map[string]string{"opslag.csv": rowsOf(70) + "bad;;\n=x;Kok;Vi søger en kok til restauranten\n"})
	if status != 200 || header.Get("Content-Type") != "text/csv; charset=utf-8" || header.Get("Content-Disposition") != `attachment; filename="klassificeret.csv"` {
		t.Fatalf("%d %v", status, header)
	}
	lines := strings.Split(strings.TrimSpace(body), "\r\n")
	if len(lines) != 73 || !strings.HasPrefix(lines[1], "opslag.csv;2;opslag-0;Sygeplejerske;Sundhed, omsorg og personlig pleje;16;0,9000;") {
		t.Fatalf("%d lines: %.600s", len(lines), body)
	}
	if !strings.Contains(lines[71], "Opslaget kan ikke læses") || !strings.Contains(lines[72], ";'=x;") {
		t.Errorf("got %q", lines[71:])
	}
	if status, _, _ := c.sendFile(map[string]string{"opslag.csv": rowsOf(1) + strings.Repeat("x", 16<<20)}); status != 413 {
		t.Errorf("a file that is too large: %d", status)
	}
	if status, body, _ := c.sendFile(map[string]string{"a.csv": "a;b\n1;2\n"}); status != 400 || !strings.Contains(body, "Filen kan ikke læses") {
		t.Errorf("a file without text: %d %s", status, body)
	}
	w.mu.Lock()
	w.fail = errBroken
	w.mu.Unlock()
	if status, body, _ := c.sendFile(map[string]string{"a.txt": nurse}); status != 500 || !strings.Contains(body, "Noget gik galt") {
		t.Errorf("a file while the model is gone: %d %s", status, body)
	}
}
