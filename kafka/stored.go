package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// StoredTopics describes the topics that ClickHouse's rows come from, as far as they exist: what the sink reads, of this encoder (empty: none in particular) and of every other
// one that the user may see, and the watch's events. Its error wraps ErrDenied for a topic that the user may not see: without it rows would be missing.
func StoredTopics(ctx context.Context, client *kgo.Client, encoder string) (kadm.TopicDetails, error) {
	names := append(storedOnce(), DriftEvents)
	if encoder != "" {
		names = append(names, Embedded(encoder))
	}
	named, err := describe(ctx, client, names...)
	if err != nil {
		return nil, err
	}
	topics := kadm.TopicDetails{}
	for name, t := range named {
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		case t.Err != nil:
			return nil, fmt.Errorf("finding topic %s: %w", name, Denied(t.Err, ReadTopic(name)))
		default:
			topics[name] = t
		}
	}
	all, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the topics: %w", err)
	}
	for name, t := range all {
		if strings.HasPrefix(name, Embedded("")) && t.Err == nil {
			topics[name] = t
		}
	}
	if len(topics) == 0 {
		return nil, errors.New("finding the topics that the sink reads: there is none: correct --brokers")
	}
	return topics, nil
}

// storedOnce are the topics that sinks of all encoders share.
func storedOnce() []string {
	readers := Readers("")
	return slices.Clone(readers[len(readers)-1].Topics)
}

// SinkOffsets returns how far the sink has committed these topics; nothing of those that it has never read.
func SinkOffsets(ctx context.Context, client *kgo.Client, topics kadm.TopicDetails) (map[string]map[int32]int64, error) {
	l := &LagReader{client: client, admin: kadm.NewClient(client)}
	at := map[string]map[int32]int64{}
	shared := storedOnce()
	for name := range topics {
		group := Group("sink", "")
		if encoder, ok := strings.CutPrefix(name, Embedded("")); ok {
			group = Group("sink", encoder)
		} else if !slices.Contains(shared, name) {
			continue // the watch writes what it says to ClickHouse itself
		}
		offsets, err := l.offsetsOn(ctx, group, name)
		if err != nil {
			return nil, Denied(err, ReadGroup(group))
		}
		for partition, o := range offsets {
			if at[name] == nil {
				at[name] = map[int32]int64{}
			}
			at[name][partition] = o.At
		}
	}
	return at, nil
}
