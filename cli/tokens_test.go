package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"jobstrom/security/certs"
	"jobstrom/server/access"
	"jobstrom/telemetry/logtest"
)

func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	f := func(status int, wantOut, wantErr string, args ...string) string {
		t.Helper()
		got, out, errOut := jobstrom(t, "", append([]string{"tokens"}, args...)...)
		if got != status || !regexp.MustCompile(wantOut).MatchString(out) || !strings.Contains(errOut, wantErr) {
			t.Fatalf("tokens %v: status %d, want %d; out %q, want %s; err %q, want %s", args, got, status, out, wantOut, errOut, wantErr)
		}
		return out
	}
	with := []string{"--tokens", path}
	f(2, `^$`, "Name it with --tokens FILE", "new", "a")
	f(2, `^$`, "accepts 1 arg", append(with, "new")...)
	f(1, `^$`, "jobstrom tokens new NAME makes it", append(with, "list")...)
	f(1, `^$`, "no such file", append(with, "revoke", "a")...)
	f(2, `^$`, `the scope "root" must be one of [classify publish admin]`, append(with, "new", "a", "--scope", "root", "--expires", "soon")...)
	f(2, `^$`, `--expires is "soon": use a time like 12h, 90d or 52w`, append(with, "new", "a", "--scope", "root", "--expires", "soon")...)
	for _, wrong := range []string{"", "0d", "-1d", "1.5d", "d", "90", "36501d", "9999999999999999999w"} {
		f(2, `^$`, "--expires is", append(with, "new", "a", "--expires", wrong)...)
	}
	f(2, `^$`, "the name", append(with, "new", "a b")...)
	f(2, `^$`, "rate (-1)", append(with, "new", "a", "--rate", "-1")...)
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a refused token was written")
	}
	// The token stands alone on standard output, so that a script can take it.
	token := strings.TrimSpace(f(0, `^js_[A-Za-z0-9_-]{43}\n$`, "intranet may publish,classify; it ends: 20", append(with, "new", "intranet", "--scope", "publish,classify,publish", "--expires", "90d")...))
	f(1, `^$`, "holds a token intranet already", append(with, "new", "intranet")...)
	var made struct {
		access.Token
		Secret string `json:"token"`
	}
	must(t, json.Unmarshal([]byte(f(0, ``, "", append(with, "new", "boss", "--scope", "admin", "--expires", "never", "--rate", "2.5", "--format", "json")...)), &made))
	if made.Name != "boss" || !strings.HasPrefix(made.Secret, access.Prefix) || !made.Expires.IsZero() || *made.Rate != 2.5 {
		t.Fatalf("got %+v", made)
	}
	out := f(0, `(?s)^NAME +SCOPES +MADE +ENDS +RATE\nintranet +publish,classify +20\S+ +20\S+ +as set\nboss +admin +20\S+ +never +2.5/s\n$`, "", append(with, "list")...)
	var listed []struct {
		access.Token
		Expired bool
	}
	asJSON := f(0, ``, "", append(with, "list", "--format", "json")...)
	must(t, json.Unmarshal([]byte(asJSON), &listed))
	if len(listed) != 2 || listed[0].Name != "intranet" || listed[0].Expired || listed[0].Expires.Sub(listed[0].Created) != 90*24*time.Hour {
		t.Fatalf("got %+v", listed)
	}
	kept, err := os.ReadFile(path)
	must(t, err)
	if all := out + asJSON + string(kept); strings.Contains(all, token) || strings.Contains(all, made.Secret) {
		t.Fatalf("a token is shown again:\n%s", all)
	}
	f(1, `^$`, "holds no token nobody, nothing was revoked", append(with, "revoke", "intranet", "nobody")...)
	f(0, `^intranet, boss revoked\n$`, "", append(with, "revoke", "intranet", "boss")...)
	f(0, `^no tokens in `, "", append(with, "list")...)
	must(t, os.WriteFile(path, []byte("tokens: {"), 0o600))
	f(1, `^$`, "reading tokens from "+path, append(with, "new", "a")...)
	f(2, `^$`, "looks like a token itself", "list", "--tokens", token)
	if _, _, errOut := jobstrom(t, "", "tokens", "list", "--tokens", token); strings.Contains(errOut, token) {
		t.Fatal("a token that was given for its file is shown")
	}
}

// Everybody may do everything without tokens, so then only from this machine, unless it is said that this is wanted.
func TestReach(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		status, _, errOut := jobstrom(t, "", append(args, "--data", t.TempDir(), "--encoder", "/nowhere")...)
		if status == 0 || !strings.Contains(errOut, want) {
			t.Errorf("%v: status %d, %q, want %q", args, status, errOut, want)
		}
	}
	const refused = "can be reached from other machines"
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:8080"} {
		for _, command := range []string{"serve", "up", "demo"} {
			f(refused, command, "--http", address)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "127.8.8.8:0", "localhost:0", "[::1]:0"} {
		f("/nowhere", "serve", "--http", address) // it comes further
	}
	f("/nowhere", "serve", "--http", "0.0.0.0:0", "--http-open")
	f("/nowhere", "serve", "--http", "0.0.0.0:0", "--tokens", "/nowhere/tokens")
	f("/nowhere", "serve", "--http", "0.0.0.0:0", "--oidc-issuer", "https://login.example", "--oidc-audience", "jobstrom")
	if status, out, _ := jobstrom(t, "", "check", "--http", "0.0.0.0:0", "--data", t.TempDir(), "--encoder", "/nowhere"); status == 0 || !strings.Contains(out, "FAIL  web address   --http 0.0.0.0:0 can be reached") {
		t.Errorf("check: status %d, %s", status, out)
	}
	// Every violation at once, with name, value and bound.
	status, _, errOut := jobstrom(t, "", "version", "--http-cert", "c", "--http-open", "--tokens", "t", "--oidc-audience", "a", "--cors-origins", "*", "--rate-limit", "-1", "--rate-burst", "-1",
		"--max-texts", "0", "--under-way", "0", "--http-hosts", "a:1", "--max-request-bytes", "many", "--http-connections", "0")
	for _, want := range []string{
		"http-cert (c) and http-key ()", "http-open lets everybody in", "oidc-audience (a) needs oidc-issuer", "cors-origins (*)", "rate-limit (-1)", "rate-burst (-1)", "max-texts (0)", "under-way (0)",
		"http-hosts (a:1)", "max-request-bytes (many)", "http-connections (0)",
	} {
		if !strings.Contains(errOut, want) {
			t.Errorf("%q does not say %q", errOut, want)
		}
	}
	if status != 2 {
		t.Errorf("status %d", status)
	}
	if _, _, errOut := jobstrom(t, "", "version", "--max-texts", "600"); !strings.Contains(errOut, "max-texts (600) must be at most under-way (512)") {
		t.Errorf("got %q", errOut)
	}
}

// The server as it is started: with TLS, tokens that are made and revoked while it runs, and what it says of itself.
func TestServeWithTokensAndTLS(t *testing.T) {
	authority := certs.NewAuthority(t)
	pair := authority.Pair("web", time.Hour, "127.0.0.1")
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	newToken := func(name, scope string) string {
		t.Helper()
		status, out, errOut := jobstrom(t, "", "tokens", "new", name, "--tokens", path, "--scope", scope)
		if status != 0 {
			t.Fatal(errOut)
		}
		return strings.TrimSpace(out)
	}
	token := newToken("first", "classify")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	shown, ended := &logtest.Buffer{}, make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--http", "127.0.0.1:0", "--tokens", path, "--http-cert", pair.Cert, "--http-key", pair.Key, "--data", t.TempDir()}, strings.NewReader(""), shown, shown)
	}()
	said := regexp.MustCompile(`https://127\.0\.0\.1:\d+`)
	for deadline := time.Now().Add(4 * time.Minute); !said.MatchString(shown.String()); <-time.After(20 * time.Millisecond) {
		if len(ended) > 0 || time.Now().After(deadline) {
			t.Fatalf("it says %q", shown)
		}
	}
	if !strings.Contains(shown.String(), "(tokens are asked for)") {
		t.Errorf("it says %q", shown)
	}
	url := said.FindString(shown.String())
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	f := func(method, path string, status int, want, token string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(`{"text":"Vi søger en murer til facaderenovering i Vejle."}`))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(r)
		must(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		if response.StatusCode != status || !strings.Contains(string(body), want) || response.Header.Get("X-Request-Id") == "" || response.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s %s: %d, want %d and %q: %.500s\n%v", method, path, response.StatusCode, status, want, body, response.Header)
		}
	}
	f("POST", "/classify", 200, "Bygge og anlæg", token)
	f("POST", "/classify", 401, "not known here", token+"x")
	f("POST", "/classify", 401, "", "")
	f("POST", "/v1/models/rollback", 403, "here admin is needed", token)
	f("GET", "/", 200, "OK", "")
	f("GET", "/readyz", 200, "OK", "")
	f("POST", "/classify", 200, "Bygge og anlæg", newToken("second", "admin"))
	if status, _, errOut := jobstrom(t, "", "tokens", "revoke", "first", "--tokens", path); status != 0 {
		t.Fatal(errOut)
	}
	f("POST", "/classify", 401, "revoked", token)
	f("GET", "/metrics", 200, `jobstrom_http_refused_total{reason="token"} 2`, "")
	stop()
	if status := <-ended; status != 0 {
		t.Errorf("status %d: %s", status, shown)
	}
}
