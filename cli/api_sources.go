package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/pipeline"
	"jobstrom/producers"
	"jobstrom/registry"
	"jobstrom/server/api"
)

// Bounds of what the API waits for.
const (
	askWithin    = 10 * time.Second // an answer of Kafka or ClickHouse
	changeWithin = 30 * time.Second // a change of the registry
	workWithin   = 50 * time.Second // a replay or a report
)

// apiSources join what the API asks to the parts of a flow.
type apiSources struct {
	*flow
	publisher *kgo.Client
	receipts  receipts
	writer    registry.Writer
	// heavy lets one replay and one report through at a time.
	replays, reports *semaphore.Weighted
}

// apiSources returns what the API asks of this flow. Without Kafka or ClickHouse it has nothing that needs them.
func (f *flow) apiSources() (api.Sources, error) {
	s := &apiSources{
		flow: f, writer: registry.Writer{Kafka: f.kafka, Version: version}, replays: semaphore.NewWeighted(1), reports: semaphore.NewWeighted(1),
	}
	sources := api.Sources{Classify: pipeline.NewLimit(f.pipeline.Run, f.config.UnderWay).Do, Taxonomy: f.pipeline.Taxonomy, Encoder: f.encoder}
	if len(f.kafka.Brokers) > 0 {
		if err := s.withKafka(&sources); err != nil {
			return sources, err
		}
	}
	if f.warehouse != nil {
		s.withWarehouse(&sources)
	}
	return sources, nil
}

func (s *apiSources) withKafka(sources *api.Sources) error {
	o := s.kafka
	o.ClientID, o.Registerer = "jobstrom.publish", s.metrics
	// A request waits for Kafka no longer than others do. What had been sent may be there after all, which publishing it again does not hurt.
	client, err := kafka.NewClient(o, kgo.RecordDeliveryTimeout(askWithin), kgo.AllowIdempotentProduceCancellation())
	if err != nil {
		return err
	}
	s.publisher = client
	s.stops = append(s.stops, client.Close)
	recorder, err := producers.NewRecorder(producers.RecorderOptions{Kafka: s.kafka, Logger: s.log, Registerer: s.metrics})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, recorder.Close)
	feed, err := consumers.NewFeed(consumers.FeedOptions{Kafka: s.kafka, Categories: len(s.pipeline.Taxonomy.Categories), Logger: s.log})
	if err != nil {
		return err
	}
	s.actors.Go(func() error { return feed.Run(s.work) })
	names := s.pipeline.Taxonomy.Names()
	sources.Record = func(results []pipeline.Result) {
		recorder.Record(pipeline.APIPredictions(results, names, s.encoder, time.Now()))
	}
	sources.Publish, sources.Label, sources.Feed = s.publish, s.label, feedSource{feed}
	sources.Models, sources.Promote, sources.Rollback, sources.ModelReport = s.models, s.promoteModel, s.rollback, s.modelReport
	sources.DeadLetters, sources.Replay = s.lettersOnKafka, s.replay
	return nil
}

func (s *apiSources) withWarehouse(sources *api.Sources) {
	sources.Vacancy, sources.Similar = s.vacancy, s.similar
	sources.Drift, sources.DriftReport = s.driftSeen, s.driftReport
	if sources.Replay != nil { // the topic need not be read for a list
		sources.DeadLetters = s.lettersInWarehouse
	}
}

// away turns an error of Kafka that will pass into api.ErrAway. What it says of brokers is for the log, not for the caller.
func (s *apiSources) away(ctx context.Context, err error) error {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) || consumers.Judge(err) != consumers.Retry {
		return err
	}
	s.log.Warn("Kafka does not answer the API", "error", err)
	return isAway("Kafka")
}

// Codes of ClickHouse's exceptions for what a flow makes when it starts.
const (
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
)

// warehouseAway does the same for ClickHouse. A server that answers is there, but may not have the flow's tables yet.
func (s *apiSources) warehouseAway(ctx context.Context, err error) error {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	var said *clickhouse.Exception
	if errors.As(err, &said) {
		if said.Code != codeUnknownTable && said.Code != codeUnknownDatabase {
			return err
		}
		s.log.Warn("ClickHouse lacks tables of the flow: the sink makes them when it starts", "error", err)
		return fmt.Errorf("the flow's tables in ClickHouse are not there yet: the database %w", api.ErrAway)
	}
	if consumers.Judge(err) != consumers.Retry && !isDialing(err) {
		return err
	}
	s.log.Warn("ClickHouse does not answer the API", "error", err)
	return isAway("ClickHouse")
}

// isDialing says whether there was no connection to be had.
func isDialing(err error) bool {
	return errors.Is(err, clickhouse.ErrAcquireConnTimeout) || errors.Is(err, clickhouse.ErrAcquireConnNoAddress) || errors.Is(err, clickhouse.ErrServerUnexpectedData)
}

func isAway(part string) error { return fmt.Errorf("%s %w", part, api.ErrAway) }
