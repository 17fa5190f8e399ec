package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
	"jobstrom/schemas"
)

func TestErasures(t *testing.T) {
	e, noon := kafka.Erasures{}, time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	raw, labels := kafka.TopicID{1}, kafka.TopicID{2}
	at := func(topic kafka.TopicID, partition int32, offset int64, minutes int) kafka.Coordinates {
		return kafka.Coordinates{Topic: topic, Partition: partition, Offset: offset, Time: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	e.Add("v", at(raw, 0, 10, 0))
	e.Add("v", at(raw, 0, 4, -5)) // an older one takes nothing back
	f := func(want bool, id string, c kafka.Coordinates) {
		t.Helper()
		if e.Has(id, c) != want {
			t.Errorf("%s at %v: want %t", id, c, want)
		}
	}
	f(true, "v", at(raw, 0, 9, 60)) // the offset decides, not a publisher's clock
	f(false, "v", at(raw, 0, 11, -60))
	f(true, "v", at(labels, 0, 99, -1)) // where no tombstone is known, time does
	f(false, "v", at(labels, 0, 1, 1))
	f(false, "w", at(raw, 0, 1, -60))
}

func TestVacancyID(t *testing.T) {
	f := func(want string, r *kgo.Record) {
		t.Helper()
		if got := kafka.VacancyID(r); got != want {
			t.Errorf("%s %s: got %q, want %q", r.Topic, r.Value, got, want)
		}
	}
	letter := func(topic, value string) *kgo.Record {
		encoded, err := schemas.Encode(schemas.JSON, &schemas.DeadLetter{Topic: topic, Key: []byte("key"), Value: []byte(value)})
		if err != nil {
			t.Fatal(err)
		}
		return &kgo.Record{Topic: kafka.DeadLetter, Value: encoded, Headers: []kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(schemas.JSON)}}}
	}
	text := &schemas.Vacancy{Text: "Vi søger en kok"}
	content := schemas.ContentID(text)
	f("a", &kgo.Record{Topic: kafka.Raw, Key: []byte("employer"), Value: []byte(`{"id":"a","text":"x"}`)})
	f(content, &kgo.Record{Topic: kafka.Raw, Value: []byte(`{"text":"Vi søger en kok"}`)})
	f("a", &kgo.Record{Topic: kafka.Raw, Value: []byte(`{"id":"a","text":""}`)})            // breaks a rule
	f("a", &kgo.Record{Topic: kafka.Raw, Value: []byte(`{"id":"a","title":7,"text":"x"}`)}) // is no vacancy
	f("", &kgo.Record{Topic: kafka.Raw, Key: []byte("employer"), Value: []byte("nonsense")})
	f("", &kgo.Record{Topic: kafka.Raw, Value: []byte(`{"text":""}`)})
	f("a", &kgo.Record{Topic: kafka.Labels, Value: []byte(`{"id":"a"}`)})
	f("a", &kgo.Record{Topic: kafka.Classified, Key: []byte("a"), Value: []byte("nonsense")})
	f("a", letter(kafka.Raw, `{"id":"a","text":""}`))
	f(content, letter(kafka.Raw, `{"text":"Vi søger en kok"}`))
	f("key", letter(kafka.Extracted, "nonsense"))
	f("", letter(kafka.Raw, "nonsense"))
	f("", letter(kafka.DeadLetter, "nonsense"))
}

// Scan reads what is committed, past aborted and open transactions and the marks that end them, and stops.
func TestScan(t *testing.T) {
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		o := kafka.Options{Brokers: addrs}
		plain := client(t, addrs...)
		if err := kafka.EnsureTopics(t.Context(), plain, "abc", kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		scan := func(topics ...string) (values []string, passed, total int64) {
			t.Helper()
			err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: topics, Start: func(n int64) { total = n }, Passed: func(n int64) { passed += n }}, func(r *kgo.Record) error {
				values = append(values, string(r.Value))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return values, passed, total
		}
		if values, _, total := scan(kafka.Raw); len(values) != 0 || total != 0 {
			t.Fatalf("an empty topic holds %q, %d offsets", values, total)
		}
		write := func(id string, from, to int, end func(*kgo.Client) error) {
			t.Helper()
			c, err := kafka.NewClient(o, kgo.TransactionalID(id))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			if err := c.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for i := from; i < to; i++ {
				if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Raw, Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			if err := end(c); err != nil {
				t.Fatal(err)
			}
		}
		write("committed", 0, 20, func(c *kgo.Client) error { return c.EndTransaction(context.Background(), kgo.TryCommit) })
		write("aborted", 20, 30, func(c *kgo.Client) error { return c.EndTransaction(context.Background(), kgo.TryAbort) })
		// A broker ends a transaction some time after it has acknowledged that: until then its records are not to be read.
		admin := kadm.NewClient(plain)
		poll(t, "both transactions are ended on the topic", func() bool {
			committed, err := admin.ListCommittedOffsets(t.Context(), kafka.Raw)
			if err != nil {
				return false
			}
			ends, err := admin.ListEndOffsets(t.Context(), kafka.Raw)
			open := 0
			ends.Each(func(end kadm.ListedOffset) {
				if at, _ := committed.Lookup(end.Topic, end.Partition); at.Offset != end.Offset {
					open++
				}
			})
			return err == nil && open == 0
		})
		write("open", 30, 40, func(*kgo.Client) error { return nil })
		values, passed, total := scan(kafka.Raw, kafka.Labels)
		seen := map[string]bool{}
		for _, v := range values {
			seen[v] = true
		}
		if len(values) != 20 || len(seen) != 20 || passed != total || total < 30 {
			t.Errorf("%d records, %d different, %d of %d offsets", len(values), len(seen), passed, total)
		}
		stop := errors.New("enough")
		n := 0
		if err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Raw}}, func(*kgo.Record) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
			t.Errorf("stopping at the first: %d records, %v", n, err)
		}
		if err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{"absent"}}, func(*kgo.Record) error { return nil }); err == nil {
			t.Error("an absent topic was read")
		}
	})
}

// A broker that answers no fetch for longer than a reader waits for what may not exist is slow, not empty.
func TestScanOfASlowBroker(t *testing.T) {
	b, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, kafka.Raw))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	o := kafka.Options{Brokers: b.ListenAddrs()}
	c, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Raw, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	slow := time.Now().Add(12 * time.Second)
	b.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		b.SleepControl(func() { <-time.After(time.Until(slow)) })
		return nil, nil, false
	})
	n := 0
	if err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Raw}}, func(*kgo.Record) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
}
