package server

import (
	"context"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/server/access"
)

// watched are the routes that are asked every few seconds, by machines: they make no spans.
var watched = []string{"GET /healthz", "GET /readyz", "GET /metrics"}

// begin starts the span of a request to a route; nil where none is made. The header traceparent says to which trace it belongs, and whether that is kept; tracestate and baggage, which may hold
// anything, are not read.
func (q *requests) begin(r *http.Request, route string) (*http.Request, trace.Span) {
	if q.tracer == nil || route == "" || slices.Contains(watched, route) {
		return r, nil
	}
	parent := propagation.TraceContext{}.Extract(r.Context(), propagation.MapCarrier{"traceparent": r.Header.Get("traceparent")})
	ctx, span := q.tracer.Start(parent, route, trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", route), attribute.String("jobstrom.request.id", access.RequestID(r.Context())))
	}
	return r.WithContext(ctx), span
}

// end ends a request's span.
func end(span trace.Span, status int) {
	if span == nil {
		return
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	span.End()
}

// traceID names the trace that ctx is in, "" where it is in none.
func traceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		return span.TraceID().String()
	}
	return ""
}
