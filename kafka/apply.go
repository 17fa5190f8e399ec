package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ApplyOptions say how far Apply goes.
type ApplyOptions struct {
	// Destroy allows changes after which records go.
	Destroy bool
	// Wait bounds the wait for moves of replicas, 10 minutes by default. They go on when it is over.
	Wait time.Duration
}

// EnsureDefaults fills what is zero.
func (o *ApplyOptions) EnsureDefaults() {
	if o.Wait == 0 {
		o.Wait = 10 * time.Minute
	}
}

// Apply does what a plan says and returns what it did. It deletes no topic and changes no number of partitions.
func (p TopicPlan) Apply(ctx context.Context, client *kgo.Client, o ApplyOptions) (done []Change, err error) {
	o.EnsureDefaults()
	admin := kadm.NewClient(client)
	moved := kadm.TopicsSet{}
	move := func(c Change) error {
		request := kadm.AlterPartitionAssignmentsReq{c.Topic: p.assignment[c.Topic]}
		responses, err := admin.AlterPartitionAssignments(ctx, request)
		if err == nil {
			err = responses.Error()
		}
		if err != nil {
			return fmt.Errorf("moving replicas of %s: %w", c.Topic, Denied(err, AlterCluster()))
		}
		for partition := range p.assignment[c.Topic] {
			moved.Add(c.Topic, partition)
		}
		return nil
	}
	// A topic gets its replicas before more of them must be in sync, and loses them after fewer must.
	step := func(chosen func(Change) bool, do func(Change) error) {
		for _, c := range p.Changes {
			if err == nil && chosen(c) {
				if err = do(c); err == nil {
					done = append(done, c)
				}
			}
		}
	}
	more := func(c Change) bool {
		from, _ := strconv.Atoi(c.From)
		to, _ := strconv.Atoi(c.To)
		return from < to
	}
	grows := func(c Change) bool { return c.Kind == Reassign && more(c) }
	step(func(c Change) bool { return c.Kind == Create }, func(c Change) error {
		i := slices.IndexFunc(p.declared, func(d Declaration) bool { return d.Topic == c.Topic })
		return p.declared[i].create(ctx, admin)
	})
	step(grows, move)
	// So do those that an Apply before this one, or somebody else, asked for.
	for _, c := range p.Changes {
		if c.Kind == Set && c.What == minInSyncName && more(c) {
			for partition := range p.moving[c.Topic] {
				moved.Add(c.Topic, partition)
			}
		}
	}
	if err == nil {
		err = awaitMoves(ctx, admin, moved, o.Wait)
	}
	step(func(c Change) bool { return c.Kind == Set || c.Kind == Destroys && o.Destroy }, func(c Change) error { return set(ctx, admin, c) })
	step(func(c Change) bool { return c.Kind == Reassign && !grows(c) }, move)
	if err == nil {
		err = awaitMoves(ctx, admin, moved, o.Wait)
	}
	if err == nil {
		err = p.awaitAgreement(ctx, client, done)
	}
	return done, err
}

// awaitAgreement returns when every broker that is asked knows of what was done: they learn of it one by one, after it was acknowledged.
func (p TopicPlan) awaitAgreement(ctx context.Context, client *kgo.Client, done []Change) error {
	ctx, cancel := context.WithTimeout(ctx, topicsWait)
	defer cancel()
	for {
		now, err := PlanTopics(ctx, client, p.declared)
		old := slices.IndexFunc(now.Changes, func(c Change) bool {
			return slices.ContainsFunc(done, func(d Change) bool { return d.Topic == c.Topic && d.What == c.What })
		})
		if err == nil && old < 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("%s of %s is still %q", now.Changes[old].What, now.Changes[old].Topic, now.Changes[old].From)
			}
			return fmt.Errorf("waiting for the brokers to know of the changes, at most %v: %w", topicsWait, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// set changes one setting and no other.
func set(ctx context.Context, admin *kadm.Client, c Change) error {
	responses, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: c.What, Value: &c.To}}, c.Topic)
	if err == nil {
		err = responses[0].Err
	}
	if err != nil {
		return fmt.Errorf("setting %s of %s to %s: %w", c.What, c.Topic, c.To, Denied(err, AlterConfigs(c.Topic)))
	}
	return nil
}

// awaitMoves returns when the brokers have ended the moves of replicas.
func awaitMoves(ctx context.Context, admin *kadm.Client, moved kadm.TopicsSet, wait time.Duration) error {
	if len(moved) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		under, err := admin.ListPartitionReassignments(ctx, moved)
		if err != nil {
			return fmt.Errorf("waiting for the brokers to move replicas: %w", err)
		}
		left := 0
		for _, partitions := range under {
			left += len(partitions)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the brokers to move replicas of %d partitions, at most %v: %w: they go on by themselves, `jobstrom topics plan` shows them", left, wait, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
