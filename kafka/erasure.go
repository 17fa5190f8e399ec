package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/schemas"
)

// erased is the header of a tombstone; it says when the erasure was asked for.
const erased = "erase"

// IsErasure says whether a record is a tombstone: the vacancy that its key names, wherever it stands before the tombstone, is erased.
// A null value without a key is not: it names nobody.
func IsErasure(r *kgo.Record) bool { return r.Value == nil && len(r.Key) > 0 }

// Erasure returns a new tombstone of a vacancy for the raw topic. The caller names the partition; every one needs its own.
func Erasure(id string, at time.Time) *kgo.Record {
	return &kgo.Record{Topic: Raw, Key: []byte(id), Headers: []kgo.RecordHeader{{Key: erased, Value: []byte(at.UTC().Format(time.RFC3339Nano))}}}
}

// ForwardErasure returns a tombstone for an inner topic. Its coordinates are those of the raw tombstone, so that what it
// erases is told apart from what came after it.
func ForwardErasure(topic string, in *kgo.Record, raw Coordinates) *kgo.Record {
	headers := raw.Headers("")[1:] // there is no content to have a type
	return &kgo.Record{Topic: topic, Key: in.Key, Headers: append(headers, kgo.RecordHeader{Key: erased, Value: []byte(Header(in, erased))})}
}

// Partition is one of the topic with this id.
type Partition struct {
	Topic  TopicID
	Number int32
}

// Erasures holds for each erased vacancy the offset of its newest tombstone in each partition.
type Erasures map[string]map[Partition]Coordinates

// Add takes a tombstone of these coordinates.
func (e Erasures) Add(id string, c Coordinates) {
	if e[id] == nil {
		e[id] = map[Partition]Coordinates{}
	}
	place := Partition{c.Topic, c.Partition}
	if before, known := e[id][place]; !known || before.Offset < c.Offset {
		e[id][place] = c
	}
}

// take adds a tombstone of an inner topic. Without coordinates it erases what is older than itself.
func (e Erasures) take(r *kgo.Record) {
	c, err := CoordinatesOf(r)
	if err != nil {
		c = Coordinates{Time: r.Timestamp}
	}
	e.Add(string(r.Key), c)
}

// Has says whether a record of the vacancy with these coordinates is erased: whether it lies before its partition's tombstone. Where none of its own
// partition is known, as for a label, time decides.
func (e Erasures) Has(id string, c Coordinates) bool {
	if tombstone, known := e[id][Partition{c.Topic, c.Partition}]; known {
		return c.Offset < tombstone.Offset
	}
	for _, tombstone := range e[id] {
		if !c.Time.After(tombstone.Time) {
			return true
		}
	}
	return false
}

// At returns the time of a vacancy's newest tombstone; zero when it has none.
func (e Erasures) At(id string) (newest time.Time) {
	for _, tombstone := range e[id] {
		if tombstone.Time.After(newest) {
			newest = tombstone.Time
		}
	}
	return newest
}

// ReadErasures returns the tombstones that vacancies.deadletter holds: those of the last days, as long as a dead letter itself is kept. Whoever
// writes old records again asks it first.
func ReadErasures(ctx context.Context, o Options) (Erasures, error) {
	erasures := Erasures{}
	err := Scan(ctx, o, ScanOptions{Topics: []string{DeadLetter}}, func(r *kgo.Record) error {
		if IsErasure(r) {
			erasures.take(r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading erasures: %w", err)
	}
	return erasures, nil
}

// VacancyID returns the id of the vacancy that a record of the flow belongs to, "" where the record does not say: it is what a tombstone's key names. A vacancy
// or label that breaks a rule is read as far as that.
func VacancyID(r *kgo.Record) string {
	contentType := Header(r, ContentType)
	switch {
	case r.Topic == Raw:
		v := &schemas.Vacancy{}
		if err := schemas.Decode(contentType, r.Value, v); err != nil {
			return idField(r.Value)
		}
		if v.Id == "" && v.Text != "" {
			return schemas.ContentID(v)
		}
		return v.Id
	case r.Topic == Labels:
		l := &schemas.Label{}
		if err := schemas.Decode(contentType, r.Value, l); err != nil {
			return idField(r.Value)
		}
		return l.Id
	case r.Topic == DeadLetter:
		letter := &schemas.DeadLetter{}
		if Header(r, ReplayMarker) != "" || schemas.Decode(contentType, r.Value, letter) != nil {
			return ""
		}
		return LetterVacancyID(letter)
	}
	return string(r.Key)
}

// LetterVacancyID returns the id of the vacancy whose record was refused, "" where it cannot be told.
func LetterVacancyID(letter *schemas.DeadLetter) string {
	if letter.Topic == DeadLetter {
		return "" // what lies in there twice is no vacancy
	}
	return VacancyID(Original(letter))
}

// idField reads the id of an object of JSON that is otherwise no message of ours.
func idField(value []byte) string {
	var object struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(schemas.Unframe(schemas.JSON, value), &object) // what is no JSON has no id
	return object.ID
}
