package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kind says what becomes of a difference between what is declared and what is there.
type Kind string

// The kinds. The first three are done by Apply, and Destroys too when it is allowed.
const (
	Create   Kind = "create"
	Set      Kind = "set"
	Reassign Kind = "reassign"
	// Destroys are changes of settings after which records go.
	Destroys Kind = "destroys"
	// Refused is what is never done, or cannot be.
	Refused Kind = "refused"
	// UnderWay is a move of replicas that the brokers have not ended.
	UnderWay Kind = "under way"
	// Foreign are settings of the topic that somebody else made and nobody declared. They stay.
	Foreign Kind = "left alone"
)

// Change is one difference.
type Change struct {
	Topic string `json:"topic"`
	// What is topic, partitions, replication.factor or the name of a setting.
	What string `json:"what"`
	From string `json:"from"`
	To   string `json:"to"`
	Kind Kind   `json:"kind"`
	// Note says what else there is to know: what goes, or why it is refused.
	Note string `json:"note,omitempty"`
}

// TopicPlan is what is to be done to the topics of a flow.
type TopicPlan struct {
	Changes []Change
	// What Apply needs besides; the latter two by topic, of moves to ask for and of those under way.
	declared   []Declaration
	assignment map[string]map[int32][]int32
	moving     kadm.TopicsSet
}

// Has says whether there is a change of one of these kinds.
func (p TopicPlan) Has(kinds ...Kind) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return slices.Contains(kinds, c.Kind) })
}

// Pending says whether Apply has anything to do.
func (p TopicPlan) Pending() bool { return p.Has(Create, Set, Reassign, Destroys) }

// create makes a topic that is missing.
func (d Declaration) create(ctx context.Context, admin *kadm.Client) error {
	configs := map[string]*string{}
	for name, value := range d.Settings {
		configs[name] = &value
	}
	if _, err := admin.CreateTopic(ctx, d.Partitions, d.Replication, configs, d.Topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating topic %s: %w", d.Topic, Denied(err, CreateTopic(d.Topic)))
	}
	return nil
}

// PlanTopics compares what is declared with what is there. It changes nothing.
func PlanTopics(ctx context.Context, client *kgo.Client, declared []Declaration) (TopicPlan, error) {
	p := TopicPlan{assignment: map[string]map[int32][]int32{}, moving: kadm.TopicsSet{}}
	var all, there []string
	for _, d := range declared {
		all = append(all, d.Topic)
	}
	details, err := describe(ctx, client, all...)
	if err != nil {
		return p, err
	}
	flow := int32(0)
	for _, d := range declared {
		t := details[d.Topic]
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			continue
		case t.Err != nil:
			return p, fmt.Errorf("looking at topic %s: %w", d.Topic, Denied(t.Err, DescribeTopic(d.Topic)))
		}
		there = append(there, d.Topic)
		if d.flow && flow == 0 {
			flow = int32(len(t.Partitions))
		}
	}
	state, err := readTopicState(ctx, client, there)
	if err != nil {
		return p, err
	}
	for _, d := range declared {
		// What is missing of a flow gets as many partitions as the rest of it has.
		if d.flow && flow > 0 && (!d.Named || !slices.Contains(there, d.Topic)) {
			d.Partitions = flow
		}
		p.declared = append(p.declared, d)
		if !slices.Contains(there, d.Topic) {
			p.add(d.Topic, "topic", "", fmt.Sprintf("%d partitions", d.Partitions), Create, "")
			continue
		}
		p.compare(d, details[d.Topic], state)
	}
	return p, nil
}

func (p *TopicPlan) add(topic, what, from, to string, kind Kind, note string) {
	p.Changes = append(p.Changes, Change{topic, what, from, to, kind, note})
}

// compare adds the differences of one topic.
func (p *TopicPlan) compare(d Declaration, t kadm.TopicDetail, state topicState) {
	if got := int32(len(t.Partitions)); got != d.Partitions {
		note := "the number of partitions of a flow never changes: order is per partition, and a stage writes to the partition it reads"
		if !d.flow {
			note = "the number of partitions never changes"
		}
		p.add(d.Topic, partitionsName, strconv.Itoa(int(got)), strconv.Itoa(int(d.Partitions)), Refused, note)
	}
	configs := state.configs[d.Topic]
	replication := p.compareReplication(d, t, state)
	for _, name := range TopicSettings() {
		want, declared := d.Settings[name]
		got := configs[name]
		if !declared || got.MaybeValue() == want {
			continue
		}
		kind, note := Set, ""
		switch name {
		case retentionName:
			note = state.expires(d.Topic, got.MaybeValue(), want)
		case cleanupName:
			note = state.cleaned(d.Topic, want)
		case minInSyncName:
			if n, _ := strconv.Atoi(want); n > replication {
				p.add(d.Topic, name, got.MaybeValue(), want, Refused, fmt.Sprintf("its partitions have %d replicas: nothing could be written", replication))
				continue
			}
		}
		if note != "" {
			kind = Destroys
		}
		p.add(d.Topic, name, got.MaybeValue(), want, kind, note)
	}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		if _, declared := d.Settings[name]; !declared && configs[name].Source == kmsg.ConfigSourceDynamicTopicConfig {
			p.add(d.Topic, name, valueOf(configs[name]), "", Foreign, "nobody declared it")
		}
	}
}

// valueOf is empty where a value is not there, or secret. The library asks for a variable.
func valueOf(c kadm.Config) string { return c.MaybeValue() }

// compareReplication adds a move of replicas where their number is another one, and returns what it will be.
func (p *TopicPlan) compareReplication(d Declaration, t kadm.TopicDetail, state topicState) int {
	least, moving := 0, false
	current := map[int32]kadm.PartitionDetail{}
	for id, partition := range t.Partitions {
		if r, under := state.moves.lookup(d.Topic, id); under {
			moving = true
			p.moving.Add(d.Topic, id)
			partition.Replicas = slices.DeleteFunc(slices.Clone(partition.Replicas), func(b int32) bool { return slices.Contains(r.RemovingReplicas, b) })
		}
		current[id] = partition
		if n := len(partition.Replicas); least == 0 || n < least {
			least = n
		}
	}
	want := int(d.Replication)
	same := true
	for _, partition := range current {
		same = same && (want <= 0 || len(partition.Replicas) == want)
	}
	from, to := strconv.Itoa(least), strconv.Itoa(want)
	switch {
	case moving && same:
		p.add(d.Topic, replicationName, from, from, UnderWay, "the brokers move its replicas")
	case same:
	case want > len(state.brokers):
		p.add(d.Topic, replicationName, from, to, Refused, fmt.Sprintf("the cluster has %d brokers", len(state.brokers)))
	case moving:
		p.add(d.Topic, replicationName, from, to, Refused, "another move of its replicas is under way: wait for its end")
	default:
		inSync, declared := d.Settings[minInSyncName]
		if !declared {
			inSync = valueOf(state.configs[d.Topic][minInSyncName])
		}
		if n, _ := strconv.Atoi(inSync); n > want {
			p.add(d.Topic, replicationName, from, to, Refused, fmt.Sprintf("its %s is %d: nothing could be written", minInSyncName, n))
			return least
		}
		assignment, lagging := assign(current, state.brokers, want)
		if lagging {
			p.add(d.Topic, replicationName, from, to, Refused, "the replicas that would stay are not all in sync")
			return least
		}
		p.assignment[d.Topic] = assignment
		p.add(d.Topic, replicationName, from, to, Reassign, fmt.Sprintf("the brokers copy or drop replicas of %d partitions, %s each copy", len(assignment), humanize.IBytes(uint64(state.bytes[d.Topic]))))
		return want
	}
	return least
}

// expires says what a shorter retention would delete at once.
func (s topicState) expires(topic, from, to string) string {
	is, _ := strconv.ParseInt(from, 10, 64)
	will, _ := strconv.ParseInt(to, 10, 64)
	if will < 0 || is >= 0 && will >= is {
		return ""
	}
	limit := s.now.Add(-time.Duration(will) * time.Millisecond)
	oldest := s.oldest[topic]
	if oldest.IsZero() || !oldest.Before(limit) {
		return ""
	}
	return fmt.Sprintf("records from before %s would go, the oldest is of %s; the topic holds %d records in %s",
		limit.UTC().Format(time.RFC3339), oldest.UTC().Format(time.RFC3339), s.records[topic], humanize.IBytes(uint64(s.bytes[topic])))
}

// cleaned says what another way of cleaning up would delete.
func (s topicState) cleaned(topic, to string) string {
	if s.records[topic] == 0 {
		return ""
	}
	what := "all but the newest record of each key would go"
	if to == "delete" {
		what = "records beyond its retention would go"
	}
	return fmt.Sprintf("%s; the topic holds %d records in %s, the oldest of %s", what, s.records[topic], humanize.IBytes(uint64(s.bytes[topic])), s.oldest[topic].UTC().Format(time.RFC3339))
}
