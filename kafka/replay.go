package kafka

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers that a replay adds behind the record's own, in this order. A record of a topic where the flow begins gets its coordinates behind
// them, because its place changes and its identity must not.
const (
	replayOf     = "replay-of" // place of the dead letter
	replaysCount = "replays"   // how often the record was replayed, this time included
)

// ReplayMarker is the header of a record on the dead-letter topic that says which letter was replayed.
const ReplayMarker = "replayed"

// Place is where a record lies in its topic. It is written PARTITION/OFFSET.
type Place struct {
	Partition int32
	Offset    int64
}

func (p Place) String() string { return fmt.Sprintf("%d/%d", p.Partition, p.Offset) }

// ParsePlace reads PARTITION/OFFSET.
func ParsePlace(s string) (Place, error) {
	before, after, _ := strings.Cut(s, "/")
	partition, err := strconv.ParseUint(before, 10, 31)
	offset, err2 := strconv.ParseUint(after, 10, 63)
	if err != nil || err2 != nil {
		return Place{}, fmt.Errorf("reading place %.50q: want PARTITION/OFFSET, like 0/17", s)
	}
	return Place{int32(partition), int64(offset)}, nil
}

// beginsFlow says that records of a topic come from publishers or the API: what such a header says of coordinates counts only after a replay.
func beginsFlow(topic string) bool { return topic == Raw || topic == Labels || topic == APIPredictions }

// splitReplay returns the headers a record had before its last replay, and how often it was replayed; 0 when it never was.
func splitReplay(topic string, headers []kgo.RecordHeader) (own []kgo.RecordHeader, replays int) {
	names := []string{replayOf, replaysCount}
	if beginsFlow(topic) {
		names = append(names, rawTopicID, rawPartition, rawOffset, rawTime)
	}
	first := len(headers) - len(names)
	if first < 0 || !slices.EqualFunc(headers[first:], names, func(h kgo.RecordHeader, name string) bool { return h.Key == name }) {
		return headers, 0
	}
	n, err := strconv.ParseUint(string(headers[first+1].Value), 10, 16)
	if _, bad := ParsePlace(string(headers[first].Value)); bad != nil || err != nil || n == 0 {
		return headers, 0
	}
	return headers[:first], int(n)
}

// Replays says how often a record was replayed.
func Replays(r *kgo.Record) int {
	_, n := splitReplay(r.Topic, r.Headers)
	return n
}

// ReplayHeaders returns the headers of a record that is replayed once more: its own, unchanged, and those of the replay.
func ReplayHeaders(topic string, headers []kgo.RecordHeader, letter Place, c Coordinates) []kgo.RecordHeader {
	own, n := splitReplay(topic, headers)
	out := append(slices.Clone(own),
		kgo.RecordHeader{Key: replayOf, Value: []byte(letter.String())},
		kgo.RecordHeader{Key: replaysCount, Value: strconv.AppendInt(nil, int64(n+1), 10)})
	if beginsFlow(topic) {
		out = append(out, c.headers()...)
	}
	return out
}

// Identity returns the coordinates of a record: those it carries, and for a record from a publisher its own place, in the topic of this id.
// A replayed record keeps the identity it had, which can only be an earlier place of the same partition.
func Identity(r *kgo.Record, topic TopicID) Coordinates {
	here := Coordinates{Topic: topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp}
	c, err := CoordinatesOf(r)
	if err != nil || beginsFlow(r.Topic) && (Replays(r) == 0 || c.Topic != topic || c.Partition != r.Partition || c.Offset >= r.Offset) {
		return here
	}
	return c
}
