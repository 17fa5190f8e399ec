package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"jobstrom/bench/bare"
	"jobstrom/bench/figures"
	"jobstrom/consumers"
	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/schemas"
)

const (
	targetStream = .95
	// partitions are those of `jobstrom up`.
	partitions = 4
	// warming is how many vacancies pass before the first round.
	warming = 64
)

// stream compares the flow with the bare loop, in turns.
func (b *bench) stream(ctx context.Context) (err error) {
	loop, err := bare.Open(b.encoder, nil)
	if err != nil {
		return err
	}
	defer loop.Close()
	prepared, err := loop.Prepare(b.texts)
	if err != nil {
		return err
	}
	defer bare.Free(prepared)
	if err := b.explainPadding(loop, prepared); err != nil {
		return err
	}
	if err := b.same(ctx, loop, b.texts[:min(warming, len(b.texts))]); err != nil {
		return err
	}
	vectors := make([][]float32, len(b.texts))
	f, err := b.startFlow(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	if _, err := f.pass(b.vacancies[:min(warming, len(b.vacancies))]); err != nil {
		return err
	}
	var ratios, shares []float64
	var profiles profiles
	n := float64(len(b.vacancies))
	for i := range b.rounds {
		before := processors()
		began := time.Now()
		if err := loop.Run(prepared, vectors); err != nil {
			return err
		}
		limit, limitCPU := time.Since(began), processors()-before
		before = processors()
		if b.profile != "" {
			if err := pprof.StartCPUProfile(profiles.next()); err != nil {
				return err
			}
		}
		whole, err := f.pass(b.vacancies)
		pprof.StopCPUProfile()
		if err != nil {
			return err
		}
		wholeCPU := processors() - before
		ratios, shares = append(ratios, limit.Seconds()/whole.Seconds()), append(shares, limitCPU.Seconds()/wholeCPU.Seconds())
		figures.Note("round %d: bare %.1f/s, %.2f ms of processors a text; stream %.1f/s, %.2f ms", i+1, n/limit.Seconds(), 1e3*limitCPU.Seconds()/n, n/whole.Seconds(), 1e3*wholeCPU.Seconds()/n)
	}
	if b.profile != "" {
		if err := profiles.write(b.profile); err != nil {
			return err
		}
	}
	figures.Note("ratios of the rounds: throughput %.3f to %.3f, processors a text %.3f to %.3f, median %.3f", slices.Min(ratios), slices.Max(ratios), slices.Min(shares), slices.Max(shares), figures.Median(shares))
	figures.AtLeast("stream, raw to classified / bare loop, throughput", figures.Median(ratios), targetStream)
	return nil
}

// explainPadding says how many tokens are computed.
func (b *bench) explainPadding(loop *bare.Loop, all []bare.Batch) error {
	count := func(prepared []bare.Batch) (tokens, pad, batches int) {
		for _, t := range prepared {
			tokens, pad = tokens+t.Tokens, pad+t.Pad
		}
		return tokens, pad, len(prepared)
	}
	tokens, pad, batches := count(all)
	figures.Note("%d vacancies, %.0f tokens on average; all sorted: %d sub-batches, %.1f %% padding", len(b.texts), float64(tokens)/float64(len(b.texts)), batches, 100*float64(pad)/float64(tokens))
	const window = 64
	pad, batches = 0, 0
	for texts := range slices.Chunk(b.texts, window) {
		some, err := loop.Prepare(texts)
		if err != nil {
			return err
		}
		_, p, n := count(some)
		pad, batches = pad+p, batches+n
		if err := bare.Free(some); err != nil {
			return err
		}
	}
	figures.Note("sorted in windows of %d, as a stage sees about at once: %d sub-batches, %.1f %% padding", window, batches, 100*float64(pad)/float64(tokens))
	return nil
}

// same fails unless the bare loop computes what the encoder does. Both are warm then.
func (b *bench) same(ctx context.Context, loop *bare.Loop, texts []string) error {
	got, err := b.pipeline.Encoder.Embed(ctx, texts)
	if err != nil {
		return err
	}
	vectors, err := loop.Do(texts)
	if err != nil {
		return err
	}
	least := 1.0
	for i, v := range vectors {
		least = min(least, cosine(v, got[i].Values))
	}
	figures.Note("least cosine of the bare loop's vectors to the encoder's: %.6f", least)
	if least < .999 {
		return fmt.Errorf("comparing the bare loop's vectors with the encoder's: the least cosine is %g", least)
	}
	return nil
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		ab, aa, bb = ab+float64(x)*y, aa+float64(x)*float64(x), bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}

// processors returns the time that this process has taken of all processors.
func processors() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0 // it cannot fail for the process itself
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// flow is a broker with the three stages at work.
type flow struct {
	b      *bench
	broker *embedded.Kafka
	dir    string
	kafka  kafka.Options
	client *kgo.Client
	cancel context.CancelFunc
	work   context.Context
	actors *errgroup.Group
}

func (b *bench) startFlow(ctx context.Context) (_ *flow, err error) {
	f := &flow{b: b}
	if f.dir, err = os.MkdirTemp("", "bench-embed-*"); err != nil {
		return nil, err
	}
	work, cancel := context.WithCancel(ctx)
	f.cancel = cancel
	f.actors, f.work = errgroup.WithContext(work)
	defer func() {
		if err != nil {
			err = errors.Join(err, f.stop())
		}
	}()
	if f.broker, err = embedded.StartKafka(embedded.KafkaOptions{Dir: f.dir}); err != nil {
		return nil, err
	}
	f.kafka = kafka.Options{Brokers: f.broker.Addrs()}
	if f.client, err = kafka.NewClient(f.kafka); err != nil {
		return nil, err
	}
	encoder := b.pipeline.Encoder.Card().ID
	if err := kafka.EnsureTopics(ctx, f.client, encoder, kafka.Layout{Partitions: partitions, Replication: 1}); err != nil {
		return nil, err
	}
	raw, err := kafka.IDOf(ctx, f.client, kafka.Raw)
	if err != nil {
		return nil, err
	}
	for _, stage := range []consumers.Stage{
		consumers.Extract(b.pipeline.Extractor, raw), consumers.Embed(b.pipeline.Encoder), consumers.Classify(b.pipeline.Live, b.pipeline.Taxonomy, encoder),
	} {
		f.actors.Go(func() error { return consumers.Run(f.work, stage, consumers.RunnerOptions{Kafka: f.kafka}) })
	}
	return f, nil
}

// pass publishes vacancies and returns the time until the last one is classified, publishing included.
func (f *flow) pass(vacancies []*schemas.Vacancy) (time.Duration, error) {
	var began time.Time
	var refused error
	published, arrived := make(chan error, 1), 0
	err := consumers.Follow(f.work, consumers.FollowOptions{Kafka: f.kafka, Topics: []string{kafka.Classified, kafka.DeadLetter}, Ready: func() {
		began = time.Now()
		go func() { published <- f.publish(vacancies) }()
	}}, func(r *kgo.Record) (bool, error) {
		if r.Topic == kafka.DeadLetter {
			refused = fmt.Errorf("passing vacancies: %s is a dead letter", r.Key)
		}
		arrived++
		return arrived < len(vacancies), refused
	})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	if arrived < len(vacancies) {
		return 0, fmt.Errorf("passing vacancies: %d of %d arrived before a stage ended", arrived, len(vacancies))
	}
	return took, <-published
}

func (f *flow) publish(vacancies []*schemas.Vacancy) error {
	publisher := producers.NewPublisher(f.client, f.b.pipeline.Taxonomy)
	for _, v := range vacancies {
		if err := publisher.Publish(f.work, v); err != nil {
			return err
		}
	}
	_, _, err := publisher.Close(f.work)
	return err
}

// stop ends the stages, then the broker.
func (f *flow) stop() error {
	f.cancel()
	err := f.actors.Wait()
	if f.client != nil {
		f.client.Close()
	}
	if f.broker != nil {
		f.broker.Stop()
	}
	return errors.Join(err, os.RemoveAll(f.dir))
}
