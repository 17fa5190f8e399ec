package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"jobstrom/consumers"
	"jobstrom/drift"
	"jobstrom/embedded"
	"jobstrom/health"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// flow is what runs in one process. Parts start in order and stop in reverse: what reads stops before what it reads from.
type flow struct {
	*app
	kafka     kafka.Options
	warehouse *warehouse.Warehouse
	pipeline  *pipeline.Pipeline
	encoder   string // identity of the encoder whose vectors flow
	dim       int    // their length
	owners    *registry.Owners
	metrics   *prometheus.Registry
	trained   *trainedGauge
	tracing   trace.TracerProvider // nil: no traces
	board     *health.Board
	// clickHouseHTTP is where the embedded engine answers HTTP; empty for another's.
	clickHouseHTTP string

	stops []func()
	// work ends when the flow is asked to drain; actors are what then has to finish.
	actors *errgroup.Group
	work   context.Context
	drain  context.CancelFunc
}

// Places of what the flow itself lacks.
var (
	starting     = health.Place{Part: "start"}
	noClassifier = health.Place{Part: "classifier"}
)

// parts says which parts of a flow a command needs, and by which name its traces know it. Extracts, encodes and classifies say that its pipeline must do that, too.
type parts struct {
	service                                                   string
	kafka, warehouse, pipeline, extracts, encodes, classifies bool
}

// start brings up the parts, those that do not need each other side by side. On error what was started is stopped.
func (a *app) start(ctx context.Context, need parts) (*flow, error) {
	f := &flow{app: a, metrics: prometheus.NewRegistry(), trained: newTrainedGauge(), kafka: a.config.kafkaOptions(a.log)}
	f.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	tracing, stopTracing, err := a.traces(ctx, need.service, f.metrics)
	if err != nil {
		return nil, err
	}
	f.tracing, f.stops = tracing, []func(){stopTracing} // it stops last
	work, drain := context.WithCancel(ctx)
	f.drain = drain
	f.actors, f.work = errgroup.WithContext(work)
	f.board = &health.Board{}
	f.metrics.MustRegister(f.board.Collector())
	if a.config.MetricsAddress != "" {
		f.board.Report(health.Problem{Place: starting, Reason: "the process is starting", Remedy: "wait"}, 0)
		if err := f.serveMetrics(); err != nil {
			drain()
			return nil, err
		}
	}
	var mu sync.Mutex
	stopLater := func(stop func()) {
		mu.Lock()
		defer mu.Unlock()
		f.stops = append(f.stops, stop)
	}
	var group errgroup.Group
	if need.pipeline {
		group.Go(func() error {
			key, err := a.employerKey()
			if err != nil {
				return err
			}
			card, err := models.ReadEncoderCard(a.encoderDir())
			if err != nil {
				return err
			}
			f.encoder, f.dim = card.ID, card.Dim
			f.pipeline, err = a.pipeline(key, need)
			if err != nil {
				return err
			}
			stopLater(func() { _ = f.pipeline.Close() })
			if need.encodes {
				f.metrics.MustRegister(cacheMetrics(f.pipeline.Encoder.CacheStats)...)
			}
			if need.classifies {
				f.metrics.MustRegister(f.trained)
				f.trained.show(f.pipeline.Live.Load())
			}
			return nil
		})
	}
	if need.kafka {
		group.Go(func() error { return f.startKafka(ctx, stopLater) })
	}
	if need.warehouse {
		group.Go(func() error { return f.startWarehouse(ctx, stopLater) })
	}
	if err := group.Wait(); err != nil {
		f.stop()
		return nil, err
	}
	if need.pipeline && f.pipeline.Live.Load() == nil {
		f.board.Report(health.Problem{Place: noClassifier, Reason: "no classifier takes this encoder's vectors", Remedy: "its vectors wait: train one for this encoder with jobstrom train, which also promotes it"}, 0)
	}
	return f, nil
}

func (f *flow) startKafka(ctx context.Context, stopLater func(func())) error {
	if len(f.kafka.Brokers) == 0 {
		dir, err := f.config.dataFolder("kafka")
		if err != nil {
			return err
		}
		broker, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir, Port: f.config.KafkaPort, Logger: f.log})
		if err != nil {
			return fmt.Errorf("%w (--kafka-port, or --brokers for a cluster that runs already)", err)
		}
		stopLater(broker.Stop)
		f.kafka.Brokers = broker.Addrs()
	}
	client, err := kafka.NewClient(f.kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := kafka.Reach(ctx, client, 10*time.Second); err != nil {
		return err
	}
	f.kafka.Frames, err = f.frames(ctx)
	return err
}

// employerKey returns the configured key; an embedded flow makes one and keeps it in its data folder.
func (a *app) employerKey() ([]byte, error) {
	if given := a.config.employerKey(); !given.IsZero() || len(a.config.Brokers) > 0 {
		key, err := given.Read()
		return []byte(key.Reveal()), err
	}
	path := filepath.Join(a.config.Data, "employer.key")
	if key, err := os.ReadFile(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	key := []byte(hex.EncodeToString(randomBytes(32)))
	if err := os.MkdirAll(a.config.Data, 0o755); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	return key, os.WriteFile(path, key, 0o600)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, says its documentation
	return b
}

// ensureTopics creates what is missing.
func (f *flow) ensureTopics(ctx context.Context, encoder string) error {
	client, err := kafka.NewClient(f.kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	return kafka.EnsureTopics(ctx, client, encoder, f.config.layout())
}

// rawTopic returns the raw topic's id, which only the stage that reads it needs, and may see.
func (f *flow) rawTopic(ctx context.Context) (kafka.TopicID, error) {
	client, err := kafka.NewClient(f.kafka)
	if err != nil {
		return kafka.TopicID{}, err
	}
	defer client.Close()
	return kafka.IDOf(ctx, client, kafka.Raw)
}

// watchRegistry follows the champion and who is live. It returns when the registry was read to its end.
func (f *flow) watchRegistry(ctx context.Context) error {
	ready := make(chan struct{})
	failed := make(chan error, 1)
	f.owners = &registry.Owners{Encoder: f.encoder}
	f.actors.Go(func() error {
		err := registry.Watch(f.work, registry.WatchOptions{
			Kafka: f.kafka, Taxonomy: f.pipeline.Taxonomy.ID, Encoder: f.encoder, Owners: f.owners, Board: f.board, Logger: f.log,
			Ready: func() { close(ready) },
			Champion: func(c *schemas.Classifier) error {
				err := f.promote(f.pipeline, c)
				if err == nil {
					f.board.Clear(noClassifier)
					f.trained.show(f.pipeline.Live.Load())
				}
				return err
			},
			Challengers: f.challenge,
		})
		failed <- err
		return err
	})
	select {
	case <-ready:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// challenge has the classify stage score challengers.
func (f *flow) challenge(messages []*schemas.Classifier) {
	var challengers []*classify.Classifier
	for _, m := range messages {
		c, err := classify.New(m, f.pipeline.Taxonomy, f.config.classifyOptions())
		if err != nil {
			f.log.Error("challenger refused, it is not scored", "model", m.Id, "error", err)
			continue
		}
		f.log.Info("challenger is scored", "model", m.Id)
		challengers = append(challengers, c)
	}
	f.pipeline.Live.Challenge(challengers)
}

// stages lists the names that jobstrom run takes.
var stages = []string{"extract", "embed", "classify", "sink"}

// runStages adds workers for the named stages.
func (f *flow) runStages(ctx context.Context, names []string, slot string) error {
	encoder := f.encoder
	if err := f.ensureTopics(ctx, encoder); err != nil {
		return err
	}
	options := f.config.runnerOptions()
	options.Kafka, options.Slot, options.Version, options.Board, options.Logger, options.Registerer = f.kafka, slot, version, f.board, f.log, f.metrics
	options.Tracing = f.tracing
	if slices.Contains(names, "embed") || slices.Contains(names, "classify") {
		if err := f.watchRegistry(ctx); err != nil {
			return err
		}
	}
	for _, name := range names {
		var stage consumers.Stage
		switch name {
		case "extract":
			raw, err := f.rawTopic(ctx)
			if err != nil {
				return err
			}
			stage = consumers.Extract(f.pipeline.Extractor, raw)
		case "embed":
			stored, err := f.stored(ctx)
			if err != nil {
				return err
			}
			stage = consumers.Embed(stored)
			stage.Owns = f.owners.Owns
		case "classify":
			stage = consumers.Classify(f.pipeline.Live, f.pipeline.Taxonomy, encoder)
			stage.Owns = f.owners.Owns
		case "sink":
			f.actors.Go(func() error {
				return consumers.Sink(f.work, consumers.SinkOptions{Kafka: f.kafka, Warehouse: f.warehouse, Encoder: encoder, Dim: f.dim, Version: version, Board: f.board, Logger: f.log, Registerer: f.metrics, Tracing: f.tracing})
			})
			f.actors.Go(func() error {
				return drift.Keep(f.work, drift.KeepOptions{Warehouse: f.warehouse, Board: f.board, Logger: f.log})
			})
			f.actors.Go(func() error {
				return consumers.MeasureUsage(f.work, consumers.UsageOptions{Kafka: f.kafka, Warehouse: f.warehouse, Topics: kafka.TopicNames(encoder), Logger: f.log, Registerer: f.metrics})
			})
			continue
		}
		f.actors.Go(func() error { return consumers.Run(f.work, stage, options) })
	}
	readers := slices.DeleteFunc(kafka.Readers(encoder), func(r kafka.Reader) bool { return !slices.Contains(names, r.Stage) })
	f.actors.Go(func() error {
		return consumers.Monitor(f.work, consumers.MonitorOptions{Kafka: f.kafka, Readers: readers, Board: f.board, Logger: f.log, Registerer: f.metrics})
	})
	f.board.Clear(starting)
	return nil
}

// stored returns the encoder, and with --embed-reuse ClickHouse before it: the flow's own, or another's that may be away.
func (f *flow) stored(ctx context.Context) (*consumers.Stored, error) {
	options := consumers.StoredOptions{Logger: f.log, Registerer: f.metrics}
	if f.config.EmbedReuse {
		options.Warehouse = f.warehouse
	}
	if options.Warehouse == nil {
		w, err := f.storedVectors(ctx)
		if err != nil {
			return nil, err
		}
		if w != nil {
			f.stops = append(f.stops, func() { _ = w.Close() })
		}
		options.Warehouse = w
	}
	return consumers.NewStored(f.pipeline.Encoder, options), nil
}

// wait returns when the flow was asked to end, or an actor failed.
func (f *flow) wait() error {
	<-f.work.Done()
	return f.actors.Wait()
}

// stop drains the actors and stops the parts. It may be called after wait, too.
func (f *flow) stop() {
	f.drain()
	if err := f.actors.Wait(); err != nil {
		f.log.Error("stopping", "error", err)
	}
	for i := len(f.stops) - 1; i >= 0; i-- {
		f.stops[i]()
	}
	f.stops = nil
}
