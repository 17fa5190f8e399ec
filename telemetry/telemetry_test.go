package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/telemetry/telemetrytest"
)

// outcome reads jobstrom_trace_spans_total.
func outcome(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == name {
			return m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no outcome %s", name)
	return 0
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 2 minutes until %s", what)
		}
	}
}

// Spans arrive with their resource; long values are cut.
func TestSpansArrive(t *testing.T) {
	receiver, registry := telemetrytest.Start(t), prometheus.NewRegistry()
	provider, stop, err := Start(t.Context(), Options{Endpoint: receiver.URL(), Sample: 1, Service: "jobstrom-test", Version: "1", Flush: time.Minute, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	ctx, outer := provider.Tracer("test").Start(t.Context(), "outer")
	_, inner := provider.Tracer("test").Start(ctx, "inner")
	inner.SetAttributes(attribute.String("long", strings.Repeat("x", 5000)))
	inner.End()
	outer.End()
	stop()
	spans := receiver.Spans()
	if len(spans) != 2 || spans[0].Name != "outer" || spans[0].Parent != "" || spans[1].Parent != spans[0].ID || spans[1].Trace != spans[0].Trace || spans[0].Service != "jobstrom-test" {
		t.Fatalf("got %+v", spans)
	}
	if n := len(spans[1].Attributes["long"]); n != valueBytes {
		t.Errorf("a value of %d bytes", n)
	}
	if sent := outcome(t, registry, "sent"); sent != 2 {
		t.Errorf("%v are counted", sent)
	}
}

// New traces are kept by their share; what another decided holds, whatever the share; and a batch is kept where a record of it is.
func TestSampling(t *testing.T) {
	f := func(sample float64, parent trace.TraceFlags, kept bool) {
		t.Helper()
		provider, stop, err := Start(t.Context(), Options{Endpoint: "http://127.0.0.1:1", Sample: sample, Flush: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		remote := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: parent, Remote: true})
		_, span := provider.Tracer("test").Start(trace.ContextWithRemoteSpanContext(t.Context(), remote), "x")
		if span.SpanContext().IsSampled() != kept || span.SpanContext().TraceID() != remote.TraceID() {
			t.Errorf("share %v, parent %v: got %v", sample, parent, span.SpanContext())
		}
		_, batch := provider.Tracer("test").Start(t.Context(), "batch", trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: remote}))
		if want := kept || sample == 1; batch.SpanContext().IsSampled() != want {
			t.Errorf("share %v, record %v: the batch is %v", sample, parent, batch.SpanContext())
		}
		_, fresh := provider.Tracer("test").Start(t.Context(), "new")
		if fresh.SpanContext().IsSampled() != (sample == 1) {
			t.Errorf("share %v: a new trace is %v", sample, fresh.SpanContext())
		}
	}
	f(1, 0, false)
	f(1, trace.FlagsSampled, true)
	f(0, 0, false)
	f(0, trace.FlagsSampled, true)
}

// While the collector is away, refuses or is silent, whoever makes spans goes on; what is dropped is counted, each once, and said once. When it is back spans arrive.
func TestCollectorThatIsAway(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refuses := telemetrytest.Start(t)
	refuses.Answer(http.StatusBadRequest)
	for _, endpoint := range []string{"http://127.0.0.1:1", refuses.URL(), "http://" + silent.Addr().String()} {
		registry := prometheus.NewRegistry()
		var log bytes.Buffer // read when nobody writes any more
		provider, stop, err := Start(t.Context(), Options{
			Endpoint: endpoint, Sample: 1, Queue: 64, Interval: time.Millisecond, Timeout: 50 * time.Millisecond, Flush: 50 * time.Millisecond, Registerer: registry,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		const n = 5000
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range n / 4 {
					_, span := provider.Tracer("test").Start(context.Background(), "x")
					span.End()
				}
			})
		}
		group.Wait()
		stop()
		waitFor(t, "all are counted", func() bool { return outcome(t, registry, "dropped") == n })
		if sent := outcome(t, registry, "sent"); sent != 0 {
			t.Errorf("%s: %v were sent", endpoint, sent)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "spans are dropped") {
			t.Errorf("%s: %d lines:\n%s", endpoint, lines, &log)
		}
	}
}

// A collector that comes back is sent to again, and a second failure is said again.
func TestCollectorThatComesBack(t *testing.T) {
	receiver, registry := telemetrytest.Start(t), prometheus.NewRegistry()
	var log bytes.Buffer
	provider, stop, err := Start(t.Context(), Options{
		Endpoint: receiver.URL(), Sample: 1, Interval: time.Millisecond, Registerer: registry, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	make1 := func() {
		_, span := provider.Tracer("test").Start(context.Background(), "x")
		span.End()
	}
	for round := range 2 {
		receiver.Answer(http.StatusBadRequest)
		make1()
		waitFor(t, "it is dropped", func() bool { return outcome(t, registry, "dropped") == float64(round+1) })
		receiver.Answer(http.StatusOK)
		make1()
		waitFor(t, "it is sent", func() bool { return len(receiver.Spans()) == round+1 })
		waitFor(t, "it is counted", func() bool { return outcome(t, registry, "sent") == float64(round+1) })
	}
	stop()
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("%d lines:\n%s", lines, &log)
	}
}

// Without an endpoint there is nothing to pay for.
func TestWithoutEndpoint(t *testing.T) {
	provider, stop, err := Start(t.Context(), Options{Sample: 1, Registerer: prometheus.NewRegistry()})
	if err != nil || provider != nil {
		t.Fatalf("got %v, %v", provider, err)
	}
	stop()
}

func TestValidate(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(Options{Endpoint: "collector:4318"}, "like http://collector:4318")
	f(Options{Endpoint: "ftp://collector"}, "like http://collector:4318")
	f(Options{Endpoint: "http://me:s3cret@collector"}, "OTEL_EXPORTER_OTLP_HEADERS")
	f(Options{Endpoint: "http://collector?key=s3cret"}, "OTEL_EXPORTER_OTLP_HEADERS")
	f(Options{Sample: 1.5}, "0 to 1")
	f(Options{Sample: -1}, "0 to 1")
	for given, want := range map[string]string{
		"http://c:4318": "http://c:4318/v1/traces", "https://c/": "https://c/v1/traces", "https://c/otlp/v1/traces": "https://c/otlp/v1/traces",
	} {
		if got, err := tracesURL(given); err != nil || got != want {
			t.Errorf("%s: got %s, %v", given, got, err)
		}
	}
	if err := (Options{Endpoint: "http://c", Sample: .5}).Validate(); err != nil {
		t.Error(fmt.Errorf("refused: %w", err))
	}
}
