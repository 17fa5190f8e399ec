package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A request that panics is answered, and the log says where, not with what.
func TestPanickingRequest(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /boom", func(http.ResponseWriter, *http.Request) { panic("ring til 0101904321") })
	mux.HandleFunc("POST /bounds", func(_ http.ResponseWriter, r *http.Request) { _ = []int{}[r.ContentLength+1] })
	var log bytes.Buffer
	handler := newRequests(mux, nil, nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
	for _, path := range []string{"/boom", "/bounds"} {
		log.Reset()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "error of ours") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if got := log.String(); !strings.Contains(got, "requests_test.go:") || strings.Contains(got, "0101904321") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: the log says %q", path, got)
		}
	}
}
