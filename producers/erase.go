package producers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// eraseBatch bounds the vacancies of one transaction.
const eraseBatch = 500

// EraseOptions configure an erasure.
type EraseOptions struct {
	Kafka kafka.Options
	// Erased is called with the number of vacancies whose tombstones Kafka has since the last call. Nil is allowed.
	Erased func(vacancies int)
}

// CheckIDs refuses ids that no vacancy can have, all of them at once.
func CheckIDs(ids []string) error {
	var wrong []error
	for i, id := range ids {
		if id == "" || strings.TrimSpace(id) != id {
			wrong = append(wrong, fmt.Errorf("id %d is empty or has spaces around it", i+1))
		} else if len(id) > schemas.MaxID {
			wrong = append(wrong, fmt.Errorf("id %d has %d bytes, the limit is %d", i+1, len(id), schemas.MaxID))
		}
	}
	return errors.Join(wrong...)
}

// Erase writes a tombstone of each vacancy to every partition of the raw topic, because nobody knows which partition holds it, and returns
// the number of partitions. The tombstones of up to 500 vacancies are one transaction: after an error, those that Erased counted are erased and
// the others are not; erasing a vacancy again does no harm.
func Erase(ctx context.Context, o EraseOptions, ids []string) (partitions int, err error) {
	if err := CheckIDs(ids); err != nil {
		return 0, fmt.Errorf("erasing: %w", err)
	}
	// An id of its own for each run: two who erase at the same time do not stop each other.
	client, err := kafka.NewClient(o.Kafka, kgo.TransactionalID("jobstrom.erase."+uuid.NewString()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return 0, fmt.Errorf("erasing: %w", err)
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(ctx, kafka.Raw)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("erasing: finding the partitions of %s: %w", kafka.Raw, err)
	}
	partitions = len(topics[kafka.Raw].Partitions)
	for batch := range slices.Chunk(ids, eraseBatch) {
		if err := eraseAll(ctx, client, batch, partitions); err != nil {
			return partitions, fmt.Errorf("erasing %d vacancies in %d partitions: %w", len(batch), partitions, err)
		}
		if o.Erased != nil {
			o.Erased(len(batch))
		}
	}
	return partitions, nil
}

func eraseAll(ctx context.Context, client *kgo.Client, ids []string, partitions int) error {
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	now, delivered := time.Now(), kgo.AbortingFirstErrPromise(client)
	for _, id := range ids {
		for p := range partitions {
			r := kafka.Erasure(id, now)
			r.Partition = int32(p)
			client.Produce(ctx, r, delivered.Promise())
		}
	}
	err := delivered.Err()
	// The transaction is ended even when ctx has, or its readers wait for its timeout.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, client.EndTransaction(end, kgo.TransactionEndTry(err == nil)))
}
