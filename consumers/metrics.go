package consumers

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/kafka"
)

// stageMetrics counts what the workers of stages do.
type stageMetrics struct {
	records, bytes, dead, retries, transactions *prometheus.CounterVec
	seconds, age                                *prometheus.HistogramVec
}

func newStageMetrics(registerer prometheus.Registerer) *stageMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	histogram := func(name, help string, first float64, count int) *prometheus.HistogramVec {
		return register(registerer, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(first, 2, count)}, []string{"stage"}))
	}
	return &stageMetrics{
		records:      counter("jobstrom_stage_records_total", "Records answered and committed.", "stage"),
		bytes:        counter("jobstrom_stage_bytes_total", "Bytes of keys, values and headers of the records answered and committed.", "stage"),
		dead:         counter("jobstrom_stage_dead_letters_total", "Records sent to the dead letters, by class of error.", "stage", "class"),
		retries:      counter("jobstrom_stage_retries_total", "Batches that failed and were tried again.", "stage"),
		transactions: counter("jobstrom_stage_transactions_total", "Transactions, by how they ended: committed, moved (a rebalance gave the records to another worker) or failed.", "stage", "end"),
		seconds:      histogram("jobstrom_stage_transaction_seconds", "Time from a transaction's beginning to its end.", 0.001, 15),
		age:          histogram("jobstrom_stage_latency_seconds", "Time from the raw record's timestamp to the commit of what the stage made of it.", 0.005, 18),
	}
}

// committed counts a batch whose transaction was committed.
func (m *stageMetrics) committed(stage string, b *batch, took time.Duration) {
	m.records.WithLabelValues(stage).Add(float64(len(b.in)))
	m.bytes.WithLabelValues(stage).Add(float64(b.bytes))
	m.transactions.WithLabelValues(stage, "committed").Inc()
	m.seconds.WithLabelValues(stage).Observe(took.Seconds())
	now, age := time.Now(), m.age.WithLabelValues(stage)
	for i, r := range b.in {
		age.Observe(now.Sub(kafka.RawTime(r)).Seconds())
		if err := b.answers[i].Err; err != nil {
			m.dead.WithLabelValues(stage, Class(err)).Inc()
		}
	}
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
