package kafka

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicState is what the brokers say of topics that are there.
type topicState struct {
	configs map[string]map[string]kadm.Config
	records map[string]int64     // by offsets
	bytes   map[string]int64     // of the largest replicas; 0 where the user may not see
	oldest  map[string]time.Time // zero of an empty topic
	moves   moves
	brokers []kadm.BrokerDetail
	now     time.Time
}

type moves kadm.ListPartitionReassignmentsResponses

func (m moves) lookup(topic string, partition int32) (kadm.ListPartitionReassignmentsResponse, bool) {
	r, under := m[topic][partition]
	return r, under
}

func readTopicState(ctx context.Context, client *kgo.Client, topics []string) (topicState, error) {
	admin := kadm.NewClient(client)
	s := topicState{configs: map[string]map[string]kadm.Config{}, records: map[string]int64{}, oldest: map[string]time.Time{}, now: time.Now()}
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return s, fmt.Errorf("listing brokers: %w", err)
	}
	s.brokers = brokers
	if len(topics) == 0 {
		return s, nil
	}
	configs, err := admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return s, fmt.Errorf("reading the settings of topics: %w", err)
	}
	for _, r := range configs {
		if r.Err != nil {
			return s, fmt.Errorf("reading the settings of topic %s: %w", r.Name, Denied(r.Err, ReadConfigs(r.Name)))
		}
		s.configs[r.Name] = map[string]kadm.Config{}
		for _, c := range r.Configs {
			s.configs[r.Name][c.Key] = c
		}
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	ends, failed := admin.ListEndOffsets(ctx, topics...)
	if err = cmp.Or(err, failed, ends.Error()); err != nil {
		return s, fmt.Errorf("listing offsets: %w", err)
	}
	first, err := admin.ListOffsetsAfterMilli(ctx, 0, topics...)
	if err = cmp.Or(err, first.Error()); err != nil {
		return s, fmt.Errorf("looking for the oldest records: %w", err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		if start, found := starts.Lookup(end.Topic, end.Partition); found {
			s.records[end.Topic] += end.Offset - start.Offset
		}
		at, found := first.Lookup(end.Topic, end.Partition)
		if !found || at.Timestamp <= 0 || at.Offset >= end.Offset {
			return
		}
		if t := time.UnixMilli(at.Timestamp); s.oldest[end.Topic].IsZero() || t.Before(s.oldest[end.Topic]) {
			s.oldest[end.Topic] = t
		}
	})
	set := kadm.TopicsSet{}
	for topic, partitions := range ends {
		for p := range partitions {
			set.Add(topic, p)
		}
	}
	// Both need rights on the cluster that who only looks may lack: sizes are then missing, and moves are found out when the brokers refuse another.
	if bytes, err := TopicBytes(ctx, client, topics...); err == nil {
		s.bytes = bytes
	}
	if under, err := admin.ListPartitionReassignments(ctx, set); err == nil {
		s.moves = moves(under)
	}
	return s, nil
}

// assign returns where replicas should lie so that each partition has that many. New ones come to racks that have none of the partition, then to brokers with the
// fewest of the topic's replicas. Of too many, those go first that are out of sync, then those of racks that have others, then of brokers with the most, and the
// leader last: after restarts one broker may lead them all. Lagging says that some that would stay are out of sync, which could lose what only the others have.
func assign(current map[int32]kadm.PartitionDetail, brokers []kadm.BrokerDetail, want int) (assignment map[int32][]int32, lagging bool) {
	load, rack := map[int32]int{}, map[int32]string{}
	for _, b := range brokers {
		if b.Rack != nil {
			rack[b.NodeID] = *b.Rack
		}
	}
	for _, p := range current {
		for _, b := range p.Replicas {
			load[b]++
		}
	}
	assignment = map[int32][]int32{}
	for _, id := range slices.Sorted(maps.Keys(current)) {
		p := current[id]
		replicas := slices.Clone(p.Replicas)
		if len(replicas) == want {
			continue
		}
		inRack := func(broker int32) (n int) {
			for _, b := range replicas {
				if rack[b] == rack[broker] {
					n++
				}
			}
			return n
		}
		for len(replicas) > want {
			gone := slices.MaxFunc(replicas, func(a, b int32) int {
				return cmp.Or(-compareBools(slices.Contains(p.ISR, a), slices.Contains(p.ISR, b)), cmp.Compare(inRack(a), inRack(b)), cmp.Compare(load[a], load[b]),
					-compareBools(a == p.Leader, b == p.Leader), cmp.Compare(slices.Index(replicas, a), slices.Index(replicas, b)))
			})
			load[gone]--
			replicas = slices.DeleteFunc(replicas, func(b int32) bool { return b == gone })
		}
		if len(p.Replicas) > want {
			lagging = lagging || slices.ContainsFunc(replicas, func(b int32) bool { return !slices.Contains(p.ISR, b) })
		}
		for len(replicas) < want {
			others := slices.DeleteFunc(slices.Clone(brokers), func(b kadm.BrokerDetail) bool { return slices.Contains(replicas, b.NodeID) })
			next := slices.MinFunc(others, func(a, b kadm.BrokerDetail) int {
				return cmp.Or(cmp.Compare(inRack(a.NodeID), inRack(b.NodeID)), cmp.Compare(load[a.NodeID], load[b.NodeID]), cmp.Compare(a.NodeID, b.NodeID))
			})
			replicas = append(replicas, next.NodeID)
			load[next.NodeID]++
		}
		assignment[id] = replicas
	}
	return assignment, lagging
}

// compareBools orders what is not so before what is.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
