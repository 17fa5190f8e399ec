package cli

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/telemetry"
)

// Telemetry holds the settings of traces.
type Telemetry struct {
	Endpoint string  `koanf:"otlp-endpoint"`
	Sample   float64 `koanf:"trace-sample"`
}

func addTelemetryFlags(f *pflag.FlagSet) {
	f.String("otlp-endpoint", "", "`URL` of an OpenTelemetry collector that takes traces by OTLP/HTTP, like http://collector:4318; none makes no traces")
	f.Float64("trace-sample", 1, "share of new traces that are kept, 0 to 1; a trace that began elsewhere is kept where it is kept there")
}

// options returns what a process of this name needs.
func (t Telemetry) options(service string) telemetry.Options {
	return telemetry.Options{Endpoint: t.Endpoint, Sample: t.Sample, Service: "jobstrom-" + service, Version: version}
}

// Validate reports every violation.
func (t Telemetry) Validate() error { return t.options("").Validate() }

// traces begins to send the spans of a process: see telemetry.Start.
func (a *app) traces(ctx context.Context, service string, registerer prometheus.Registerer) (trace.TracerProvider, func(), error) {
	o := a.config.Telemetry.options(service)
	o.Logger, o.Registerer = a.log, registerer
	return telemetry.Start(ctx, o)
}
