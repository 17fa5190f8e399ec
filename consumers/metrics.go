package consumers

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
)

// Objective is the time within which a vacancy should be classified (docs/runbook/README.md): a bucket of the latency ends there, so that those in time are counted exactly.
const Objective = time.Minute

// stageMetrics counts what the workers of stages do.
type stageMetrics struct {
	records, bytes, dead, errors, transactions *prometheus.CounterVec
	seconds, age, batch                        *prometheus.HistogramVec
	inFlight                                   *prometheus.GaugeVec
}

func newStageMetrics(registerer prometheus.Registerer) *stageMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	histogram := func(name, help string, first float64, count int, more ...float64) *prometheus.HistogramVec {
		buckets := append(prometheus.ExponentialBuckets(first, 2, count), more...)
		slices.Sort(buckets)
		return register(registerer, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"stage"}))
	}
	return &stageMetrics{
		records:      counter("jobstrom_stage_records_total", "Records answered and committed.", "stage"),
		bytes:        counter("jobstrom_stage_bytes_total", "Bytes of keys, values and headers of the records answered and committed.", "stage"),
		dead:         counter("jobstrom_stage_dead_letters_total", "Records sent to the dead letters, the sink's included.", "stage", "class"),
		errors:       counter("jobstrom_stage_errors_total", "Failures of whole batches and sessions: retry, suspect, fatal (docs/architecture.md, Errors).", "stage", "verdict"),
		transactions: counter("jobstrom_stage_transactions_total", "Transactions by how they ended: committed, moved (a rebalance gave the records to another worker), failed.", "stage", "end"),
		seconds:      histogram("jobstrom_stage_transaction_seconds", "From a transaction's beginning to its end.", 0.001, 15),
		batch:        histogram("jobstrom_stage_batch_records", "Records of a committed transaction.", 1, 14),
		inFlight: register(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jobstrom_stage_inflight_bytes", Help: "Bytes of records that a worker has fetched ahead or works on, bounded by --worker-bytes.",
		}, []string{"stage", "worker"})),
		age: histogram("jobstrom_stage_latency_seconds", "From the raw record's timestamp to the commit of what the stage made of it; of classify: publish to classified.", 0.005, 18, Objective.Seconds()),
	}
}

// start shows a stage's counters before there is anything to count.
func (m *stageMetrics) start(stage string) {
	for _, class := range Classes {
		m.dead.WithLabelValues(stage, class)
	}
	for _, verdict := range []Verdict{Retry, Suspect, Fatal} {
		m.errors.WithLabelValues(stage, string(verdict))
	}
	for _, end := range []string{"committed", "moved", "failed"} {
		m.transactions.WithLabelValues(stage, end)
	}
	m.records.WithLabelValues(stage)
	m.bytes.WithLabelValues(stage)
	for _, h := range []*prometheus.HistogramVec{m.seconds, m.age, m.batch} {
		h.WithLabelValues(stage)
	}
}

// age is how long ago a raw record was published. A publisher's clock may go wrong: it is never negative.
func age(r *kgo.Record, now time.Time) float64 { return max(0, now.Sub(kafka.RawTime(r)).Seconds()) }

// committed counts a batch whose transaction was committed.
func (m *stageMetrics) committed(stage string, b *batch, took time.Duration) {
	m.records.WithLabelValues(stage).Add(float64(len(b.in)))
	m.bytes.WithLabelValues(stage).Add(float64(b.bytes))
	m.transactions.WithLabelValues(stage, "committed").Inc()
	m.seconds.WithLabelValues(stage).Observe(took.Seconds())
	m.batch.WithLabelValues(stage).Observe(float64(len(b.in)))
	now, ages := time.Now(), m.age.WithLabelValues(stage)
	for i, r := range b.in {
		ages.Observe(age(r, now))
		if err := b.answers[i].Err; err != nil && !b.answers[i].others {
			m.dead.WithLabelValues(stage, Class(err)).Inc()
		}
	}
}

// sinkMetrics count what the sink does.
type sinkMetrics struct {
	rows, dead            *prometheus.CounterVec
	blocks, fails         prometheus.Counter
	pending               prometheus.Gauge
	seconds, age, records prometheus.Histogram
}

var tables = []string{"embeddings", "predictions", "labels", "dead_letters", "dead_letter_replays", "erasures", "shadows", "api_embeddings", "api_predictions"}

func newSinkMetrics(registerer prometheus.Registerer) *sinkMetrics {
	histogram := func(name, help string, first float64, count int) prometheus.Histogram {
		return register(registerer, prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(first, 2, count)}))
	}
	counter := func(name, help string) prometheus.Counter {
		return register(registerer, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	stages := newStageMetrics(registerer)
	for _, class := range Classes {
		stages.dead.WithLabelValues("sink", class)
	}
	m := &sinkMetrics{
		rows:    register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobstrom_sink_rows_total", Help: "Rows that ClickHouse has taken."}, []string{"table"})),
		blocks:  counter("jobstrom_sink_blocks_total", "Blocks of records that ClickHouse has taken."),
		fails:   counter("jobstrom_sink_failures_total", "Blocks that ClickHouse did not take; each is tried again until it does."),
		pending: register(registerer, prometheus.NewGauge(prometheus.GaugeOpts{Name: "jobstrom_sink_pending_records", Help: "Records of the block that ClickHouse has not taken yet."})),
		seconds: histogram("jobstrom_sink_block_seconds", "Time to insert a block and commit its offsets, failures included.", 0.002, 16),
		records: histogram("jobstrom_sink_block_records", "Records of a block.", 1, 18),
		age:     histogram("jobstrom_sink_latency_seconds", "From the raw record's timestamp until ClickHouse has its classification.", 0.01, 18),
		dead:    stages.dead,
	}
	for _, table := range tables {
		m.rows.WithLabelValues(table)
	}
	return m
}

// stored counts a block that ClickHouse has taken.
func (m *sinkMetrics) stored(b *block, took time.Duration) {
	m.blocks.Inc()
	m.seconds.Observe(took.Seconds())
	m.records.Observe(float64(b.records))
	for i, n := range []int{len(b.embeddings), len(b.predictions), len(b.labels), len(b.dead), len(b.replays), len(b.erasures), len(b.shadows), len(b.apiEmbeddings), len(b.apiPredictions)} {
		m.rows.WithLabelValues(tables[i]).Add(float64(n))
	}
	now := time.Now()
	for _, p := range b.predictions {
		m.age.Observe(max(0, now.Sub(p.ReceivedAt).Seconds()))
	}
}

// RegisterMetrics registers what the package's parts show, before any of them runs: for the list in docs/metrics.md.
func RegisterMetrics(registerer prometheus.Registerer) {
	newSinkMetrics(registerer) // those of stages are among them
	newLagMetrics(registerer)
	newUsageMetrics(registerer)
	newStoredResults(registerer)
}

// register lets the stages of one process share their collectors. A nil registerer keeps none.
func register[C prometheus.Collector](registerer prometheus.Registerer, c C) C {
	if registerer == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if errors.As(registerer.Register(c), &already) {
		return already.ExistingCollector.(C)
	}
	return c
}
