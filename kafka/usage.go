package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TopicBytes returns the bytes that one replica of each topic takes on the brokers' disks: of each partition those of its largest replica, since one that follows may be
// behind. Topics that are not there, or may not be seen, are left out; so are the replicas of a broker that is away. Without the right its error is ErrDenied.
func TopicBytes(ctx context.Context, client *kgo.Client, topics ...string) (map[string]int64, error) {
	details, err := describe(ctx, client, topics...)
	if err != nil {
		return nil, err
	}
	asked := kadm.TopicsSet{}
	for _, t := range details {
		for _, p := range t.Partitions {
			asked.Add(t.Topic, p.Partition)
		}
	}
	if len(asked) == 0 {
		return nil, nil // asked for none, a broker would tell of all
	}
	brokers, err := kadm.NewClient(client).DescribeAllLogDirs(ctx, asked)
	var some *kadm.ShardErrors
	switch {
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return nil, fmt.Errorf("reading the size of topics: %w", Denied(err, DescribeCluster()))
	case errors.As(err, &some) && !some.AllFailed:
	case err != nil:
		return nil, fmt.Errorf("reading the size of topics: %w", err)
	}
	largest := map[string]map[int32]int64{}
	brokers.Each(func(dir kadm.DescribedLogDir) {
		dir.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if largest[p.Topic] == nil {
				largest[p.Topic] = map[int32]int64{}
			}
			if !p.IsFuture { // a copy on its way to another disk
				largest[p.Topic][p.Partition] = max(largest[p.Topic][p.Partition], p.Size)
			}
		})
	})
	bytes := map[string]int64{}
	for topic, partitions := range largest {
		for _, size := range partitions {
			bytes[topic] += size
		}
	}
	return bytes, nil
}
