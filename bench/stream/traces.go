package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/bench/figures"
	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/telemetry"
)

// targetTraces is what one trace in a hundred may leave of the throughput.
const targetTraces = .98

// traces compares a stage that makes spans with one that makes none, on records of which all or some belong to a trace that is kept. The collector, in this process, reads what comes and
// forgets it: its time counts as ours. A span waits in a queue that nobody waits for, so of many the collector gets a part.
func (b *bench) traces(ctx context.Context) error {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer collector.Close()
	some, err := b.traced(ctx, collector.URL, 100)
	if err != nil {
		return err
	}
	all, err := b.traced(ctx, collector.URL, 1)
	if err != nil {
		return err
	}
	figures.AtLeast("with spans of one trace in 100 / without tracing, throughput of a stage", some, targetTraces)
	figures.Note("with spans of every trace / without tracing: %.3f", all)
	return nil
}

// traced returns the throughput with tracing over that without, of records of which one in so many is in a kept trace.
func (b *bench) traced(ctx context.Context, collector string, every int) (float64, error) {
	client, err := b.fresh(ctx)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	err = fill(ctx, client, kafka.Extracted, b.records, func(i int) *kgo.Record {
		r, kept := extraction(i), 0
		if i%every == 0 {
			kept = 1
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "traceparent", Value: fmt.Appendf(nil, "00-%032x-%016x-%02x", i+1, i+1, kept)}) // W3C Trace Context
		return r
	})
	if err != nil {
		return 0, err
	}
	side := func(endpoint string) (time.Duration, error) {
		provider, stop, err := telemetry.Start(ctx, telemetry.Options{Endpoint: endpoint, Sample: 1, Service: "bench", Registerer: prometheus.NewRegistry()})
		if err != nil {
			return 0, err
		}
		defer stop()
		o := b.runner
		o.Tracing = provider
		return b.measured(ctx, admin, kafka.Group("embed", encoderID), func(ctx context.Context) error { return consumers.Run(ctx, consumers.Embed(newStub(0)), o) })
	}
	var ratios []float64
	for i := range b.rounds + 1 {
		without, err := side("")
		if err != nil {
			return 0, err
		}
		with, err := side(collector)
		if err != nil {
			return 0, err
		}
		if i == 0 {
			continue // the broker warms up
		}
		n := float64(b.records)
		figures.Note("traces, one kept in %d, round %d: without tracing %.0f records/s, with it %.0f records/s", every, i, n/without.Seconds(), n/with.Seconds())
		ratios = append(ratios, without.Seconds()/with.Seconds())
	}
	return figures.Median(ratios), nil
}
