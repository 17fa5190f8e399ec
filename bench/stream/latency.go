package main

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"jobstrom/bench/figures"
	"jobstrom/consumers"
	"jobstrom/kafka"
)

// latencyAtHalfLoad finds what the three stages move at most, publishes half of that steadily and measures the time from a
// publisher's timestamp until a read_committed consumer has the classification.
func (b *bench) latencyAtHalfLoad(ctx context.Context) error {
	client, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	three, err := stages(ctx, client)
	if err != nil {
		return err
	}
	flow, stop := context.WithCancel(ctx)
	defer stop()
	var running errgroup.Group
	for _, stage := range three {
		running.Go(func() error {
			defer stop()
			return consumers.Run(flow, stage, b.runner)
		})
	}
	n := b.records / 3
	if err := b.arrive(flow, 100, func() error { // the groups have joined when these are there
		return fill(ctx, client, kafka.Raw, 100, func(i int) *kgo.Record { return vacancy(i, 1024) })
	}, func(time.Duration) {}); err != nil {
		return err
	}
	start := time.Now()
	if err := b.arrive(flow, n, func() error {
		start = time.Now()
		return fill(ctx, client, kafka.Raw, n, func(i int) *kgo.Record { return vacancy(i, 1024) })
	}, func(time.Duration) {}); err != nil {
		return err
	}
	rate := float64(n) / time.Since(start).Seconds()
	figures.Note("three stages: %.0f vacancies/s of 1 KiB (publishing included)", rate)

	count := int(rate / 2 * b.latency.Seconds())
	var took []time.Duration
	err = b.arrive(flow, count, func() error {
		for start, i := time.Now(), 0; i < count && flow.Err() == nil; {
			for due := min(count, int(time.Since(start).Seconds()*rate/2)); i < due; i++ {
				r := vacancy(i, 1024)
				r.Topic, r.Partition = kafka.Raw, int32(i%partitions)
				client.Produce(ctx, r, nil)
			}
			time.Sleep(2 * time.Millisecond) // the publisher's rate
		}
		return client.Flush(ctx)
	}, func(d time.Duration) { took = append(took, d) })
	if err != nil {
		return err
	}
	stop()
	if err := running.Wait(); err != nil {
		return err
	}
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() }
	figures.Note("latency at %.0f vacancies/s for %s: p50 %.3f s, p90 %.3f s, p99 %.3f s, slowest %.3f s", rate/2, b.latency, at(.5), at(.9), at(.99), at(1))
	figures.AtMost("publish to classified at half load, p99 in seconds", at(.99), 1)
	return nil
}

// arrive publishes and waits for n classifications, each with its time since it was published.
func (b *bench) arrive(ctx context.Context, n int, publish func() error, each func(time.Duration)) error {
	var publishing errgroup.Group
	seen := 0
	err := consumers.Follow(ctx, consumers.FollowOptions{Kafka: kafka.Options{Brokers: b.brokers}, Ready: func() { publishing.Go(publish) }}, func(r *kgo.Record) (bool, error) {
		each(time.Since(kafka.RawTime(r)))
		seen++
		return seen < n, nil
	})
	if err != nil {
		return err
	}
	if err := publishing.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
