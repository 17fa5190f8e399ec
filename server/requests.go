package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/server/access"
	"jobstrom/server/api"
	"jobstrom/server/web"
)

// requests hands requests to a mux, measures them by the pattern of their route, and answers for it where it serves nothing or panics.
type requests struct {
	mux     *http.ServeMux
	pages   *web.Pages
	seconds *prometheus.HistogramVec
	tracer  trace.Tracer // nil: no spans are made
	logger  *slog.Logger
}

func newRequests(mux *http.ServeMux, pages *web.Pages, registerer prometheus.Registerer, tracing trace.TracerProvider, logger *slog.Logger) *requests {
	q := &requests{mux, pages, newSeconds(), nil, logger}
	if tracing != nil {
		q.tracer = tracing.Tracer("jobstrom/server")
	}
	if registerer != nil {
		registerer.MustRegister(q.seconds)
	}
	return q
}

func newSeconds() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "jobstrom_http_request_seconds", Help: "Time of requests.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	}, []string{"route", "status"})
}

// RegisterMetrics registers what the server and the guard before it show, before any of them runs: for the list in docs/metrics.md.
func RegisterMetrics(registerer prometheus.Registerer) {
	registerer.MustRegister(newSeconds())
	access.RegisterMetrics(registerer)
}

// ServeHTTP answers.
func (q *requests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	recorded := &recorder{ResponseWriter: w}
	handler, route := q.mux.Handler(r)
	r, span := q.begin(r, route)
	defer func() {
		failed := recover()
		q.seconds.WithLabelValues(route, fmt.Sprint(cmp.Or(recorded.status, http.StatusOK))).Observe(time.Since(began).Seconds())
		end(span, cmp.Or(recorded.status, http.StatusOK))
		if failed != nil {
			panic(failed)
		}
	}()
	if route == "" {
		route = "none"
		probe := &recorder{ResponseWriter: discard{http.Header{}}}
		handler.ServeHTTP(probe, r)
		problem := api.NotFound()
		if probe.status == http.StatusMethodNotAllowed {
			problem = api.NotAllowed(probe.Header().Get("Allow"))
		}
		if wantsPage(r) {
			q.pages.Fail(recorded, r, problem)
			return
		}
		problem.Write(recorded, r)
		return
	}
	defer q.recover(recorded, r)
	q.mux.ServeHTTP(recorded, r)
}

// recover answers for a handler that panicked. What the panic says may quote a request, so only its kind is logged, and where it happened.
func (q *requests) recover(w *recorder, r *http.Request) {
	failed := recover()
	if failed == nil {
		return
	}
	if err, ok := failed.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(failed)
	}
	what := fmt.Sprintf("%T", failed)
	if err, ok := failed.(runtime.Error); ok {
		what = err.Error()
	}
	q.logger.Error("BUG: a request panicked", "panic", what, "at", panicked(), "request", access.RequestID(r.Context()), "trace", traceID(r.Context()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // the caller must see that the answer is not whole
	}
	if wantsPage(r) {
		q.pages.Fail(w, r, api.Internal())
		return
	}
	api.Internal().Write(w, r)
}

// panicked returns where the code of ours stood that panicked: the first line outside the runtime. A whole stack in a log helps less than it hides.
func panicked() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(4, callers)]) // without Callers, panicked, recover and the runtime's panic
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s, %s:%d", frame.Function, filepath.Base(frame.File), frame.Line)
		}
		if !more {
			return "the runtime"
		}
	}
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// discard takes what a mux says of a path that it does not serve.
type discard struct{ header http.Header }

func (d discard) Header() http.Header          { return d.header }
func (discard) Write(data []byte) (int, error) { return len(data), nil }
func (discard) WriteHeader(int)                {}
