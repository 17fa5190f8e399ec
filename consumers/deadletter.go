package consumers

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// Class names the kind of an error for dead letters, metrics and people. The catalogue:
//
//	malformed          the bytes are no message of ours, or a field breaks a rule: the publisher must mend it
//	nothing_extracted  no occupation, task or skill was found in the text
//	other_encoder      a vector of another encoder than the classifier takes
//	internal           anything else: a defect of ours
func Class(err error) string {
	switch {
	case errors.Is(err, schemas.ErrMalformed):
		return "malformed"
	case errors.Is(err, extract.ErrNothingExtracted):
		return "nothing_extracted"
	case errors.Is(err, classify.ErrOtherEncoder):
		return "other_encoder"
	}
	return "internal"
}

// deadLetter keeps a refused record whole. Its coordinates are the raw ones; a record without such (a raw one, a label) gives its
// own place, in the topic of this id.
func deadLetter(stage, version string, topic kafka.TopicID, in *kgo.Record, reason error) *kgo.Record {
	letter := &schemas.DeadLetter{
		Stage: stage, Class: Class(reason), Reason: reason.Error(), Version: version,
		Topic: in.Topic, Partition: in.Partition, Offset: in.Offset,
		Key: in.Key, Value: in.Value, FailedAt: schemas.Time(time.Now()),
	}
	for _, h := range in.Headers {
		letter.Headers = append(letter.Headers, &schemas.Header{Name: h.Key, Value: h.Value})
	}
	value, err := schemas.Encode(schemas.JSON, letter)
	if err != nil { // a header name that is not UTF-8 cannot be JSON
		letter.Headers, letter.Reason = nil, letter.Reason+" (headers dropped: not UTF-8)"
		value, _ = schemas.Encode(schemas.JSON, letter)
	}
	coordinates, err := kafka.CoordinatesOf(in)
	if err != nil {
		coordinates = kafka.Coordinates{Topic: topic, Partition: in.Partition, Offset: in.Offset, Time: in.Timestamp}
	}
	return &kgo.Record{Topic: kafka.DeadLetter, Key: in.Key, Value: value, Headers: coordinates.Headers(schemas.JSON)}
}
