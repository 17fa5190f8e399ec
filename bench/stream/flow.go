package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

const (
	partitions = 12
	dim        = 384
	encoderID  = "bench0000000"
)

// stub stands for an encoder: it answers with one and the same vector, after a fixed time for each text.
type stub struct {
	vector []float32
	answer time.Duration
}

func newStub(answer time.Duration) *stub {
	return &stub{vector: random(dim), answer: answer}
}

// Card names the encoder.
func (s *stub) Card() models.EncoderCard { return models.EncoderCard{ID: encoderID, Dim: dim} }

// Embed waits and answers.
func (s *stub) Embed(_ context.Context, texts []string) ([]embed.Vector, error) {
	time.Sleep(s.answer * time.Duration(len(texts)))
	vectors := make([]embed.Vector, len(texts))
	for i := range vectors {
		vectors[i] = embed.Vector{Values: s.vector, Tokens: 60}
	}
	return vectors, nil
}

func random(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, n)
	for i := range v {
		v[i] = r.Float32() - .5
	}
	return v
}

// stages are the three, with a stub between two real ones.
func stages(ctx context.Context, client *kgo.Client) ([]consumers.Stage, error) {
	taxonomy := schemas.Jobnet()
	extractor, err := extract.New(extract.Options{Taxonomy: taxonomy})
	if err != nil {
		return nil, err
	}
	n := len(taxonomy.Categories)
	model := &schemas.Classifier{Encoder: encoderID, Taxonomy: taxonomy.ID, Dim: dim, Categories: uint32(n), Weights: random(n * dim), Bias: random(n), Temperature: 1}
	if err := models.SealClassifier(model); err != nil {
		return nil, err
	}
	classifier, err := classify.New(model, taxonomy, classify.Options{})
	if err != nil {
		return nil, err
	}
	live := &classify.Live{}
	live.Store(classifier)
	raw, err := kafka.IDOf(ctx, client, kafka.Raw)
	if err != nil {
		return nil, err
	}
	return []consumers.Stage{consumers.Extract(extractor, raw), consumers.Embed(newStub(0)), consumers.Classify(live, taxonomy, encoderID)}, nil
}

// fresh returns a client of a cluster whose topics are empty and whose groups are gone.
func (b *bench) fresh(ctx context.Context) (*kgo.Client, error) {
	client, err := kafka.NewClient(kafka.Options{Brokers: b.brokers}, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<20), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	for {
		topics, err := admin.ListTopics(ctx)
		if err == nil && len(topics) > 0 {
			_, err = admin.DeleteTopics(ctx, topics.Names()...)
		}
		if err != nil {
			return nil, err
		}
		if len(topics) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond) // asking again, in a benchmark
	}
	for _, group := range []string{kafka.Group("extract", ""), kafka.Group("embed", encoderID), kafka.Group("classify", encoderID), "bare"} {
		if err := forget(ctx, admin, group); err != nil {
			return nil, err
		}
	}
	return client, kafka.EnsureTopics(ctx, client, encoderID, kafka.Layout{Partitions: partitions, Replication: 1})
}

// forget deletes a group, so that the next run reads from the beginning.
func forget(ctx context.Context, admin *kadm.Client, group string) error {
	for {
		_, err := admin.DeleteGroup(ctx, group)
		switch {
		case err == nil, errors.Is(err, kerr.GroupIDNotFound):
			return nil
		case !errors.Is(err, kerr.NonEmptyGroup) && !errors.Is(err, kerr.CoordinatorNotAvailable):
			return fmt.Errorf("deleting group %s: %w", group, err)
		}
		time.Sleep(50 * time.Millisecond) // its last member is leaving, or the coordinator is just starting
	}
}

// fill writes n records, dealt to the partitions in turn.
func fill(ctx context.Context, client *kgo.Client, topic string, n int, record func(i int) *kgo.Record) error {
	for i := range n {
		r := record(i)
		r.Topic, r.Partition = topic, int32(i%partitions)
		client.Produce(ctx, r, nil)
	}
	return client.Flush(ctx)
}

// vacancy is one of size bytes as JSON, numbered.
func vacancy(i, size int) *kgo.Record {
	const head = `{"id":"v-%08d","title":"Lagermedarbejder","text":"Vi søger en lagermedarbejder. Dine opgaver:\n- pakke ordrer\n- køre truck\n`
	value := fmt.Sprintf(head, i)
	for _, word := range []string{"Vi forventer truckkort og godt humør. ", "Du får kolleger, frokost og fast arbejdstid. "} {
		value += strings.Repeat(word, max(0, (size-len(value)-2)/2/len(word)))
	}
	return &kgo.Record{Value: []byte(value + `"}`)}
}

// committed sums a group's committed offsets.
func committed(ctx context.Context, admin *kadm.Client, group string) (int64, error) {
	offsets, err := admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return 0, err
	}
	var sum int64
	offsets.Each(func(o kadm.OffsetResponse) { sum += max(0, o.At) })
	return sum, nil
}

// drained waits until a group has committed n records and returns how long that took.
func drained(ctx context.Context, admin *kadm.Client, group string, n int) (time.Duration, error) {
	start := time.Now()
	for {
		at, err := committed(ctx, admin, group)
		if err != nil {
			return 0, err
		}
		if at >= int64(n) {
			return time.Since(start), nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
