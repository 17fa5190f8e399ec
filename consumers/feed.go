package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// FeedOptions configure a feed.
type FeedOptions struct {
	Kafka kafka.Options
	// Categories is how many the taxonomy has.
	Categories int
	// Keep bounds the events that are remembered. Default 1,000.
	Keep int
	// Buffer bounds the events that wait for one subscriber. Default 256.
	Buffer int
	// Silence is how long no broker may answer before the feed says that Kafka is away. Default 5 s.
	Silence time.Duration
	Logger  *slog.Logger
}

// EnsureDefaults fills what is zero.
func (o *FeedOptions) EnsureDefaults() {
	if o.Keep == 0 {
		o.Keep = 1000
	}
	if o.Buffer == 0 {
		o.Buffer = 256
	}
	if o.Silence == 0 {
		o.Silence = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every violation.
func (o FeedOptions) Validate() error {
	wrong := []error{o.Kafka.Validate()}
	for name, n := range map[string]int{"categories": o.Categories, "keep": o.Keep, "buffer": o.Buffer} {
		if n < 1 {
			wrong = append(wrong, fmt.Errorf("%s (%d) must be 1 or more", name, n))
		}
	}
	return errors.Join(wrong...)
}

// Kinds of a feed's events.
const (
	KindClassified = "classified"
	KindRefused    = "refused"
)

// FeedEvent is one vacancy that was classified or refused. It holds what the records say and no content beside a job title.
type FeedEvent struct {
	// Kind is KindClassified or KindRefused.
	Kind string
	At   time.Time
	// ID is the vacancy's, empty where a refused record could not be read that far.
	ID string
	// Of a classified vacancy. Confidence is the highest probability, in [0, 1].
	Category      string
	CategoryIndex int
	Confidence    float64
	Model         string
	Occupation    string
	// Seconds from publication on Kafka to classification.
	Seconds float64
	// Of a refused one.
	Stage  string
	Class  string
	Reason string
	// Missed counts the events that this subscriber missed before this one.
	Missed uint64
}

// Feed says what is classified and refused right now. It reads without a group, from when it began, and costs as much as decoding the records. Its methods may
// be called at once.
type Feed struct {
	options FeedOptions
	now     func() time.Time

	mu      sync.Mutex
	recent  []FeedEvent // a ring of the last Keep events
	oldest  int         // where the next event goes once the ring is full
	figures *figures
	heard   time.Time // when a broker answered last; zero while none does
	readers map[*reader]struct{}
	ended   bool
}

// reader is a subscriber.
type reader struct {
	events chan FeedEvent
	missed uint64
}

// NewFeed returns a feed; Run fills it.
func NewFeed(o FeedOptions) (*Feed, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("making the feed: %w", err)
	}
	f := &Feed{options: o, now: time.Now, readers: map[*reader]struct{}{}}
	f.figures = newFigures(o.Categories, f.now())
	return f, nil
}

// Run follows the flow until ctx ends (nil), and then ends every subscription. While Kafka is away it tries for ever.
func (f *Feed) Run(ctx context.Context) error {
	defer f.end()
	for failures := 0; ; {
		err := Follow(ctx, FollowOptions{
			Kafka: f.options.Kafka, Topics: []string{kafka.Classified, kafka.DeadLetter}, Ready: func() { failures = 0 }, Heard: f.hear,
		}, func(r *kgo.Record) (bool, error) {
			f.take(r)
			return true, nil
		})
		if ctx.Err() != nil {
			return nil
		}
		failures++
		if failures == 1 && err != nil {
			f.options.Logger.Warn("the feed cannot follow the flow, trying again", "error", err)
		}
		if !pause(ctx, failures) {
			return nil
		}
	}
}

// hear remembers whether brokers answer. One that fails does not matter while another answers.
func (f *Feed) hear(err error) {
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.heard = f.now()
	}
}

// take adds what a record says. What cannot be decoded says nothing: whoever processes it writes a dead letter of it.
func (f *Feed) take(r *kgo.Record) {
	if kafka.IsErasure(r) {
		f.forget(string(r.Key))
		return
	}
	switch r.Topic {
	case kafka.Classified:
		if c, err := DecodeClassification(r); err == nil {
			f.add(classifiedEvent(c, kafka.RawTime(r)))
		}
	case kafka.DeadLetter:
		if kafka.Header(r, kafka.ReplayMarker) != "" {
			return
		}
		if it, err := decode(r, &schemas.DeadLetter{}); err == nil {
			m := it.message
			f.add(FeedEvent{Kind: KindRefused, At: m.FailedAt.AsTime(), ID: kafka.LetterVacancyID(m), Stage: m.Stage, Class: m.Class, Reason: m.Reason})
		}
	}
}

func classifiedEvent(c *schemas.Classification, published time.Time) FeedEvent {
	e := FeedEvent{
		Kind: KindClassified, At: c.ClassifiedAt.AsTime(), ID: c.Id, Category: c.Category, CategoryIndex: int(c.CategoryIndex), Confidence: c.Confidence, Model: c.Model,
	}
	e.Seconds = max(0, e.At.Sub(published).Seconds()) // a publisher's clock may be ahead
	if len(c.Occupations) > 0 {
		e.Occupation = c.Occupations[0]
	}
	return e
}

// add remembers an event and hands it to every subscriber that has room.
func (f *Feed) add(e FeedEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.figures.add(e, f.now())
	if len(f.recent) < f.options.Keep {
		f.recent = append(f.recent, e)
	} else {
		f.recent[f.oldest] = e
		f.oldest = (f.oldest + 1) % f.options.Keep
	}
	for r := range f.readers {
		e.Missed = r.missed
		select {
		case r.events <- e:
			r.missed = 0
		default:
			r.missed++
		}
	}
}

// forget takes the events of an erased vacancy out. What a subscriber has is its own.
func (f *Feed) forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.ContainsFunc(f.recent, func(e FeedEvent) bool { return e.ID == id }) {
		return
	}
	inOrder := append(slices.Clone(f.recent[f.oldest:]), f.recent[:f.oldest]...)
	f.recent, f.oldest = slices.DeleteFunc(inOrder, func(e FeedEvent) bool { return e.ID == id }), 0
}

// Subscribe returns events from now on until ctx or Run ends, when the channel is closed. Who reads too slowly misses events, which the next one counts.
func (f *Feed) Subscribe(ctx context.Context) <-chan FeedEvent {
	r := &reader{events: make(chan FeedEvent, f.options.Buffer)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		close(r.events)
		return r.events
	}
	f.readers[r] = struct{}{}
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drop(r)
	})
	return r.events
}

// drop ends a subscription once. It is called with the lock, as are all sends, so that none meets a closed channel.
func (f *Feed) drop(r *reader) {
	if _, there := f.readers[r]; there {
		delete(f.readers, r)
		close(r.events)
	}
}

func (f *Feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for r := range f.readers {
		f.drop(r)
	}
}

// Recent returns what happened last: at most most events, the newest first.
func (f *Feed) Recent(most int) []FeedEvent {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := max(0, min(most, len(f.recent)))
	events := make([]FeedEvent, n)
	for i := range events {
		events[i] = f.recent[(f.oldest+len(f.recent)-1-i)%len(f.recent)]
	}
	return events
}

// Stats returns the flow's figures of the last hour.
func (f *Feed) Stats() FeedStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	s := f.figures.stats(now)
	s.Connected = !f.heard.IsZero() && now.Sub(f.heard) < f.options.Silence
	return s
}
