package kafka

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/schemas"
)

// State is what has become of a dead letter.
type State string

const (
	// Waiting letters can be replayed.
	Waiting State = "waiting"
	// Replayed letters were sent again. When the record is refused again, that is another letter.
	Replayed State = "replayed"
	// Erased letters are of a vacancy that was erased. They are not sent again.
	Erased State = "erased"
	// Copy letters tell of the same refusal as a later one, because the sink stopped between a letter and its offsets.
	Copy State = "copy"
)

// States lists them.
var States = []State{Waiting, Replayed, Erased, Copy}

// Letter is a dead letter on its topic.
type Letter struct {
	// Place is the letter's own.
	Place
	Coordinates Coordinates
	State       State
	// ReplayedAt is the zero time until it was.
	ReplayedAt time.Time
	// Size counts the bytes of the record's key, value and headers.
	Size int
	// Message is without key, value and headers, unless ReadContent gave it.
	Message *schemas.DeadLetter

	vacancy string // the vacancy's id where the record can be read
}

// letterKey is the identity of a letter: who refused which record.
type letterKey struct {
	stage, topic string
	raw          TopicID
	rawPartition int32
	rawOffset    int64
	partition    int32
	offset       int64
}

func keyOf(stage, topic string, partition int32, offset int64, c Coordinates) letterKey {
	return letterKey{stage: stage, topic: topic, raw: c.Topic, rawPartition: c.Partition, rawOffset: c.Offset, partition: partition, offset: offset}
}

func (l *Letter) key() letterKey {
	return keyOf(l.Message.Stage, l.Message.Topic, l.Message.Partition, l.Message.Offset, l.Coordinates)
}

// Letters are the dead letters of a flow.
type Letters struct {
	// All stand in the order in which they were refused.
	All []*Letter
	// Unreadable are records of the topic that are no letters.
	Unreadable []Place

	replayed map[letterKey]time.Time
	erased   Erasures
}

// ReadLetters reads the dead letters without the content of their records. Settled waits for every transaction that is open on the topic now,
// so that no replay that was committed before the call is missed; otherwise what is committed is read.
func ReadLetters(ctx context.Context, o Options, settled bool) (*Letters, error) {
	client, err := NewClient(o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	s, err := spanOf(ctx, kadm.NewClient(client), DeadLetter, !settled)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", DeadLetter, err)
	}
	letters := &Letters{replayed: map[letterKey]time.Time{}, erased: Erasures{}}
	if err := read(ctx, o, DeadLetter, s, !settled, func(r *kgo.Record) error { letters.add(r); return nil }); err != nil {
		return nil, fmt.Errorf("reading %s: %w", DeadLetter, err)
	}
	letters.settle()
	return letters, nil
}

// ReadContent calls f for each of these letters with its content, partition by partition in the order of their offsets.
func ReadContent(ctx context.Context, o Options, letters []*Letter, f func(*Letter) error) error {
	s, wanted := span{}, map[Place]*Letter{}
	for _, l := range letters {
		part, ok := s[l.Partition]
		if !ok {
			part.from = l.Offset
		}
		part.from, part.to = min(part.from, l.Offset), max(part.to, l.Offset+1)
		s[l.Partition] = part
		wanted[l.Place] = l
	}
	var failed error // of f, which has words of its own
	err := read(ctx, o, DeadLetter, s, false, func(r *kgo.Record) error {
		place := Place{r.Partition, r.Offset}
		l, ok := wanted[place]
		if !ok {
			return nil
		}
		delete(wanted, place)
		message, _, err := decodeLetter(r)
		if err != nil {
			return err
		}
		whole := *l
		whole.Message = message
		failed = f(&whole)
		return failed
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return fmt.Errorf("reading %s: %w", DeadLetter, err)
	}
	for place := range wanted {
		return fmt.Errorf("reading %s: %d letters are gone, %v among them: they have expired meanwhile", DeadLetter, len(wanted), place)
	}
	return nil
}

func decodeLetter(r *kgo.Record) (*schemas.DeadLetter, Coordinates, error) {
	m := &schemas.DeadLetter{}
	if err := schemas.Decode(Header(r, ContentType), r.Value, m); err != nil {
		return nil, Coordinates{}, err
	}
	c, err := CoordinatesOf(r)
	if err == nil && (m.Stage == "" || m.Topic == "") {
		err = fmt.Errorf("%w deadletter: stage or topic is missing", schemas.ErrMalformed)
	}
	return m, c, err
}

// add takes in a record of the topic: a letter, a replay's marker or a vacancy's tombstone.
func (ls *Letters) add(r *kgo.Record) {
	place := Place{r.Partition, r.Offset}
	if IsErasure(r) {
		ls.erased.take(r)
		return
	}
	if Header(r, ReplayMarker) != "" {
		m := &schemas.Replay{}
		c, err := CoordinatesOf(r)
		if err != nil || schemas.Decode(Header(r, ContentType), r.Value, m) != nil {
			ls.Unreadable = append(ls.Unreadable, place)
			return
		}
		ls.replayed[keyOf(m.Stage, m.Topic, m.Partition, m.Offset, c)] = m.ReplayedAt.AsTime()
		return
	}
	m, c, err := decodeLetter(r)
	if err != nil {
		ls.Unreadable = append(ls.Unreadable, place)
		return
	}
	l := &Letter{Place: place, Coordinates: c, State: Waiting, Message: m, Size: len(m.Key) + len(m.Value) + int(m.LeftOut), vacancy: cmp.Or(LetterVacancyID(m), string(m.Key))}
	for _, h := range m.Headers {
		l.Size += len(h.Name) + len(h.RawName) + len(h.Value)
	}
	m.Key, m.Value, m.Headers = nil, nil, nil
	ls.All = append(ls.All, l)
}

// settle says what became of each letter, now that the whole topic is known.
func (ls *Letters) settle() {
	slices.SortStableFunc(ls.All, func(a, b *Letter) int { return a.Message.FailedAt.AsTime().Compare(b.Message.FailedAt.AsTime()) })
	newest := map[letterKey]*Letter{}
	for _, l := range ls.All {
		key := l.key()
		if at, ok := ls.replayed[key]; ok {
			l.State, l.ReplayedAt = Replayed, at
			continue
		}
		if ls.erased.Has(l.vacancy, l.Coordinates) {
			l.State = Erased
			continue
		}
		if older := newest[key]; older != nil {
			older.State = Copy
		}
		newest[key] = l
	}
}

// Original returns the refused record as it was: topic, partition, key, value and headers.
func Original(m *schemas.DeadLetter) *kgo.Record {
	r := &kgo.Record{Topic: m.Topic, Partition: m.Partition, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		name := h.Name
		if len(h.RawName) > 0 {
			name = string(h.RawName)
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: h.Value})
	}
	return r
}

// LetterFilter chooses dead letters. What is empty chooses all.
type LetterFilter struct {
	Stages, Classes []string
	States          []State
	// Since and Until bound when the record was refused: at or after Since, before Until.
	Since, Until time.Time
	// Model begins the identity of the classifier or encoder that was at work.
	Model string
	// Places are the letters' own.
	Places []Place
}

// Match says whether a letter is chosen.
func (f LetterFilter) Match(l *Letter) bool {
	refused := l.Message.FailedAt.AsTime()
	return among(f.Stages, l.Message.Stage) && among(f.Classes, l.Message.Class) && among(f.States, l.State) && among(f.Places, l.Place) &&
		(f.Since.IsZero() || !refused.Before(f.Since)) && (f.Until.IsZero() || refused.Before(f.Until)) && strings.HasPrefix(l.Message.Model, f.Model)
}

func among[T comparable](chosen []T, it T) bool {
	return len(chosen) == 0 || slices.Contains(chosen, it)
}
