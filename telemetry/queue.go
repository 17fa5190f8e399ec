package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// queue holds the spans that wait for the collector, and counts what becomes of them: the SDK's own queue drops what is too much without a word. Its places are taken before the SDK's,
// so that the SDK drops nothing.
type queue struct {
	sdktrace.SpanProcessor // the SDK's, which hands batches to exporter
	exporter               sdktrace.SpanExporter
	room                   int64
	waiting                atomic.Int64
	sent, dropped          prometheus.Counter
	logger                 *slog.Logger

	// mu guards said: that spans are dropped is said once, until the collector takes some again.
	mu   sync.Mutex
	said bool
}

func newOutcomes(registerer prometheus.Registerer) (*prometheus.CounterVec, error) {
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jobstrom_trace_spans_total", Help: "Spans of kept traces: sent to the collector of --otlp-endpoint, or dropped because it is away, slow or refuses them.",
	}, []string{"outcome"})
	for _, outcome := range []string{"sent", "dropped"} {
		outcomes.WithLabelValues(outcome)
	}
	if registerer == nil {
		return outcomes, nil
	}
	return outcomes, registerer.Register(outcomes)
}

// RegisterMetrics registers what the package shows, before anything runs: for the list in docs/metrics.md.
func RegisterMetrics(registerer prometheus.Registerer) error {
	_, err := newOutcomes(registerer)
	return err
}

func newQueue(exporter sdktrace.SpanExporter, o Options, outcomes *prometheus.CounterVec) *queue {
	q := &queue{exporter: exporter, room: int64(o.Queue), sent: outcomes.WithLabelValues("sent"), dropped: outcomes.WithLabelValues("dropped"), logger: o.Logger}
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(export{q}, sdktrace.WithMaxQueueSize(o.Queue), sdktrace.WithMaxExportBatchSize(min(512, o.Queue)),
		sdktrace.WithBatchTimeout(o.Interval), sdktrace.WithExportTimeout(o.Timeout))
	return q
}

// OnEnd takes a span, or drops it where there is no room. It never waits.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if q.waiting.Add(1) > q.room {
		q.waiting.Add(-1)
		q.drop(1, "there is no room for more")
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// Shutdown sends what waits; what it cannot, until ctx ends, is dropped.
func (q *queue) Shutdown(ctx context.Context) error {
	err := q.SpanProcessor.Shutdown(ctx)
	if left := q.waiting.Swap(0); left > 0 {
		q.drop(int(left), "the process ends")
	}
	return err
}

// drop counts, and says it once.
func (q *queue) drop(n int, why string) {
	q.dropped.Add(float64(n))
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.said {
		q.said = true
		q.logger.Warn("spans are dropped, which nothing else minds: jobstrom_trace_spans_total counts them", "why", why)
	}
}

// export is the queue as the SDK's processor sees it.
type export struct{ *queue }

// ExportSpans sends a batch. It returns no error: the SDK would write it to a log that is not ours.
func (e export) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.exporter.ExportSpans(ctx, spans)
	if e.waiting.Add(-int64(len(spans))) < 0 { // Shutdown gave up waiting and counted them
		e.waiting.Store(0)
		return nil
	}
	if err != nil {
		e.drop(len(spans), err.Error())
		return nil
	}
	e.sent.Add(float64(len(spans)))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = false
	return nil
}

// Shutdown ends the exporter.
func (e export) Shutdown(ctx context.Context) error { return e.exporter.Shutdown(ctx) }
