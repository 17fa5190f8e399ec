package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/server/access"
)

// guarded is a server behind a Guard. Its routes say who asks: /open needs no scope, /classify, /publish and /admin need theirs, /login and /logout are those of the pages.
type guarded struct {
	t        *testing.T
	url      string
	guard    *access.Guard
	registry *prometheus.Registry
	client   *http.Client
}

func guard(t *testing.T, o access.Options, change ...func(*httptest.Server)) *guarded {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	registry := prometheus.NewRegistry()
	o.Registerer = registry
	g, err := access.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	who := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": access.CallerOf(r.Context()).Name, "id": access.RequestID(r.Context())})
	}
	for _, path := range []string{"/open", "/static/file.js", "/healthz", "/readyz", "/metrics"} {
		mux.HandleFunc(path, who)
	}
	for _, s := range access.Scopes {
		mux.Handle("/"+string(s), g.Require(s, http.HandlerFunc(who)))
	}
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		var refusal *access.Refusal
		if err := g.LogIn(w, r, r.FormValue("token")); errors.As(err, &refusal) {
			http.Error(w, refusal.Detail, refusal.Status)
		}
	})
	mux.HandleFunc("POST /logout", g.LogOut)
	s := httptest.NewUnstartedServer(g.Wrap(mux))
	for _, c := range change {
		c(s)
	}
	if s.TLS != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return &guarded{t: t, url: s.URL, guard: g, registry: registry, client: s.Client()}
}

// ask sends a request with headers, "Name: value" each, and expects a status and what the answer's headers and body match.
func (g *guarded) ask(method, path string, status int, want string, headers ...string) *http.Response {
	g.t.Helper()
	body := ""
	if method == http.MethodPost {
		body = "{}"
	}
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Add(name, value); name == "Host" {
			r.Host = value
		}
	}
	response, err := g.client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	var all strings.Builder
	_ = response.Header.Write(&all)
	all.Write(content)
	if response.StatusCode != status || !regexp.MustCompile(want).MatchString(all.String()) {
		g.t.Fatalf("%s %s %q: got %d, want %d and %s:\n%s", method, path, headers, response.StatusCode, status, want, all.String())
	}
	return response
}

// refused returns how many requests were refused for a reason.
func (g *guarded) refused(reason string) float64 {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "jobstrom_http_refused_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	g.t.Fatalf("no count of %s", reason)
	return 0
}

// issue puts a token into a file and returns it.
func issue(t *testing.T, path, name string, expires time.Time, scopes ...access.Scope) string {
	t.Helper()
	token, secret := access.NewToken(name, scopes, time.Now(), expires)
	if err := access.ChangeTokens(path, func(all []access.Token) ([]access.Token, error) { return append(all, token), nil }); err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + secret.Reveal()
}

func tokenFile(t *testing.T) string { return filepath.Join(t.TempDir(), "tokens.yaml") }

func TestTokens(t *testing.T) {
	path := tokenFile(t)
	now := time.Now()
	classify := issue(t, path, "reader", now.Add(time.Hour), access.Classify)
	publish := issue(t, path, "writer", time.Time{}, access.Publish, access.Classify)
	admin := issue(t, path, "boss", now.Add(time.Hour), access.Admin)
	expired := issue(t, path, "former", now.Add(-time.Second), access.Admin)
	g := guard(t, access.Options{Tokens: path})
	if !g.guard.Protected() {
		t.Fatal("it is protected")
	}
	g.ask("GET", "/open", 200, `"name":""`)
	g.ask("GET", "/open", 200, `"name":"reader"`, classify)
	g.ask("GET", "/classify", 401, `(?s)Content-Type: application/problem\+json.*Www-Authenticate: Bearer realm="jobstrom"\r.*"detail":"a token with the scope classify is needed`)
	g.ask("GET", "/classify", 200, `reader`, classify)
	g.ask("GET", "/classify", 200, `reader`, strings.Replace(classify, "Bearer", "bEARER ", 1))
	g.ask("POST", "/publish", 403, `this token has the scopes classify, here publish is needed`, classify)
	g.ask("POST", "/publish", 200, `writer`, publish)
	g.ask("POST", "/admin", 403, `publish, classify, here admin`, publish)
	for _, s := range access.Scopes {
		g.ask("POST", "/"+string(s), 200, `boss`, admin)
		g.ask("POST", "/"+string(s), 401, `(?s)error="invalid_token".*has expired`, expired)
	}
	// A token that is wrong is told so at once, on open routes, too; not where the process is watched.
	for _, wrong := range []string{classify + "x", classify[:len(classify)-1], "Authorization: Bearer js_", "Authorization: Bearer eyJhbGciOiJub25lIn0.e30."} {
		g.ask("GET", "/open", 401, `(?s)error="invalid_token".*not known`, wrong)
		g.ask("GET", "/healthz", 200, `"name":""`, wrong)
	}
	for _, malformed := range []string{"Authorization: Basic dTpw", "Authorization: Bearer", "Authorization: Bearer a b", "Authorization: Bearer ø", "Authorization: Bearer " + strings.Repeat("a", 8193), "Authorization: " + strings.TrimPrefix(classify, "Authorization: Bearer ")} {
		g.ask("GET", "/open", 401, `must be given once, as Bearer TOKEN`, malformed)
	}
	g.ask("GET", "/open", 401, `must be given once`, classify, classify)
	// It follows the file: what is revoked ends with the next request, what is new begins.
	if err := access.ChangeTokens(path, func(all []access.Token) ([]access.Token, error) { return all[1:], nil }); err != nil {
		t.Fatal(err)
	}
	g.ask("GET", "/open", 401, `revoked`, classify)
	g.ask("GET", "/open", 200, `late`, issue(t, path, "late", time.Time{}, access.Classify))
	for reason, want := range map[string]float64{"missing": 1, "scope": 2, "expired": 3, "token": 5, "malformed": 7, "rate": 0} {
		if got := g.refused(reason); got != want {
			t.Errorf("%g refused for %s, want %g", got, reason, want)
		}
	}
	// A file that is damaged, open to others or gone leaves what was in force.
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(change func() error) {
		t.Helper()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		g.ask("GET", "/classify", 200, `writer`, publish)
		if got := g.gauge("jobstrom_http_tokens_damaged"); got != 1 {
			t.Errorf("damaged is %g", got)
		}
	}
	damage(func() error { return os.WriteFile(path, []byte("tokens: [{"), 0o600) })
	damage(func() error { return os.Remove(path) })
	damage(func() error {
		return errors.Join(os.WriteFile(path, []byte("tokens: []"), 0o600), os.Chmod(path, 0o666))
	})
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, good, 0o600)); err != nil {
		t.Fatal(err)
	}
	g.ask("GET", "/classify", 200, `writer`, publish)
	if got := g.gauge("jobstrom_http_tokens_damaged"); got != 0 {
		t.Errorf("damaged is %g", got)
	}
}

// Kubernetes mounts a secret as links to links, and changes it by turning one of them.
func TestTokensOfAMountedSecret(t *testing.T) {
	dir := t.TempDir()
	mount := func(version string, tokens ...string) (authorizations []string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range tokens {
			authorizations = append(authorizations, issue(t, filepath.Join(dir, version, "tokens.yaml"), name, time.Time{}, access.Classify))
		}
		if err := errors.Join(os.Symlink(version, filepath.Join(dir, "..new")), os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
		return authorizations
	}
	before := mount("..1", "before")[0]
	if err := os.Symlink("..data/tokens.yaml", filepath.Join(dir, "tokens.yaml")); err != nil {
		t.Fatal(err)
	}
	g := guard(t, access.Options{Tokens: filepath.Join(dir, "tokens.yaml")})
	g.ask("GET", "/classify", 200, `before`, before)
	after := mount("..2", "after1")[0]
	g.ask("GET", "/classify", 401, `revoked`, before)
	g.ask("GET", "/classify", 200, `after1`, after)
}

// BenchmarkGuard is what a request with the last of 100 tokens costs beside its answer.
func BenchmarkGuard(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tokens.yaml")
	var tokens []access.Token
	var authorization string
	for i := range 100 {
		token, secret := access.NewToken(fmt.Sprint("t", i), []access.Scope{access.Classify}, time.Now(), time.Now().Add(time.Hour))
		tokens, authorization = append(tokens, token), "Bearer "+secret.Reveal()
	}
	if err := access.ChangeTokens(path, func([]access.Token) ([]access.Token, error) { return tokens, nil }); err != nil {
		b.Fatal(err)
	}
	g, err := access.New(b.Context(), access.Options{Tokens: path, Rate: 1e6, Burst: 1e6})
	if err != nil {
		b.Fatal(err)
	}
	served := 0
	handler := g.Wrap(g.Require(access.Classify, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ })))
	r := httptest.NewRequest("POST", "http://localhost/classify", nil)
	r.Header.Set("Authorization", authorization)
	for b.Loop() {
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	if served == 0 {
		b.Fatal("nothing was served")
	}
}

func (g *guarded) gauge(name string) float64 {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	g.t.Fatalf("no %s", name)
	return 0
}
