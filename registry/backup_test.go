package registry

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/testing/protocmp"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// fresh is another Kafka, with the topics of a new flow.
func fresh(t *testing.T) kafka.Options {
	t.Helper()
	b, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	o := kafka.Options{Brokers: b.ListenAddrs()}
	client, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.EnsureTopics(t.Context(), client, "e1", kafka.Layout{Partitions: 2, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	return o
}

// places are those of each line of the history, and where the topic ends.
func places(t *testing.T, o kafka.Options) (at map[string]int64, end int64) {
	t.Helper()
	at = map[string]int64{}
	err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.ModelHistory}}, func(r *kgo.Record) error {
		e := &schemas.ModelEvent{}
		if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, e); err != nil {
			return err
		}
		at[e.Id], end = kafka.HistoryPlace(r), r.Offset
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return at, end
}

// A registry that is lost comes back whole from its file, on another Kafka, with the places that ClickHouse knows its history by; and what is done next stands behind them.
func TestRestore(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		w := Writer{Kafka: o, Version: "1.0"}
		a, b, d := classifier(t, 1), classifier(t, 2), classifier(t, 3)
		for _, m := range []*schemas.Classifier{a, b} {
			if _, err := w.Promote(t.Context(), Promotion{Classifier: m, Reason: "better"}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := w.Challenge(t.Context(), d, "")
		_, rolled := w.Rollback(t.Context(), scope, nil, "worse after all")
		if err := errors.Join(err, rolled); err != nil {
			t.Fatal(err)
		}
		backup, err := ReadBackup(t.Context(), o, "1.0")
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := backup.Write(&file); err != nil {
			t.Fatal(err)
		}
		whole := bytes.Clone(file.Bytes())
		for _, cut := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
			if _, err := OpenBackup(bytes.NewReader(whole[:cut])); err == nil {
				t.Errorf("%d of %d bytes are taken", cut, len(whole))
			}
		}
		if backup, err = OpenBackup(&file); err != nil {
			t.Fatal(err)
		}
		want := contents(t, o)
		other := fresh(t)
		restorer := Writer{Kafka: other, Version: "1.1"}
		done, err := restorer.Restore(t.Context(), backup, false)
		if err != nil || done.Models != 3 || done.Champions != 1 || done.Events != len(want.History) || len(done.Kept) != 0 {
			t.Fatalf("%+v, %v", done, err)
		}
		got := contents(t, other)
		for what, diff := range map[string]string{
			"models": cmp.Diff(want.Models, got.Models, protocmp.Transform()), "history": cmp.Diff(want.History, got.History, protocmp.Transform()),
			"champions": cmp.Diff(want.Champions, got.Champions), "challengers": cmp.Diff(want.Challengers, got.Challengers),
			"live": cmp.Diff(want.live, got.live, protocmp.Transform()),
		} {
			if diff != "" {
				t.Errorf("%s:\n%s", what, diff)
			}
		}
		before, _ := places(t, o)
		after, _ := places(t, other)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("places of the history:\n%s", diff)
		}
		if done, err := restorer.Restore(t.Context(), backup, false); err != nil || done.Models+done.Events+done.Champions != 0 {
			t.Errorf("once more: %+v, %v", done, err)
		}
		e, err := restorer.Promote(t.Context(), Promotion{Classifier: d})
		if err != nil {
			t.Fatal(err)
		}
		last := int64(-1)
		for _, place := range before {
			last = max(last, place)
		}
		if now, _ := places(t, other); now[e.Id] <= last {
			t.Errorf("what was done next stands at %d, the restored history goes to %d", now[e.Id], last)
		}
		// Another champion is live: it stays, unless told.
		_, err = restorer.Restore(t.Context(), backup, false)
		if !errors.Is(err, ErrOtherChampion) || !strings.Contains(err.Error(), "--replace") {
			t.Errorf("over another champion: %v", err)
		}
		if now := contents(t, other); now.Champions[scope] != d.Id {
			t.Errorf("the champion is %.12s after a refusal", now.Champions[scope])
		}
		if _, err := restorer.Restore(t.Context(), backup, true); err != nil {
			t.Fatal(err)
		}
		if now := contents(t, other); now.Champions[scope] != a.Id || now.Models[d.Id] == nil {
			t.Errorf("the champion is %.12s, want %.12s; the other is held: %t", now.Champions[scope], a.Id, now.Models[d.Id] != nil)
		}
	})
}
