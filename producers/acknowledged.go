package producers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// PublishVacancies writes vacancies, and the labels of those that have a category, and returns when Kafka has them all. A category outside the taxonomy refuses them
// all, before anything is sent. After any other error Kafka may have some of them: publishing them again classifies those again.
func PublishVacancies(ctx context.Context, client *kgo.Client, taxonomy *schemas.Taxonomy, vacancies []*schemas.Vacancy) error {
	var records []*kgo.Record
	spans := map[*kgo.Record]trace.Span{}
	for i, v := range vacancies {
		raw, label, err := vacancyRecords(taxonomy, v)
		if err != nil {
			return fmt.Errorf("publishing vacancy %d: %w", i+1, err)
		}
		of := []*kgo.Record{raw}
		if label != nil {
			of = append(of, label)
		}
		spans[raw] = publishing(ctx, nil, v.Id, of...)
		records = append(records, of...)
	}
	return acknowledged(ctx, client, spans, records...)
}

// PublishLabel writes the category that a person gave to a vacancy and returns when Kafka has it.
func PublishLabel(ctx context.Context, client *kgo.Client, label *schemas.Label) error {
	record, err := messageRecord(kafka.Labels, label.Id, label)
	if err != nil {
		return err
	}
	span := publishing(ctx, nil, label.Id, record)
	return acknowledged(ctx, client, map[*kgo.Record]trace.Span{record: span}, record)
}

// acknowledged returns when Kafka has the records, with all that it says against those it has not. Then the spans end, those of some of them.
func acknowledged(ctx context.Context, client *kgo.Client, spans map[*kgo.Record]trace.Span, records ...*kgo.Record) error {
	said := map[string]bool{} // Kafka being away is said once
	var errs []error
	for _, r := range client.ProduceSync(ctx, records...) {
		published(spans[r.Record], r.Record, r.Err)
		if r.Err != nil && !said[r.Record.Topic+r.Err.Error()] {
			said[r.Record.Topic+r.Err.Error()] = true
			errs = append(errs, fmt.Errorf("publishing to %s: %w", r.Record.Topic, kafka.Denied(r.Err, kafka.WriteTopic(r.Record.Topic))))
		}
	}
	return errors.Join(errs...)
}

// vacancyRecords returns the record of a vacancy and, where it has a category, that of its label.
func vacancyRecords(taxonomy *schemas.Taxonomy, v *schemas.Vacancy) (raw, label *kgo.Record, err error) {
	if v.Category != "" {
		category, err := taxonomy.Find(v.Category)
		if err != nil {
			return nil, nil, err
		}
		label, err = messageRecord(kafka.Labels, v.Id, &schemas.Label{
			Id: v.Id, Category: category.Name, CategoryIndex: uint32(category.Index), Source: "publisher", LabelledAt: schemas.Time(time.Now()),
		})
		if err != nil {
			return nil, nil, err
		}
	}
	raw, err = messageRecord(kafka.Raw, v.Id, v)
	return raw, label, err
}

// messageRecord encodes a message as JSON, which people and other programs can read.
func messageRecord(topic, key string, m proto.Message) (*kgo.Record, error) {
	value, err := schemas.Encode(schemas.JSON, m)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: value, Headers: []kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(schemas.JSON)}}}, nil
}
