package chaos

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A client asks who listens, asks again what may be asked twice, and sends no vacancy a second time that may have arrived.
func TestCaller(t *testing.T) {
	var asked atomic.Int64
	listen := func(status int) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	const nobody = "127.0.0.1:1" // not the port of a server that is closed: the next one may get it
	f := func(name string, addrs []string, call func(c *caller), wantAsked int64, want outcome) {
		t.Helper()
		asked.Store(0)
		c := &caller{addrs: addrs, patience: 300 * time.Millisecond}
		call(c)
		seen, accepted := c.seen()
		if got := (outcome{seen.Answered, len(accepted), seen.Open, len(seen.Failures)}); got != want || wantAsked >= 0 && asked.Load() != wantAsked {
			t.Errorf("%s: asked %d times, got %+v, want %d and %+v", name, asked.Load(), got, wantAsked, want)
		}
	}
	classify := func(c *caller) { c.classify(t.Context(), "x") }
	publish := func(c *caller) { c.publish(t.Context(), "api-1", "x", "x") }
	f("classified by the second", []string{nobody, listen(200)}, classify, 1, outcome{answered: 1})
	f("the first is not ready", []string{listen(503), listen(200)}, classify, 2, outcome{answered: 1})
	f("nobody is there", []string{nobody}, classify, 0, outcome{failures: 1})
	f("nobody can", []string{listen(500)}, classify, -1, outcome{failures: 1})
	f("published by the second", []string{nobody, listen(202)}, publish, 1, outcome{accepted: 1})
	f("it may have arrived", []string{listen(503), listen(202)}, publish, 1, outcome{open: 1})
	f("nobody takes it", []string{nobody}, publish, 0, outcome{open: 1})
}

// outcome counts what became of requests.
type outcome struct{ answered, accepted, open, failures int }
