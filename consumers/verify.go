package consumers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/warehouse"
)

// VerifyOptions configure a search for what is left of erased vacancies.
type VerifyOptions struct {
	Kafka     kafka.Options
	Warehouse *warehouse.Warehouse
	// Start is called once with the number of offsets to read, Passed as they are read. Nil is allowed.
	Start, Passed func(offsets int64)
}

// Verification says what is left of a vacancy, place by place.
type Verification struct {
	ID string
	// ErasedAt is the time of the newest tombstone; zero when there is none.
	ErasedAt time.Time
	// Traces has one for each topic and table, also where nothing is left.
	Traces []Trace
}

// Trace is what a topic or a table holds of a vacancy.
type Trace struct {
	// Place is the topic's or the table's name.
	Place string
	Table bool
	// Old counts what was to be erased: what lies before the tombstone, or everything without one. New is what was published afterwards.
	Old, New int
	// Expires is when the last of Old is gone at the latest; zero when nothing is left or nothing makes it expire.
	Expires time.Time
}

// Left says that something old is left that does not expire by itself.
func (t Trace) Left() bool { return t.Old > 0 && t.Expires.IsZero() }

// Clean says that the vacancy was erased and that nothing old is left but what expires.
func (v Verification) Clean() bool {
	return !v.ErasedAt.IsZero() && !slices.ContainsFunc(v.Traces, Trace.Left)
}

// found is a record or a row of a vacancy.
type found struct {
	kafka.Coordinates
	place string    // topic or table
	until time.Time // when it expires at the latest; zero for never
}

// Verify reads every topic of the flow and every table for these vacancies. Topics are read as their readers see them; records
// of the raw topic are known by the id they hold or that is made from their content, those of the inner topics by their key.
func Verify(ctx context.Context, o VerifyOptions, ids []string) ([]Verification, error) {
	client, err := kafka.NewClient(o.Kafka)
	if err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	defer client.Close()
	topics, err := vacancyTopics(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	wanted, records, tombstones := map[string]bool{}, map[string][]found{}, kafka.Erasures{}
	for _, id := range ids {
		wanted[id] = true
	}
	var names []string
	for _, t := range topics {
		names = append(names, t.name)
	}
	err = kafka.Scan(ctx, o.Kafka, kafka.ScanOptions{Topics: names, Start: o.Start, Passed: o.Passed}, func(r *kgo.Record) error {
		at := slices.IndexFunc(topics, func(t topicKeep) bool { return t.name == r.Topic })
		topic := topics[at]
		if kafka.IsErasure(r) {
			if id := string(r.Key); wanted[id] {
				tombstones.Add(id, kafka.Identity(r, topic.id)) // its own place where labels and the API's predictions lie
			}
			return nil
		}
		if id := cmp.Or(kafka.VacancyID(r), string(r.Key)); wanted[id] {
			records[id] = append(records[id], found{Coordinates: kafka.Identity(r, topic.id), place: r.Topic, until: topic.expires(r.Timestamp)})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	// A tombstone is remembered longer than topics keep it.
	known, err := o.Warehouse.ReadErasures(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	for _, e := range known {
		tombstones.Add(e.VacancyID, kafka.Coordinates{Topic: kafka.TopicID(e.TopicID), Partition: e.Partition, Offset: e.Offset, Time: e.ErasedAt})
	}
	rows, err := o.Warehouse.ReadTraces(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	for _, r := range rows {
		place := kafka.Coordinates{Topic: kafka.TopicID(r.TopicID), Partition: r.Partition, Offset: r.Offset, Time: r.ReceivedAt}
		records[r.VacancyID] = append(records[r.VacancyID], found{Coordinates: place, place: r.Table})
	}
	tables, err := o.Warehouse.ErasableTables(ctx)
	if err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	verifications := make([]Verification, len(ids))
	for i, id := range ids {
		v := Verification{ID: id, ErasedAt: tombstones.At(id)}
		old := func(r found) bool { return v.ErasedAt.IsZero() || tombstones.Has(id, r.Coordinates) }
		for _, t := range topics {
			v.Traces = append(v.Traces, traceOf(t.name, records[id], old))
		}
		for _, table := range tables {
			trace := traceOf(table, records[id], old)
			trace.Table = true
			v.Traces = append(v.Traces, trace)
		}
		verifications[i] = v
	}
	return verifications, nil
}

func traceOf(place string, records []found, old func(found) bool) Trace {
	trace, never := Trace{Place: place}, false
	for _, r := range records {
		switch {
		case r.place != place:
		case !old(r):
			trace.New++
		default:
			trace.Old++
			never = never || r.until.IsZero()
			if r.until.After(trace.Expires) {
				trace.Expires = r.until
			}
		}
	}
	if never {
		trace.Expires = time.Time{}
	}
	return trace
}

// topicKeep is a topic and how long it keeps a record.
type topicKeep struct {
	name string
	id   kafka.TopicID
	// keep is the retention and the time of a segment: a broker deletes whole segments, when their youngest record is old enough. -1 is for ever.
	keep time.Duration
}

func (t topicKeep) expires(record time.Time) time.Time {
	if t.keep < 0 {
		return time.Time{}
	}
	return record.Add(t.keep)
}

// vacancyTopics lists the topics that hold vacancies, those of every encoder among them, in the order of the flow.
func vacancyTopics(ctx context.Context, client *kgo.Client) ([]topicKeep, error) {
	admin := kadm.NewClient(client)
	details, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	var names []string
	embedded := kafka.Embedded("")
	for _, t := range kafka.Topics("") {
		if t.Name == embedded {
			for _, d := range details.Sorted() {
				if strings.HasPrefix(d.Topic, embedded) {
					names = append(names, d.Topic)
				}
			}
		} else if details.Has(t.Name) && t.Partitions == 0 {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	configs, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("reading how long topics keep records: %w", err)
	}
	var topics []topicKeep
	for _, name := range names {
		config, err := configs.On(name, nil)
		if err == nil {
			err = config.Err
		}
		if err != nil {
			return nil, fmt.Errorf("reading how long topic %s keeps records: %w", name, kafka.Denied(err, kafka.ReadConfigs(name)))
		}
		settings := map[string]string{}
		for _, c := range config.Configs {
			settings[c.Key] = c.MaybeValue()
		}
		retention, err := strconv.ParseInt(settings["retention.ms"], 10, 64)
		segment, err2 := strconv.ParseInt(settings["segment.ms"], 10, 64)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("reading how long topic %s keeps records: retention.ms is %q, segment.ms is %q", name, settings["retention.ms"], settings["segment.ms"])
		}
		t := topicKeep{name: name, id: kafka.TopicID(details[name].ID), keep: -1}
		const century = 100 * 365 * 24 * time.Hour / time.Millisecond // what is kept for longer is kept for ever
		if retention >= 0 && retention < int64(century) && segment < int64(century) && strings.Contains(settings["cleanup.policy"], "delete") {
			t.keep = time.Duration(retention+segment) * time.Millisecond
		}
		topics = append(topics, t)
	}
	return topics, nil
}
