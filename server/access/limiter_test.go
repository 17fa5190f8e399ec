package access_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"jobstrom/server/access"
)

func TestRateLimit(t *testing.T) {
	file := tokenFile(t)
	one, other := issue(t, file, "one", time.Time{}, access.Classify), issue(t, file, "other", time.Time{}, access.Classify)
	free := issue(t, file, "free", time.Time{}, access.Classify)
	rate := func(name string, perSecond float64) {
		t.Helper()
		if err := access.ChangeTokens(file, func(all []access.Token) ([]access.Token, error) {
			for i := range all {
				if all[i].Name == name {
					all[i].Rate = &perSecond
				}
			}
			return all, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	rate("free", 0)
	// A request in 1,000 seconds: no machine is so slow that one more would be due.
	g := guard(t, access.Options{Tokens: file, Rate: 0.001, Burst: 3})
	for range 3 {
		g.ask("GET", "/classify", 200, ``, one)
	}
	limited := func(headers ...string) {
		t.Helper()
		response := g.ask("GET", "/classify", 429, `"detail":"more than 0.001 requests a second \(and 3 at once\)`, headers...)
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 1000 {
			t.Errorf("Retry-After is %q", response.Header.Get("Retry-After"))
		}
	}
	limited(one)
	limited(one) // refusals do not push the time away
	for range 3 {
		g.ask("GET", "/classify", 200, ``, other)
		g.ask("GET", "/classify", 401, ``, one+"x") // wrong tokens count for the address
	}
	limited(one + "x")
	limited()
	limited(other)
	for range 20 {
		g.ask("GET", "/classify", 200, ``, free)
		g.ask("GET", "/static/file.js", 200, ``)
		g.ask("GET", "/healthz", 200, ``)
		g.ask("GET", "/metrics", 200, ``)
	}
	rate("one", 1e6) // the file's rate counts from now on
	g.until("GET", "/classify", 200, one)
	if got := g.refused("rate"); got < 5 {
		t.Errorf("%g refused", got)
	}
}

// Addresses are counted by what their holder cannot choose, and only so many are remembered.
func TestRateLimitOfAddresses(t *testing.T) {
	g, err := access.New(t.Context(), access.Options{Rate: 0.001, Burst: 1})
	if err != nil {
		t.Fatal(err)
	}
	handler := g.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ask := func(remote string, status int) {
		t.Helper()
		r := httptest.NewRequest("GET", "http://localhost/open", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != status {
			t.Fatalf("%s: got %d, want %d", remote, w.Code, status)
		}
	}
	ask("192.0.2.1:1000", 200)
	ask("192.0.2.1:2000", 429)
	ask("[::ffff:192.0.2.1]:1", 429)
	ask("192.0.2.2:1000", 200)
	ask("[2001:db8:1:2:3:4:5:6]:1", 200)
	ask("[2001:db8:1:2:ffff::1]:1", 429)
	ask("[2001:db8:1:3::1]:1", 200)
	ask("[fe80::1%eth0]:1", 200)
	ask("[fe80::2%eth0]:1", 429)
	ask("@", 200)
	for i := range 10_000 {
		ask(fmt.Sprintf("10.1.%d.%d:1", i/250, i%250), 200)
	}
	ask("192.0.2.1:3000", 200) // long forgotten
	ask("10.1.39.249:1", 429)
}
