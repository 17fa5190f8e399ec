package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
)

// kafkaWait bounds how long a broker holds a fetch that has nothing to give.
const kafkaWait = 250 * time.Millisecond

// Answer is what a stage makes of one record: a record for the next topic, or the reason why there is none.
type Answer struct {
	// Record needs key, value and headers; the runner sets topic and partition.
	Record *kgo.Record
	// Also are records for other topics, which they name; they share the transaction and the partition.
	Also []*kgo.Record
	// Err sends the record to the dead letters.
	Err error
}

// Stage turns a batch of records into as many answers, in order. It gets no more than Batch records at a time.
type Stage struct {
	// Name is "extract", "embed" or "classify"; it names the consumer group too.
	Name string
	// From and To are topics with equal partition counts.
	From, To string
	// Topic is the id of From when that is the raw topic: the coordinates of a dead letter need it.
	Topic kafka.TopicID
	// Model names the model at work, for dead letters. Nil where a stage has none.
	Model func() string
	// Batch bounds the records of one transaction.
	Batch int
	// Answer returns an error only for what hit the whole batch and may pass: it is tried again.
	Answer func(ctx context.Context, in []*kgo.Record) ([]Answer, error)
}

// RunnerOptions configure how stages run.
type RunnerOptions struct {
	Kafka kafka.Options
	// Slot tells the workers of one stage apart. It is part of the transactional id, which must be the same after
	// a restart, or the transaction of a killed worker stalls its readers until it times out. Default "0".
	Slot string
	// TransactionTimeout after which the broker aborts the transaction of a silent worker, default 30 s.
	TransactionTimeout time.Duration
	// Retries of a batch that failed as a whole, each after a longer pause, before the worker gives up. Default 8.
	Retries int
	// Version of this jobstrom, for dead letters.
	Version    string
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// EnsureDefaults fills what is zero.
func (o *RunnerOptions) EnsureDefaults() {
	if o.Slot == "" {
		o.Slot = "0"
	}
	if o.TransactionTimeout == 0 {
		o.TransactionTimeout = 30 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 8
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// runner is one worker of one stage.
type runner struct {
	stage   Stage
	options RunnerOptions
	session *kgo.GroupTransactSession
	metrics *stageMetrics
}

// Run works a stage until ctx ends, then finishes the batch in hand and returns nil.
// Any other return is an error that trying again did not cure.
func Run(ctx context.Context, stage Stage, o RunnerOptions) error {
	o.EnsureDefaults()
	o.Kafka.ClientID, o.Kafka.Registerer = "jobstrom."+stage.Name+"."+o.Slot, o.Registerer
	opts, err := kafka.ClientOptions(o.Kafka,
		kgo.ConsumerGroup("jobstrom."+stage.Name),
		kgo.ConsumeTopics(stage.From),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.TransactionalID("jobstrom."+stage.Name+"."+o.Slot),
		kgo.TransactionTimeout(o.TransactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.FetchMaxWait(kafkaWait),
		kgo.SessionTimeout(6*time.Second),
		kgo.RebalanceTimeout(o.TransactionTimeout),
	)
	if err != nil {
		return fmt.Errorf("running stage %s: %w", stage.Name, err)
	}
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return fmt.Errorf("running stage %s: %w", stage.Name, err)
	}
	defer session.Close()
	r := &runner{stage: stage, options: o, session: session, metrics: newStageMetrics(o.Registerer)}
	failures := 0
	for {
		fetches := session.PollRecords(ctx, stage.Batch)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			o.Logger.Warn("fetching", "stage", stage.Name, "topic", topic, "partition", partition, "error", err)
		})
		in := fetches.Records()
		if len(in) == 0 {
			continue
		}
		// The batch in hand is finished even when ctx ends: a drain loses no work and no time.
		err := r.transact(context.WithoutCancel(ctx), in)
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures > o.Retries {
			return fmt.Errorf("running stage %s: giving up after %d tries: %w", stage.Name, failures, err)
		}
		pause := min(100*time.Millisecond<<failures, 10*time.Second)
		o.Logger.Warn("batch aborted, trying again", "stage", stage.Name, "records", len(in), "pause", pause, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// transact answers one batch in one transaction. After an error the session stands at the offsets before the batch.
func (r *runner) transact(ctx context.Context, in []*kgo.Record) error {
	start := time.Now()
	if err := r.session.Begin(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	// A transaction is bounded in time: past it the broker would abort what we take for done.
	work, cancel := context.WithTimeout(ctx, r.options.TransactionTimeout/3)
	defer cancel()
	answers, failed := r.stage.Answer(work, in)
	if failed == nil && len(answers) != len(in) {
		failed = fmt.Errorf("BUG: %d answers for %d records", len(answers), len(in))
	}
	dead := 0
	// Only this promise may say that all was delivered: TryCommit after a failed record would lose it.
	delivered := kgo.AbortingFirstErrPromise(r.session.Client())
	if failed == nil {
		for i, a := range answers {
			out := a.Record
			if a.Err != nil {
				dead++
				out = deadLetter(in[i], r.stage.refusal(r.options.Version, 1, a.Err))
				r.options.Logger.Info("dead letter", "stage", r.stage.Name, "class", Class(a.Err), "partition", in[i].Partition, "offset", in[i].Offset)
			} else {
				out.Topic = r.stage.To
			}
			for _, record := range append(a.Also, out) {
				record.Partition = in[i].Partition
				r.session.Produce(ctx, record, delivered.Promise())
			}
		}
		failed = delivered.Err()
	}
	committed, err := r.session.End(ctx, failed == nil)
	switch {
	case failed != nil:
		return errors.Join(failed, err)
	case err != nil:
		return fmt.Errorf("ending a transaction: %w", err)
	case !committed:
		// A rebalance took the partitions away meanwhile; their new owner reads the batch again.
		r.options.Logger.Info("batch left to another worker", "stage", r.stage.Name, "records", len(in))
		return nil
	}
	r.metrics.batch(r.stage.Name, len(in), dead, time.Since(start))
	return nil
}

// stageMetrics counts what stages do.
type stageMetrics struct {
	records, dead *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
}

func newStageMetrics(registerer prometheus.Registerer) *stageMetrics {
	m := &stageMetrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobstrom_stage_records_total", Help: "Records answered, by stage."}, []string{"stage"}),
		dead:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobstrom_stage_dead_letters_total", Help: "Records sent to the dead letters, by stage."}, []string{"stage"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "jobstrom_stage_transaction_seconds", Help: "Time of a stage's transactions.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}, []string{"stage"}),
	}
	if registerer != nil {
		m.records = register(registerer, m.records)
		m.dead = register(registerer, m.dead)
		m.seconds = register(registerer, m.seconds)
	}
	return m
}

func (m *stageMetrics) batch(stage string, records, dead int, took time.Duration) {
	m.records.WithLabelValues(stage).Add(float64(records))
	m.dead.WithLabelValues(stage).Add(float64(dead))
	m.seconds.WithLabelValues(stage).Observe(took.Seconds())
}

// register lets the stages of one process share their collectors.
func register[C prometheus.Collector](registerer prometheus.Registerer, c C) C {
	var already prometheus.AlreadyRegisteredError
	if errors.As(registerer.Register(c), &already) {
		return already.ExistingCollector.(C)
	}
	return c
}
