package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"runtime/pprof"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"jobstrom/bench/figures"
	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/schemas"
)

// throughput compares one stage with a loop that only consumes, transforms and produces with the same guarantees, and prints
// what all three stages move.
func (b *bench) throughput(ctx context.Context) error {
	client, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	figures.Note("throughput: %d extractions of 1 KiB in %d partitions, embed with a stub encoder, %d workers, %d rounds in turns", b.records, partitions, b.runner.Workers, b.rounds)
	text := string(vacancy(0, 900).Value)
	err = fill(ctx, client, kafka.Extracted, b.records, func(i int) *kgo.Record {
		value, _ := schemas.Encode(schemas.Protobuf, &schemas.Extraction{Id: fmt.Sprintf("v-%08d", i), Text: text, Occupations: []string{"lagermedarbejder"}, Language: "da"})
		c := kafka.Coordinates{Partition: int32(i % partitions), Offset: int64(i / partitions), Time: time.Now()}
		return &kgo.Record{Value: value, Headers: c.Headers(schemas.Protobuf)}
	})
	if err != nil {
		return err
	}
	var ratios []float64
	for i := range b.rounds + 1 {
		bare, err := b.measured(ctx, admin, "bare", b.bare)
		if err != nil {
			return fmt.Errorf("measuring the bare loop: %w", err)
		}
		if b.profile != nil && i == b.rounds {
			if err := pprof.StartCPUProfile(b.profile); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		ours, err := b.measured(ctx, admin, kafka.Group("embed", encoderID), func(ctx context.Context) error {
			return consumers.Run(ctx, consumers.Embed(newStub(0)), b.runner)
		})
		if err != nil {
			return fmt.Errorf("measuring the stage: %w", err)
		}
		if i == 0 {
			continue // the broker warms up
		}
		n := float64(b.records)
		figures.Note("round %d: bare loop %.0f records/s, stage %.0f records/s", i, n/bare.Seconds(), n/ours.Seconds())
		ratios = append(ratios, bare.Seconds()/ours.Seconds())
	}
	figures.AtLeast("one stage / bare loop, throughput", figures.Median(ratios), .80)
	return nil
}

// measured runs a side until its group has committed every record.
func (b *bench) measured(ctx context.Context, admin *kadm.Client, group string, side func(context.Context) error) (time.Duration, error) {
	if err := forget(ctx, admin, group); err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running errgroup.Group
	running.Go(func() error {
		defer stop()
		return side(ctx)
	})
	took, err := drained(ctx, admin, group, b.records)
	stop()
	if failed := running.Wait(); failed != nil {
		return 0, failed
	}
	return took, err
}

// bare is the loop of franz-go's own examples: what it writes has the size of what the stage writes.
func (b *bench) bare(ctx context.Context) error {
	var vector []byte // the same bytes, so that they compress as little
	for _, v := range random(dim) {
		vector = binary.LittleEndian.AppendUint32(vector, math.Float32bits(v))
	}
	var sessions errgroup.Group
	for i := range b.runner.Workers {
		sessions.Go(func() error {
			session, err := kgo.NewGroupTransactSession(
				kgo.SeedBrokers(b.brokers...), kgo.ConsumerGroup("bare"), kgo.ConsumeTopics(kafka.Extracted), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.TransactionalID(fmt.Sprintf("bare.%d", i)), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
				kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()),
			)
			if err != nil {
				return err
			}
			defer session.Close()
			for {
				fetches := session.PollFetches(ctx)
				if ctx.Err() != nil {
					return nil
				}
				if err := session.Begin(); err != nil {
					return err
				}
				delivered := kgo.AbortingFirstErrPromise(session.Client())
				fetches.EachRecord(func(r *kgo.Record) {
					value := append(append(make([]byte, 0, len(r.Value)+len(vector)), r.Value...), vector...)
					session.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: kafka.Embedded(encoderID), Partition: r.Partition, Key: r.Key, Value: value, Headers: r.Headers}, delivered.Promise())
				})
				if _, err := session.End(context.WithoutCancel(ctx), delivered.Err() == nil); err != nil {
					return err
				}
			}
		})
	}
	return sessions.Wait()
}
