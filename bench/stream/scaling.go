package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"jobstrom/bench/figures"
	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/schemas"
)

// scaling compares 8 workers with 1 where the encoder takes a fixed time for each text: what is lost is the stream's.
func (b *bench) scaling(ctx context.Context) error {
	const many, window = 8, 15 * time.Second
	client, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	figures.Note("scaling: embed with a stub encoder that takes %s a text, %d partitions, %s each", b.answer, partitions, window)
	n := int(window/b.answer) * many * 3
	if err := fill(ctx, client, kafka.Extracted, n, extraction); err != nil {
		return err
	}
	rate := map[int]float64{}
	for _, workers := range []int{1, many} {
		if err := forget(ctx, admin, kafka.Group("embed", encoderID)); err != nil {
			return err
		}
		if rate[workers], err = b.rate(ctx, admin, workers, window); err != nil {
			return err
		}
		figures.Note("%d workers: %.1f records/s", workers, rate[workers])
	}
	figures.AtLeast(fmt.Sprintf("%d workers / 1 worker, records", many), rate[many]/rate[1], 7.5)
	return nil
}

func extraction(i int) *kgo.Record {
	value, _ := schemas.Encode(schemas.Protobuf, &schemas.Extraction{Id: fmt.Sprintf("v-%08d", i), Text: "lagermedarbejder"})
	c := kafka.Coordinates{Partition: int32(i % partitions), Offset: int64(i / partitions), Time: time.Now()}
	return &kgo.Record{Value: value, Headers: c.Headers(schemas.Protobuf)}
}

// rate counts what workers commit between two commits that lie a window apart, after all have begun.
func (b *bench) rate(ctx context.Context, admin *kadm.Client, workers int, window time.Duration) (float64, error) {
	ctx, stop := context.WithCancel(ctx)
	var running errgroup.Group
	options := b.runner
	options.Workers = workers
	running.Go(func() error {
		defer stop()
		return consumers.Run(ctx, consumers.Embed(newStub(b.answer)), options)
	})
	// next waits for a commit past a count and returns when it was seen.
	next := func(past int64) (int64, time.Time, error) {
		for {
			at, err := committed(ctx, admin, kafka.Group("embed", encoderID))
			if err != nil || at > past {
				return at, time.Now(), err
			}
			select {
			case <-ctx.Done():
				return 0, time.Time{}, ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	begun := int64(workers * 64) // by then every worker has committed
	first, start, err := next(2 * begun)
	last, end := first, start
	for err == nil && end.Sub(start) < window {
		last, end, err = next(last)
	}
	stop()
	if failed := running.Wait(); failed != nil {
		return 0, failed
	}
	return float64(last-first) / end.Sub(start).Seconds(), err
}

// memory lets a stage work on a backlog that is far larger than its bound, and looks at what it holds.
func (b *bench) memory(ctx context.Context) error {
	const size, perSecond, held = 10 << 10, 100, 8 << 20
	before := live()
	client, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	n := b.backlog * perSecond
	text, random := words(rand.New(rand.NewPCG(1, 2)), 1<<20), rand.New(rand.NewPCG(3, 4))
	err = fill(ctx, client, kafka.Extracted, n, func(i int) *kgo.Record {
		r := extraction(i)
		at := random.IntN(len(text) - size)
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ballast", Value: text[at : at+size-len(r.Value)]})
		return r
	})
	client.Close()
	if err != nil {
		return err
	}
	figures.Note("memory: a backlog of %d records of 10 KiB (%d s at %d/s), embed with a stub encoder of 10 ms a text, %d workers that may hold %d MiB each", n, b.backlog, perSecond, b.runner.Workers, held>>20)
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	var running errgroup.Group
	options := b.runner
	options.MaxBytes = held
	running.Go(func() error {
		return consumers.Run(ctx, consumers.Embed(newStub(10*time.Millisecond)), options)
	})
	var peak uint64
	for ctx.Err() == nil {
		peak = max(peak, live())
		time.Sleep(100 * time.Millisecond) // a sample
	}
	if err := running.Wait(); err != nil {
		return err
	}
	figures.Note("live heap at most %.1f MiB above the start", float64(peak-min(peak, before))/(1<<20))
	figures.AtMost("memory held / bound", float64(peak-min(peak, before))/float64(b.runner.Workers*held), 1)
	return nil
}

// live is what a collection leaves.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// words returns text of job titles in random order, which compresses like vacancies do.
func words(r *rand.Rand, n int) []byte {
	var titles []string
	for _, c := range schemas.Jobnet().Categories {
		titles = append(titles, c.Titles...)
	}
	var text []byte
	for len(text) < n {
		text = append(append(text, titles[r.IntN(len(titles))]...), ' ')
	}
	return text[:n]
}
