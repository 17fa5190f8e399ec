package consumers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/health"
	"jobstrom/kafka"
)

// watchStage runs a monitor of one stage that calls a partition stuck after a second.
func watchStage(t *testing.T, o kafka.Options, board *health.Board, registry *prometheus.Registry) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Monitor(ctx, MonitorOptions{Kafka: o, Readers: kafka.Readers(testEncoder)[:1], Interval: 50 * time.Millisecond, StuckAfter: time.Second, Board: board, Registerer: registry})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// gauge reads a metric of a partition of the raw topic.
func gauge(t *testing.T, registry *prometheus.Registry, name string, partition int32) float64 {
	t.Helper()
	for _, m := range metricsOf(t, registry, name) {
		if labelOf(m, "partition") == strconv.Itoa(int(partition)) {
			return m.GetGauge().GetValue()
		}
	}
	return -1
}

// publishersClock makes topics as others made them: a record's time is its publisher's.
func publishersClock(t *testing.T, client *kgo.Client, topics ...string) {
	t.Helper()
	const name, value = "message.timestamp.type", "CreateTime"
	admin, clock := kadm.NewClient(client), value
	if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &clock}}, topics...); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { // a broker takes it up some time after it has acknowledged it
		configs, err := admin.DescribeTopicConfigs(t.Context(), topics...)
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range configs {
			for _, c := range topic.Configs {
				if c.Key == name && c.MaybeValue() != value {
					return false
				}
			}
		}
		return true
	})
}

// A partition that stands is named, with its stage, since when, why and what to do; when it moves it is taken down.
func TestStuckPartitionIsNamed(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		var board health.Board
		registry := prometheus.NewRegistry()
		publishersClock(t, client, kafka.Raw)
		watchStage(t, o, &board, registry)
		at := health.Place{Part: "partition", Stage: "extract", Topic: kafka.Raw, Partition: 1}
		named := func(part string) func() bool {
			return func() bool {
				problems := board.Problems()
				return len(problems) == 1 && problems[0].Place == at && strings.Contains(problems[0].String(), part) && !problems[0].Since.IsZero() && problems[0].Remedy != ""
			}
		}
		write := func() {
			t.Helper()
			// A publisher's clock that is ahead must not make ages negative. Apache Kafka takes an hour at most.
			r := &kgo.Record{Topic: kafka.Raw, Partition: 1, Value: []byte("good"), Timestamp: time.Now().Add(50 * time.Minute)}
			p, err := kafka.NewClient(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		write()
		waitFor(t, named("no worker has had the partition"))
		if n := gauge(t, registry, "jobstrom_consumer_lag_records", 1); n != 1 {
			t.Fatalf("lag is %v, want 1", n)
		}
		if s := gauge(t, registry, "jobstrom_consumer_lag_seconds", 1); s != 0 {
			t.Fatalf("the age of a record from the future is %v", s)
		}
		if s := gauge(t, registry, "jobstrom_consumer_standing_seconds", 1); s < 1 {
			t.Fatalf("the partition stands for %v s, want at least 1", s)
		}
		release := make(chan struct{})
		open := sync.OnceFunc(func() { close(release) })
		defer open()
		stop := start(t, echo(func([]*kgo.Record) error { <-release; return nil }), RunnerOptions{Kafka: o, Workers: 1, Board: &board})
		waitFor(t, named("worker jobstrom.extract.0.0 has the partition and committed nothing"))
		open()
		waitFor(t, func() bool {
			return len(board.Problems()) == 0 && gauge(t, registry, "jobstrom_consumer_lag_records", 1) == 0 && gauge(t, registry, "jobstrom_consumer_standing_seconds", 1) == 0
		})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// What a worker fails with is counted by verdict and on the board until it commits.
func TestFailingWorkerIsOnTheBoard(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		board, registry := &health.Board{}, prometheus.NewRegistry()
		w := &worker{stage: Stage{Name: "extract"}, options: RunnerOptions{Board: board}, name: "0.0", metrics: newStageMetrics(registry)}
		for err, want := range map[error]Verdict{ErrTemporary: Retry, errors.New("whatever"): Suspect} {
			if got := w.failed(fmt.Errorf("answering: %w", err)); got != want {
				t.Fatalf("%v: %s, want %s", err, got, want)
			}
		}
		if problems := board.Problems(); len(problems) != 0 {
			t.Fatalf("a worker that has just failed is reported at once: %v", problems)
		}
		board.Report(health.Problem{Place: w.place(), Since: time.Now().Add(-time.Minute), Reason: "it failed for a minute"}, workerGrace)
		if problems := board.Problems(); len(problems) != 1 || problems[0].Worker != "0.0" {
			t.Fatalf("got %v", problems)
		}
		publish(t, client, 0, 10)
		stop := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, Workers: 1, Board: board})
		waitFor(t, func() bool { return len(board.Problems()) == 0 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
