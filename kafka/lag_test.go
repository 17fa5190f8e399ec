package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
)

// writeTransaction writes n records to a partition and ends the transaction; open leaves it as it is.
func writeTransaction(t *testing.T, addrs []string, n int, end string) *kgo.Client {
	t.Helper()
	c, err := kafka.NewClient(kafka.Options{Brokers: addrs}, kgo.TransactionalID("test."+end), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Extracted, Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if end != "open" {
		if err := c.EndTransaction(t.Context(), end == "commit"); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// consume reads until the embed group has n records and commits.
func consume(t *testing.T, addrs []string, n int, own ...kgo.Opt) *kgo.Client {
	t.Helper()
	return consumeAs(t, addrs, kafka.Group("embed", "abc"), n, own...)
}

func consumeAs(t *testing.T, addrs []string, group string, n int, own ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kafka.NewClient(kafka.Options{Brokers: addrs, ClientID: "worker"}, append(own, kgo.ConsumerGroup(group), kgo.ConsumeTopics(kafka.Extracted),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseAllowingRebalance)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for got := 0; got < n; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		got += fetches.NumRecords()
	}
	if err := c.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// What was read counts as read, though offsets of ended and aborted transactions lie behind it; groups of both protocols are seen.
func TestLag(t *testing.T) {
	for name, own := range map[string][]kgo.Opt{"classic": nil, "consumer": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}} {
		t.Run(name, func(t *testing.T) {
			clustertest.Each(t, func(t *testing.T, addrs []string) { lag(t, addrs, own) })
		})
	}
}

func lag(t *testing.T, addrs []string, own []kgo.Opt) {
	if err := kafka.EnsureTopics(t.Context(), client(t, addrs...), "abc", kafka.Layout{Partitions: 2, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	reader, err := kafka.NewLagReader(kafka.Options{Brokers: addrs})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	embed := kafka.Readers("abc")[1]
	// A broker ends a transaction some time after it has acknowledged that: until then records are hidden. And a reader that a busy broker keeps waiting does not find
	// the oldest record this time.
	read := func(when string, hidden int64, wanted func(kafka.Lag) bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); ; {
			lags, err := reader.Read(t.Context(), embed)
			if err != nil {
				t.Fatal(err)
			}
			if len(lags) != 2 || lags[0].Records != 0 || lags[1].Topic != kafka.Extracted || lags[1].Partition != 1 || lags[1].Stage != "embed" {
				t.Fatalf("got %+v", lags)
			}
			if lags[1].Hidden == hidden && wanted(lags[1]) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v, want %d hidden", when, lags[1], hidden)
			}
		}
	}
	read("of an empty topic", 0, func(got kafka.Lag) bool { return got.Records == 0 && got.Worker == "" })
	before := time.Now().Add(-time.Second)
	writeTransaction(t, addrs, 3, "commit")
	read("before anything is read", 0, func(got kafka.Lag) bool {
		return got.Records >= 3 && got.Records <= 4 && !got.Oldest.Before(before) && !got.Oldest.After(time.Now().Add(time.Second)) && got.Committed == 0
	})
	c := consume(t, addrs, 3, own...)
	read("when all is read", 0, func(got kafka.Lag) bool {
		return got.Records == 0 && got.Oldest.IsZero() && got.Committed == 3 && got.Worker == "worker"
	})
	writeTransaction(t, addrs, 5, "abort")
	read("behind an aborted transaction", 0, func(got kafka.Lag) bool { return got.Records == 0 && got.End >= 9 })
	open := writeTransaction(t, addrs, 2, "open")
	read("before an open transaction", 2, func(got kafka.Lag) bool { return got.Records == 0 })
	if err := open.EndTransaction(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	read("behind an aborted transaction two records wait", 0, func(got kafka.Lag) bool { return got.Records >= 2 && got.Records <= 3 && !got.Oldest.IsZero() })
	c.CloseAllowingRebalance()
}

func TestLagIsNeverNegative(t *testing.T) {
	now := time.Now()
	if age := (kafka.Lag{Oldest: now.Add(time.Hour)}).Age(now); age != 0 {
		t.Fatalf("a record from the future is %v old", age)
	}
	if age := (kafka.Lag{Oldest: now.Add(-time.Hour)}).Age(now); age != time.Hour {
		t.Fatalf("a record of an hour ago is %v old", age)
	}
}
