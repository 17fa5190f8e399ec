package kafka_test

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
)

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m)) }

func TestCoordinatesPassUnchanged(t *testing.T) {
	want := kafka.Coordinates{Topic: kafka.TopicID{1, 2, 255}, Partition: 7, Offset: 1 << 40, Time: time.UnixMilli(1764000000123).UTC()}
	got, err := kafka.CoordinatesOf(&kgo.Record{Headers: want.Headers("application/json")})
	if err != nil || got != want {
		t.Fatalf("got %v, %v; want %v", got, err, want)
	}
	if _, err := kafka.CoordinatesOf(&kgo.Record{}); err == nil {
		t.Fatal("a record without coordinates has none")
	}
}

func client(t *testing.T, brokers ...string) *kgo.Client {
	t.Helper()
	c, err := kafka.NewClient(kafka.Options{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEnsureTopics(t *testing.T) {
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		c := client(t, addrs...)
		layout := kafka.Layout{Partitions: 3, Replication: 1}
		for range 2 {
			if err := kafka.EnsureTopics(t.Context(), c, "abc", layout); err != nil {
				t.Fatal(err)
			}
		}
		id, err := kafka.IDOf(t.Context(), c, kafka.Raw)
		if err != nil || id == (kafka.TopicID{}) {
			t.Fatalf("the raw topic's id is %v, %v", id, err)
		}
		// What comes later, another encoder's topic or one that a new version knows, gets the flow's count: a stage could not write where it reads.
		admin := kadm.NewClient(c)
		clustertest.DeleteTopic(t, c, kafka.APIPredictions)
		layout.Partitions = 4
		if err := kafka.EnsureTopics(t.Context(), c, "def", layout); err != nil {
			t.Fatal(err)
		}
		topics, err := kafka.ListTopics(t.Context(), c, "def")
		if err != nil || len(topics[kafka.Embedded("def")].Partitions) != 3 || len(topics[kafka.APIPredictions].Partitions) != 3 || len(topics[kafka.DriftEvents].Partitions) != 1 {
			t.Fatalf("%v, %v", topics, err)
		}
		// Somebody else's count is refused.
		if _, err := admin.CreateTopic(t.Context(), 4, 1, nil, kafka.Embedded("ghi")); err != nil {
			t.Fatal(err)
		}
		err = kafka.EnsureTopics(t.Context(), c, "ghi", layout)
		if err == nil || !strings.Contains(err.Error(), "vacancies.embedded.ghi has 4 partitions, vacancies.raw has 3") {
			t.Fatalf("got %v", err)
		}
	})
}

func TestReachSaysWhatIsWrong(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		err := kafka.Reach(context.Background(), client(t, address), time.Minute)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("reaching %s: got %v, want %q", address, err, want)
		}
	}
	f("127.0.0.1:1", "nothing listens there")
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	go func() { // what an HTTP server says to bytes that are not HTTP
		for {
			c, err := web.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_, _ = c.Read(make([]byte, 1024))
			c.Close()
		}
	}()
	f(web.Addr().String(), "does not speak Kafka")
}

func TestOptionsValidate(t *testing.T) {
	_, err := kafka.NewClient(kafka.Options{Brokers: []string{"a", "b:1", "c"}})
	if err == nil || !strings.Contains(err.Error(), `broker "a"`) || !strings.Contains(err.Error(), `broker "c"`) {
		t.Fatalf("got %v, want both violations", err)
	}
}

// A publisher's clock must not say when Kafka deletes what it publishes.
func TestRawTakesTheBrokersTime(t *testing.T) {
	for _, b := range clustertest.Brokers(t) {
		t.Run(b.Name, func(t *testing.T) { brokersTime(t, b) })
	}
}

func brokersTime(t *testing.T, b clustertest.Broker) {
	addrs := b.Start(t)
	c := client(t, addrs...)
	if err := kafka.EnsureTopics(t.Context(), c, "abc", kafka.Layout{Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	configs, err := kadm.NewClient(c).DescribeTopicConfigs(t.Context(), kafka.Raw, kafka.Labels, kafka.APIPredictions)
	if err != nil || len(configs) != 3 {
		t.Fatalf("%v, %v", configs, err)
	}
	for _, topic := range configs {
		if !slices.ContainsFunc(topic.Configs, func(c kadm.Config) bool {
			return c.Key == "message.timestamp.type" && c.MaybeValue() == "LogAppendTime"
		}) {
			t.Errorf("%s takes its publishers' time", topic.Name)
		}
	}
	if b.Name == "kfake" {
		return // it keeps the setting and does not do as it says
	}
	begun := time.Now().Add(-time.Second)
	for _, at := range []time.Time{time.UnixMilli(0), time.Now().Add(100 * 24 * time.Hour)} {
		for _, topic := range []string{kafka.Raw, kafka.Labels} {
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("{}"), Timestamp: at}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	reader, err := kafka.NewClient(kafka.Options{Brokers: addrs}, kgo.ConsumeTopics(kafka.Raw, kafka.Labels), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for n := 0; n < 4; {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if n++; r.Timestamp.Before(begun) || r.Timestamp.After(time.Now().Add(time.Second)) {
				t.Errorf("%s: the time is %v, want the broker's", r.Topic, r.Timestamp)
			}
		}
	}
}
