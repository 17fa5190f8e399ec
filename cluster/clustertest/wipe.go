package clustertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"jobstrom/kafka"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// wipe removes all topics and groups and ends all transactions, and returns when they are gone.
func wipe(ctx context.Context, addrs []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(20*time.Millisecond)) // else lists of topics are 5 s old
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if err := endTransactions(ctx, admin, addrs); err != nil {
		return fmt.Errorf("ending transactions: %w", err)
	}
	for {
		groups, err := admin.ListGroups(ctx)
		if err != nil {
			return fmt.Errorf("listing groups: %w", err)
		}
		topics, err := admin.ListTopics(ctx) // without internal ones
		if err != nil {
			return fmt.Errorf("listing topics: %w", err)
		}
		if len(groups) == 0 && len(topics) == 0 {
			return nil
		}
		// A group is refused while it has members; those of a killed worker leave with their session.
		if _, err := admin.DeleteGroups(ctx, groups.Groups()...); err != nil {
			return fmt.Errorf("deleting groups: %w", err)
		}
		if _, err := admin.DeleteTopics(ctx, topics.Names()...); err != nil {
			return fmt.Errorf("deleting topics: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until groups %v and topics %v are gone: %w", groups.Groups(), topics.Names(), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// endTransactions aborts what a killed worker left open: it fences the worker by taking its transactional id.
func endTransactions(ctx context.Context, admin *kadm.Client, addrs []string) error {
	open, err := admin.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		return err
	}
	for _, id := range open.TransactionalIDs() {
		client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.TransactionalID(id))
		if err != nil {
			return err
		}
		_, _, err = client.ProducerID(ctx)
		client.Close()
		if err != nil {
			return fmt.Errorf("fencing %s: %w", id, err)
		}
	}
	return nil
}

// DeleteTopic deletes a topic, if it is there, and returns when the broker that is asked lists it no longer: brokers do for a while after they said that it is deleted.
func DeleteTopic(t *testing.T, client *kgo.Client, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	_, err := kadm.NewClient(client).DeleteTopic(ctx, topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		err = nil
	}
	for there := true; there && err == nil; {
		there, err = kafka.HasTopic(ctx, client, topic)
	}
	if err != nil {
		t.Fatal(err)
	}
}
