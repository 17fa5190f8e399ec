package producers

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// PublishDriftEvent writes an event of the watch and returns when Kafka has it. Its key joins the events of one column of one watch.
func PublishDriftEvent(ctx context.Context, client *kgo.Client, e *schemas.DriftEvent) error {
	value, err := schemas.Encode(schemas.JSON, e)
	if err != nil {
		return err
	}
	record := &kgo.Record{
		Topic: kafka.DriftEvents, Key: []byte(e.Watch + ", " + e.Column), Value: value, Headers: []kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(schemas.JSON)}},
	}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return fmt.Errorf("publishing to %s: %w", kafka.DriftEvents, kafka.Denied(err, kafka.WriteTopic(kafka.DriftEvents)))
	}
	return nil
}
