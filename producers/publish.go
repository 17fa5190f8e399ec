package producers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// Publisher writes vacancies, and the labels of those that have a category.
type Publisher struct {
	client   *kgo.Client
	taxonomy *schemas.Taxonomy

	mu        sync.Mutex
	published int
	labelled  int
	err       error // the first record that Kafka did not take
}

// NewPublisher returns a publisher. Its client should be idempotent (the default of kafka.NewClient).
func NewPublisher(client *kgo.Client, taxonomy *schemas.Taxonomy) *Publisher {
	return &Publisher{client: client, taxonomy: taxonomy}
}

// Publish hands a vacancy to Kafka without waiting for its acknowledgement; Close waits. A category outside the taxonomy refuses the
// vacancy, before anything is sent.
func (p *Publisher) Publish(ctx context.Context, v *schemas.Vacancy) error {
	if err := p.Err(); err != nil {
		return err
	}
	now := time.Now()
	var label *schemas.Label
	if v.Category != "" {
		category, err := p.taxonomy.Find(v.Category)
		if err != nil {
			return err
		}
		label = &schemas.Label{Id: v.Id, Category: category.Name, CategoryIndex: uint32(category.Index), Source: "publisher", LabelledAt: schemas.Time(now)}
	}
	if err := p.send(ctx, kafka.Raw, v.Id, v, &p.published); err != nil || label == nil {
		return err
	}
	return p.send(ctx, kafka.Labels, v.Id, label, &p.labelled)
}

// Err returns why Kafka did not take a record: then none that follows is sent.
func (p *Publisher) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Publisher) send(ctx context.Context, topic, key string, m proto.Message, count *int) error {
	value, err := schemas.Encode(schemas.JSON, m)
	if err != nil {
		return err
	}
	record := &kgo.Record{Topic: topic, Key: []byte(key), Value: value, Headers: []kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(schemas.JSON)}}}
	p.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil {
			*count++
		} else if p.err == nil {
			p.err = fmt.Errorf("publishing to %s: %w", topic, err)
		}
	})
	return nil
}

// Close waits until Kafka has acknowledged everything and returns how many vacancies and labels it took.
func (p *Publisher) Close(ctx context.Context) (published, labelled int, err error) {
	flushed := p.client.Flush(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	err = p.err
	if err == nil && flushed != nil {
		err = fmt.Errorf("publishing: %w", flushed)
	}
	return p.published, p.labelled, err
}
