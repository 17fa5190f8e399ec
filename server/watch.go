package server

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"jobstrom/health"
	"jobstrom/schemas"
	"jobstrom/server/api"
)

// NewWatched returns the handler of a process without web page or API: /healthz, /readyz and /metrics.
func NewWatched(problems func() []health.Problem, gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	watch(mux, problems, gatherer)
	return mux
}

// watch adds what Kubernetes and Prometheus ask for.
func watch(mux *http.ServeMux, problems func() []health.Problem, gatherer prometheus.Gatherer) {
	mux.HandleFunc("GET /healthz", api.Alive)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		found := problems()
		if len(found) == 0 {
			api.Alive(w, r)
			return
		}
		w.Header().Set("Content-Type", schemas.JSON)
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": "not ready: " + found[0].String(), "problems": found, "status-code": http.StatusServiceUnavailable})
	})
	if gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	}
}
