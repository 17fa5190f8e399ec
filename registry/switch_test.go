package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
)

// of returns a sealed classifier of another encoder.
func of(t *testing.T, encoder string) *schemas.Classifier {
	t.Helper()
	c := classifier(t, 1)
	c.Encoder, c.Id = encoder, ""
	if err := models.SealClassifier(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A record belongs to the last switch that begins at its offset or before, whatever became of the raw topic.
func TestOwnership(t *testing.T) {
	one, two := kafka.TopicID{1}, kafka.TopicID{2}
	at := func(encoder string, topic *kafka.TopicID, from ...int64) *schemas.LiveEncoder {
		l := &schemas.LiveEncoder{Encoder: encoder, From: from}
		if topic != nil {
			l.RawTopic = topic[:]
		}
		return l
	}
	var o Ownership
	f := func(topic kafka.TopicID, partition int32, offset int64, want string) {
		t.Helper()
		if got := o.Owner(kafka.Coordinates{Topic: topic, Partition: partition, Offset: offset}); got != want {
			t.Errorf("topic %d, partition %d, offset %d is %q's, want %q", topic[0], partition, offset, got, want)
		}
	}
	f(one, 0, 7, "")
	o = Ownership{champions: []string{"a"}}
	f(one, 0, 7, "a")
	o = Ownership{champions: []string{"a", "b"}}
	if f(one, 0, 7, ""); !o.Undecided() {
		t.Error("two champions and nobody live are not undecided")
	}
	// There and back again; then the raw topic is made anew, and b takes over.
	o.record = &schemas.LiveEncoders{Switches: []*schemas.LiveEncoder{at("a", nil), at("b", &one, 10, 0), at("a", &one, 10, 5), at("c", &one, 20, 5), at("b", &two, 3, 0)}}
	f(one, 0, 9, "a")
	f(one, 0, 10, "a") // b owned nothing of partition 0
	f(one, 0, 19, "a")
	f(one, 0, 20, "c")
	f(one, 0, 1e9, "c") // b came when that topic was gone
	f(one, 1, 4, "b")
	f(one, 1, 5, "c")
	f(two, 0, 2, "c")
	f(two, 0, 3, "b")
	f(kafka.TopicID{3}, 0, 0, "b")
	if got := o.Encoders(); !slices.Equal(got, []string{"a", "c", "b"}) || o.Live() != "b" {
		t.Errorf("got %v, live is %s", got, o.Live())
	}
}

// actions renders the history.
func actions(c *Contents) string {
	var all []string
	for _, e := range c.History {
		if e.Action != Registered {
			all = append(all, e.Action+" "+e.Encoder)
		}
	}
	return strings.Join(all, ", ")
}

// An encoder becomes live with the first champion; others take over where the raw topic ends when it is asked, and what breaks off is gone on with, or taken back.
func TestSwitch(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		w, ctx := Writer{Kafka: o}, t.Context()
		client, err := kafka.NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		raw, err := kafka.IDOf(ctx, client, kafka.Raw)
		if err != nil {
			t.Fatal(err)
		}
		publish := func() {
			t.Helper()
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: kafka.Raw, Value: []byte("{}")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		to := func(encoder string) Switch { return Switch{Scope: Scope{"t1", encoder}} }
		switched := func(s Switch, want string) {
			t.Helper()
			if e, err := w.Switch(ctx, s); err != nil || e.GetAction() != want {
				t.Fatalf("got %v, %v; want %q", e, err, want)
			}
		}
		refused := func(s Switch, want error, words string) {
			t.Helper()
			if e, err := w.Switch(ctx, s); !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
				t.Fatalf("got %v, %v; want %q", e, err, words)
			}
		}
		live := func(want, history string) Ownership {
			t.Helper()
			c := contents(t, o)
			if got := c.Ownership("t1"); got.Live() != want || actions(c) != history {
				t.Fatalf("%q is live, want %q; history: %s", got.Live(), want, actions(c))
			}
			return c.Ownership("t1")
		}
		owner := func(offset int64, want string) {
			t.Helper()
			if got := contents(t, o).Ownership("t1").Owner(kafka.Coordinates{Topic: raw, Offset: offset}); got != want {
				t.Fatalf("offset %d is %s's, want %s", offset, got, want)
			}
		}
		refused(to("e1"), ErrNoChampion, "promote one")
		become(t, w, of(t, "e1"))
		live("e1", "promote e1")
		switched(to("e1"), "") // it is already
		become(t, w, of(t, "e2"))
		history := "promote e1, live e1, promote e2"
		live("e1", history)
		publish()
		none := ""
		refused(Switch{Scope: Scope{"t1", "e2"}, Expect: &none}, ErrLiveChanged, "e1")
		switched(to("e2"), Switched)
		history += ", switching e2, switch e2"
		if since := live("e2", history).Since(); time.Since(since) > time.Minute {
			t.Fatalf("e2 is live since %v", since)
		}
		owner(0, "e1")
		owner(1, "e2")
		publish()
		// A switch that breaks off in between is pending: e1 is not live yet, and others may not switch.
		if _, err := w.announce(ctx, to("e1")); err != nil {
			t.Fatal(err)
		}
		history += ", switching e1"
		if pending := live("e2", history).Pending(); pending != "e1" {
			t.Fatalf("%q is pending, want e1", pending)
		}
		become(t, w, of(t, "e3"))
		history += ", promote e3"
		refused(to("e3"), ErrSwitching, "take it back with jobstrom models switch e2")
		publish()
		switched(to("e1"), Switched)
		history += ", switch e1"
		live("e1", history)
		owner(2, "e2")
		owner(3, "e1")
		if _, err := w.announce(ctx, to("e3")); err != nil {
			t.Fatal(err)
		}
		switched(to("e1"), Stayed)
		history += ", switching e3, stay e1"
		if pending := live("e1", history).Pending(); pending != "" {
			t.Fatalf("%q is pending after it was taken back", pending)
		}
		if _, err := w.complete(ctx, Scope{"t1", "e3"}, "", nil); !errors.Is(err, ErrLiveChanged) {
			t.Fatalf("what was taken back is made: %v", err)
		}
		if found, err := contents(t, o).FindEncoder("t1", "E3"); found != "e3" || err != nil {
			t.Fatalf("got %q, %v", found, err)
		}
		if _, err := contents(t, o).FindEncoder("t1", "e"); !errors.Is(err, ErrAmbiguous) {
			t.Fatal(err)
		}
	})
}

func become(t *testing.T, w Writer, c *schemas.Classifier, builtIns ...*schemas.Classifier) {
	t.Helper()
	if _, err := w.Promote(t.Context(), Promotion{Classifier: c, BuiltIns: builtIns}); err != nil {
		t.Fatal(err)
	}
}

// The first champion of all makes its encoder live, but not where one that came with a classifier may have answered already.
func TestFirstChampionBesideABuiltIn(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		w := Writer{Kafka: o}
		become(t, w, of(t, "e2"), of(t, "e0")) // nobody has made e0's topic
		if c := contents(t, o); c.Ownership("t1").Live() != "e2" || len(c.Champions) != 1 || actions(c) != "switching e2, promote e2, live e2" {
			t.Fatalf("live is %q, history: %s", c.Ownership("t1").Live(), actions(c))
		}
	})
	eachBroker(t, func(t *testing.T, o kafka.Options) { // the flow of e1 has begun
		w := Writer{Kafka: o}
		become(t, w, of(t, "e2"), of(t, "e1"))
		c := contents(t, o)
		if now := c.Ownership("t1"); now.Live() != "e1" || now.Pending() != "" || len(c.Champions) != 2 || actions(c) != "switching e2, promote e2, promote e1, live e1" {
			t.Fatalf("live is %q, history: %s", now.Live(), actions(c))
		}
		if e, err := w.Switch(t.Context(), Switch{Scope: Scope{"t1", "e2"}}); err != nil || e.Action != Switched {
			t.Fatal(e, err)
		}
	})
}

// Who asks after a switch was announced waits until it is made; who asks before is told what was so.
func TestOwnersWaitForASwitch(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		w, ctx := Writer{Kafka: o}, t.Context()
		become(t, w, of(t, "e1"))
		become(t, w, of(t, "e2"))
		owners := &Owners{Encoder: "e2"}
		asks := func(wait time.Duration) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			owns, err := owners.Owns(ctx)
			if err != nil {
				return false, err
			}
			return owns(kafka.Coordinates{Topic: kafka.TopicID{9}, Offset: 7}), nil
		}
		if _, err := asks(10 * time.Millisecond); !errors.Is(err, ErrUnread) {
			t.Fatalf("before the registry was read: %v", err)
		}
		watch, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			done <- Watch(watch, WatchOptions{Kafka: o, Taxonomy: "t1", Encoder: "e2", Owners: owners, Ready: func() {}, Champion: func(*schemas.Classifier) error { return nil }})
		}()
		if owns, err := asks(time.Minute); owns || err != nil {
			t.Fatalf("e2 owns: %t, %v", owns, err)
		}
		if _, err := w.announce(ctx, Switch{Scope: Scope{"t1", "e2"}}); err != nil {
			t.Fatal(err)
		}
		// Who has not read so far in time is told that, on a busy machine, and asks again for longer.
		for wait := 100 * time.Millisecond; ; wait *= 2 {
			_, err := asks(wait)
			if errors.Is(err, ErrSwitching) && strings.Contains(err.Error(), "jobstrom models switch e2") {
				break
			}
			if !errors.Is(err, ErrUnread) || wait > time.Minute {
				t.Fatalf("while a switch is pending: %v", err)
			}
		}
		type answer struct {
			owns bool
			err  error
		}
		asked := make(chan answer, 1)
		go func() {
			owns, err := asks(time.Minute)
			asked <- answer{owns, err}
		}()
		if _, err := w.Switch(ctx, Switch{Scope: Scope{"t1", "e2"}}); err != nil {
			t.Fatal(err)
		}
		if a := <-asked; !a.owns || a.err != nil {
			t.Fatalf("when it is made: %+v", a)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := asks(10 * time.Millisecond); !errors.Is(err, ErrUnread) {
			t.Fatalf("after the watch has ended: %v", err)
		}
	})
}
