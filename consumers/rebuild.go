package consumers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// RebuildOptions say what is read into which database.
type RebuildOptions struct {
	Kafka kafka.Options
	// Encoder whose vectors must be there to read; those of others are read where the user may see them.
	Encoder string
	// Warehouse has the schema.
	Warehouse *warehouse.Warehouse
	// Until leaves out what was written at this time or later, but for tombstones: what is erased now is erased then. Zero reads to where the topics end now.
	Until time.Time
	// FromStart reads again what an earlier run has read already.
	FromStart bool
	// MaxRows bounds a block. Default 20,000.
	MaxRows int
	// Start is called once with the number of offsets that will be passed, Passed with those passed since the last call. Nil is allowed.
	Start, Passed func(offsets int64)
	Logger        *slog.Logger
}

// RebuildResult says what a rebuild did.
type RebuildResult struct {
	// Records that were read, Refused those that nobody can read: the sink's dead letters tell of them.
	Records int `json:"records"`
	Refused int `json:"refused"`
	// Gaps are what Kafka holds no more and the database may lack: only a backup can have it.
	Gaps []Gap `json:"gaps"`
}

// Gap is a stretch of a partition that Kafka does not hold any more: [From, To).
type Gap struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// ErrBeyond is returned when a database holds more than a rebuild until an earlier time may give it.
var ErrBeyond = errors.New("the database holds what was written later already: rebuild into another one (--clickhouse-database)")

// rebuild reads topics into a database by the sink's own code.
type rebuild struct {
	RebuildOptions
	sink   *sink
	topics []rebuiltTopic
	result RebuildResult
}

// rebuiltTopic is a topic and what is read of it: [from, to) of each partition.
type rebuiltTopic struct {
	name     string
	id       kafka.TopicID
	from, to map[int32]int64
}

// Rebuild stores in a database what the sink would have stored, by what Kafka still holds. It reads without a group and writes nothing to Kafka, so the flow goes on undisturbed.
// What was read is remembered in the database with each block: a rebuild that was broken off goes on, and one that is run again reads what came since. After a restore it
// begins where the sink stood at the backup. Tombstones come first, so that no erased vacancy can be seen at any time.
func Rebuild(ctx context.Context, o RebuildOptions) (RebuildResult, error) {
	if o.MaxRows == 0 {
		o.MaxRows = 20_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &rebuild{RebuildOptions: o, sink: &sink{SinkOptions: SinkOptions{Warehouse: o.Warehouse, Logger: o.Logger}, begin: map[string]kafka.TopicID{}}}
	for _, step := range []func(context.Context) error{r.plan, r.readTombstones, r.readTopics} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return r.result, fmt.Errorf("rebuilding: stopped after %d records, run it again to go on: %w", r.result.Records, ctx.Err())
			}
			return r.result, fmt.Errorf("rebuilding: %w", err)
		}
	}
	return r.result, nil
}

// Tombstones returns what Kafka knows of erased vacancies: a topic that a vacancy's rows may come from brings its tombstones as long as it holds anything of them.
func Tombstones(ctx context.Context, o kafka.Options) ([]warehouse.Erasure, error) {
	r := &rebuild{RebuildOptions: RebuildOptions{Kafka: o}, sink: &sink{begin: map[string]kafka.TopicID{}}}
	if err := r.identify(ctx); err != nil {
		return nil, fmt.Errorf("reading tombstones: %w", err)
	}
	b := &block{}
	if err := r.eachTombstone(ctx, b, func() error { return nil }); err != nil {
		return nil, fmt.Errorf("reading tombstones: %w", err)
	}
	return b.erasures, nil
}

// SinkOffsets returns how far the sink has stored the topics, for a backup's manifest.
func SinkOffsets(ctx context.Context, o kafka.Options, encoder string) ([]warehouse.Offset, error) {
	client, err := kafka.NewClient(o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topics, err := kafka.StoredTopics(ctx, client, encoder)
	if err != nil {
		return nil, err
	}
	at, err := kafka.SinkOffsets(ctx, client, topics)
	if err != nil {
		return nil, err
	}
	var offsets []warehouse.Offset
	for topic, partitions := range at {
		for partition, next := range partitions {
			offsets = append(offsets, warehouse.Offset{Topic: topic, TopicID: uuid.UUID(topics[topic].ID), Partition: partition, Next: next})
		}
	}
	slices.SortFunc(offsets, func(a, b warehouse.Offset) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return offsets, nil
}

// identify finds the topics and their ids. One that is not there has nothing to read.
func (r *rebuild) identify(ctx context.Context) error {
	client, err := kafka.NewClient(r.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	topics, err := kafka.StoredTopics(ctx, client, r.Encoder)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		id := kafka.TopicID(topics[name].ID)
		r.topics = append(r.topics, rebuiltTopic{name: name, id: id})
		if name == kafka.Labels || name == kafka.APIPredictions {
			r.sink.begin[name] = id
		}
	}
	return nil
}

// plan finds out what is read of each partition.
func (r *rebuild) plan(ctx context.Context) error {
	if err := r.identify(ctx); err != nil {
		return err
	}
	client, err := kafka.NewClient(r.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	known, err := r.Warehouse.ReadOffsets(ctx)
	if err != nil {
		return err
	}
	var total int64
	for i := range r.topics {
		t := &r.topics[i]
		starts, err := admin.ListStartOffsets(ctx, t.name)
		if err == nil {
			err = starts.Error()
		}
		if err != nil {
			return fmt.Errorf("asking where %s begins: %w", t.name, err)
		}
		ends, err := admin.ListCommittedOffsets(ctx, t.name)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return fmt.Errorf("asking where %s ends: %w", t.name, err)
		}
		later := ends
		if !r.Until.IsZero() {
			if later, err = admin.ListOffsetsAfterMilli(ctx, r.Until.UnixMilli(), t.name); err == nil {
				err = later.Error()
			}
			if err != nil {
				return fmt.Errorf("asking what %s held at %s: %w", t.name, r.Until, err)
			}
		}
		t.from, t.to = map[int32]int64{}, map[int32]int64{}
		for partition, end := range ends[t.name] {
			start, _ := starts.Lookup(t.name, partition)
			bound, _ := later.Lookup(t.name, partition)
			from, to := int64(0), min(end.Offset, bound.Offset)
			if place := slices.IndexFunc(known, func(k warehouse.Offset) bool {
				return k.Topic == t.name && k.TopicID == uuid.UUID(t.id) && k.Partition == partition
			}); place >= 0 && !r.FromStart {
				from = known[place].Next
			}
			if !r.Until.IsZero() && from > to {
				return fmt.Errorf("%w (partition %d of %s to offset %d, at %s it ended at %d)", ErrBeyond, partition, t.name, from, r.Until.UTC().Format(time.RFC3339), to)
			}
			if start.Offset > from {
				r.result.Gaps = append(r.result.Gaps, Gap{t.name, partition, from, start.Offset})
				from = start.Offset
			}
			t.from[partition], t.to[partition] = from, to
			total += max(0, to-from)
		}
	}
	slices.SortFunc(r.result.Gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	if r.Start != nil {
		r.Start(total)
	}
	return nil
}

// readTombstones carries out the tombstones of the smaller topics, each of which has those of every vacancy, to their very end. The others bring theirs once more, behind what they held.
func (r *rebuild) readTombstones(ctx context.Context) error {
	b := &block{}
	carryOut := func() error {
		err := r.Warehouse.Erase(ctx, b.erasures)
		b.erasures = nil
		return err
	}
	if err := r.eachTombstone(ctx, b, func() error {
		if len(b.erasures) < r.MaxRows {
			return nil
		}
		return carryOut()
	}); err != nil {
		return err
	}
	return carryOut()
}

// eachTombstone adds each tombstone of the topics that rows are erased by to a block, and calls f after each.
func (r *rebuild) eachTombstone(ctx context.Context, b *block, f func() error) error {
	for _, t := range r.topics {
		if t.name != kafka.Labels && t.name != kafka.APIPredictions && t.name != kafka.DeadLetter && t.name != kafka.Classified {
			continue
		}
		err := kafka.Scan(ctx, r.Kafka, kafka.ScanOptions{Topics: []string{t.name}}, func(rec *kgo.Record) error {
			if !kafka.IsErasure(rec) {
				return nil
			}
			if err := r.sink.addErasure(b, rec); err != nil {
				return nil // it names no place: the sink made a dead letter of it
			}
			return f()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readTopics stores what the topics hold, one after the other.
func (r *rebuild) readTopics(ctx context.Context) error {
	for _, t := range r.topics {
		if err := r.readTopic(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuild) readTopic(ctx context.Context, t rebuiltTopic) error {
	r.sink.embedded = ""
	if strings.HasPrefix(t.name, kafka.Embedded("")) {
		r.sink.embedded = t.name
	}
	b, events, next := &block{}, []warehouse.DriftEventRow(nil), map[int32]int64{}
	store := func() error {
		if err := r.sink.insertRows(ctx, b); err != nil {
			return err
		}
		if err := r.Warehouse.InsertDriftEvents(ctx, events); err != nil {
			return err
		}
		var offsets []warehouse.Offset
		for partition, offset := range next {
			offsets = append(offsets, warehouse.Offset{Topic: t.name, TopicID: uuid.UUID(t.id), Partition: partition, Next: offset})
		}
		r.result.Records += b.records
		b, events, next = &block{}, nil, map[int32]int64{}
		return r.Warehouse.SaveOffsets(ctx, offsets)
	}
	err := kafka.Scan(ctx, r.Kafka, kafka.ScanOptions{Topics: []string{t.name}, From: t.from, To: t.to, Passed: r.Passed}, func(rec *kgo.Record) error {
		b.records++
		next[rec.Partition] = rec.Offset + 1
		var err error
		if t.name == kafka.DriftEvents {
			var row warehouse.DriftEventRow
			if row, err = driftEventRow(rec); err == nil {
				events = append(events, row)
			}
		} else {
			err = r.sink.add(b, rec)
		}
		if err != nil {
			r.result.Refused++
			r.Logger.Info("passing over what cannot be read", "topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset, "error", err)
		}
		if b.records >= r.MaxRows {
			return store()
		}
		return nil
	})
	if err != nil {
		return err
	}
	for partition, to := range t.to { // ends of transactions take offsets, too
		next[partition] = max(to, t.from[partition])
	}
	return store()
}

// driftEventRow reads an event of the watch. When a webhook took it the topic does not say: it counts as having been called when it was published, or the watch would call again.
func driftEventRow(r *kgo.Record) (row warehouse.DriftEventRow, err error) {
	m := &schemas.DriftEvent{}
	if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, m); err != nil {
		return row, err
	}
	if m.Id == "" {
		return row, fmt.Errorf("%w event of the watch: id is missing", schemas.ErrMalformed)
	}
	row = warehouse.DriftEventRow{
		EventID: m.Id, At: m.At.AsTime(), Watch: m.Watch, Kind: m.Kind, AlarmID: m.Alarm, Column: m.Column, Verdict: m.Verdict,
		Effect: m.Effect, EffectName: m.EffectName, Gate: m.Gate, Q: m.Q,
		ReferenceFrom: m.Reference.GetFrom().AsTime(), ReferenceTo: m.Reference.GetTo().AsTime(), ReferenceVacancies: m.Reference.GetVacancies(),
		CurrentFrom: m.Current.GetFrom().AsTime(), CurrentTo: m.Current.GetTo().AsTime(), CurrentVacancies: m.Current.GetVacancies(),
		Encoder: m.Encoder, Model: m.Model, Reason: m.Reason, Version: m.Version, PublishedAt: r.Timestamp, CalledAt: r.Timestamp,
	}
	for _, c := range m.Changes {
		row.Changes = append(row.Changes, warehouse.ShareChange{Value: c.Value, Reference: c.Reference, Current: c.Current})
	}
	return row, nil
}
