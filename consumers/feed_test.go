package consumers

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/schemas"
)

// feeding runs a feed until the test ends, from the moment at which everything written from now on arrives.
func feeding(t *testing.T, o kafka.Options) *Feed {
	t.Helper()
	feed, err := NewFeed(FeedOptions{Kafka: o, Categories: 22})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- feed.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return feed
}

// seen puts classifications, each 2 s after its publication, until the feed tells of one: it has begun to follow.
func seen(t *testing.T, client *kgo.Client, feed *Feed) {
	t.Helper()
	total := feed.Stats().Total
	waitFor(t, func() bool {
		put(t, client, kafka.Classified, schemas.JSON, kafka.Coordinates{Time: time.Now().Add(-2 * time.Second)}, &schemas.Classification{Id: "first", Category: "Ledelse", CategoryIndex: 10, ClassifiedAt: schemas.Time(time.Now())})
		return feed.Stats().Total > total
	})
}

// The feed tells of classified and refused vacancies, with latency, and neither of replays nor of what is erased.
func TestFeed(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		feed := feeding(t, o)
		seen(t, client, feed)
		events := feed.Subscribe(t.Context())
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		raw := kafka.Coordinates{Topic: kafka.TopicID{9}, Offset: 7, Time: at.Add(-1500 * time.Millisecond)}
		put(t, client, kafka.Classified, schemas.Protobuf, raw, &schemas.Classification{
			Id: "v-1", Category: "Akademisk arbejde", Confidence: .75, Model: "m1", Occupations: []string{"jurist", "advokat"}, ClassifiedAt: schemas.Time(at),
		})
		want := FeedEvent{Kind: KindClassified, At: at, ID: "v-1", Category: "Akademisk arbejde", Confidence: .75, Model: "m1", Occupation: "jurist", Seconds: 1.5}
		next := func() FeedEvent {
			t.Helper()
			select {
			case e := <-events:
				return e
			case <-time.After(3 * time.Minute):
				t.Fatal("no event in 3 minutes")
				return FeedEvent{}
			}
		}
		for got := next(); ; got = next() {
			if got.ID == "first" { // a straggler of those that the feed began with
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
			break
		}
		letter := deadLetter(&kgo.Record{Topic: kafka.Raw, Key: []byte("v-2"), Value: []byte(`{"id":"v-2"}`), Offset: 3, Timestamp: at},
			refusal{Stage: "extract", Reason: fmt.Errorf("%w vacancy: it has no text", schemas.ErrMalformed)})
		if err := client.ProduceSync(t.Context(), letter).FirstErr(); err != nil {
			t.Fatal(err)
		}
		got := next()
		if got.Kind != KindRefused || got.ID != "v-2" || got.Stage != "extract" || got.Class != "malformed" || got.At.IsZero() || got.Reason == "" {
			t.Fatalf("got %+v", got)
		}
		marker := letter.Headers
		marker = append(marker[:len(marker):len(marker)], kgo.RecordHeader{Key: kafka.ReplayMarker, Value: []byte("1")})
		tombstone := &kgo.Record{Topic: kafka.Classified, Key: []byte("v-1"), Headers: raw.Headers(schemas.JSON)}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.DeadLetter, Value: []byte("{}"), Headers: marker}, &kgo.Record{Topic: kafka.Classified, Value: []byte("noise")}, tombstone).FirstErr(); err != nil {
			t.Fatal(err)
		}
		has := func(id string) bool {
			for _, e := range feed.Recent(1000) {
				if e.ID == id {
					return true
				}
			}
			return false
		}
		waitFor(t, func() bool { return !has("v-1") })
		if !has("v-2") || !has("first") {
			t.Errorf("an erasure took other vacancies along: %+v", feed.Recent(1000))
		}
		var s FeedStats
		waitFor(t, func() bool { s = feed.Stats(); return s.Connected })
		if s.Refused != 1 || s.Total < 2 || s.P99 < 1.5 || len(s.Minutes) != 60 || s.Rate <= 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// A broker that goes and comes again ends nothing: the feed says that it is away, and goes on.
func TestFeedAcrossRestart(t *testing.T) {
	dir := t.TempDir()
	broker, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(broker.Addrs()[0])
	o := kafka.Options{Brokers: broker.Addrs()}
	client, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.EnsureTopics(t.Context(), client, testEncoder, kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	feed := feeding(t, o)
	events := feed.Subscribe(t.Context())
	seen(t, client, feed)
	broker.Stop()
	waitFor(t, func() bool { return !feed.Stats().Connected })
	number, _ := strconv.Atoi(port)
	waitFor(t, func() bool {
		broker, err = embedded.StartKafka(embedded.KafkaOptions{Dir: dir, Port: number})
		return err == nil
	})
	defer broker.Stop()
	seen(t, client, feed)
	waitFor(t, func() bool { return feed.Stats().Connected })
	select {
	case _, open := <-events:
		if !open {
			t.Error("the subscription ended")
		}
	default:
		t.Error("the subscriber got nothing")
	}
}

// event is a classified event of a category.
func event(id string, category int, seconds float64) FeedEvent {
	return FeedEvent{Kind: KindClassified, ID: id, CategoryIndex: category, Seconds: seconds}
}

// still returns a feed that reads nothing, with a clock of its own.
func still(t *testing.T, keep, buffer int, now *time.Time) *Feed {
	t.Helper()
	feed, err := NewFeed(FeedOptions{Kafka: kafka.Options{Brokers: []string{"127.0.0.1:1"}}, Categories: 3, Keep: keep, Buffer: buffer})
	if err != nil {
		t.Fatal(err)
	}
	feed.now = func() time.Time { return *now }
	feed.figures = newFigures(3, *now)
	return feed
}

// Who reads slowly is told how much was missed and holds up nobody; who has left gets a closed channel.
func TestFeedSubscribers(t *testing.T) {
	now := time.Unix(1e9, 0)
	feed := still(t, 3, 2, &now)
	ctx, cancel := context.WithCancel(t.Context())
	slow, quick := feed.Subscribe(ctx), feed.Subscribe(t.Context())
	for i := range 5 {
		feed.add(event(strconv.Itoa(i), 0, 0))
		if e := <-quick; e.ID != strconv.Itoa(i) || e.Missed != 0 {
			t.Errorf("quick: got %+v, want %d", e, i)
		}
	}
	var got []string
	for range 2 {
		got = append(got, (<-slow).ID)
	}
	feed.add(event("5", 0, 0))
	e := <-slow
	if diff := cmp.Diff([]string{"0", "1"}, got); diff != "" || e.ID != "5" || e.Missed != 3 {
		t.Errorf("slow: got %v and %+v, want 0, 1 and 5 after 3 missed", got, e)
	}
	cancel()
	if _, open := <-slow; open {
		t.Error("the subscription goes on after its context")
	}
	feed.add(event("6", 0, 0)) // must not meet the closed channel
	var recent []string
	for _, e := range feed.Recent(10) {
		recent = append(recent, e.ID)
	}
	if diff := cmp.Diff([]string{"6", "5", "4"}, recent); diff != "" {
		t.Error(diff)
	}
	if got := feed.Recent(1); len(got) != 1 || got[0].ID != "6" {
		t.Errorf("got %v, want the newest", got)
	}
	feed.end()
	for _, id := range []string{"5", "6"} { // what it has is not lost
		if e := <-quick; e.ID != id {
			t.Errorf("got %+v, want %s", e, id)
		}
	}
	if _, open := <-quick; open {
		t.Error("the subscription goes on after the feed")
	}
	if _, open := <-feed.Subscribe(t.Context()); open {
		t.Error("a feed that has ended takes subscribers")
	}
}

func TestFeedStats(t *testing.T) {
	start := time.Date(2026, 3, 1, 11, 58, 30, 0, time.UTC)
	now := start
	feed := still(t, 10, 1, &now)
	add := func(e FeedEvent, n int) {
		for range n {
			feed.add(e)
		}
	}
	if s := feed.Stats(); s.P50 != 0 || s.P99 != 0 || s.Rate != 0 || s.Connected || len(s.Minutes) != 60 {
		t.Errorf("of nothing: got %+v", s)
	}
	add(event("a", 2, 9), 2000) // more than the quantiles look at
	now = now.Add(2 * time.Minute)
	add(event("b", 0, 1), 980)
	add(event("c", 1, 5), 20)
	add(FeedEvent{Kind: KindRefused}, 4)
	feed.hear(nil)
	now = now.Add(4 * time.Second)
	s := feed.Stats()
	if s.Total != 3000 || s.Refused != 4 || s.P50 != 1 || s.P99 != 5 || s.Rate != 1000./60 || !s.Connected || !s.Since.Equal(start) {
		t.Errorf("got %+v", s)
	}
	last := s.Minutes[57:]
	want := []FeedMinute{
		{Minute: start.Truncate(time.Minute), Classified: 2000, Categories: []uint64{0, 0, 2000}},
		{Minute: start.Truncate(time.Minute).Add(time.Minute), Categories: []uint64{0, 0, 0}},
		{Minute: start.Truncate(time.Minute).Add(2 * time.Minute), Classified: 1000, Refused: 4, Categories: []uint64{980, 20, 0}},
	}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Error(diff)
	}
	add(event("of another taxonomy", 7, 1), 1) // has no place among the categories
	now = now.Add(61 * time.Minute)            // as long as the ring, and a minute
	s = feed.Stats()
	for _, m := range s.Minutes {
		if m.Classified != 0 || m.Refused != 0 {
			t.Errorf("an hour later: got %+v", m)
		}
	}
	if s.Rate != 0 || s.Connected || s.Total != 3001 {
		t.Errorf("an hour later: got %+v", s)
	}
}

func BenchmarkFeed(b *testing.B) {
	feed, err := NewFeed(FeedOptions{Kafka: kafka.Options{Brokers: []string{"127.0.0.1:1"}}, Categories: 22})
	if err != nil {
		b.Fatal(err)
	}
	value, err := schemas.Encode(schemas.Protobuf, &schemas.Classification{Id: "v", Category: "Ledelse", CategoryIndex: 10, Confidence: .5, Probabilities: make([]float32, 22), Occupations: []string{"leder"}, ClassifiedAt: schemas.Time(time.Now())})
	if err != nil {
		b.Fatal(err)
	}
	r := &kgo.Record{Topic: kafka.Classified, Value: value, Headers: kafka.Coordinates{}.Headers(schemas.Protobuf)}
	b.ReportAllocs()
	for b.Loop() {
		feed.take(r)
	}
}
