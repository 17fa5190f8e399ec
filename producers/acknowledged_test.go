package producers_test

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// What is published is there when the call returns; a wrong category sends nothing; and after a broker was away the next call goes through, unlike with a Publisher.
func TestPublishWithAcknowledgement(t *testing.T) {
	dir := t.TempDir()
	broker, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := net.SplitHostPort(broker.Addrs()[0])
	port, _ := strconv.Atoi(text)
	o := kafka.Options{Brokers: broker.Addrs()}
	client, err := kafka.NewClient(o, kgo.AllowIdempotentProduceCancellation())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.EnsureTopics(t.Context(), client, "e5", kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	taxonomy := schemas.Jobnet()
	publish := func(vs ...*schemas.Vacancy) error {
		return producers.PublishVacancies(t.Context(), client, taxonomy, vs)
	}
	if err := publish(&schemas.Vacancy{Id: "a", Text: "kok"}, &schemas.Vacancy{Id: "b", Text: "leder", Category: "Ledelse"}); err != nil {
		t.Fatal(err)
	}
	if err := publish(&schemas.Vacancy{Id: "c", Text: "leder"}, &schemas.Vacancy{Id: "d", Text: "x", Category: "Ledele"}); err == nil || !strings.Contains(err.Error(), "vacancy 2") {
		t.Errorf("got %v, want what is wrong with vacancy 2", err)
	}
	if err := producers.PublishLabel(t.Context(), client, &schemas.Label{Id: "a", Category: "Hotel, restauration, køkken, kantine", CategoryIndex: 4, Source: "feedback"}); err != nil {
		t.Fatal(err)
	}
	if err := publish(); err != nil {
		t.Errorf("of nothing: got %v", err)
	}
	broker.Stop()
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	err = producers.PublishLabel(short, client, &schemas.Label{Id: "lost", Category: "Ledelse"})
	cancel()
	if err == nil || !strings.Contains(err.Error(), "publishing to vacancies.labels") {
		t.Errorf("while Kafka is away: got %v, want an error", err)
	}
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		if broker, err = embedded.StartKafka(embedded.KafkaOptions{Dir: dir, Port: port}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer broker.Stop()
	if err := publish(&schemas.Vacancy{Id: "e", Text: "kok"}); err != nil {
		t.Errorf("after Kafka was away: %v", err)
	}
	got := map[string]bool{}
	err = kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Raw, kafka.Labels}}, func(r *kgo.Record) error {
		got[r.Topic+" "+string(r.Key)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{kafka.Raw + " a": true, kafka.Raw + " b": true, kafka.Raw + " e": true, kafka.Labels + " b": true, kafka.Labels + " a": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
