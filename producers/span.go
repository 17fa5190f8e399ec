package producers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/kafka"
)

// publishing begins the span of a vacancy or label that is published, in the trace that ctx is in or, where it is in none, in a new one of the tracer's; and writes it into the headers of the
// records. It is nil where nobody makes traces.
func publishing(ctx context.Context, tracer trace.Tracer, id string, records ...*kgo.Record) trace.Span {
	if tracer == nil {
		within := trace.SpanFromContext(ctx)
		if !within.SpanContext().IsValid() {
			return nil
		}
		tracer = within.TracerProvider().Tracer("jobstrom/producers")
	}
	_, span := tracer.Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", records[0].Topic), attribute.String("jobstrom.vacancy.id", id))
	}
	for _, r := range records {
		kafka.SetTrace(r, span.SpanContext()) // also that a trace is not kept: else the next who sees the record would draw again
	}
	return span
}

// published ends a span with what Kafka said of the record.
func published(span trace.Span, r *kgo.Record, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, "Kafka did not take it")
	} else {
		span.SetAttributes(attribute.Int("messaging.destination.partition.id", int(r.Partition)), attribute.Int64("messaging.kafka.offset", r.Offset))
	}
	span.End()
}
