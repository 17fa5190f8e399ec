package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The topics.
const (
	Raw        = "vacancies.raw"
	Extracted  = "vacancies.extracted"
	Classified = "vacancies.classified"
	Labels     = "vacancies.labels"
	DeadLetter = "vacancies.deadletter"
	Shadow     = "vacancies.shadow"
	// APIPredictions is what the API answered; nothing of it enters the flow.
	APIPredictions = "predictions.api"
	Models         = "models.classifier"
	// ModelHistory says who was live when.
	ModelHistory = "models.history"
	// DriftEvents says what the watch raised, cleared and did.
	DriftEvents = "drift.events"
)

// Short is what names of topics, groups and transactional ids hold of an encoder's id.
func Short(encoder string) string { return encoder[:min(12, len(encoder))] }

// Embedded names the topic of an encoder's vectors: each encoder has its own.
func Embedded(encoder string) string {
	return "vacancies.embedded." + Short(encoder)
}

// Topic is one of ours and its policy.
type Topic struct {
	Name string
	// Key says what records are keyed by.
	Key string
	// Compacted topics keep the newest record of each key; others delete after Retention, Forever never.
	Compacted bool
	Retention time.Duration
	// Partitions is fixed where the flow's count does not apply, which is so for topics that hold no vacancies; 0 takes the flow's.
	Partitions int32
}

const day = 24 * time.Hour

// DeadLettersFor is how long dead letters lie on their topic, where they can be replayed.
const DeadLettersFor = 7 * day

// Forever is the retention of what is never deleted; Kafka writes it -1.
const Forever = -time.Millisecond

// Topics lists every topic of a flow with this encoder.
func Topics(encoder string) []Topic {
	return []Topic{
		{Name: Raw, Key: "publisher's", Retention: 7 * day},
		{Name: Extracted, Key: "vacancy id", Retention: 7 * day},
		{Name: Embedded(encoder), Key: "vacancy id", Retention: 7 * day},
		{Name: Classified, Key: "vacancy id", Retention: 30 * day},
		{Name: Labels, Key: "vacancy id", Retention: 30 * day},
		{Name: DeadLetter, Key: "the record's", Retention: DeadLettersFor},
		{Name: Shadow, Key: "vacancy id", Retention: 7 * day},
		{Name: APIPredictions, Key: "vacancy id", Retention: 7 * day},
		{Name: Models, Key: "model id, alias", Compacted: true, Partitions: 1},
		{Name: ModelHistory, Key: "model id", Retention: Forever, Partitions: 1},
		{Name: DriftEvents, Key: "watch, column", Retention: 30 * day, Partitions: 1},
	}
}

// Layout says how topics are created.
type Layout struct {
	// Partitions of a new flow's topics, 1 to 10,000. It never changes on a live flow, where order is per partition: what is missing there gets as many as what is there.
	Partitions int32
	// Replication is the replication factor; -1 takes the broker's default.
	Replication int16
}

// EnsureTopics creates the topics that are missing and refuses a flow whose topics differ in their partition count. Topics that the client's user
// may not see are left to others.
func EnsureTopics(ctx context.Context, client *kgo.Client, encoder string, layout Layout) error {
	details, err := createTopics(ctx, client, encoder, layout)
	if err != nil {
		return err
	}
	want := len(details[Raw].Partitions)
	for _, t := range Topics(encoder) {
		got := details[t.Name]
		seen := want > 0 && got.Err == nil
		if seen && t.Partitions == 0 && len(got.Partitions) != want {
			return fmt.Errorf("checking topics: %s has %d partitions, %s has %d: a stage writes to the partition it reads, so they must be equal", t.Name, len(got.Partitions), Raw, want)
		}
	}
	return nil
}

// flowPartitions returns the partition count of a flow of which some topic is there, 0 where none may be seen.
func flowPartitions(details kadm.TopicDetails, encoder string) int32 {
	for _, t := range Topics(encoder) {
		if d := details[t.Name]; t.Partitions == 0 && d.Err == nil && len(d.Partitions) > 0 {
			return int32(len(d.Partitions))
		}
	}
	return 0
}

// createTopics creates those that are missing and lists all of them when those that may be seen have leaders: a cluster's brokers learn of a new topic one by one,
// after its creation was acknowledged. So they do of one that was deleted, which is why each round creates what is missing in it.
func createTopics(ctx context.Context, client *kgo.Client, encoder string, layout Layout) (kadm.TopicDetails, error) {
	admin := kadm.NewClient(client)
	for end := time.After(topicsWait); ; {
		details, err := describe(ctx, client, TopicNames(encoder)...)
		if err != nil {
			return nil, err
		}
		missing := missingTopic(details, encoder)
		if missing == nil {
			return details, nil
		}
		if n := flowPartitions(details, encoder); n > 0 {
			layout.Partitions = n
		}
		for _, d := range Declare(encoder, layout) {
			// Asked for a topic that exists, a broker would still want the right to create it.
			if !errors.Is(details[d.Topic].Err, kerr.UnknownTopicOrPartition) {
				continue
			}
			if err := d.create(ctx, admin); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for created topics: %w", ctx.Err())
		case <-end:
			return nil, fmt.Errorf("waiting for created topics, at most %v: %w", topicsWait, missing)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const topicsWait = 30 * time.Second

// missingTopic says which topic cannot be used yet, and why.
func missingTopic(details kadm.TopicDetails, encoder string) error {
	for _, t := range Topics(encoder) {
		detail, known := details[t.Name]
		if !known {
			return fmt.Errorf("topic %s is not known", t.Name)
		}
		if errors.Is(detail.Err, kerr.TopicAuthorizationFailed) {
			continue
		}
		if detail.Err != nil {
			return fmt.Errorf("topic %s: %w", t.Name, detail.Err)
		}
		for _, p := range detail.Partitions {
			if p.Err != nil {
				return fmt.Errorf("topic %s, partition %d: %w", t.Name, p.Partition, p.Err)
			}
		}
	}
	return nil
}

// ListTopics describes the topics of a flow that exist.
func ListTopics(ctx context.Context, client *kgo.Client, encoder string) (kadm.TopicDetails, error) {
	details, err := describe(ctx, client, TopicNames(encoder)...)
	for name, d := range details {
		if d.Err != nil {
			delete(details, name)
		}
	}
	return details, err
}

// TopicNames lists the names of Topics.
func TopicNames(encoder string) []string {
	var names []string
	for _, t := range Topics(encoder) {
		names = append(names, t.Name)
	}
	return names
}

// describe asks the cluster anew for topics, each with an error of its own. kadm answers from a cache, and all or nothing where one is denied.
func describe(ctx context.Context, client *kgo.Client, names ...string) (kadm.TopicDetails, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.IncludeTopicAuthorizedOperations = true
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, t)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	details := kadm.TopicDetails{}
	for _, t := range response.Topics {
		if t.Topic == nil {
			continue
		}
		d := kadm.TopicDetail{
			Topic: *t.Topic, ID: t.TopicID, Err: kerr.ErrorForCode(t.ErrorCode), Partitions: kadm.PartitionDetails{},
			AuthorizedOperations: kadm.DecodeACLOperations(t.AuthorizedOperations),
		}
		for _, p := range t.Partitions {
			d.Partitions[p.Partition] = kadm.PartitionDetail{Topic: d.Topic, Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR, Err: kerr.ErrorForCode(p.ErrorCode)}
		}
		details[d.Topic] = d
	}
	return details, nil
}

// EmbeddedTopics lists the topics of every encoder's vectors that the client's user may see, by name.
func EmbeddedTopics(ctx context.Context, client *kgo.Client) ([]string, error) {
	details, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	var all []string
	for _, d := range details.Sorted() {
		if strings.HasPrefix(d.Topic, Embedded("")) {
			all = append(all, d.Topic)
		}
	}
	return all, nil
}

// HasTopic says whether a topic exists.
func HasTopic(ctx context.Context, client *kgo.Client, topic string) (bool, error) {
	details, err := describe(ctx, client, topic)
	if err == nil {
		err = details[topic].Err
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking for topic %s: %w", topic, Denied(err, DescribeTopic(topic)))
	}
	return true, nil
}

// IDOf returns a topic's id, which a record's coordinates hold.
func IDOf(ctx context.Context, client *kgo.Client, topic string) (TopicID, error) {
	details, err := describe(ctx, client, topic)
	if err == nil {
		err = details[topic].Err
	}
	if err != nil {
		return TopicID{}, fmt.Errorf("reading the id of topic %s: %w", topic, err)
	}
	return TopicID(details[topic].ID), nil
}
