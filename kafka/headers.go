package kafka

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Names of the headers a record of ours carries.
const (
	ContentType  = "content-type"
	Version      = "version" // name of the reprocessing that a record of vacancies.shadow belongs to
	rawTopicID   = "raw-topic-id"
	rawPartition = "raw-partition"
	rawOffset    = "raw-offset"
	rawTime      = "raw-time"  // Unix milliseconds
	rawPlace     = "raw-place" // offset at which a replayed raw record stands now
	historyPlace = "place"     // offset at which a restored line of models.history stood first
)

// TopicID is a topic's UUID at its cluster.
type TopicID [16]byte

// Coordinates are the place of a vacancy's raw record: its identity in every stage and table.
type Coordinates struct {
	Topic     TopicID
	Partition int32
	Offset    int64
	// Time is the raw record's timestamp.
	Time time.Time
}

// Headers returns the headers of a record of these coordinates.
func (c Coordinates) Headers(contentType string) []kgo.RecordHeader {
	return append([]kgo.RecordHeader{{Key: ContentType, Value: []byte(contentType)}}, c.headers()...)
}

func (c Coordinates) headers() []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: rawTopicID, Value: []byte(base64.RawURLEncoding.EncodeToString(c.Topic[:]))},
		{Key: rawPartition, Value: strconv.AppendInt(nil, int64(c.Partition), 10)},
		{Key: rawOffset, Value: strconv.AppendInt(nil, c.Offset, 10)},
		{Key: rawTime, Value: strconv.AppendInt(nil, c.Time.UnixMilli(), 10)},
	}
}

// CoordinatesOf reads the coordinates that an earlier stage wrote.
func CoordinatesOf(r *kgo.Record) (Coordinates, error) {
	var c Coordinates
	id, err := base64.RawURLEncoding.DecodeString(Header(r, rawTopicID))
	if err != nil || len(id) != len(c.Topic) {
		return c, fmt.Errorf("reading header %s: not a topic id", rawTopicID)
	}
	copy(c.Topic[:], id)
	partition, err := strconv.ParseInt(Header(r, rawPartition), 10, 32)
	if err != nil {
		return c, fmt.Errorf("reading header %s: not a partition", rawPartition)
	}
	c.Partition = int32(partition)
	if c.Offset, err = strconv.ParseInt(Header(r, rawOffset), 10, 64); err != nil {
		return c, fmt.Errorf("reading header %s: not an offset", rawOffset)
	}
	milliseconds, err := strconv.ParseInt(Header(r, rawTime), 10, 64)
	if err != nil {
		return c, fmt.Errorf("reading header %s: not a time", rawTime)
	}
	c.Time = time.UnixMilli(milliseconds).UTC()
	return c, nil
}

// RawTime returns the time of the vacancy's raw record; r may be that record.
func RawTime(r *kgo.Record) time.Time {
	milliseconds, err := strconv.ParseInt(Header(r, rawTime), 10, 64)
	if err != nil {
		return r.Timestamp
	}
	return time.UnixMilli(milliseconds)
}

// SetRawPlace says of what was made of a replayed raw record at which offset that stands now. Its identity is an earlier one; who answers it goes by when it came.
func SetRawPlace(r *kgo.Record, offset int64) {
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: rawPlace, Value: strconv.AppendInt(nil, offset, 10)})
}

// RawPlace returns the offset at which the raw record stands that a record of these coordinates was made of.
func RawPlace(r *kgo.Record, c Coordinates) int64 {
	if place, err := strconv.ParseInt(Header(r, rawPlace), 10, 64); err == nil && place > c.Offset {
		return place
	}
	return c.Offset
}

// CarryRawPlace hands the place of the raw record on to what was made of a record. What a publisher writes there is not asked.
func CarryRawPlace(from, to *kgo.Record) {
	if place := Header(from, rawPlace); place != "" && !beginsFlow(from.Topic) && Header(to, rawPlace) == "" {
		to.Headers = append(to.Headers, kgo.RecordHeader{Key: rawPlace, Value: []byte(place)})
	}
}

// SetHistoryPlace says of a restored line of models.history at which offset it stood first: ClickHouse knows it by that.
func SetHistoryPlace(r *kgo.Record, offset int64) {
	if Header(r, historyPlace) == "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: historyPlace, Value: strconv.AppendInt(nil, offset, 10)})
	}
}

// HistoryPlace returns the offset at which a line of models.history stood first.
func HistoryPlace(r *kgo.Record) int64 {
	if place, err := strconv.ParseInt(Header(r, historyPlace), 10, 64); err == nil && place >= 0 {
		return place
	}
	return r.Offset
}

// RecordBytes returns the bytes of a record's key, value and headers.
func RecordBytes(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// Header returns the value of a record's last header of this name, or "".
func Header(r *kgo.Record, name string) string { return string(headerBytes(r, name)) }

func headerBytes(r *kgo.Record, name string) []byte {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value
		}
	}
	return nil
}
