package kafka_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// Whatever the topic of the flow's beginning, a replayed record keeps its identity; without a replay, such headers are a publisher's own.
func TestIdentityOfReplayedRecords(t *testing.T) {
	topic := kafka.TopicID{7}
	first := kafka.Coordinates{Topic: topic, Partition: 1, Offset: 5, Time: time.UnixMilli(1764000000123).UTC()}
	record := func(name string, offset int64, headers []kgo.RecordHeader) *kgo.Record {
		return &kgo.Record{Topic: name, Partition: 1, Offset: offset, Headers: headers, Timestamp: first.Time.Add(time.Hour)}
	}
	f := func(what string, r *kgo.Record, replays int, want kafka.Coordinates) {
		t.Helper()
		if got := kafka.Identity(r, topic); got != want || kafka.Replays(r) != replays {
			t.Errorf("%s: identity %v, %d replays; want %v, %d", what, got, kafka.Replays(r), want, replays)
		}
	}
	here := kafka.Coordinates{Topic: topic, Partition: 1, Offset: 9, Time: first.Time.Add(time.Hour)}
	once := kafka.ReplayHeaders(kafka.Raw, nil, kafka.Place{}, first)
	f("fresh", record(kafka.Raw, 9, nil), 0, here)
	f("replayed", record(kafka.Raw, 9, once), 1, first)
	f("replayed twice", record(kafka.Raw, 9, kafka.ReplayHeaders(kafka.Raw, once, kafka.Place{Partition: 1, Offset: 2}, first)), 2, first)
	f("a label", record(kafka.Labels, 9, kafka.ReplayHeaders(kafka.Labels, nil, kafka.Place{}, first)), 1, first)
	f("an inner record", record(kafka.Extracted, 9, first.Headers(schemas.Protobuf)), 0, first)
	f("an inner record, replayed", record(kafka.Extracted, 9, kafka.ReplayHeaders(kafka.Extracted, first.Headers(schemas.Protobuf), kafka.Place{}, first)), 1, first)
	f("coordinates of a publisher", record(kafka.Raw, 9, first.Headers(schemas.JSON)), 0, here)
	other := first
	other.Topic = kafka.TopicID{8}
	f("of a topic that was made anew", record(kafka.Raw, 9, kafka.ReplayHeaders(kafka.Raw, nil, kafka.Place{}, other)), 1, here)
	other = first
	other.Partition = 2
	f("of another partition", record(kafka.Raw, 9, kafka.ReplayHeaders(kafka.Raw, nil, kafka.Place{}, other)), 1, here)
	other = first
	other.Offset = 9
	f("of what is not before it", record(kafka.Raw, 9, kafka.ReplayHeaders(kafka.Raw, nil, kafka.Place{}, other)), 1, here)
}

func TestParsePlace(t *testing.T) {
	want := kafka.Place{Partition: 3, Offset: 1 << 40}
	if got, err := kafka.ParsePlace(want.String()); err != nil || got != want {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, wrong := range []string{"", "3", "3/", "/3", "-1/3", "3/-1", "3/4/5", "a/b", "4294967296/1", "1/9223372036854775808"} {
		if got, err := kafka.ParsePlace(wrong); err == nil {
			t.Errorf("%q is read as %v", wrong, got)
		}
	}
}
