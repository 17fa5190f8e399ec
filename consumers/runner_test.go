package consumers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/schemas"
)

// TestMain lets this test binary be the ClickHouse engine's process, or one that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == embedded.EngineCommand {
		os.Exit(embedded.RunClickHouseEngine(os.Args[2:]))
	}
	if brokers := os.Getenv(reprocessEnv); brokers != "" {
		fmt.Fprintln(os.Stderr, reprocessSlowly(brokers))
		os.Exit(1)
	}
	if brokers := os.Getenv(encoderEnv); brokers != "" {
		fmt.Fprintln(os.Stderr, workOf(context.Background(), kafka.Options{Brokers: strings.Split(brokers, ",")}, otherEncoder, "killed"))
		os.Exit(1)
	}
	os.Exit(clustertest.Main(m))
}

const testEncoder = "0123456789abcdef"

// eachBroker runs a test on each kind of broker, with the flow's topics.
func eachBroker(t *testing.T, test func(t *testing.T, o kafka.Options, client *kgo.Client)) {
	t.Helper()
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		o := kafka.Options{Brokers: addrs}
		client, err := kafka.NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := kafka.EnsureTopics(t.Context(), client, testEncoder, kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		test(t, o, client)
	})
}

// echo is a stage that copies values; those that hold "bad" it refuses.
func echo(before func(in []*kgo.Record) error) Stage {
	return Stage{Name: "extract", From: kafka.Raw, To: kafka.Extracted, Batch: 16, Answer: func(_ context.Context, in []*kgo.Record) ([]Answer, error) {
		if err := before(in); err != nil {
			return nil, err
		}
		answers := make([]Answer, len(in))
		for i, r := range in {
			if strings.Contains(string(r.Value), "bad") {
				answers[i].Err = fmt.Errorf("%w vacancy: it is bad", schemas.ErrMalformed)
				continue
			}
			c := kafka.Coordinates{Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp}
			answers[i].Record = &kgo.Record{Key: r.Key, Value: r.Value, Headers: c.Headers(schemas.Protobuf)}
		}
		return answers, nil
	}}
}

// start runs a worker and returns how to stop it and wait for its end.
func start(t *testing.T, stage Stage, o RunnerOptions) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, stage, o) }()
	return func() error {
		cancel()
		return <-done
	}
}

func publish(t *testing.T, client *kgo.Client, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		value := fmt.Sprintf("good %04d", i)
		if i%10 == 7 {
			value = fmt.Sprintf("bad %04d", i)
		}
		r := &kgo.Record{Topic: kafka.Raw, Key: fmt.Appendf(nil, "%d", i), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("x")}}}
		client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// collect reads committed records of topics until there are want, and some time more for those that should not be there.
func collect(t *testing.T, o kafka.Options, want int, topics ...string) map[string][]*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	got, n := map[string][]*kgo.Record{}, 0
	err := Follow(ctx, FollowOptions{Kafka: o, Topics: topics, FromStart: true}, func(r *kgo.Record) (bool, error) {
		got[r.Topic] = append(got[r.Topic], r)
		n++
		return n < want, nil
	})
	if err != nil || n != want {
		t.Fatalf("read %d of %d records: %v", n, want, err)
	}
	return got
}

// once checks that each of n published vacancies is there exactly once, in order, classified or dead.
func once(t *testing.T, o kafka.Options, n int) {
	t.Helper()
	got := collect(t, o, n, kafka.Extracted, kafka.DeadLetter)
	seen := map[string]bool{}
	for topic, records := range got {
		last := map[int32]int64{}
		for _, r := range records {
			c, err := kafka.CoordinatesOf(r)
			if err != nil {
				t.Fatal(err)
			}
			place := fmt.Sprintf("%d/%d", c.Partition, c.Offset)
			if seen[place] {
				t.Fatalf("record %s is there twice", place)
			}
			seen[place] = true
			if r.Partition != c.Partition {
				t.Fatalf("record %s went to partition %d", place, r.Partition)
			}
			if before, ok := last[r.Partition]; ok && before >= c.Offset {
				t.Fatalf("%s: record %s follows offset %d", topic, place, before)
			}
			last[r.Partition] = c.Offset
		}
	}
	if dead := len(got[kafka.DeadLetter]); dead != n/10 {
		t.Fatalf("%d dead letters of %d, want %d", dead, n, n/10)
	}
}

func TestEveryRecordIsAnsweredOnceAndInOrder(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		publish(t, client, 0, 200)
		stop := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, Version: "test"})
		once(t, o, 200)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDeadLetterKeepsTheRecordWhole(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		publish(t, client, 0, 10)
		stop := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, Version: "test"})
		r := collect(t, o, 1, kafka.DeadLetter)[kafka.DeadLetter][0]
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		letter := &schemas.DeadLetter{}
		if err := schemas.Decode(schemas.JSON, r.Value, letter); err != nil {
			t.Fatal(err)
		}
		if string(letter.Value) != "bad 0007" || string(letter.Key) != "7" || letter.Class != "malformed" || letter.Stage != "extract" || letter.Topic != kafka.Raw || letter.Version != "test" || len(letter.Headers) != 1 || letter.Headers[0].Name != "trace" {
			t.Fatalf("got %v", letter)
		}
	})
}

// A batch that fails as a whole is tried again from where it began; committing after a failure would lose it.
func TestFailedBatchIsTriedAgain(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		publish(t, client, 0, 100)
		var failures atomic.Int32
		stop := start(t, echo(func([]*kgo.Record) error {
			if failures.Add(1)%3 == 1 {
				return errors.New("the disk is full")
			}
			return nil
		}), RunnerOptions{Kafka: o, Attempts: 20}) // one of the workers may meet all failures for a while
		once(t, o, 100)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRunGivesUpOnWhatDoesNotPass(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		publish(t, client, 0, 9)
		err := Run(t.Context(), echo(func([]*kgo.Record) error { return errors.New("the model is gone") }), RunnerOptions{Kafka: o, Workers: 1, Attempts: 1, Retries: 1})
		if err == nil || !strings.Contains(err.Error(), "giving up after 2 tries") || !strings.Contains(err.Error(), "the model is gone") {
			t.Fatalf("got %v", err)
		}
	})
}

// Workers come and go while records flow: the partitions move, nothing is lost or answered twice.
func TestWorkersComeAndGo(t *testing.T) {
	for _, protocol := range []string{ProtocolClassic, ProtocolConsumer} {
		t.Run(protocol, func(t *testing.T) { workersComeAndGo(t, protocol) })
	}
}

func workersComeAndGo(t *testing.T, protocol string) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		publish(t, client, 0, 100)
		first := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, Protocol: protocol, Slot: "a"})
		second := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, Protocol: protocol, Slot: "b"})
		publish(t, client, 100, 300)
		if err := first(); err != nil {
			t.Fatal(err)
		}
		publish(t, client, 300, 400)
		once(t, o, 400)
		if err := second(); err != nil {
			t.Fatal(err)
		}
		// What is read again after a restart would show up here.
		third := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, Protocol: protocol, Slot: "a"})
		publish(t, client, 400, 410)
		once(t, o, 410)
		if err := third(); err != nil {
			t.Fatal(err)
		}
	})
}

// A worker takes as many records at once as it answers in about answerTime.
func TestPace(t *testing.T) {
	w := &worker{stage: Stage{Batch: 100}, pace: firstPace}
	f := func(n int, took time.Duration, want int) {
		t.Helper()
		if w.answered(n, took); w.pace != want {
			t.Errorf("%d answered in %s: the next are %d, want %d", n, took, w.pace, want)
		}
	}
	f(16, time.Millisecond, 32)
	f(10, time.Millisecond, 32) // no more were there
	f(32, answerTime, 32)
	f(32, answerTime/4, 64)
	f(64, time.Millisecond, 100)
	f(100, time.Millisecond, 100)
	f(100, 5*answerTime, 20)
	f(20, 50*answerTime, 1)
	f(1, 2*answerTime, 1)
	f(1, answerTime/4, 2)
}

// Two stages of one process that begin at once have a client each before their workers': its metrics made the second panic.
func TestStagesBeginAtOnce(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		publish(t, client, 0, 10)
		registry := prometheus.NewRegistry()
		measured := o
		measured.Registerer = registry
		other, err := kafka.NewClient(measured) // what the other stage has for a moment
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		stage := echo(func([]*kgo.Record) error { return nil })
		stage.Encoder = testEncoder
		stop := start(t, stage, RunnerOptions{Kafka: o, Registerer: registry})
		once(t, o, 10)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
