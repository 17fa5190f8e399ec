package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"jobstrom/health"
	"jobstrom/pipeline"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// Limits of a request.
const (
	maxBody  = 16 << 20 // bytes
	maxBatch = 256      // vacancies in one batch_classify
)

// Options configure the handler.
type Options struct {
	// Classify answers vacancies, in order; see pipeline.Limit.
	Classify func(context.Context, []*schemas.Vacancy) ([]pipeline.Result, error)
	Taxonomy *schemas.Taxonomy
	// Encoder is the identity of the encoder in use.
	Encoder string
	// Problems returns why the process is not ready; none when it is.
	Problems func() []health.Problem
	// Gatherer gives /metrics; Registerer takes the server's own. Nil leaves them out.
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

type server struct {
	Options
	requests *prometheus.HistogramVec
	page     *template.Template
}

// New returns the handler of all routes.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{Options: o, page: template.Must(template.ParseFS(web, "web/index.html")), requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "jobstrom_http_request_seconds", Help: "Time of HTTP requests, by route and status.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	}, []string{"route", "status"})}
	if o.Registerer != nil {
		o.Registerer.MustRegister(s.requests)
	}
	mux := http.NewServeMux()
	route := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, s.measured(pattern, h))
	}
	s.watched(mux, route)
	route("GET /{$}", s.index)
	route("GET /static/{file}", s.static)
	route("POST /classify", s.classify)
	route("POST /batch_classify", s.batchClassify)
	route("/", func(_ http.ResponseWriter, r *http.Request) error {
		return &httpError{http.StatusNotFound, "no such page: see GET /, POST /classify, POST /batch_classify, /healthz, /readyz, /metrics"}
	})
	return mux
}

// NewWatched returns the handler of a process without web page or API: /healthz, /readyz and /metrics.
func NewWatched(problems func() []health.Problem, gatherer prometheus.Gatherer) http.Handler {
	s, mux := &server{Options: Options{Problems: problems, Gatherer: gatherer}}, http.NewServeMux()
	s.watched(mux, func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { _ = h(w, r) })
	})
	return mux
}

// watched adds what Kubernetes and Prometheus ask for.
func (s *server) watched(mux *http.ServeMux, route func(string, func(http.ResponseWriter, *http.Request) error)) {
	route("GET /healthz", func(w http.ResponseWriter, _ *http.Request) error { return write(w, ok) })
	route("GET /readyz", func(w http.ResponseWriter, _ *http.Request) error {
		problems := s.Problems()
		if len(problems) == 0 {
			return write(w, ok)
		}
		w.Header().Set("Content-Type", schemas.JSON)
		w.WriteHeader(http.StatusServiceUnavailable)
		return json.NewEncoder(w).Encode(map[string]any{"error": "not ready: " + problems[0].String(), "problems": problems, "status-code": http.StatusServiceUnavailable})
	})
	if s.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{}))
	}
}

var ok = map[string]any{"message": "OK", "status-code": 200}

// httpError is an answer other than 200; its text is for the caller.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// measured runs a handler, turns its error into an answer and measures it.
func (s *server) measured(pattern string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, status := time.Now(), http.StatusOK
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := h(w, r); err != nil {
			status = s.fail(w, err)
		}
		s.requests.WithLabelValues(pattern, fmt.Sprint(status)).Observe(time.Since(start).Seconds())
	})
}

func (s *server) fail(w http.ResponseWriter, err error) int {
	var known *httpError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
	case errors.As(err, &tooLarge):
		known = &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", tooLarge.Limit)}
	case errors.Is(err, schemas.ErrMalformed):
		known = &httpError{http.StatusBadRequest, err.Error()}
	case errors.Is(err, extract.ErrNothingExtracted):
		known = &httpError{http.StatusUnprocessableEntity, err.Error()}
	case errors.Is(err, pipeline.ErrOverloaded):
		w.Header().Set("Retry-After", "1")
		known = &httpError{http.StatusTooManyRequests, "more requests wait than can be served: try again in a second"}
	case errors.Is(err, pipeline.ErrNoClassifier):
		known = &httpError{http.StatusServiceUnavailable, err.Error()}
	case errors.Is(err, context.Canceled):
		known = &httpError{499, "the caller is gone"}
	default:
		s.Logger.Error("answering a request", "error", err)
		known = &httpError{http.StatusInternalServerError, "an error of ours: it was logged"}
	}
	w.Header().Set("Content-Type", schemas.JSON)
	w.WriteHeader(known.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": known.text, "status-code": known.status})
	return known.status
}

func write(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", schemas.JSON)
	return json.NewEncoder(w).Encode(v)
}

// classify answers one vacancy: its JSON object, or a form's field text.
func (s *server) classify(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	v, err := schemas.DecodeVacancy(schemas.JSON, body)
	if err != nil {
		return err
	}
	results, err := s.Classify(r.Context(), []*schemas.Vacancy{v})
	if err != nil {
		return err
	}
	answer, err := s.answer(results[0])
	if err != nil {
		return err
	}
	return write(w, answer)
}

// batchClassify answers a JSON array of vacancies with an array in the same order; what cannot be answered has an error in its place.
func (s *server) batchClassify(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var items []json.RawMessage
	if json.Unmarshal(body, &items) != nil {
		return &httpError{http.StatusBadRequest, "the body is not a JSON array of vacancies"}
	}
	if len(items) == 0 || len(items) > maxBatch {
		return &httpError{http.StatusBadRequest, fmt.Sprintf("the array holds %d vacancies, it must hold 1 to %d", len(items), maxBatch)}
	}
	answers := make([]any, len(items))
	vacancies, place := []*schemas.Vacancy{}, []int{}
	for i, item := range items {
		v, err := schemas.DecodeVacancy(schemas.JSON, item)
		if err != nil {
			answers[i] = map[string]string{"error": err.Error()}
			continue
		}
		vacancies, place = append(vacancies, v), append(place, i)
	}
	if len(vacancies) > 0 {
		results, err := s.Classify(r.Context(), vacancies)
		if err != nil {
			return err
		}
		for k, i := range place {
			if answers[i], err = s.answer(results[k]); err != nil {
				answers[i] = map[string]string{"id": vacancies[k].Id, "error": err.Error()}
			}
		}
	}
	return write(w, answers)
}

// answer renders a result as a consumer of the classified topic would read it.
func (s *server) answer(r pipeline.Result) (json.RawMessage, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	c := pipeline.Classification(r.Extraction, r.Prediction, s.Taxonomy.Names(), r.Model, s.Encoder)
	c.Truncated, c.ClassifiedAt = r.Vector.Truncated, schemas.Time(time.Now())
	return schemas.Encode(schemas.JSON, c)
}

func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }
