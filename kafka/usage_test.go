package kafka_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
)

// A topic is as large as its records, on every kind of broker, and a topic that is not there is left out.
func TestTopicBytes(t *testing.T) {
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		c := client(t, addrs...)
		if err := kafka.EnsureTopics(t.Context(), c, "abc", kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		value := bytes.Repeat([]byte{0, 1, 2, 3, 5, 8}, 2000)
		for range 30 {
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Raw, Value: value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		sizes, err := kafka.TopicBytes(t.Context(), c, kafka.Raw, kafka.Classified, "nowhere")
		if err != nil {
			t.Fatal(err)
		}
		if _, there := sizes["nowhere"]; there || len(sizes) != 2 {
			t.Errorf("got %v", sizes)
		}
		if sizes[kafka.Raw] < 30*50 || sizes[kafka.Raw] > 2*30*int64(len(value)) || sizes[kafka.Classified] >= sizes[kafka.Raw] { // clients compress
			t.Errorf("got %v", sizes)
		}
		if none, err := kafka.TopicBytes(t.Context(), c, "nowhere"); err != nil || len(none) != 0 {
			t.Errorf("got %v, %v", none, err)
		}
	})
}

// sizeDenied sees that the right which the size of topics needs is named.
func sizeDenied(t *testing.T, g granted) {
	worker, err := kafka.NewClient(g.worker)
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	g.grant(t, []kafka.Right{kafka.DescribeTopic(kafka.Raw)})
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) { // a broker learns of ACLs a little later
		sizes, err := kafka.TopicBytes(t.Context(), worker, kafka.Raw)
		if errors.Is(err, kafka.ErrDenied) && strings.Contains(err.Error(), "lacks Describe on cluster:") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, %v", sizes, err)
		}
	}
}
