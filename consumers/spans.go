package consumers

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/kafka"
)

// spanMaker makes the spans of a stage or the sink: one for each record whose trace is kept, and one for each batch that has such records, which links to theirs. Nil makes none.
// Spans hold ids, places and verdicts; what a vacancy says, or a reason that might quote it, is never among them.
type spanMaker struct {
	tracer trace.Tracer
	name   string               // of the stage
	always []attribute.KeyValue // of each span
}

// newSpanMaker returns nil without a provider.
func newSpanMaker(provider trace.TracerProvider, stage, encoder string) *spanMaker {
	if provider == nil {
		return nil
	}
	m := &spanMaker{tracer: provider.Tracer("jobstrom/consumers"), name: stage, always: []attribute.KeyValue{attribute.String("jobstrom.stage", stage), attribute.String("messaging.system", "kafka")}}
	if encoder != "" {
		m.always = append(m.always, attribute.String("jobstrom.encoder", encoder))
	}
	return m
}

// begin starts the span of a record; nil when its trace is not kept. A vacancy from somebody who makes no traces begins one here.
func (m *spanMaker) begin(r *kgo.Record, at time.Time) trace.Span {
	if m == nil || kafka.TraceDropped(r) {
		return nil
	}
	parent := kafka.TraceOf(r)
	if !parent.IsValid() && r.Topic != kafka.Raw {
		return nil
	}
	_, span := m.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), m.name, trace.WithTimestamp(at), trace.WithSpanKind(trace.SpanKindConsumer))
	if !span.IsRecording() {
		return nil
	}
	span.SetAttributes(m.always...)
	span.SetAttributes(attribute.String("messaging.destination.name", r.Topic), attribute.Int("messaging.destination.partition.id", int(r.Partition)), attribute.Int64("messaging.kafka.offset", r.Offset),
		attribute.String("jobstrom.vacancy.id", kafka.VacancyID(r)))
	return span
}

// Verdicts of spans beside the classes of dead letters.
const (
	verdictAnswered = "answered"
	verdictStored   = "stored"
	verdictOthers   = "another encoder's" // which answers it
	verdictMoved    = "moved"             // to another worker, which reads it again
	verdictFailed   = "failed"            // it is read again
)

// end ends a record's span.
func end(span trace.Span, verdict string, wrong bool, more ...attribute.KeyValue) {
	if span == nil {
		return
	}
	span.SetAttributes(append(more, attribute.String("jobstrom.verdict", verdict))...)
	if wrong {
		span.SetStatus(codes.Error, verdict)
	}
	span.End()
}

// batch makes the span of a transaction or a block, which began then and ends now.
func (m *spanMaker) batch(name string, began time.Time, records int, of []trace.Span) {
	var links []trace.Link
	for _, span := range of {
		if span != nil {
			links = append(links, trace.Link{SpanContext: span.SpanContext()})
		}
	}
	if m == nil || len(links) == 0 {
		return
	}
	_, span := m.tracer.Start(context.Background(), m.name+" "+name, trace.WithNewRoot(), trace.WithTimestamp(began), trace.WithLinks(links...))
	span.SetAttributes(m.always...)
	span.SetAttributes(attribute.Int("messaging.batch.message_count", records))
	span.End()
}

// traced writes into the header of what was made of a record which span made it, or which made the record.
func traced(span trace.Span, from, to *kgo.Record) {
	if span != nil {
		kafka.SetTrace(to, span.SpanContext())
		return
	}
	kafka.CarryTrace(from, to)
}

// logDeadLetter says that a record becomes a dead letter: its place, its vacancy, and its trace where it has one.
func logDeadLetter(log *slog.Logger, r *kgo.Record, class string) {
	if !log.Enabled(context.Background(), slog.LevelInfo) {
		return // finding out its vacancy may mean to read it once more
	}
	fields := []any{"class", class, "topic", r.Topic, "partition", r.Partition, "offset", r.Offset}
	if id := kafka.VacancyID(r); id != "" {
		fields = append(fields, "vacancy", id[:min(len(id), 200)])
	}
	if span := kafka.TraceOf(r); span.IsValid() {
		fields = append(fields, "trace", span.TraceID().String())
	}
	log.Info("dead letter", fields...)
}
