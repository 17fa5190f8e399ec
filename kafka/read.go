package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reading without a group: between offsets, to an end.
const (
	readWait  = 250 * time.Millisecond
	readQuiet = 10 * time.Second // without a record for this long, what is missing may not exist
	readProof = 5                // fetches that a partition's leader answered in that time, or it is slow or away and nothing is known
	readLimit = 90 * time.Second // longer than any transaction of ours may stay open
)

// span is what is read of each partition: [from, to).
type span map[int32]struct{ from, to int64 }

// spanOf returns a topic from its start to its end. The committed end is as far as readers of committed records see now; the other is as
// far as anything was written, committed or not yet.
func spanOf(ctx context.Context, admin *kadm.Client, topic string, committed bool) (span, error) {
	list := admin.ListEndOffsets
	if committed {
		list = admin.ListCommittedOffsets
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, err
	}
	ends, err := list(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	s := span{}
	starts.Each(func(o kadm.ListedOffset) {
		if end, ok := ends.Lookup(topic, o.Partition); ok && o.Offset < end.Offset {
			s[o.Partition] = struct{ from, to int64 }{o.Offset, end.Offset}
		}
	})
	return s, nil
}

// read calls f for each committed record of a span, in the order of its partition. It returns when the whole span was decided: an open
// transaction in it is waited for. Committed says that the span ends at the committed end.
func read(ctx context.Context, o Options, topic string, s span, committed bool, f func(*kgo.Record) error) error {
	if len(s) == 0 {
		return nil
	}
	offsets := map[int32]kgo.Offset{}
	for partition, part := range s {
		offsets[partition] = kgo.NewOffset().At(part.from)
	}
	answered := &fetchCount{}
	client, err := NewClient(o,
		kgo.WithHooks(answered),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// The last record may be a transaction's end, or one of an aborted transaction: only its end shows that it was passed.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(readWait),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	open := maps.Clone(s)
	last := time.Now()
	for len(open) > 0 {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := client.PollFetches(poll)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		for _, r := range fetches.Records() {
			part, wanted := open[r.Partition]
			if !wanted {
				continue
			}
			if r.Offset < part.to && !r.Attrs.IsControl() {
				if err := f(r); err != nil {
					return err
				}
			}
			if r.Offset+1 >= part.to {
				delete(open, r.Partition)
			}
			last = time.Now()
			answered.reset()
		}
		if time.Since(last) >= readQuiet {
			if err := forget(ctx, client, topic, open, committed, answered); err != nil {
				return err
			}
		}
		if len(open) > 0 && time.Since(last) > readLimit {
			partition := slices.Min(slices.Collect(maps.Keys(open)))
			return fmt.Errorf("partition %d does not come to offset %d in %v: a transaction that is open there holds it up; it ends with its worker, or after its timeout", partition, open[partition].to, readLimit)
		}
	}
	return nil
}

// forget drops the partitions of which nothing is left to read: retention took it, or the last record before a committed end was aborted and a
// transaction that is open there hides this. Before the other end such a record is followed by its transaction's end, and is waited for.
func forget(ctx context.Context, client *kgo.Client, topic string, open span, committed bool, answered *fetchCount) error {
	admin := kadm.NewClient(client)
	details, err := admin.ListTopics(ctx, topic)
	if err == nil {
		err = details.Error()
	}
	if err != nil {
		return err
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return err
	}
	stable, err := admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = stable.Error()
	}
	if err != nil {
		return err
	}
	for partition, part := range open {
		start, _ := starts.Lookup(topic, partition)
		end, _ := stable.Lookup(topic, partition)
		proven := answered.by(details[topic].Partitions[partition].Leader) >= readProof
		if start.Offset >= part.to || committed && proven && end.Offset == part.to {
			delete(open, partition)
		}
	}
	return nil
}

// fetchCount counts the fetches that each broker has answered since the last record.
type fetchCount struct {
	mu sync.Mutex
	n  map[int32]int
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (f *fetchCount) OnBrokerRead(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	const fetch = 1
	if key != fetch || err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n == nil {
		f.n = map[int32]int{}
	}
	f.n[broker.NodeID]++
}

func (f *fetchCount) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.n)
}

func (f *fetchCount) by(broker int32) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n[broker]
}
