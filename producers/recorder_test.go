package producers_test

import (
	"fmt"
	"maps"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/testing/protocmp"

	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// predictions returns n of them, with the ids from v-from on.
func predictions(from, n int) []*schemas.ApiPrediction {
	var all []*schemas.ApiPrediction
	for i := range n {
		id := fmt.Sprintf("v-%d", from+i)
		all = append(all, &schemas.ApiPrediction{
			Embedding:      &schemas.Embedding{Extraction: &schemas.Extraction{Id: id, Language: "da"}, Vector: []float32{0.6, -0.8}, Encoder: "e5", Tokens: 7},
			Classification: &schemas.Classification{Id: id, Category: "Elever", CategoryIndex: 3, Confidence: 0.9, Model: "m", Encoder: "e5"},
			TextHash:       make([]byte, 32),
		})
	}
	return all
}

// recorded is a recorder and what its metric says.
type recorded struct {
	*testing.T
	*producers.Recorder
	metrics *prometheus.Registry
}

func newRecorder(t *testing.T, o producers.RecorderOptions) recorded {
	t.Helper()
	metrics := prometheus.NewRegistry()
	o.Registerer = metrics
	r, err := producers.NewRecorder(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return recorded{t, r, metrics}
}

// is compares the metric.
func (r recorded) is(written, dropped int) error {
	families, err := r.metrics.Gather()
	if err != nil {
		return err
	}
	got := map[string]int{}
	for _, f := range families {
		if f.GetName() == "jobstrom_api_predictions_total" {
			for _, m := range f.Metric {
				got[m.Label[0].GetValue()] = int(m.Counter.GetValue())
			}
		}
	}
	if want := map[string]int{"written": written, "dropped": dropped}; !maps.Equal(got, want) {
		return fmt.Errorf("predictions are %v, want %v", got, want)
	}
	return nil
}

// until waits until the metric says so.
func (r recorded) until(written, dropped int) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		err := r.is(written, dropped)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.Fatal(err)
		}
	}
}

// untilWritten records one prediction until it is written, and returns how many are dropped then: on a busy machine one may be late, and counts as dropped.
func (r recorded) untilWritten(one []*schemas.ApiPrediction, written, dropped int) int {
	r.Helper()
	for last := dropped + 100; dropped < last; dropped++ {
		r.Record(one)
		for deadline := time.Now().Add(time.Minute); r.is(written, dropped+1) != nil; <-time.After(10 * time.Millisecond) {
			if r.is(written+1, dropped) == nil {
				return dropped
			}
			if time.Now().After(deadline) {
				r.Fatal("a prediction is neither written nor dropped")
			}
		}
	}
	r.Fatal("nothing is written")
	return 0
}

// What is recorded lies on the topic as it was handed over, under the vacancy's id.
func TestRecorderWrites(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		r := newRecorder(t, producers.RecorderOptions{Kafka: o})
		want := predictions(0, 50)
		r.Record(want[:49])
		r.Record(want[49:])
		r.until(50, 0)
		got := map[string]*schemas.ApiPrediction{}
		err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.APIPredictions}}, func(record *kgo.Record) error {
			p := &schemas.ApiPrediction{}
			got[string(record.Key)] = p
			return schemas.Decode(kafka.Header(record, kafka.ContentType), record.Value, p)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if diff := cmp.Diff(w, got[w.Classification.Id], protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d predictions, want %d", len(got), len(want))
		}
	})
}

// A broker that takes connections and says nothing: a recorder that waited anywhere would not come to the end of this test.
func TestRecorderNeverWaits(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := newRecorder(t, producers.RecorderOptions{Kafka: kafka.Options{Brokers: []string{silent.Addr().String()}}, Buffer: 10, Wait: time.Hour, Flush: time.Millisecond})
	for i := range 100 {
		r.Record(predictions(10*i, 10))
	}
	r.until(0, 990)
	r.Close()
	r.until(0, 1000)
	r.Record(predictions(0, 1))
	r.until(0, 1001)
}

// A prediction that cannot be written down is dropped alone.
func TestRecorderDropsWhatIsNoMessage(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, _ *kgo.Client) {
		r := newRecorder(t, producers.RecorderOptions{Kafka: o})
		three := predictions(0, 3)
		three[1].Classification.Skills = []string{"\xff"}
		r.Record(three)
		r.until(2, 1)
	})
}

// A broker that goes: what it does not take in time is dropped, what it takes when it is back soon enough is written, and so is what comes later.
func TestRecorderOutlivesTheBroker(t *testing.T) {
	broker, err := embedded.StartKafka(embedded.KafkaOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	o := kafka.Options{Brokers: broker.Addrs()}
	_, port, _ := net.SplitHostPort(broker.Addrs()[0])
	broker.Stop()
	at := embedded.KafkaOptions{Dir: t.TempDir()}
	if at.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	start := func() {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) { // somebody else may hold the port for a moment
			if broker, err = embedded.StartKafka(at); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		t.Cleanup(broker.Stop)
	}
	start()
	client, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.EnsureTopics(t.Context(), client, "e5", kafka.Layout{Partitions: 2, Replication: 1}); err != nil {
		t.Fatal(err)
	}

	patient := newRecorder(t, producers.RecorderOptions{Kafka: o, Wait: time.Hour})
	hasty := newRecorder(t, producers.RecorderOptions{Kafka: o, Wait: time.Second})
	patient.Record(predictions(0, 5))
	patient.until(5, 0)
	dropped := hasty.untilWritten(predictions(0, 1), 0, 0)

	broker.Stop()
	patient.Record(predictions(5, 5))
	hasty.Record(predictions(1, 5))
	dropped += 5
	hasty.until(1, dropped)
	if err := patient.is(5, 0); err != nil {
		t.Error(err)
	}
	start()
	patient.until(10, 0)
	hasty.untilWritten(predictions(6, 1), 1, dropped)
}
