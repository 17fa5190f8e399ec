package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"jobstrom/health"
	"jobstrom/kafka"
)

// sessionTimeout is how long the partitions of a killed worker, or sink, rest in the classic protocol. The client's own 45 s would be a long standstill.
const sessionTimeout = 6 * time.Second

// Answer is what a stage makes of one record: a record for the next topic, or the reason why there is none.
type Answer struct {
	// Record needs key, value and headers; the runner sets topic and partition. Nil writes nothing.
	Record *kgo.Record
	// Also are records for other topics, which they name; they share the transaction and the partition.
	Also []*kgo.Record
	// Err sends the record to the dead letters.
	Err error

	// others says that another encoder answers the record: it makes no dead letter here.
	others bool

	// attempts counts the tries after which the runner itself refused the record.
	attempts int

	// span is that of the record; nil where its trace is not kept.
	span trace.Span
}

// Stage turns a batch of records into as many answers, in order. It gets no more than Batch records at a time.
type Stage struct {
	// Name is "extract", "embed" or "classify"; it names the consumer group too, with Encoder, whose vectors the stage makes or takes. It is empty where there is none.
	Name, Encoder string
	// From and To are topics with equal partition counts.
	From, To string
	// Topic is the id of From when that is the raw topic: the coordinates of a dead letter need it.
	Topic kafka.TopicID
	// Model names the model at work, for dead letters. Nil where a stage has none.
	Model func() string
	// Batch bounds the records of one call to Answer.
	Batch int
	// Answer is called by several workers at once. It returns an error only for what is no single record's fault: see Judge for what then happens.
	Answer func(ctx context.Context, in []*kgo.Record) ([]Answer, error)
	// Owns returns which records are this encoder's to answer, by their coordinates, of those that were read before the call; it waits while that is not settled. It is asked
	// for each batch where Unowned is given, else only for one with a record that is refused. Nil owns all.
	Owns func(ctx context.Context) (func(kafka.Coordinates) bool, error)
	// Unowned turns the answer to a record that another encoder answers into what may be written all the same. Nil leaves it as it is. A refusal makes no dead letter.
	Unowned func(Answer) Answer
	// Refused is told of a record that cannot be answered, in place of a dead letter. Nil writes dead letters.
	Refused func(in *kgo.Record, reason error)
}

// Group protocols. The classic one is spoken by every broker; a killed worker's partitions move after the session timeout of 6 s. With the
// consumer protocol (KIP-848) the broker assigns partitions one by one without stopping the group, and sets the session timeout
// (group.consumer.session.timeout.ms, 45 s unless changed).
const (
	ProtocolAuto     = "auto"
	ProtocolClassic  = "classic"
	ProtocolConsumer = "consumer"
)

// RunnerOptions configure how stages run.
type RunnerOptions struct {
	Kafka kafka.Options
	// Slot tells the processes that work one stage with one encoder apart. It is part of the transactional ids, which must be the same after
	// a restart, or the transaction of a killed worker stalls its readers until it times out. Default "0".
	Slot string
	// Workers of the stage in this process, so that one computes while another commits. More than there are partitions are idle. Default 2.
	Workers int
	// Protocol of the consumer group: auto (consumer where the broker has it), classic or consumer. Default auto.
	Protocol string
	// Static gives each worker a fixed membership (KIP-345) under its slot: a restart within the session timeout moves no partition, but the
	// partitions of a worker that is stopped for good rest that long.
	Static bool
	// CommitInterval bounds how long a worker gathers records before it commits them. It gathers only what is there already, so an idle
	// stream is not delayed. Longer means fewer transactions, and so more throughput, larger batches to repeat after a crash,
	// and a later answer under load. Default 100 ms.
	CommitInterval time.Duration
	// MaxBytes bounds the records that a worker holds, fetched ahead or being worked on, 1 MiB at least. What is fetched is bounded as it
	// travels, so publishers who compress to less than a quarter, or write batches of more than a sixteenth of it, exceed it. What a stage
	// makes of the records comes on top. Default 32 MiB.
	MaxBytes int
	// TransactionTimeout after which the broker aborts the transaction of a silent worker. A worker gives itself a third. Default 30 s.
	TransactionTimeout time.Duration
	// Attempts at a batch that fails for no known reason, before it is bisected. Default 3.
	Attempts int
	// Retries of a batch no record of which can be answered, each after a longer pause, before the worker gives up. Default 8.
	Retries int
	// Version of this jobstrom, for dead letters.
	Version string
	// Board takes what is wrong; nil shows it nowhere.
	Board      *health.Board
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Tracing makes the spans of records whose traces are kept; nil makes none. What traces a record belongs to is handed on in any case.
	Tracing trace.TracerProvider
}

// EnsureDefaults fills what is zero.
func (o *RunnerOptions) EnsureDefaults() {
	if o.Slot == "" {
		o.Slot = "0"
	}
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.Protocol == "" {
		o.Protocol = ProtocolAuto
	}
	if o.CommitInterval == 0 {
		o.CommitInterval = 100 * time.Millisecond
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 32 << 20
	}
	if o.TransactionTimeout == 0 {
		o.TransactionTimeout = 30 * time.Second
	}
	if o.Attempts == 0 {
		o.Attempts = 3
	}
	if o.Retries == 0 {
		o.Retries = 8
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every violation.
func (o RunnerOptions) Validate() error {
	var wrong []error
	if o.Workers < 1 || o.Workers > 256 {
		wrong = append(wrong, fmt.Errorf("workers (%d) must be 1 to 256", o.Workers))
	}
	if o.Protocol != ProtocolAuto && o.Protocol != ProtocolClassic && o.Protocol != ProtocolConsumer {
		wrong = append(wrong, fmt.Errorf("group-protocol (%s) must be auto, classic or consumer", o.Protocol))
	}
	if o.TransactionTimeout < time.Second || o.TransactionTimeout > 15*time.Minute {
		wrong = append(wrong, fmt.Errorf("transaction-timeout (%s) must be 1s to 15m0s, the most that brokers allow by default", o.TransactionTimeout))
	}
	if limit := o.TransactionTimeout / 3; o.CommitInterval < 0 || o.CommitInterval > limit {
		wrong = append(wrong, fmt.Errorf("commit-interval (%s) must be at most %s, a third of transaction-timeout", o.CommitInterval, limit))
	}
	if o.MaxBytes < 1<<20 || o.MaxBytes > 1<<30 {
		wrong = append(wrong, fmt.Errorf("worker-bytes (%d) must be %d to %d", o.MaxBytes, 1<<20, 1<<30))
	}
	return errors.Join(wrong...)
}

// Run works a stage until ctx ends, then finishes the batches in hand and returns nil. It returns an error when nobody can
// retry: a right is missing, a setting is refused, or no record could be answered Retries times in a row.
func Run(ctx context.Context, stage Stage, o RunnerOptions) error {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return fmt.Errorf("running stage %s: %w", stage.Name, err)
	}
	o.Kafka.Registerer = o.Registerer
	metrics := newStageMetrics(o.Registerer)
	metrics.start(stage.Name)
	if err := takeOver(ctx, stage, o); err != nil || ctx.Err() != nil {
		return err
	}
	workers, ctx := errgroup.WithContext(ctx)
	for i := range o.Workers {
		w := &worker{stage: stage, options: o, name: o.Slot + "." + strconv.Itoa(i), metrics: metrics, spans: newSpanMaker(o.Tracing, stage.Name, stage.Encoder), limit: stage.Batch, pace: min(firstPace, stage.Batch)}
		w.log = o.Logger.With("stage", stage.Name, "worker", w.name)
		workers.Go(func() error {
			if err := w.run(ctx); err != nil {
				return fmt.Errorf("running stage %s: %w", stage.Name, err)
			}
			return nil
		})
	}
	return workers.Wait()
}

// groupOptions returns the options of the group protocol.
func (w *worker) groupOptions(ctx context.Context) ([]kgo.Opt, error) {
	o := w.options
	opts := []kgo.Opt{kgo.ConsumerGroup(kafka.Group(w.stage.Name, w.stage.Encoder)), kgo.SessionTimeout(sessionTimeout), kgo.RebalanceTimeout(o.TransactionTimeout)}
	if o.Static {
		opts = append(opts, kgo.InstanceID(w.id()))
	}
	protocol := o.Protocol
	if protocol == ProtocolAuto {
		has, err := w.hasConsumerProtocol(ctx)
		if err != nil {
			return nil, err
		}
		if protocol = ProtocolClassic; has {
			protocol = ProtocolConsumer
		}
	}
	if protocol == ProtocolConsumer {
		// The balancer's name tells the broker's assignor.
		return append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())), nil
	}
	return append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer())), nil
}

// hasConsumerProtocol asks whether every broker speaks the KIP-848 protocol: version 1 of its heartbeat came with Kafka 4.0.
func (w *worker) hasConsumerProtocol(ctx context.Context) (bool, error) {
	const heartbeat, since = 68, 1
	o := w.options.Kafka
	o.Registerer = nil
	client, err := kafka.NewClient(o)
	if err != nil {
		return false, err
	}
	defer client.Close()
	brokers, err := kadm.NewClient(client).ApiVersions(ctx)
	if err != nil {
		return false, fmt.Errorf("asking brokers for their versions: %w", err)
	}
	for _, b := range brokers {
		if b.Err != nil {
			continue // a broker that is away does not decide
		}
		if version, has := b.KeyMaxVersion(heartbeat); !has || version < since {
			return false, nil
		}
	}
	return true, nil
}
