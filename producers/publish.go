package producers

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"

	"jobstrom/schemas"
)

// Publisher writes vacancies, and the labels of those that have a category.
type Publisher struct {
	// Tracer begins a trace with each vacancy; nil begins none.
	Tracer trace.Tracer

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
	raw, label, err := vacancyRecords(p.taxonomy, v)
	if err != nil {
		return err
	}
	records := []*kgo.Record{raw}
	if label != nil {
		records = append(records, label)
	}
	span := publishing(ctx, p.Tracer, v.Id, records...)
	p.send(ctx, raw, &p.published, span)
	if label != nil {
		p.send(ctx, label, &p.labelled, nil)
	}
	return nil
}

// Err returns why Kafka did not take a record: then none that follows is sent.
func (p *Publisher) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// send hands a record over; the span ends when Kafka has it.
func (p *Publisher) send(ctx context.Context, record *kgo.Record, count *int, span trace.Span) {
	p.client.Produce(ctx, record, func(r *kgo.Record, err error) {
		published(span, r, err)
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil {
			*count++
		} else if p.err == nil {
			p.err = fmt.Errorf("publishing to %s: %w", record.Topic, err)
		}
	})
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
