package pipeline

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// part begins the span of a part of a request's work, in the trace that ctx is in; where it is in none, as in the stages, nothing is made.
func part(ctx context.Context, name string) (context.Context, trace.Span) {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer("jobstrom/pipeline").Start(ctx, name)
}
