package consumers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"

	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// store starts a ClickHouse engine with the schema.
func store(t *testing.T) *warehouse.Warehouse {
	t.Helper()
	e := engine(t, t.TempDir(), nil)
	return schema(t, e.Addr())
}

// sinkGroups are the groups in which the sink reads: that of the encoder's vectors, and that of all else.
func sinkGroups() []string {
	return []string{kafka.Group("sink", testEncoder), kafka.Group("sink", "")}
}

// forgetSink has the sink read everything again.
func forgetSink(t *testing.T, admin *kadm.Client) {
	t.Helper()
	for _, group := range sinkGroups() {
		waitFor(t, func() bool { // a member that has left may be in the group for a moment more
			_, err := admin.DeleteGroup(t.Context(), group)
			if err != nil && !errors.Is(err, kerr.NonEmptyGroup) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
}

// put writes a message with coordinates, as a stage would.
func put(t *testing.T, client *kgo.Client, topic, contentType string, c kafka.Coordinates, m proto.Message) {
	t.Helper()
	value, err := schemas.Encode(contentType, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value, Headers: c.Headers(contentType)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestReplayChangesNoAnswer(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		w := store(t)
		at := time.Now().UTC().Truncate(time.Millisecond)
		for i := range 20 {
			c := kafka.Coordinates{Topic: kafka.TopicID{9}, Partition: int32(i % 3), Offset: int64(i), Time: at}
			id := string(rune('a' + i))
			put(t, client, kafka.Embedded(testEncoder), schemas.Protobuf, c, &schemas.Embedding{Encoder: testEncoder, Vector: []float32{1, 0}, Extraction: &schemas.Extraction{Id: id, EmployerHash: make([]byte, 16)}})
			put(t, client, kafka.Classified, schemas.JSON, c, &schemas.Classification{Id: id, Encoder: testEncoder, Model: "m", Category: "Ledelse", CategoryIndex: 10, Probabilities: []float32{1}, ClassifiedAt: schemas.Time(at)})
			put(t, client, kafka.Labels, schemas.JSON, c, &schemas.Label{Id: id, Category: "Ledelse", CategoryIndex: 10, LabelledAt: schemas.Time(at)})
		}
		letter := deadLetter(&kgo.Record{Topic: kafka.Raw, Offset: 99, Value: []byte("x"), Timestamp: at}, refusal{Stage: "extract", Version: "test", Topic: kafka.TopicID{9}, Reason: schemas.ErrMalformed})
		malformed := &kgo.Record{Topic: kafka.Labels, Value: []byte(`{"id":1}`)}
		if err := client.ProduceSync(t.Context(), letter, malformed).FirstErr(); err != nil {
			t.Fatal(err)
		}
		want := map[string]uint64{"embeddings": 20, "predictions": 20, "labels": 20, "dead_letters": 2, "history": 20}
		for round := range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- Sink(ctx, SinkOptions{Kafka: o, Warehouse: w, Encoder: testEncoder, Interval: 50 * time.Millisecond})
			}()
			waitFor(t, func() bool {
				counts, err := w.Counts(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for view, n := range want {
					if counts[view] != n {
						return false
					}
				}
				lags, err := kadm.NewClient(client).Lag(t.Context(), sinkGroups()...)
				read := err == nil
				for _, group := range sinkGroups() {
					read = read && lags[group].Lag.Total() == 0 && len(lags[group].Lag) > 0
				}
				return read
			})
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if round == 0 { // everything is read again; the malformed label is refused again, at the same place
				forgetSink(t, kadm.NewClient(client))
			}
		}
	})
}

// waitFor polls until a condition holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not come to hold in 3 minutes")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// What runs until its context ends gives no error when that happens while it still asks Kafka for what it needs to begin.
func TestEndedBeforeItBegan(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	o := kafka.Options{Brokers: broker.ListenAddrs()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, run := range map[string]func() error{
		"sink":    func() error { return Sink(ctx, SinkOptions{Kafka: o, Encoder: testEncoder}) },
		"follow":  func() error { return Follow(ctx, FollowOptions{Kafka: o}, nil) },
		"stage":   func() error { return Run(ctx, Stage{Name: "extract", From: kafka.Raw}, RunnerOptions{Kafka: o}) },
		"monitor": func() error { return Monitor(ctx, MonitorOptions{Kafka: o}) },
	} {
		if err := run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A sink that is killed must not hold its partitions for the client's own 45 s: what is written meanwhile would come to ClickHouse that much later.
func TestKilledSinkIsNoticedSoon(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	timeouts := make(chan int32, 1)
	broker.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		broker.DropControl() // the first join will do: nobody would take what more of them say, and the broker would stand
		timeouts <- r.(*kmsg.JoinGroupRequest).SessionTimeoutMillis
		return nil, nil, false
	})
	o := kafka.Options{Brokers: broker.ListenAddrs()}
	client, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.EnsureTopics(t.Context(), client, testEncoder, kafka.Layout{Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	w := store(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Sink(ctx, SinkOptions{Kafka: o, Warehouse: w, Encoder: testEncoder}) }()
	if got := <-timeouts; got != 6000 {
		t.Errorf("the sink asks for a session timeout of %d ms, want 6000", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
