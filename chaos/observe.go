package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
)

// observer reads all topics of the flow as any reader of committed records does, all the time: it sees what a consumer would have seen.
type observer struct {
	client   *kgo.Client
	admin    *kadm.Client
	log      *slog.Logger
	raw      kafka.TopicID
	encoder  string
	embedded string

	mu        sync.Mutex // guards all below
	vacancies map[Place]string
	outcomes  map[string][]Outcome
	// passed is the offset behind the last record of each partition, transactions' ends included; data the one behind the last that is data.
	passed, data map[string]map[int32]int64
	// offsets are those of all data of each partition, in order: a transaction's end takes an offset, too, so that a difference of offsets is no number of records.
	offsets map[string]map[int32][]int64
	err     error
}

// observe reads until close. The topics must exist.
func observe(ctx context.Context, o kafka.Options, encoder string, log *slog.Logger) (*observer, error) {
	w := &observer{
		log: log, encoder: encoder, embedded: kafka.Embedded(encoder), vacancies: map[Place]string{}, outcomes: map[string][]Outcome{},
		passed: map[string]map[int32]int64{}, data: map[string]map[int32]int64{}, offsets: map[string]map[int32][]int64{},
	}
	o.ClientID = "chaos.observer"
	var err error
	// The ends of transactions show that what lies before them is decided.
	if w.client, err = kafka.NewClient(o, kgo.ConsumeTopics(w.topics()...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords()); err != nil {
		return nil, fmt.Errorf("observing: %w", err)
	}
	w.admin = kadm.NewClient(w.client)
	if w.raw, err = kafka.IDOf(ctx, w.client, kafka.Raw); err != nil {
		w.client.Close()
		return nil, fmt.Errorf("observing: %w", err)
	}
	for _, topic := range w.topics() {
		w.passed[topic], w.data[topic], w.offsets[topic] = map[int32]int64{}, map[int32]int64{}, map[int32][]int64{}
	}
	go w.read() // ends with close
	return w, nil
}

func (w *observer) topics() []string {
	return []string{kafka.Raw, kafka.Extracted, w.embedded, kafka.Classified, kafka.DeadLetter}
}

func (w *observer) close() { w.client.Close() }

func (w *observer) read() {
	for {
		fetches := w.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		w.mu.Lock()
		fetches.EachError(func(topic string, partition int32, err error) {
			// A cluster that forgets what it gave to a reader has broken its word.
			var forgotten *kgo.ErrDataLoss
			if errors.As(err, &forgotten) {
				w.err = errors.Join(w.err, fmt.Errorf("observing %s, partition %d: %w", topic, partition, err))
			}
			w.log.Warn("fetching", "topic", topic, "partition", partition, "error", err)
		})
		fetches.EachRecord(w.take)
		w.mu.Unlock()
	}
}

func (w *observer) take(r *kgo.Record) {
	w.passed[r.Topic][r.Partition] = r.Offset + 1
	if r.Attrs.IsControl() {
		return
	}
	w.data[r.Topic][r.Partition] = r.Offset + 1
	w.offsets[r.Topic][r.Partition] = append(w.offsets[r.Topic][r.Partition], r.Offset)
	at := Place{r.Partition, r.Offset}
	if r.Topic == kafka.Raw {
		w.vacancies[at] = string(r.Key)
		return
	}
	w.outcomes[r.Topic] = append(w.outcomes[r.Topic], Outcome{Raw: w.rawPlace(r), ID: string(r.Key), At: at})
}

// rawPlace is what a record's headers name.
func (w *observer) rawPlace(r *kgo.Record) Place {
	c, err := kafka.CoordinatesOf(r)
	if err != nil || c.Topic != w.raw {
		return nowhere
	}
	return Place{c.Partition, c.Offset}
}

// counts are of raw, classified and dead letters.
func (w *observer) counts() (raw, classified, letters int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.vacancies), len(w.outcomes[kafka.Classified]), len(w.outcomes[kafka.DeadLetter])
}

// readers says who reads what, in the order of the flow: when a reader has committed all of its topics, what it writes is all there.
func (w *observer) readers() []reader {
	var all []reader
	for _, r := range kafka.Readers(w.encoder) {
		topics := slices.DeleteFunc(r.Topics, func(topic string) bool { return !slices.Contains(w.topics(), topic) })
		all = append(all, reader{r.Stage, r.Group(), topics})
	}
	return all
}

// reader is a group and those of its topics that are observed.
type reader struct {
	stage, group string
	topics       []string
}

// lag counts the records of a reader's topics that are there and that it has not committed yet.
func (w *observer) lag(ctx context.Context, r reader) (records int, err error) {
	committed, err := w.admin.FetchOffsets(ctx, r.group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("reading the offsets of %s: %w", r.group, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range r.topics {
		for partition, offsets := range w.offsets[topic] {
			at, _ := committed.Lookup(topic, partition)
			read, _ := slices.BinarySearch(offsets, at.At)
			records += len(offsets) - read
		}
	}
	return records, nil
}

// caughtUp waits until every stage and the sink has committed what was there for it when its turn came: what a restart held up has gone through all of the flow.
func (w *observer) caughtUp(ctx context.Context) error {
	for _, r := range w.readers() {
		w.mu.Lock()
		target := map[string]map[int32]int64{}
		for _, topic := range r.topics {
			target[topic] = maps.Clone(w.data[topic])
		}
		w.mu.Unlock()
		for {
			committed, err := w.admin.FetchOffsets(ctx, r.group)
			behind := ""
			for topic, ends := range target {
				for partition, end := range ends {
					if at, _ := committed.Lookup(topic, partition); at.At < end {
						behind = fmt.Sprintf("%s, partition %d: %s has committed %d of %d", topic, partition, r.group, at.At, end)
					}
				}
			}
			if err == nil && behind == "" {
				break
			}
			if err := wait(ctx, 100*time.Millisecond); err != nil {
				return fmt.Errorf("waiting for the flow to catch up: %s: %w", behind, err)
			}
		}
	}
	return nil
}

// drained waits until every stage and the sink has committed all there is to read. There is no lag any more and none can come; an idle time would not tell.
func (w *observer) drained(ctx context.Context) error {
	for _, r := range w.readers() {
		if err := w.await(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until the observer has seen all there is, and all of it is decided.
func (w *observer) settled(ctx context.Context) error {
	return w.await(ctx, reader{topics: w.topics()})
}

// await polls until the observer has passed the ends of topics, and the reader, if it has a name, has committed all data before.
func (w *observer) await(ctx context.Context, r reader) error {
	for {
		behind, err := w.behind(ctx, r)
		if err == nil && behind == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the flow to drain: %s: %w", behind, errors.Join(err, ctx.Err()))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// behind names a partition that is not done; it returns "" when all are.
func (w *observer) behind(ctx context.Context, r reader) (string, error) {
	// As far as anything was written, be it committed or not yet.
	ends, err := w.admin.ListEndOffsets(ctx, r.topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return "the ends of topics are not known", err
	}
	var committed kadm.OffsetResponses
	if r.group != "" {
		if committed, err = w.admin.FetchOffsets(ctx, r.group); err != nil {
			return "the offsets of " + r.group + " are not known", err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return "the cluster lost what it had given", w.err
	}
	var behind []string
	ends.Each(func(o kadm.ListedOffset) {
		passed, data := w.passed[o.Topic][o.Partition], w.data[o.Topic][o.Partition]
		if passed < o.Offset {
			behind = append(behind, fmt.Sprintf("%s, partition %d: a reader stands at %d of %d", o.Topic, o.Partition, passed, o.Offset))
		}
		if at, _ := committed.Lookup(o.Topic, o.Partition); r.group != "" && at.At < data {
			behind = append(behind, fmt.Sprintf("%s, partition %d: %s has committed %d of %d", o.Topic, o.Partition, r.group, at.At, data))
		}
	})
	if len(behind) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s (and %d more)", slices.Min(behind), len(behind)-1), nil
}

// observed returns what was seen on the topics.
func (w *observer) observed() Observed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Observed{Raw: w.vacancies, Classified: w.outcomes[kafka.Classified], Letters: w.outcomes[kafka.DeadLetter], Embedded: w.outcomes[w.embedded]}
}
