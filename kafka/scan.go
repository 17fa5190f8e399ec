package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ScanOptions say what Scan reads.
type ScanOptions struct {
	Topics []string
	// From and To bound each partition, for one topic: [From, To). Nil is the whole.
	From, To map[int32]int64
	// Whole reads to the very end, and waits for transactions that are open; else it ends where readers of committed records see now.
	Whole bool
	// Start is called once with the number of offsets that will be passed. Nil is allowed.
	Start func(offsets int64)
	// Passed is called with the number of offsets passed since the last call. Nil is allowed.
	Passed func(offsets int64)
}

// Scan calls f with every committed record that the topics hold now, topic after topic, in the order of each partition, and returns. It uses no
// consumer group and changes nothing. It ends at f's first error.
func Scan(ctx context.Context, o Options, s ScanOptions, f func(*kgo.Record) error) error {
	client, err := NewClient(o)
	if err != nil {
		return err
	}
	defer client.Close()
	spans := make([]span, len(s.Topics))
	var total int64
	for i, topic := range s.Topics {
		if spans[i], err = spanOf(ctx, kadm.NewClient(client), topic, !s.Whole); err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		spans[i].bound(s.From, s.To)
		total += spans[i].offsets()
	}
	if s.Start != nil {
		s.Start(total)
	}
	for i, topic := range s.Topics {
		left := spans[i].offsets()
		pass := func(n int64) {
			left -= n
			if s.Passed != nil {
				s.Passed(n)
			}
		}
		at := map[int32]int64{}
		for partition, part := range spans[i] {
			at[partition] = part.from
		}
		err := read(ctx, o, topic, spans[i], !s.Whole, func(r *kgo.Record) error {
			pass(r.Offset + 1 - at[r.Partition])
			at[r.Partition] = r.Offset + 1
			return f(r)
		})
		if err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		pass(left) // what held no record
	}
	return nil
}

// bound narrows a span.
func (s span) bound(from, to map[int32]int64) {
	for partition, part := range s {
		if first, ok := from[partition]; ok {
			part.from = max(part.from, first)
		}
		if end, ok := to[partition]; ok {
			part.to = min(part.to, end)
		}
		if s[partition] = part; part.from >= part.to {
			delete(s, partition)
		}
	}
}

// offsets counts what a span spans.
func (s span) offsets() (n int64) {
	for _, part := range s {
		n += part.to - part.from
	}
	return n
}
