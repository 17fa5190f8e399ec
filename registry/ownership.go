package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// Live is the prefix of the key under which a taxonomy's live encoder lies.
const Live = "live"

func liveKey(taxonomy string) string { return Live + "/" + taxonomy }

// Ownership says which encoder answers which raw record of a taxonomy. It is never changed, only replaced.
//
// A switch names for each raw partition the first offset that the new encoder owns. Where nothing is recorded, which is so until the first promotion by this version, the
// only encoder with a champion owns everything; without any champion, whoever has a classifier of its own, which came with jobstrom.
type Ownership struct {
	record *schemas.LiveEncoders
	// champions are the encoders that have one.
	champions []string
}

// Live is the encoder that answers what is published now; "" where that is nobody's or not decided.
func (o Ownership) Live() string {
	switch switches := o.record.GetSwitches(); {
	case len(switches) > 0:
		return switches[len(switches)-1].Encoder
	case len(o.champions) == 1:
		return o.champions[0]
	}
	return ""
}

// Since is when the live encoder began; zero where it was not switched to.
func (o Ownership) Since() time.Time {
	if switches := o.record.GetSwitches(); len(switches) > 0 && switches[len(switches)-1].At != nil {
		return switches[len(switches)-1].At.AsTime()
	}
	return time.Time{}
}

// Pending is the encoder of a switch that is announced and not made yet.
func (o Ownership) Pending() string { return o.record.GetPending() }

// Undecided says that several encoders have champions and nothing says which is live.
func (o Ownership) Undecided() bool { return len(o.record.GetSwitches()) == 0 && len(o.champions) > 1 }

// Encoders are those that own any raw record, the live one last.
func (o Ownership) Encoders() []string {
	var all []string
	for _, s := range o.record.GetSwitches() {
		all = append(slices.DeleteFunc(all, func(e string) bool { return e == s.Encoder }), s.Encoder)
	}
	if live := o.Live(); len(all) == 0 && live != "" {
		all = append(all, live)
	}
	return all
}

// Owner returns the encoder that answers a raw record, "" where nothing says so. A switch that does not name the record's topic came before that topic was made, unless
// an earlier switch names it.
func (o Ownership) Owner(c kafka.Coordinates) string {
	switches := o.record.GetSwitches()
	if len(switches) == 0 {
		return o.Live()
	}
	owner, known := "", false
	for _, s := range switches {
		switch {
		case len(s.RawTopic) == 0: // from the very beginning
			owner = s.Encoder
		case kafka.TopicID(s.RawTopic) != c.Topic:
			if !known {
				owner = s.Encoder
			}
		default:
			known = true
			if c.Partition >= 0 && int(c.Partition) < len(s.From) && c.Offset >= s.From[c.Partition] {
				owner = s.Encoder
			}
		}
	}
	return owner
}

// decodeLive reads a record of live encoders; nil stands for none.
func decodeLive(value []byte) (*schemas.LiveEncoders, error) {
	if value == nil {
		return nil, nil
	}
	record := &schemas.LiveEncoders{}
	if err := schemas.Decode(schemas.Protobuf, value, record); err != nil {
		return nil, err
	}
	for i, s := range record.Switches {
		if s.Encoder == "" || len(s.RawTopic) != 0 && len(s.RawTopic) != len(kafka.TopicID{}) {
			return nil, fmt.Errorf("%w live encoder: switch %d has the encoder %q and a topic id of %d bytes", schemas.ErrMalformed, i, s.Encoder, len(s.RawTopic))
		}
	}
	return record, nil
}

// Ownership returns what the registry holds of a taxonomy's live encoder.
func (c *Contents) Ownership(taxonomy string) Ownership {
	var record *schemas.LiveEncoders
	if r := c.live[taxonomy]; r != nil {
		record = proto.CloneOf(r) // a change may go on with the other
	}
	encoders := map[string]bool{}
	for scope := range c.Champions {
		if scope.Taxonomy == taxonomy {
			encoders[scope.Encoder] = true
		}
	}
	return Ownership{record, slices.Sorted(maps.Keys(encoders))}
}

// FindEncoder returns the encoder of a taxonomy whose id begins so, when it is one of those with a champion, or that were live.
func (c *Contents) FindEncoder(taxonomy, prefix string) (string, error) {
	var found []string
	now := c.Ownership(taxonomy)
	known := append(slices.Clone(now.champions), now.Encoders()...)
	slices.Sort(known)
	for _, e := range slices.Compact(known) {
		if prefix != "" && strings.HasPrefix(e, strings.ToLower(prefix)) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("finding encoder %.64q: %w: jobstrom models encoders lists those with a champion, jobstrom train makes one", prefix, ErrNoChampion)
	case 1:
		return found[0], nil
	}
	for i := range found {
		found[i] = kafka.Short(found[i])
	}
	return "", fmt.Errorf("finding encoder %.64q: %w: give more digits of %s", prefix, ErrAmbiguous, strings.Join(found, ", "))
}
