package kafka_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
)

// Whatever two encoders do side by side has names of its own, and what serves both has one.
func TestGroupsOfEncoders(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(kafka.Group("extract", ""), "jobstrom.extract")
	f(kafka.Group("embed", "0123456789abcdef"), "jobstrom.embed.0123456789ab")
	f(kafka.TransactionalID("embed", "0123456789abcdef", "0.1"), "jobstrom.embed.0123456789ab.0.1")
	groups := map[string]string{}
	for _, encoder := range []string{"aaaaaaaaaaaa1", "bbbbbbbbbbbb2"} {
		for _, r := range kafka.Readers(encoder) {
			if other, shared := groups[r.Group()]; shared && (r.Encoder != "" || other != "") {
				t.Errorf("group %s is shared by encoders %q and %q", r.Group(), other, r.Encoder)
			}
			groups[r.Group()] = r.Encoder
		}
	}
	if len(groups) != 8 {
		t.Errorf("got %d groups of two encoders, want 8: %v", len(groups), groups)
	}
}

// The offsets of before an upgrade are taken over once, when nobody works in the former group, and only by the encoder that worked there.
func TestTakeOver(t *testing.T) {
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		c := client(t, addrs...)
		for _, encoder := range []string{"old", "new"} {
			if err := kafka.EnsureTopics(t.Context(), c, encoder, kafka.Layout{Partitions: 2, Replication: 1}); err != nil {
				t.Fatal(err)
			}
		}
		admin := kadm.NewClient(c)
		takeOver := func(encoder string) error {
			return kafka.TakeOver(t.Context(), c, "embed", encoder, kafka.Extracted, kafka.Embedded(encoder))
		}
		at := func(encoder string, want int64) {
			t.Helper()
			committed, err := admin.FetchOffsets(t.Context(), kafka.Group("embed", encoder))
			if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
				t.Fatal(err)
			}
			got := int64(-1)
			if o, known := committed.Lookup(kafka.Extracted, 1); known {
				got = o.At
			}
			if got != want {
				t.Fatalf("the group of encoder %s stands at %d, want %d", encoder, got, want)
			}
		}
		if err := takeOver("old"); err != nil {
			t.Fatal(err)
		}
		at("old", -1) // there was nobody
		writeTransaction(t, addrs, 3, "commit")
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Embedded("old"), Value: []byte("a vector")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		former := consumeAs(t, addrs, kafka.Group("embed", ""), 3)
		if err := takeOver("old"); !errors.Is(err, kafka.ErrFormerGroup) {
			t.Fatalf("beside a member of the former group: %v", err)
		}
		at("old", -1)
		former.CloseAllowingRebalance()
		for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) { // a broker lets go of a member after it has left
			err := takeOver("old")
			if err == nil {
				break
			}
			if !errors.Is(err, kafka.ErrFormerGroup) || time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		at("old", 3)
		if err := takeOver("new"); err != nil {
			t.Fatal(err)
		}
		at("new", -1) // it has embedded nothing yet, so the former group was another's
		if _, err := admin.CommitOffsets(t.Context(), kafka.Group("embed", "old"), kadm.Offsets{kafka.Extracted: {1: {Topic: kafka.Extracted, Partition: 1, At: 7, LeaderEpoch: -1}}}); err != nil {
			t.Fatal(err)
		}
		if err := takeOver("old"); err != nil {
			t.Fatal(err)
		}
		at("old", 7) // once is enough
	})
}
