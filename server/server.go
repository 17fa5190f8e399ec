package server

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/health"
	"jobstrom/server/access"
	"jobstrom/server/api"
	"jobstrom/server/web"
)

// Options configure the handler. Its parts get the Registerer and the Logger where they have none of their own.
type Options struct {
	API    api.Options
	Access access.Options
	// Problems returns why the process is not ready; none when it is.
	Problems func() []health.Problem
	// Gatherer gives /metrics; Registerer takes the server's own. Nil leaves them out.
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	// Tracing makes a span of each request and of its parts, in the trace that its header traceparent names; nil makes none.
	Tracing trace.TracerProvider
	Logger  *slog.Logger
}

// New returns the handler of all routes. When ctx ends, so do its streams.
func New(ctx context.Context, o Options) (http.Handler, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.API.Logger == nil {
		o.API.Logger = o.Logger
	}
	if o.API.Stopping == nil {
		o.API.Stopping = ctx
	}
	if o.Access.Logger == nil {
		o.Access.Logger = o.Logger
	}
	if o.Access.Registerer == nil {
		o.Access.Registerer = o.Registerer
	}
	var pages *web.Pages // there before the first request is refused
	if o.Access.Refuse == nil {
		o.Access.Refuse = func(w http.ResponseWriter, r *http.Request, refusal *access.Refusal) {
			if wantsPage(r) {
				pages.Fail(w, r, refusal)
				return
			}
			api.Refused(refusal).Write(w, r)
		}
	}
	service, err := api.NewService(o.API)
	if err != nil {
		return nil, err
	}
	guard, err := access.New(ctx, o.Access)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	watch(mux, o.Problems, o.Gatherer)
	if err := service.Register(mux); err != nil {
		return nil, err
	}
	if pages, err = web.New(service, guard, web.Options{Logger: o.Logger}); err != nil {
		return nil, err
	}
	pages.Register(mux)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if wantsPage(r) {
			pages.Front(w, r)
			return
		}
		api.Alive(w, r)
	})
	return guard.Wrap(newRequests(mux, pages, o.Registerer, o.Tracing, o.Logger)), nil
}

// wantsPage says whether a person asks, by a browser.
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }
