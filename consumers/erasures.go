package consumers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// purgeEvery is how long the bytes of deleted rows may stay on ClickHouse's disk.
const purgeEvery = 24 * time.Hour

// addErasure takes a tombstone. Every topic brings its own, behind what it held of the vacancy: whichever comes first hides everything older, and each
// has what its topic brought late deleted.
func (s *sink) addErasure(b *block, r *kgo.Record) error {
	id := string(r.Key)
	topic, own := s.begin[r.Topic]
	if own { // labels and the API's predictions are known by their own place, not by the raw record's
		b.erasures = append(b.erasures, warehouse.Erasure{VacancyID: id, TopicID: uuid.UUID(topic), Partition: r.Partition, Offset: r.Offset, ErasedAt: r.Timestamp})
	}
	c, err := kafka.CoordinatesOf(r)
	if err != nil && own {
		return nil // a publisher's own: it takes back what lies on this topic alone
	}
	if err != nil {
		return fmt.Errorf("%w tombstone: %w", schemas.ErrMalformed, err)
	}
	b.erasures = append(b.erasures, warehouse.Erasure{VacancyID: id, TopicID: uuid.UUID(c.Topic), Partition: c.Partition, Offset: c.Offset, ErasedAt: c.Time})
	return nil
}

// erase carries out the block's tombstones, and drops from the block what they or earlier ones erase: an old record that is read again
// brings nothing back.
func (s *sink) erase(ctx context.Context, b *block) error {
	if err := s.Warehouse.Erase(ctx, b.erasures); err != nil {
		return err
	}
	erased, err := s.Warehouse.ReadErased(ctx, b.vacancies())
	if err != nil || len(erased) == 0 {
		return err
	}
	gone := func(id string, c warehouse.Coordinates) bool { return erased.Has(id, c.TopicID, c.Partition, c.Offset) }
	b.embeddings = slices.DeleteFunc(b.embeddings, func(r warehouse.EmbeddingRow) bool { return gone(r.VacancyID, r.Coordinates) })
	b.predictions = slices.DeleteFunc(b.predictions, func(r warehouse.PredictionRow) bool { return gone(r.VacancyID, r.Coordinates) })
	b.dead = slices.DeleteFunc(b.dead, func(r warehouse.DeadLetterRow) bool { return gone(r.VacancyID, r.Coordinates) })
	b.shadows = slices.DeleteFunc(b.shadows, func(r warehouse.ShadowRow) bool { return gone(r.VacancyID, r.Coordinates) })
	b.apiEmbeddings = slices.DeleteFunc(b.apiEmbeddings, func(r warehouse.EmbeddingRow) bool { return gone(r.VacancyID, r.Coordinates) })
	b.apiPredictions = slices.DeleteFunc(b.apiPredictions, func(r warehouse.PredictionRow) bool { return gone(r.VacancyID, r.Coordinates) })
	b.labels = slices.DeleteFunc(b.labels, func(r warehouse.LabelRow) bool { return erased.Has(r.VacancyID, r.TopicID, r.Partition, r.Offset) })
	return nil
}

// vacancies returns the ids of the block's rows, each once.
func (b *block) vacancies() []string {
	ids := make([]string, 0, b.records)
	for _, r := range b.embeddings {
		ids = append(ids, r.VacancyID)
	}
	for _, r := range b.predictions {
		ids = append(ids, r.VacancyID)
	}
	for _, r := range b.labels {
		ids = append(ids, r.VacancyID)
	}
	for _, r := range b.dead {
		ids = append(ids, r.VacancyID)
	}
	for _, r := range b.shadows {
		ids = append(ids, r.VacancyID)
	}
	for _, r := range b.apiPredictions { // its embedding is the same vacancy's
		ids = append(ids, r.VacancyID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// purge has ClickHouse rewrite what holds deleted rows, now and once a day, until ctx ends.
func purge(ctx context.Context, o SinkOptions) error {
	for ctx.Err() == nil {
		if err := o.Warehouse.Purge(ctx); err != nil && ctx.Err() == nil {
			o.Logger.Warn("purging deleted rows, trying again later", "after", purgeEvery, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(purgeEvery):
		}
	}
	return nil
}
