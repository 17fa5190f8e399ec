package access_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"jobstrom/server/access"
)

func TestHeaders(t *testing.T) {
	g := guard(t, access.Options{})
	if g.guard.Protected() {
		t.Fatal("nobody is asked for a token")
	}
	header := g.ask("GET", "/classify", 200, `"name":"local"`).Header
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Strict-Transport-Security": "", "Access-Control-Allow-Origin": "", "Vary": "",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	overTLS := guard(t, access.Options{}, func(s *httptest.Server) { s.TLS = &tls.Config{} })
	overTLS.ask("GET", "/open", 200, `Strict-Transport-Security: max-age=31536000`)
}

func TestRequestID(t *testing.T) {
	g := guard(t, access.Options{})
	g.ask("GET", "/open", 200, `(?s)X-Request-Id: from-a.proxy_1\r.*"id":"from-a.proxy_1"`, "X-Request-Id: from-a.proxy_1")
	const own = `(?s)X-Request-Id: [A-Z2-7]{26}\r.*"id":"[A-Z2-7]{26}"`
	for _, other := range []string{"", strings.Repeat("a", 65), "a b", "ø", `"><script>`, "a,b"} {
		g.ask("GET", "/open", 200, own, "X-Request-Id: "+other)
	}
	g.ask("GET", "/open", 200, own, "X-Request-Id: a", "X-Request-Id: b")
	// What would end the header and begin another, as a client of its own can send it.
	for _, injected := range []string{"a\r\n Set-Cookie: x=1", "a\rSet-Cookie: x=1", "a\nSet-Cookie: x=1", "a%0d%0aSet-Cookie: x=1", "a\x00b"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /open HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Request-Id: "+injected+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(answer), "HTTP/1.1 ") || strings.Contains(string(answer), "Set-Cookie") {
			t.Errorf("%q: got %q", injected, answer)
		}
		conn.Close()
	}
}

// A page whose name was made to point here (DNS rebinding) is of the same origin for the browser; only the Host tells.
func TestHosts(t *testing.T) {
	loopback := []string{"127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "[::1]", "jobs.localhost:8080"}
	others := []string{"evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7:8080", "notlocalhost", "[fe80::1]"}
	f := func(o access.Options, accepted, refused []string) {
		t.Helper()
		g := guard(t, o)
		for _, host := range accepted {
			g.ask("GET", "/open", 200, ``, "Host: "+host)
		}
		for _, host := range refused {
			g.ask("GET", "/open", 403, `"detail":"this server is not asked by that name`, "Host: "+host)
			g.ask("POST", "/classify", 403, `not asked by that name`, "Host: "+host, "Origin: http://"+host)
			g.ask("GET", "/healthz", 200, ``, "Host: "+host) // probes ask by address
		}
		if got, want := g.refused("host"), 2*float64(len(refused)); got != want {
			t.Errorf("%g refused, want %g", got, want)
		}
	}
	f(access.Options{Address: "127.0.0.1:8080"}, loopback, others)
	f(access.Options{Address: "devbox:8080"}, append(loopback, "devbox:8080"), others)
	f(access.Options{Hosts: []string{"jobs.example", "2001:db8::7"}}, append(loopback, "jobs.example", "JOBS.example:443", "[2001:db8::7]:80"), append(others, "a.jobs.example"))
	f(access.Options{Open: true, Hosts: []string{"jobs.example"}}, append(loopback, "jobs.example"), others)
	file := tokenFile(t)
	issue(t, file, "a", time.Time{}, access.Classify)
	f(access.Options{Open: true}, append(loopback, others...), nil)
	guard(t, access.Options{Tokens: file}).ask("GET", "/open", 200, ``, "Host: evil.example")
}

func TestCORS(t *testing.T) {
	file := tokenFile(t)
	token := issue(t, file, "a", time.Time{}, access.Publish)
	const ours, theirs = "https://intranet.example", "https://evil.example"
	preflight := []string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"}
	off := guard(t, access.Options{Tokens: file})
	off.ask("OPTIONS", "/publish", 403, `pages of this origin may not ask`, append(preflight, "Origin: "+ours)...)
	if h := off.ask("POST", "/publish", 200, ``, token, "Origin: "+ours).Header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Error("no origin is allowed")
	}
	g := guard(t, access.Options{Tokens: file, Origins: []string{ours, "http://localhost:3000"}})
	answer := g.ask("OPTIONS", "/publish", 204, `(?s)Access-Control-Allow-Headers: Authorization, .*Access-Control-Allow-Methods: .*POST.*Access-Control-Max-Age: 600`, append(preflight, "Origin: "+ours)...)
	for _, h := range []http.Header{answer.Header, g.ask("POST", "/publish", 200, ``, token, "Origin: "+ours, "Sec-Fetch-Site: cross-site").Header, g.ask("POST", "/publish", 403, `only with a token`, "Origin: "+ours).Header} {
		if h.Get("Access-Control-Allow-Origin") != ours || h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("got %v", h)
		}
	}
	for _, other := range []string{theirs, "https://intranet.example.evil.example", "http://intranet.example", "https://intranet.example:444", "null", "*"} {
		g.ask("OPTIONS", "/publish", 403, `may not ask`, append(preflight, "Origin: "+other)...)
		if h := g.ask("GET", "/open", 200, ``, "Origin: "+other).Header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "Origin" {
			t.Errorf("%s: got %v", other, h)
		}
	}
	for _, wrong := range []string{"*", "https://*.example", "https://a.example/", "a.example", "https://A.example", "ftp://a.example", "https://u@a.example", "null"} {
		if err := (access.Options{Origins: []string{wrong}}).Validate(); err == nil || !strings.Contains(err.Error(), "cors-origins ("+wrong+")") {
			t.Errorf("%s: got %v", wrong, err)
		}
	}
}

// browser asks as one with a session does.
func (g *guarded) browser(t *testing.T) *guarded {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	with := *g
	client := *g.client
	client.Jar = jar
	with.client = &client
	return &with
}

func (g *guarded) logIn(status int, authorization string, headers ...string) *http.Response {
	g.t.Helper()
	token := strings.TrimPrefix(authorization, "Authorization: Bearer ")
	return g.ask("POST", "/login?token="+url.QueryEscape(token), status, ``, headers...)
}

// What a page of another site can make a browser send: the browser says so itself, and older ones name the page's origin.
var (
	fromElsewhere = [][]string{
		{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site", "Origin: http://127.0.0.1"},
	}
	fromOurPage = []string{"Sec-Fetch-Site: same-origin"}
)

func TestSessions(t *testing.T) {
	file := tokenFile(t)
	token := issue(t, file, "a", time.Time{}, access.Publish)
	other := issue(t, file, "b", time.Now().Add(time.Hour), access.Admin)
	g := guard(t, access.Options{Tokens: file, Origins: []string{"https://intranet.example"}})
	b := g.browser(t)
	b.ask("POST", "/publish", 401, `a token with the scope publish is needed`)
	b.logIn(401, token+"x")
	b.logIn(401, "")
	cookie := b.logIn(200, token).Header.Get("Set-Cookie")
	for _, want := range []string{"jobstrom=", "Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=431"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q does not say %s", cookie, want)
		}
	}
	if strings.Contains(cookie, "Secure") || strings.Contains(cookie, strings.TrimPrefix(token, "Authorization: Bearer ")) {
		t.Errorf("the cookie is %q", cookie)
	}
	b.ask("POST", "/publish", 200, `"name":"a"`, fromOurPage...)
	b.ask("POST", "/publish", 200, `"name":"a"`, "Origin: "+g.url)
	b.ask("POST", "/admin", 403, `here admin is needed`, fromOurPage...)
	b.ask("POST", "/admin", 200, `"name":"b"`, other) // a token comes before the session
	for _, headers := range append(fromElsewhere, []string{"Origin: https://intranet.example"}) {
		b.ask("POST", "/publish", 403, `from a page of another site`, headers...)
		b.logIn(403, other, headers...) // nor have it log in as somebody else
		g.logIn(403, token, headers...) // the first time, too
		b.ask("GET", "/open", 200, `"name":"a"`, headers...)
	}
	// A new log-in is a new session, and ends the one of before.
	stolen, _, _ := strings.Cut(cookie, ";")
	g.ask("POST", "/publish", 200, `"name":"a"`, "Cookie: "+stolen)
	b.logIn(200, other, fromOurPage...)
	b.ask("POST", "/admin", 200, `"name":"b"`, fromOurPage...)
	g.ask("POST", "/publish", 401, ``, "Cookie: "+stolen)
	g.ask("POST", "/publish", 401, ``, "Cookie: jobstrom=made-up")
	// A session ends with its token.
	if err := access.ChangeTokens(file, func(all []access.Token) ([]access.Token, error) {
		all[1].Scopes = []access.Scope{access.Publish}
		return all, nil
	}); err != nil {
		t.Fatal(err)
	}
	b.ask("POST", "/publish", 200, `"name":"b"`)
	b.ask("POST", "/admin", 403, ``)
	if err := access.ChangeTokens(file, func(all []access.Token) ([]access.Token, error) { return all[:1], nil }); err != nil {
		t.Fatal(err)
	}
	b.ask("POST", "/publish", 401, ``)
	// And with the log-out.
	b.logIn(200, token)
	b.ask("POST", "/publish", 200, `"name":"a"`)
	b.ask("POST", "/logout", 200, `Set-Cookie: jobstrom=; Path=/; Max-Age=0`)
	b.ask("POST", "/publish", 401, ``)
}

func TestSessionsOverTLS(t *testing.T) {
	file := tokenFile(t)
	token := issue(t, file, "a", time.Time{}, access.Publish)
	g := guard(t, access.Options{Tokens: file, Session: time.Minute}, func(s *httptest.Server) { s.TLS = &tls.Config{} })
	b := g.browser(t)
	if cookie := b.logIn(200, token).Header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-jobstrom=") || !strings.Contains(cookie, "; Secure") {
		t.Errorf("the cookie is %q", cookie)
	}
	b.ask("POST", "/publish", 200, `"name":"a"`)
	// A proxy that speaks TLS says so.
	behind := guard(t, access.Options{Tokens: file})
	if cookie := behind.logIn(200, token, "X-Forwarded-Proto: https").Header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-jobstrom=") || !strings.Contains(cookie, "; Secure") {
		t.Errorf("the cookie is %q", cookie)
	}
}

// An issuer's session ends when its token does.
func TestSessionsOfAnIssuer(t *testing.T) {
	i := startIssuer(t)
	key := i.key("one", "RS256", true)
	g := guard(t, access.Options{OIDC: access.OIDC{Issuer: i.url, Audience: "jobstrom", CA: i.ca, Leeway: time.Nanosecond}})
	// logIn logs in with a token that lasts so long when it is issued, and returns the cookie.
	logIn := func(lasts time.Duration) (cookie string) {
		until(t, "the issuer's token logs in", func() bool {
			token := sign(t, key, "RS256", i.claims(map[string]any{"exp": time.Now().Add(lasts).Unix()}))
			response, err := g.client.PostForm(g.url+"/login", url.Values{"token": {strings.TrimPrefix(token, "Authorization: Bearer ")}})
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			cookie, _, _ = strings.Cut(response.Header.Get("Set-Cookie"), ";")
			return response.StatusCode == 200
		})
		return cookie
	}
	lasting, short := logIn(time.Hour), logIn(2*time.Second)
	g.until("POST", "/classify", 401, "Cookie: "+short)
	g.ask("POST", "/classify", 200, `anna`, "Cookie: "+lasting)
}

// While everybody is let in, a hostile page must not make the browser of somebody on this machine publish or promote.
func TestOpenServerAndHostilePages(t *testing.T) {
	g := guard(t, access.Options{Address: "127.0.0.1:8080", Origins: []string{"https://intranet.example"}})
	g.ask("POST", "/publish", 200, `local`) // curl
	g.ask("POST", "/publish", 200, `local`, fromOurPage...)
	g.ask("POST", "/publish", 200, `local`, "Origin: https://intranet.example", "Sec-Fetch-Site: cross-site")
	for _, headers := range fromElsewhere {
		g.ask("POST", "/publish", 403, `from a page of another site`, headers...)
		g.ask("PUT", "/admin", 403, `from a page of another site`, headers...)
	}
	if got, want := g.refused("origin"), 2*float64(len(fromElsewhere)); got != want {
		t.Errorf("%g refused, want %g", got, want)
	}
	g.logIn(401, "js_anything")
}
