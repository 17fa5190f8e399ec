package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Bounds of what is kept of spans.
const (
	valueBytes = 200 // of an attribute: a publisher's id may be longer
	mostLinks  = 512 // of a batch, to as many records
)

// Options configure Start.
type Options struct {
	// Endpoint is the URL of an OTLP/HTTP collector, to which /v1/traces is added where it has no path. Empty: no traces.
	Endpoint string
	// Sample is the share of new traces that are kept, 0 to 1. One that began elsewhere is kept where it is kept there.
	Sample float64
	// Service and Version are the process's: the resource of its spans.
	Service, Version string
	// Queue bounds the spans that wait for the collector; what comes beyond is dropped. Default 8192.
	Queue int
	// Interval between two exports, default 1 s; Timeout of one, default 10 s; Flush bounds the last, when the process ends, default 3 s.
	Interval, Timeout, Flush time.Duration
	// Logger hears once that the collector takes no spans. Nil discards.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.Queue == 0 {
		o.Queue = 8192
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Flush == 0 {
		o.Flush = 3 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every violation. It shows no more of the URL than its host: what stands before that may be a password.
func (o Options) Validate() error {
	var wrong []error
	if _, err := tracesURL(o.Endpoint); o.Endpoint != "" && err != nil {
		wrong = append(wrong, err)
	}
	if !(o.Sample >= 0 && o.Sample <= 1) {
		wrong = append(wrong, fmt.Errorf("trace-sample (%v) must be 0 to 1", o.Sample))
	}
	return errors.Join(wrong...)
}

// tracesURL returns where spans are posted to.
func tracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("otlp-endpoint must be a URL like http://collector:4318")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("otlp-endpoint (of host %s) must have no user, query or fragment: headers that authorise go into OTEL_EXPORTER_OTLP_HEADERS", u.Host)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Start begins to send spans to the collector, which may be away: whoever makes spans never waits and never fails. The provider is nil, which makes no spans, without an Endpoint.
// Stop sends what is left, for as long as Flush at most.
func Start(ctx context.Context, o Options) (provider trace.TracerProvider, stop func(), err error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, nil, fmt.Errorf("starting traces: %w", err)
	}
	outcomes, err := newOutcomes(o.Registerer)
	if err != nil {
		return nil, nil, fmt.Errorf("starting traces: %w", err)
	}
	if o.Endpoint == "" {
		return nil, func() {}, nil
	}
	target, _ := tracesURL(o.Endpoint) // validated
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target), otlptracehttp.WithTimeout(o.Timeout), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: 200 * time.Millisecond, MaxInterval: 2 * time.Second, MaxElapsedTime: o.Timeout}))
	if err != nil {
		return nil, nil, fmt.Errorf("starting traces: %w", err)
	}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit, limits.LinkCountLimit = valueBytes, mostLinks
	sdk := sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", o.Service), attribute.String("service.version", o.Version))),
		sdktrace.WithSampler(linked{sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Sample))}),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithSpanProcessor(newQueue(exporter, o, outcomes)),
	)
	return sdk, func() {
		ctx, cancel := context.WithTimeout(context.Background(), o.Flush)
		defer cancel()
		_ = sdk.Shutdown(ctx) // what it could not send is counted
	}, nil
}

// linked keeps a new trace that links to kept ones, as the span of a batch does to those of its records; all else the other sampler decides.
type linked struct{ sdktrace.Sampler }

// ShouldSample decides on a span.
func (l linked) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	for _, link := range p.Links {
		if link.SpanContext.IsSampled() {
			return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
		}
	}
	return l.Sampler.ShouldSample(p)
}
