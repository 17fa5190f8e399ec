package consumers

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// refusal is what is said of a record that a stage could not process.
type refusal struct {
	Stage, Version, Model string
	// Topic is the id of the topic of a record that carries no coordinates: a raw one, a label.
	Topic kafka.TopicID
	// Attempts counts the tries, from 1.
	Attempts int
	Reason   error
	// Short leaves the record's bytes out: the broker found the whole letter too large.
	Short bool
}

// refusal fills in what the stage knows.
func (s Stage) refusal(version string, attempts int, reason error) refusal {
	r := refusal{Stage: s.Name, Version: version, Topic: s.Topic, Attempts: max(attempts, 1), Reason: reason}
	if s.Model != nil {
		r.Model = s.Model()
	}
	return r
}

// letterRoom is what a letter's record may take: the limit less what a replay adds in headers.
const letterRoom = kafka.MaxRecordBytes - 4096

// deadLetter keeps a refused record whole. Its coordinates are the raw ones; a record without such gives its own place.
func deadLetter(in *kgo.Record, why refusal) *kgo.Record {
	letter := &schemas.DeadLetter{
		Stage: why.Stage, Class: Class(why.Reason), Reason: strings.ToValidUTF8(why.Reason.Error(), "?"), Version: why.Version, Model: why.Model, Attempts: uint32(why.Attempts),
		Topic: in.Topic, Partition: in.Partition, Offset: in.Offset, ReceivedAt: schemas.Time(in.Timestamp), Replays: uint32(kafka.Replays(in)),
		Key: in.Key, Value: in.Value, FailedAt: schemas.Time(time.Now()),
	}
	size := len(in.Key) + len(in.Value)
	for _, h := range in.Headers {
		header := &schemas.Header{Name: h.Key, Value: h.Value}
		if !utf8.ValidString(h.Key) {
			header.Name, header.RawName = "", []byte(h.Key)
		}
		letter.Headers = append(letter.Headers, header)
		size += len(h.Key) + len(h.Value)
	}
	coordinates := kafka.Identity(in, why.Topic)
	// JSON is for people. What base64 makes too large goes as Protobuf, and what is too large even so stays where it was read:
	// a record that no letter can hold must not stop its partition.
	for _, contentType := range []string{schemas.JSON, schemas.Protobuf} {
		value, err := schemas.Encode(contentType, letter)
		if err == nil && !why.Short && len(value)+len(in.Key) <= letterRoom {
			return &kgo.Record{Topic: kafka.DeadLetter, Key: in.Key, Value: value, Headers: coordinates.Headers(contentType)}
		}
	}
	letter.Key, letter.Value, letter.Headers, letter.LeftOut = nil, nil, nil, uint64(size)
	letter.Reason += fmt.Sprintf(" (the record's %d bytes are too large for a dead letter: they stay at their place until they expire)", size)
	value, _ := schemas.Encode(schemas.JSON, letter) // every field is valid
	return &kgo.Record{Topic: kafka.DeadLetter, Value: value, Headers: coordinates.Headers(schemas.JSON)}
}
