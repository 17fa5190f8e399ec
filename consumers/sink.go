package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"jobstrom/health"
	"jobstrom/kafka"
	"jobstrom/warehouse"
)

// SinkOptions configure the ClickHouse sink.
type SinkOptions struct {
	Kafka     kafka.Options
	Warehouse *warehouse.Warehouse
	// Encoder says whose vectors are kept.
	Encoder string
	// Dim is the length of the encoder's vectors: the sink makes the table in which similar vacancies are searched by an index. 0 makes none.
	Dim int
	// Interval and MaxRows bound a block: whichever is first. Defaults 1 s and 100,000.
	Interval time.Duration
	MaxRows  int
	// Version of this jobstrom, for dead letters.
	Version string
	// Board takes what is wrong; nil shows it nowhere.
	Board      *health.Board
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Tracing makes the spans of records whose traces are kept; nil makes none.
	Tracing trace.TracerProvider
}

// EnsureDefaults fills what is zero.
func (o *SinkOptions) EnsureDefaults() {
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.MaxRows == 0 {
		o.MaxRows = 100_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// sink moves the records of one group into ClickHouse.
type sink struct {
	SinkOptions
	client   *kgo.Client
	embedded string
	// begin holds the ids of the topics whose records are known by their own places: labels and the API's predictions.
	begin   map[string]kafka.TopicID
	metrics *sinkMetrics
	spans   *spanMaker
}

// block is what one round inserts.
type block struct {
	embeddings  []warehouse.EmbeddingRow
	predictions []warehouse.PredictionRow
	labels      []warehouse.LabelRow
	dead        []warehouse.DeadLetterRow
	replays     []warehouse.DeadLetterReplayRow
	erasures    []warehouse.Erasure
	shadows     []warehouse.ShadowRow
	// apiEmbeddings and apiPredictions are what the API answered.
	apiEmbeddings  []warehouse.EmbeddingRow
	apiPredictions []warehouse.PredictionRow
	events         []warehouse.ModelEventRow
	refused        []*kgo.Record // dead letters of the sink's own
	records        int
	failed         error // nobody can retry it
	began          time.Time
	spans          []sinkSpan // of the records whose traces are kept
}

// sinkSpan is the span of a record, and the class of the dead letter that it made, or none.
type sinkSpan struct {
	trace.Span
	refused string
}

// Sink inserts what the flow made, until ctx ends (nil). Offsets are committed after ClickHouse has the rows; what is read again after a crash
// has the same coordinates and changes no view. While ClickHouse is away the sink waits and the stages go on. It returns an error when nobody can retry:
// a right is missing, say.
//
// It reads in two groups (kafka.Readers): the encoder's vectors in one of the encoder's own, all else in one that the sinks of all encoders share. Neither waits for the other,
// which erasures allow: every topic brings a tombstone of its own behind what it held.
func Sink(ctx context.Context, o SinkOptions) error {
	o.EnsureDefaults()
	metrics := newSinkMetrics(o.Registerer)
	groups, work := errgroup.WithContext(ctx)
	groups.Go(func() error { return purge(work, o) })
	if o.Dim > 0 {
		groups.Go(func() error { ensureSimilar(work, o); return nil })
	}
	for _, r := range kafka.Readers(o.Encoder) {
		if r.Stage == "sink" {
			groups.Go(func() error { return sinkOf(work, o, r, metrics) })
		}
	}
	if err := groups.Wait(); err != nil {
		return fmt.Errorf("running the sink: %w", err)
	}
	return nil
}

// ensureSimilar tries until ClickHouse has the table of similar vacancies, or ctx ends. Nobody waits for it: without the table searches take longer.
func ensureSimilar(ctx context.Context, o SinkOptions) {
	for failures := 1; ; failures++ {
		err := o.Warehouse.EnsureSimilar(ctx, o.Encoder, o.Dim)
		if err == nil || ctx.Err() != nil {
			return
		}
		o.Logger.Warn("similar vacancies are searched without an index for now", "error", err)
		if !pause(ctx, failures) {
			return
		}
	}
}

// sinkOf inserts what one group reads.
func sinkOf(ctx context.Context, o SinkOptions, r kafka.Reader, metrics *sinkMetrics) error {
	o.Kafka.ClientID, o.Kafka.Registerer = r.Group(), o.Registerer
	s := &sink{SinkOptions: o, embedded: kafka.Embedded(o.Encoder), begin: map[string]kafka.TopicID{}, metrics: metrics, spans: newSpanMaker(o.Tracing, "sink", r.Encoder)}
	client, err := kafka.NewClient(o.Kafka,
		kgo.ConsumerGroup(r.Group()),
		kgo.ConsumeTopics(r.Topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return err
	}
	// Closing must not wait for a rebalance that the last poll still holds off.
	defer client.CloseAllowingRebalance()
	s.client = client
	for _, topic := range []string{kafka.Labels, kafka.APIPredictions} {
		if s.begin[topic], err = kafka.IDOf(ctx, client, topic); err != nil {
			if ctx.Err() != nil {
				return nil // ended before it began
			}
			return kafka.Denied(err, kafka.ReadTopic(topic))
		}
	}
	if r.Encoder != "" {
		if err := kafka.TakeOver(ctx, client, "sink", r.Encoder, s.embedded, ""); err != nil && ctx.Err() == nil {
			s.Logger.Info("vectors are read from the beginning, which changes nothing", "topic", s.embedded, "error", err)
		}
	}
	for {
		b := s.collect(ctx)
		if b.records > 0 {
			err := s.store(ctx, b)
			if err != nil && b.failed == nil {
				b.failed = err
			}
			s.traced(b, err)
		}
		if ctx.Err() != nil {
			return nil // the offsets say where to go on
		}
		if b.failed != nil {
			return b.failed
		}
		client.AllowRebalance()
	}
}

// traced ends the spans of a block.
func (s *sink) traced(b *block, err error) {
	spans := make([]trace.Span, len(b.spans))
	for i, span := range b.spans {
		spans[i] = span.Span
		switch {
		case err != nil:
			end(span.Span, verdictFailed, true)
		case span.refused != "":
			end(span.Span, span.refused, true)
		default:
			end(span.Span, verdictStored, false)
		}
	}
	if err == nil {
		s.spans.batch("insert", b.began, b.records, spans)
	}
}

// collect gathers a block: from its first record until Interval or MaxRows is reached, or ctx ends.
func (s *sink) collect(ctx context.Context) *block {
	b := &block{}
	var deadline time.Time
	for b.records < s.MaxRows {
		round, cancel := ctx, context.CancelFunc(func() {})
		if !deadline.IsZero() {
			round, cancel = context.WithDeadline(ctx, deadline)
		}
		fetches := s.client.PollRecords(round, s.MaxRows-b.records)
		over := round.Err() != nil || fetches.IsClientClosed()
		cancel()
		fetches.EachError(func(topic string, partition int32, err error) {
			if !over {
				s.Logger.Warn("fetching", "stage", "sink", "topic", topic, "partition", partition, "error", err)
				if Judge(err) == Fatal {
					b.failed = fmt.Errorf("reading %s: %w", topic, err)
				}
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if b.records++; b.began.IsZero() {
				b.began = time.Now()
			}
			span, class := s.spans.begin(r, b.began), ""
			if err := s.add(b, r); err != nil {
				class = Class(err)
				s.metrics.dead.WithLabelValues("sink", class).Inc()
				logDeadLetter(s.Logger.With("stage", "sink"), r, class)
				letter := deadLetter(r, refusal{Stage: "sink", Version: s.Version, Topic: s.begin[r.Topic], Attempts: 1, Reason: err})
				traced(span, r, letter)
				b.refused = append(b.refused, letter)
			}
			if span != nil {
				b.spans = append(b.spans, sinkSpan{span, class})
			}
		})
		if over || b.failed != nil {
			return b
		}
		if deadline.IsZero() && b.records > 0 {
			deadline = time.Now().Add(s.Interval)
		}
	}
	return b
}

// store inserts a block and commits its offsets. It tries until ClickHouse takes it, ctx ends, or what Kafka says is for nobody to retry.
func (s *sink) store(ctx context.Context, b *block) error {
	start, at := time.Now(), health.Place{Part: "clickhouse", Stage: "sink"}
	s.metrics.pending.Add(float64(b.records))
	defer s.metrics.pending.Sub(float64(b.records))
	for try := 0; ; try++ {
		err := s.insert(ctx, b)
		if err == nil {
			s.Board.Clear(at)
			break
		}
		if Judge(err) == Fatal {
			return err
		}
		s.metrics.fails.Inc()
		s.Board.Report(health.Problem{Place: at, Reason: err.Error(), Remedy: "the sink tries again until ClickHouse takes the rows, the stages go on; see that ClickHouse runs, can be reached and has room"}, 0)
		pause := min(200*time.Millisecond<<min(try, 6), 10*time.Second)
		s.Logger.Warn("ClickHouse does not take the rows, trying again", "records", b.records, "pause", pause, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	// The rows are there: the offsets are committed even when the flow ends meanwhile.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.client.CommitUncommittedOffsets(work); err != nil {
		s.Logger.Warn("committing offsets; the rows will be read again, which changes nothing", "error", err)
	}
	s.metrics.stored(b, time.Since(start))
	return nil
}

func (s *sink) insert(ctx context.Context, b *block) error {
	// A drain still stores the block in hand, when ClickHouse is there.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := s.insertRows(ctx, b); err != nil {
		return err
	}
	if len(b.refused) > 0 {
		if err := s.client.ProduceSync(ctx, b.refused...).FirstErr(); err != nil {
			return fmt.Errorf("writing dead letters: %w", err)
		}
	}
	return nil
}

// insertRows carries out the block's tombstones and inserts its rows.
func (s *sink) insertRows(ctx context.Context, b *block) error {
	if err := s.erase(ctx, b); err != nil {
		return err
	}
	return errors.Join(
		s.Warehouse.InsertEmbeddings(ctx, b.embeddings),
		s.Warehouse.InsertPredictions(ctx, b.predictions),
		s.Warehouse.InsertLabels(ctx, b.labels),
		s.Warehouse.InsertDeadLetters(ctx, b.dead),
		s.Warehouse.InsertDeadLetterReplays(ctx, b.replays),
		s.Warehouse.InsertShadows(ctx, b.shadows),
		s.Warehouse.InsertAPI(ctx, b.apiEmbeddings, b.apiPredictions),
		s.Warehouse.InsertModelEvents(ctx, b.events),
	)
}
