package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// Actions of the history of a taxonomy's live encoder. The model they name is the encoder's champion.
const (
	// BecameLive says that an encoder is the first that answers.
	BecameLive = "live"
	Switching  = "switching"
	Switched   = "switch"
	// Stayed says that a switch was taken back.
	Stayed = "stay"
)

var (
	// ErrNoChampion is returned for an encoder that cannot become live because it has no champion.
	ErrNoChampion = errors.New("the encoder has no champion")
	// ErrSwitching is returned while a switch to another encoder is announced and not made.
	ErrSwitching = errors.New("a switch to another encoder is under way")
	// ErrLiveChanged is returned for a switch that was decided on when another encoder was live.
	ErrLiveChanged = errors.New("the live encoder has changed meanwhile: look again with jobstrom models encoders, and decide anew")
)

// Switch makes an encoder live.
type Switch struct {
	// Scope is the taxonomy, and the encoder that becomes live. It has a champion.
	Scope Scope
	// Expect is the encoder in whose place it was decided, "" for none. Nil takes the place of any.
	Expect *string
	// Reason is for people.
	Reason string
	// BuiltIns are those of a Promotion.
	BuiltIns []*schemas.Classifier
}

// Switch makes an encoder live: what is published from now on is answered by it alone, and what was before by the one that was live then, also when that has still to be
// done. Every raw record has one owner, because a switch has two steps. The first announces it; who reads the registry after that waits. The second then asks where the raw
// partitions end: what was answered by workers that had not seen the announcement lies before these ends, what comes after them nobody has decided on. When it breaks off in
// between, nobody answers until it is called again: with the same encoder to make the switch, or with the one that is live to take it back. The event is nil when nothing
// changed.
func (w Writer) Switch(ctx context.Context, s Switch) (*schemas.ModelEvent, error) {
	event, err := w.announce(ctx, s)
	if err == nil && event.GetAction() != Stayed {
		var made *schemas.ModelEvent
		if made, err = w.complete(ctx, s.Scope, s.Reason, s.BuiltIns); made != nil {
			event = made
		}
	}
	if err != nil {
		return nil, fmt.Errorf("switching to encoder %s: %w", kafka.Short(s.Scope.Encoder), err)
	}
	return event, nil
}

// announce makes the first step; where nothing says who is live the encoder is that from the beginning, at once.
func (w Writer) announce(ctx context.Context, s Switch) (*schemas.ModelEvent, error) {
	return w.change(ctx, func(c *change) error {
		now, scope := c.Ownership(s.Scope.Taxonomy), s.Scope
		switch pending := now.Pending(); {
		case pending == scope.Encoder:
			return nil // complete does the rest
		case pending != "" && now.Live() == scope.Encoder:
			c.settle(scope, func(l *schemas.LiveEncoders) { l.Pending, l.First = "", false })
			c.event(Stayed, scope, c.Champions[scope], "", s.Reason)
			return nil
		case pending != "":
			return fmt.Errorf("%w (%s): make it with jobstrom models switch %[2]s, or take it back with jobstrom models switch %[3]s", ErrSwitching, kafka.Short(pending), kafka.Short(now.Live()))
		case c.Champions[scope] == "":
			return fmt.Errorf("%w: promote one of its classifiers first", ErrNoChampion)
		case s.Expect != nil && *s.Expect != now.Live():
			return fmt.Errorf("%w (expected %q, it is %q)", ErrLiveChanged, kafka.Short(*s.Expect), kafka.Short(now.Live()))
		case now.Undecided():
			c.begin(scope, s.Reason)
			return nil
		case now.Live() == scope.Encoder:
			return nil
		}
		if _, _, err := w.rawEnds(ctx); err != nil { // what the second step would lack must not be found out in between
			return err
		}
		former := Scope{scope.Taxonomy, now.Live()}
		if len(now.record.GetSwitches()) == 0 { // the only encoder with a champion owned everything
			c.begin(former, "the only one with a champion")
		}
		c.settle(scope, func(l *schemas.LiveEncoders) { l.Pending = scope.Encoder })
		c.event(Switching, scope, c.Champions[scope], c.Champions[former], s.Reason)
		return nil
	})
}

// complete makes the second step, when the switch is still announced. What it reads of the registry it reads as workers do, so that they have the announcement, too.
func (w Writer) complete(ctx context.Context, scope Scope, reason string, builtIns []*schemas.Classifier) (*schemas.ModelEvent, error) {
	return w.change(ctx, func(c *change) error {
		taxonomy, encoder, now := scope.Taxonomy, scope.Encoder, c.Ownership(scope.Taxonomy)
		switch {
		case now.Pending() == "" && now.Live() == encoder:
			return nil // another did it
		case now.Pending() != encoder:
			return fmt.Errorf("%w: another command took this one back", ErrLiveChanged)
		}
		former := Scope{taxonomy, now.Live()}
		if now.record.First {
			// Whoever might have answered before has made its topic before, so that it is seen, or has the announcement before it answers.
			existed, err := w.sees(ctx, kafka.Embedded(former.Encoder))
			if err != nil {
				return err
			}
			if builtIn := ofScope(builtIns, former); existed && builtIn != nil && c.Champions[former] == "" {
				if err := c.register(builtIn); err != nil {
					return err
				}
				c.promote(Promoted, former, builtIn.Id, "came with jobstrom")
			}
			c.settle(former, func(l *schemas.LiveEncoders) {
				if l.Pending, l.First = "", false; !existed {
					l.Switches[0].Encoder = encoder
				}
			})
			if existed {
				c.event(BecameLive, former, c.Champions[former], "", "its classifier came with jobstrom, and "+kafka.Embedded(former.Encoder)+" exists")
			} else {
				c.event(BecameLive, scope, c.Champions[scope], "", "the first champion")
			}
			return nil
		}
		raw, from, err := w.rawEnds(ctx)
		if err != nil {
			return err
		}
		made := &schemas.LiveEncoder{Encoder: encoder, RawTopic: raw[:], From: from, At: schemas.Time(c.at)}
		c.settle(scope, func(l *schemas.LiveEncoders) { l.Switches, l.Pending = append(l.Switches, made), "" })
		c.event(Switched, scope, c.Champions[scope], c.Champions[former], reason)
		return nil
	})
}

// rawEnds returns the raw topic's id and where each of its partitions ends.
func (w Writer) rawEnds(ctx context.Context) (id kafka.TopicID, from []int64, err error) {
	client, err := kafka.NewClient(w.Kafka)
	if err != nil {
		return id, nil, err
	}
	defer client.Close()
	var ends kadm.ListedOffsets
	if id, err = kafka.IDOf(ctx, client, kafka.Raw); err == nil {
		ends, err = kadm.NewClient(client).ListEndOffsets(ctx, kafka.Raw) // not the committed ends: those may lie before what a worker has read by now
	}
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return id, nil, fmt.Errorf("asking where %s ends: %w", kafka.Raw, kafka.Denied(err, kafka.DescribeTopic(kafka.Raw)))
	}
	from = make([]int64, len(ends[kafka.Raw]))
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = o.Offset })
	return id, from, nil
}

// sees says whether a topic exists.
func (w Writer) sees(ctx context.Context, topic string) (bool, error) {
	client, err := kafka.NewClient(w.Kafka)
	if err != nil {
		return false, err
	}
	defer client.Close()
	return kafka.HasTopic(ctx, client, topic)
}

// settle writes what changed about a taxonomy's live encoder.
func (c *change) settle(scope Scope, change func(*schemas.LiveEncoders)) {
	record := &schemas.LiveEncoders{}
	if before := c.live[scope.Taxonomy]; before != nil {
		record = proto.CloneOf(before)
	}
	change(record)
	c.live[scope.Taxonomy] = record
	value, err := schemas.Encode(schemas.Protobuf, record)
	if err != nil { // an encoder's id that is no UTF-8: no champion has one
		c.failed = err
		return
	}
	c.write(kafka.Models, liveKey(scope.Taxonomy), value, kgo.RecordHeader{Key: kafka.ContentType, Value: []byte(schemas.Protobuf)})
}

// begin makes an encoder the first that is live, from the beginning.
func (c *change) begin(scope Scope, reason string) {
	c.settle(scope, func(l *schemas.LiveEncoders) {
		l.Switches = []*schemas.LiveEncoder{{Encoder: scope.Encoder, At: schemas.Time(c.at)}}
	})
	c.event(BecameLive, scope, c.Champions[scope], "", reason)
}

// beginWith decides, at a promotion, who is live where nothing says so. It comes before the alias is written, so that no reader sees two champions and nobody live. The
// encoder that was live by having the only champion is. Without any champion it is the promoted one, by having the only champion; but if a classifier of another encoder came
// with jobstrom, which may have answered already, the promotion announces a first switch, and announced is true.
func (w Writer) beginWith(ctx context.Context, c *change, scope Scope, id string, builtIns []*schemas.Classifier) (announced bool, err error) {
	now := c.Ownership(scope.Taxonomy)
	if len(now.record.GetSwitches()) > 0 || now.Undecided() {
		return false, nil
	}
	if live := now.Live(); live != "" {
		if live != scope.Encoder {
			c.begin(Scope{scope.Taxonomy, live}, "the only one with a champion")
		}
		return false, nil
	}
	other := slices.IndexFunc(builtIns, func(m *schemas.Classifier) bool { return m.Taxonomy == scope.Taxonomy })
	if other < 0 || ofScope(builtIns, scope) != nil {
		return false, nil
	}
	former := builtIns[other].Encoder
	if _, err := w.sees(ctx, kafka.Embedded(former)); err != nil { // what the second step would lack must not be found out in between
		return false, err
	}
	c.settle(scope, func(l *schemas.LiveEncoders) {
		l.Switches, l.Pending, l.First = []*schemas.LiveEncoder{{Encoder: former, At: schemas.Time(c.at)}}, scope.Encoder, true
	})
	c.event(Switching, scope, id, "", "the first champion")
	return true, nil
}
