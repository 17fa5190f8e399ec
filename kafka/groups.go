package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Group names the consumer group of a stage. What works with one encoder's vectors has a group for each encoder, so that two encoders never share a partition's
// offset; encoder is empty for what serves them all.
func Group(stage, encoder string) string {
	if encoder == "" {
		return "jobstrom." + stage
	}
	return "jobstrom." + stage + "." + Short(encoder)
}

// TransactionalID names a worker of a stage: the same after a restart, and another for each encoder, whose workers must not fence each other.
func TransactionalID(stage, encoder, worker string) string {
	return Group(stage, encoder) + "." + worker
}

// ErrFormerGroup means that processes of a jobstrom before groups had an encoder's name still work.
var ErrFormerGroup = errors.New("a process of an older version still works in the group of before: stop it")

// TakeOver gives a stage's group that has no offsets on a topic those of the group that worked there before groups had an encoder's name, so that an upgrade answers
// nothing twice. It does nothing when the group has offsets, when there was no such group, and when made, the topic that the stage writes, is empty: then nothing was answered,
// or this encoder is new. Without made it does not ask. It wraps ErrFormerGroup while the former group has members, and ErrDenied when the user may not read it.
func TakeOver(ctx context.Context, client *kgo.Client, stage, encoder, topic, made string) error {
	l, group := &LagReader{client: client, admin: kadm.NewClient(client)}, Group(stage, encoder)
	at, err := l.offsetsOn(ctx, group, topic)
	if err != nil || len(at) > 0 {
		return err
	}
	if err := l.takeOver(ctx, Reader{Stage: stage, Topics: []string{topic}}, group, made); err != nil {
		return fmt.Errorf("taking over the offsets of group %s: %w", Group(stage, ""), err)
	}
	return nil
}

func (l *LagReader) takeOver(ctx context.Context, former Reader, group, made string) error {
	if made != "" {
		ends, err := l.admin.ListEndOffsets(ctx, made)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return err
		}
		empty := true
		ends.Each(func(o kadm.ListedOffset) { empty = empty && o.Offset == 0 })
		if empty {
			return nil
		}
	}
	before, err := l.offsetsOn(ctx, former.Group(), former.Topics[0])
	if err != nil || len(before) == 0 {
		return Denied(err, ReadGroup(former.Group()))
	}
	var lags []Lag
	for partition := range before {
		lags = append(lags, Lag{Topic: former.Topics[0], Partition: partition})
	}
	if err := l.workers(ctx, former, lags); err != nil {
		return err
	}
	for _, lag := range lags {
		if lag.Worker != "" {
			return fmt.Errorf("%w (%s)", ErrFormerGroup, lag.Worker)
		}
	}
	set, err := l.admin.CommitOffsets(ctx, group, kadm.Offsets{former.Topics[0]: before})
	if err == nil {
		err = set.Error()
	}
	return err
}

// offsetsOn returns what a group has committed of a topic; nothing where there is no such group.
func (l *LagReader) offsetsOn(ctx context.Context, group, topic string) (map[int32]kadm.Offset, error) {
	committed, err := l.committed(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("fetching the offsets of group %s: %w", group, err)
	}
	at := map[int32]kadm.Offset{}
	for partition, o := range committed[topic] {
		if o.At >= 0 {
			at[partition] = o.Offset
		}
	}
	return at, nil
}
