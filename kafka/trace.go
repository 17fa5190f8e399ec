package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceParent is the header of W3C Trace Context that says to which trace a record belongs. Its companions tracestate and baggage, which may hold anything, are not handed on.
const traceParent = "traceparent"

// traceParentBytes is the length of the header in the version that there is.
const traceParentBytes = 55

// TraceOf returns the span that wrote a record, as its header says; what is no such header, or was tampered with, is none (IsValid).
func TraceOf(r *kgo.Record) trace.SpanContext {
	header := Header(r, traceParent)
	if len(header) != traceParentBytes {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), oneHeader(header))
	return trace.SpanContextFromContext(ctx)
}

// TraceDropped says whether a record's header asks that its trace is not kept. It reads nothing else of the header: where few traces are kept, most records need no more.
func TraceDropped(r *kgo.Record) bool {
	header := headerBytes(r, traceParent)
	if len(header) != traceParentBytes {
		return false
	}
	flags := header[traceParentBytes-1] // the last digit of them, whose lowest bit says "sampled"
	return flags == '0' || flags == '2'
}

// oneHeader is a carrier of nothing but the header: a map for each record costs more than reading it.
type oneHeader string

func (h oneHeader) Get(key string) string {
	if key == traceParent {
		return string(h)
	}
	return ""
}

func (oneHeader) Set(string, string) {}

func (oneHeader) Keys() []string { return []string{traceParent} }

// SetTrace says in a record's header which span wrote it.
func SetTrace(r *kgo.Record, span trace.SpanContext) {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), span.WithTraceState(trace.TraceState{})), carrier)
	setTrace(r, carrier[traceParent])
}

// CarryTrace hands the header on to what was made of a record, where no span did.
func CarryTrace(from, to *kgo.Record) {
	if span := TraceOf(from); span.IsValid() {
		setTrace(to, Header(from, traceParent))
	}
}

func setTrace(r *kgo.Record, header string) {
	if header == "" {
		return
	}
	for i := range r.Headers {
		if r.Headers[i].Key == traceParent {
			r.Headers[i].Value = []byte(header)
			return
		}
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: traceParent, Value: []byte(header)})
}
