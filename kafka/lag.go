package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// probeWait bounds the search for the oldest unread records of one stage.
const probeWait = 2 * time.Second

// Reader is a stage that reads, in a consumer group of its own.
type Reader struct {
	Stage string
	// Encoder is whose vectors it works with; empty for what serves all encoders.
	Encoder string
	Topics  []string
}

// Group is the reader's consumer group.
func (r Reader) Group() string { return Group(r.Stage, r.Encoder) }

// Readers lists the stages of a flow with this encoder and what each reads. The sink has two groups: what is there once for all encoders is stored once, whichever
// encoder's sink does it.
func Readers(encoder string) []Reader {
	embedded := Embedded(encoder)
	return []Reader{
		{"extract", "", []string{Raw}},
		{"embed", encoder, []string{Extracted}},
		{"classify", encoder, []string{embedded}},
		{"sink", encoder, []string{embedded}},
		{"sink", "", []string{Classified, Labels, DeadLetter, Shadow, APIPredictions, ModelHistory}},
	}
}

// Lag is what a stage has still to read of a partition.
type Lag struct {
	Stage, Topic string
	Partition    int32
	// Committed is the offset to read next; where the stage has committed none, the partition's start.
	Committed int64
	// End is how far readers of committed records may read (the last stable offset).
	End int64
	// Records counts the offsets from the oldest unread record to End: exactly 0 when nothing is unread, otherwise at most so many
	// records, because the ends of transactions and what they aborted take offsets too.
	Records int64
	// Hidden counts the offsets behind End: a transaction that is open there hides them.
	Hidden int64
	// Oldest is the timestamp of the oldest unread record; zero when nothing is unread.
	Oldest time.Time
	// Worker is the client id of the group's member that has the partition; empty where none has it.
	Worker string
}

// Age is how long the oldest unread record has waited. A publisher's clock may go wrong: an age is never negative.
func (l Lag) Age(now time.Time) time.Duration {
	if l.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(l.Oldest))
}

// LagReader measures lags. It is for one goroutine.
//
// The difference of offsets does not tell whether anything is unread: a transaction's end is a record that no consumer gets to see and so none commits
// past, and aborted records look the same. So the reader looks for the first record that a consumer would get, whose timestamp also tells its age.
type LagReader struct {
	client *kgo.Client
	admin  *kadm.Client
}

// NewLagReader returns a reader; it does not connect yet.
func NewLagReader(o Options) (*LagReader, error) {
	o.Logger = nil // it would tell of each look; what goes wrong is in the error
	client, err := NewClient(o,
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // what retention took is not unread
		kgo.FetchMaxPartitionBytes(64<<10),
		kgo.FetchMaxBytes(4<<20),
	)
	if err != nil {
		return nil, err
	}
	return &LagReader{client: client, admin: kadm.NewClient(client)}, nil
}

// Close ends the connections.
func (l *LagReader) Close() { l.client.Close() }

// Read returns the lag of every partition of one stage, in the order of topics and partitions. Groups of both protocols do.
func (l *LagReader) Read(ctx context.Context, r Reader) ([]Lag, error) {
	lags, err := l.offsets(ctx, r)
	if err == nil {
		err = l.probe(ctx, lags)
	}
	if err == nil {
		err = l.workers(ctx, r, lags)
	}
	if err != nil {
		return nil, fmt.Errorf("measuring the lag of %s: %w", r.Stage, err)
	}
	return lags, nil
}

// offsets fills in all but Oldest and Worker; Records counts what no consumer gets to see, too.
func (l *LagReader) offsets(ctx context.Context, r Reader) ([]Lag, error) {
	// Committed offsets first: read after the ends, they could lie behind them.
	committed, err := l.committed(ctx, r.Group())
	if err != nil {
		return nil, fmt.Errorf("fetching offsets: %w", Denied(err, ReadGroup(r.Group())))
	}
	var listed [3]kadm.ListedOffsets
	for i, list := range []func(context.Context, ...string) (kadm.ListedOffsets, error){l.admin.ListStartOffsets, l.admin.ListCommittedOffsets, l.admin.ListEndOffsets} {
		listed[i], err = list(ctx, r.Topics...)
		if err == nil {
			err = listed[i].Error()
		}
		if err != nil {
			return nil, fmt.Errorf("listing offsets of %v: %w", r.Topics, err)
		}
	}
	var lags []Lag
	for _, topic := range r.Topics {
		for partition := range int32(len(listed[0][topic])) {
			start, _ := listed[0].Lookup(topic, partition)
			stable, _ := listed[1].Lookup(topic, partition)
			end, _ := listed[2].Lookup(topic, partition)
			lag := Lag{Stage: r.Stage, Topic: topic, Partition: partition, Committed: start.Offset, End: stable.Offset, Hidden: max(0, end.Offset-stable.Offset)}
			if at, ok := committed.Lookup(topic, partition); ok && at.At > lag.Committed {
				lag.Committed = at.At
			}
			lag.Records = max(0, lag.End-lag.Committed)
			lags = append(lags, lag)
		}
	}
	return lags, nil
}

// committed returns a group's offsets: none of one that nobody has joined yet. A cluster that has had no groups makes their topic first.
func (l *LagReader) committed(ctx context.Context, group string) (kadm.OffsetResponses, error) {
	for deadline := time.Now().Add(5 * time.Second); ; {
		offsets, err := l.admin.FetchOffsets(ctx, group)
		if err == nil {
			err = offsets.Error()
		}
		switch {
		case errors.Is(err, kerr.GroupIDNotFound):
			return nil, nil
		case !errors.Is(err, kerr.CoordinatorNotAvailable) || time.Now().After(deadline):
			return offsets, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// probe looks for the oldest unread record of each partition that may have one.
func (l *LagReader) probe(ctx context.Context, lags []Lag) error {
	type place struct {
		topic     string
		partition int32
	}
	open, offsets := map[place]*Lag{}, map[string]map[int32]kgo.Offset{}
	for i := range lags {
		if lag := &lags[i]; lag.Records > 0 {
			open[place{lag.Topic, lag.Partition}] = lag
			if offsets[lag.Topic] == nil {
				offsets[lag.Topic] = map[int32]kgo.Offset{}
			}
			offsets[lag.Topic][lag.Partition] = kgo.NewOffset().At(lag.Committed)
		}
	}
	if len(open) == 0 {
		return nil
	}
	l.client.AddConsumePartitions(offsets)
	defer func() {
		for p := range open {
			l.client.RemoveConsumePartitions(map[string][]int32{p.topic: {p.partition}})
		}
	}()
	quiet, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	for len(open) > 0 {
		fetches := l.client.PollFetches(quiet)
		if err := ctx.Err(); err != nil {
			return err
		}
		if quiet.Err() != nil {
			break
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("looking for the oldest unread record: %w", err)
		}
		for _, r := range fetches.Records() {
			at := place{r.Topic, r.Partition}
			lag := open[at]
			switch {
			case lag == nil:
				continue
			case !r.Attrs.IsControl() && r.Offset < lag.End:
				lag.Records, lag.Oldest = lag.End-r.Offset, r.Timestamp
			case r.Offset+1 >= lag.End: // nothing but ends of transactions and what they aborted
				lag.Records = 0
			default:
				continue
			}
			delete(open, at)
			l.client.RemoveConsumePartitions(map[string][]int32{at.topic: {at.partition}}) // the others' turn
		}
	}
	// What does not come is aborted, and the end of its transaction hidden by another one that is open.
	for _, lag := range open {
		if lag.Hidden > 0 {
			lag.Records = 0
		}
	}
	return nil
}

// workers fills in who has the partitions.
func (l *LagReader) workers(ctx context.Context, r Reader, lags []Lag) error {
	has, err := l.classicMembers(ctx, r.Group())
	if err == nil && len(has) == 0 {
		has, err = l.consumerMembers(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("describing group %s: %w", r.Group(), Denied(err, ReadGroup(r.Group())))
	}
	for i := range lags {
		for worker, topics := range has {
			if topics.Lookup(lags[i].Topic, lags[i].Partition) {
				lags[i].Worker = worker
			}
		}
	}
	return nil
}

func (l *LagReader) classicMembers(ctx context.Context, group string) (map[string]kadm.TopicsSet, error) {
	groups, err := l.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = groups[group].Err
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, err
	}
	has := map[string]kadm.TopicsSet{}
	for _, m := range groups[group].Members {
		topics := kadm.TopicsSet{}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				topics.Add(t.Topic, t.Partitions...)
			}
		}
		if len(topics) > 0 { // else kfake's answer for a group of the other protocol
			has[m.ClientID] = topics
		}
	}
	return has, nil
}

// consumerMembers asks for a group of the consumer protocol (KIP-848), which older brokers do not know. kfake gives ids of topics without their names.
func (l *LagReader) consumerMembers(ctx context.Context, r Reader) (map[string]kadm.TopicsSet, error) {
	request := kmsg.NewPtrConsumerGroupDescribeRequest()
	request.Groups = []string{r.Group()}
	response, err := request.RequestWith(ctx, l.client)
	if err == nil && len(response.Groups) == 1 {
		err = kerr.ErrorForCode(response.Groups[0].ErrorCode)
	}
	if errors.Is(err, kerr.GroupIDNotFound) || errors.Is(err, kerr.UnsupportedVersion) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	details, err := describe(ctx, l.client, r.Topics...)
	if err != nil {
		return nil, err
	}
	names := map[[16]byte]string{}
	for name, d := range details {
		names[d.ID] = name
	}
	has := map[string]kadm.TopicsSet{}
	for _, g := range response.Groups {
		for _, m := range g.Members {
			topics := kadm.TopicsSet{}
			for _, t := range m.Assignment.TopicPartitions {
				topics.Add(names[t.TopicID], t.Partitions...)
			}
			has[m.ClientID] = topics
		}
	}
	return has, nil
}
