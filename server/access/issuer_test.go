package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"jobstrom/health"
	"jobstrom/server/access"
)

// issuer is an OpenID Connect issuer on this machine: discovery and keys, over TLS.
type issuer struct {
	t    *testing.T
	url  string
	ca   string
	keys atomic.Pointer[jose.JSONWebKeySet] // public
	away atomic.Bool
	// asked counts questions for the keys.
	asked atomic.Int64
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	i.keys.Store(&jose.JSONWebKeySet{})
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		if i.away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/realms/jobs/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/auth", "token_endpoint": i.url + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}, "subject_types_supported": []string{"public"}, "response_types_supported": []string{"code"},
		})
	})
	mux.HandleFunc("/realms/jobs/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		answer(w, i.keys.Load())
	})
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	i.url = s.URL + "/realms/jobs"
	i.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(i.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// key makes a key pair; publish says whether the issuer shows its public half.
func (i *issuer) key(id string, algorithm jose.SignatureAlgorithm, publish bool) jose.JSONWebKey {
	i.t.Helper()
	var private any
	var err error
	if strings.HasPrefix(string(algorithm), "ES") {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: private, KeyID: id, Algorithm: string(algorithm), Use: "sig"}
	if publish {
		i.keys.Store(&jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{key.Public()}, i.keys.Load().Keys...)})
	}
	return key
}

// claims are those of a good token, with changes; nil takes one away.
func (i *issuer) claims(changes map[string]any) map[string]any {
	all := map[string]any{"iss": i.url, "aud": []string{"other", "jobstrom"}, "sub": "anna", "scope": "openid jobstrom:classify email", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

// sign returns the header with a token.
func sign(t *testing.T, key jose.JSONWebKey, algorithm jose.SignatureAlgorithm, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + token
}

// until polls for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !met(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: %s", what)
		}
	}
}

func TestIssuer(t *testing.T) {
	i := startIssuer(t)
	key := i.key("one", jose.RS256, true)
	elliptic := i.key("two", jose.ES256, true)
	stranger := i.key("one", jose.RS256, false) // another's, with an id of the issuer's
	i.away.Store(true)
	var board health.Board
	file := tokenFile(t)
	issued := issue(t, file, "of-the-file", time.Time{}, access.Publish)
	g := guard(t, access.Options{Tokens: file, OIDC: access.OIDC{Issuer: i.url, Audience: "jobstrom", CA: i.ca}, Board: &board})
	good := sign(t, key, jose.RS256, i.claims(nil))
	// It is away at the start: its tokens wait, the file's do not, and the board tells.
	until(t, "the board says that the issuer is away", func() bool { return len(board.Problems()) == 1 && board.Problems()[0].Part == "issuer" })
	g.ask("GET", "/classify", 503, `(?s)Retry-After: 5.*issuer does not answer`, good)
	g.ask("POST", "/publish", 200, `of-the-file`, issued)
	i.away.Store(false)
	until(t, "the board is clear", func() bool { return len(board.Problems()) == 0 })

	g.ask("GET", "/classify", 200, `"name":"anna"`, good)
	g.ask("GET", "/classify", 200, `"name":"anna"`, sign(t, elliptic, jose.ES256, i.claims(nil)))
	g.ask("GET", "/publish", 403, `has the scopes classify, here publish`, good)
	g.ask("GET", "/publish", 200, `of-the-file`, issued)
	claims := func(status int, want string, changes map[string]any) {
		t.Helper()
		g.ask("GET", "/classify", status, want, sign(t, key, jose.RS256, i.claims(changes)))
	}
	now := time.Now()
	claims(401, `see its signature, iss and aud`, map[string]any{"iss": "https://other.example"})
	claims(401, `see its signature, iss and aud`, map[string]any{"aud": "other"})
	claims(401, `see its signature, iss and aud`, map[string]any{"aud": nil})
	claims(401, `has expired`, map[string]any{"exp": now.Add(-2 * time.Minute).Unix()})
	claims(200, `anna`, map[string]any{"exp": now.Add(-10 * time.Second).Unix()}) // clocks differ
	claims(401, `has no end`, map[string]any{"exp": nil})
	claims(401, `not valid yet`, map[string]any{"nbf": now.Add(5 * time.Minute).Unix()})
	claims(200, `anna`, map[string]any{"nbf": now.Add(30 * time.Second).Unix()})
	for _, sub := range []any{nil, "", "a\nb", "ø", strings.Repeat("a", 256), 7} {
		claims(401, ``, map[string]any{"sub": sub})
	}
	claims(200, `"name":"anna@example.dk|7"`, map[string]any{"sub": "anna@example.dk|7"})
	claims(200, `anna`, map[string]any{"scope": []string{"classify"}})
	claims(200, `anna`, map[string]any{"scope": "admin"})
	claims(403, `\(none\)`, map[string]any{"scope": nil})
	claims(403, `\(none\)`, map[string]any{"scope": "jobstrom:other classifyer"})
	claims(403, `\(none\)`, map[string]any{"scope": map[string]any{"classify": true}})

	// Signatures that anybody can make.
	part := func(v any) string {
		content, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(content)
	}
	unsigned := "Authorization: Bearer " + part(map[string]any{"alg": "none", "typ": "JWT"}) + "." + part(i.claims(nil)) + "."
	g.ask("GET", "/classify", 401, `signature`, unsigned)
	parts := strings.Split(good, ".")
	g.ask("GET", "/classify", 401, `signature`, parts[0]+"."+part(i.claims(map[string]any{"scope": "admin"}))+"."+parts[2])
	public := key.Public().Key.(*rsa.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	// HS256 with the public key for a secret: taken where the algorithm is the token's to choose.
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), public.N.Bytes()} {
		g.ask("GET", "/classify", 401, `signature`, sign(t, jose.JSONWebKey{Key: secret, KeyID: "one"}, jose.HS256, i.claims(nil)))
	}
	before := i.asked.Load()
	for range 40 {
		g.ask("GET", "/classify", 401, `signature`, sign(t, stranger, jose.RS256, i.claims(nil)))
	}
	if asked := i.asked.Load() - before; asked > 10 { // five at once, and five ten seconds later on a busy machine
		t.Errorf("forged tokens made the issuer be asked %d times", asked)
	}
	g.ask("GET", "/open", 200, `anna`, good)
}

// Keys change while the server runs; while the issuer is away, tokens of known keys are good and others wait.
func TestIssuerChangesKeys(t *testing.T) {
	i := startIssuer(t)
	old := i.key("old", jose.RS256, true)
	var board health.Board
	g := guard(t, access.Options{OIDC: access.OIDC{Issuer: i.url, Audience: "jobstrom", CA: i.ca, ScopesClaim: "realm_access.roles"}, Board: &board})
	claims := i.claims(map[string]any{"realm_access": map[string]any{"roles": []any{"offline", "jobstrom:admin", 3}}})
	g.until("GET", "/admin", 200, sign(t, old, jose.RS256, claims))
	i.keys.Store(&jose.JSONWebKeySet{})
	fresh := sign(t, i.key("new", jose.RS256, true), jose.RS256, claims)
	g.ask("GET", "/admin", 200, `anna`, fresh)
	g.ask("GET", "/admin", 401, `signature`, sign(t, old, jose.RS256, claims))
	i.away.Store(true)
	g.ask("GET", "/admin", 200, `anna`, fresh)
	g.ask("GET", "/admin", 503, `does not answer`, sign(t, i.key("newest", jose.RS256, true), jose.RS256, claims))
	if problems := board.Problems(); len(problems) != 0 {
		t.Errorf("got %v: a token with an unknown key is no problem of the process's", problems)
	}
	// The file's tokens are not known where there is no file.
	_, secret := access.NewToken("x", access.Scopes, time.Now(), time.Time{})
	g.ask("GET", "/admin", 401, ``, "Authorization: Bearer "+secret.Reveal())
}

// until asks until the status is one.
func (g *guarded) until(method, path string, status int, headers ...string) {
	g.t.Helper()
	until(g.t, path, func() bool {
		r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, nil)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		response, err := g.client.Do(r)
		if err != nil {
			g.t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode == status
	})
}

func TestIssuerSettings(t *testing.T) {
	f := func(o access.OIDC, want ...string) {
		t.Helper()
		err := access.Options{OIDC: o}.Validate()
		if (err == nil) != (len(want) == 0) {
			t.Fatalf("%+v: got %v, want %q", o, err, want)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: got %v, want %q", o, err, w)
			}
		}
	}
	f(access.OIDC{})
	f(access.OIDC{Issuer: "https://login.example/realms/jobs", Audience: "jobstrom"})
	f(access.OIDC{Issuer: "http://localhost:8080", Audience: "jobstrom"})
	f(access.OIDC{Issuer: "http://login.example", Audience: "jobstrom"}, "oidc-issuer (http://login.example) must begin with https://")
	f(access.OIDC{Issuer: "https://login.example"}, "needs oidc-audience")
	f(access.OIDC{Issuer: "https://user:secret@login.example"}, "without user", "needs oidc-audience")
	f(access.OIDC{Audience: "a", CA: "b"}, "oidc-audience (a) needs oidc-issuer", "oidc-ca (b) needs oidc-issuer")
	if _, err := access.New(t.Context(), access.Options{OIDC: access.OIDC{Issuer: "https://login.example", Audience: "a", CA: "/nowhere"}}); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("got %v", err)
	}
}
