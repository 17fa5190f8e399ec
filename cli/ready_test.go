package cli

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/health"
	"jobstrom/server"
)

// The status says whether a process is ready, and what it says why not.
func TestReady(t *testing.T) {
	board := &health.Board{}
	process := httptest.NewServer(server.NewWatched(board.Problems, prometheus.NewRegistry()))
	t.Cleanup(process.Close)
	other := httptest.NewServer(nil) // answers 404
	t.Cleanup(other.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(process.URL, "http://"), ":")
	f := func(status int, want string, args ...string) {
		t.Helper()
		got, out, errOut := jobstrom(t, "", append([]string{"ready"}, args...)...)
		if got != status || !strings.Contains(out+errOut, want) {
			t.Errorf("%v: status %d, want %d: %s%s, want %q", args, got, status, out, errOut, want)
		}
	}
	f(0, "ready", process.URL)
	f(0, "ready", process.URL+"/")
	f(0, "ready", "--metrics-address", "0.0.0.0:"+port)
	f(0, "ready", "--metrics-address", ":"+port)
	f(0, "ready", "--http", "127.0.0.1:"+port)
	f(1, "no answer of a jobstrom", other.URL)
	f(1, "is it running", "http://127.0.0.1:1")
	f(2, "is no address to ask", "embed-1:9400")
	board.Report(health.Problem{Place: health.Place{Part: "kafka"}, Reason: "no broker answers", Remedy: "start it"}, 0)
	board.Report(health.Problem{Place: health.Place{Part: "clickhouse"}, Reason: "it is away", Remedy: "see its log"}, 0)
	f(1, "no broker answers: start it", process.URL)
	f(1, "it is away: see its log", process.URL)
	board.Clear(health.Place{Part: "kafka"})
	board.Clear(health.Place{Part: "clickhouse"})
	f(0, "ready", process.URL)
}
