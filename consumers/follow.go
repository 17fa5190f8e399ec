package consumers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// FollowOptions configure a reader without a group.
type FollowOptions struct {
	Kafka kafka.Options
	// Topics to read; default the classified one.
	Topics []string
	// FromStart reads what is there already; otherwise only what arrives after Ready.
	FromStart bool
	// Ready is called when everything written from now on will be read. Nil is allowed.
	Ready func()
	// Heard is called after each answer of a broker, and with the error where there was none. A follower that waits hears several times a second. Nil is allowed.
	Heard func(error)
}

// hearing tells what is heard of brokers.
type hearing func(error)

// OnBrokerRead is called by the client after each answer.
func (h hearing) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	h(err)
}

// OnBrokerConnect is called by the client after each try to connect.
func (h hearing) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		h(err)
	}
}

// Follow calls f for each committed record, in the order of its partition, until f returns false or an error, or ctx ends (nil).
func Follow(ctx context.Context, o FollowOptions, f func(*kgo.Record) (more bool, err error)) error {
	if len(o.Topics) == 0 {
		o.Topics = []string{kafka.Classified}
	}
	var own []kgo.Opt
	if o.Heard != nil {
		own = append(own, kgo.WithHooks(hearing(o.Heard)))
	}
	client, err := kafka.NewClient(o.Kafka, own...)
	if err != nil {
		return err
	}
	defer client.Close()
	// The end is asked for here: an offset "at the end" would be looked up some time after Ready.
	admin := kadm.NewClient(client)
	list := admin.ListEndOffsets
	if o.FromStart {
		list = admin.ListStartOffsets
	}
	offsets, err := list(ctx, o.Topics...)
	if err == nil {
		err = offsets.Error()
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("following %v: %w", o.Topics, err)
	}
	client.AddConsumePartitions(offsets.KOffsets())
	if o.Ready != nil {
		o.Ready()
	}
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("following %v: %w", o.Topics, err)
		}
		for _, r := range fetches.Records() {
			if more, err := f(r); err != nil || !more {
				return err
			}
		}
	}
}

// ErrErasure is returned for a tombstone: the vacancy that the record's key names is erased.
var ErrErasure = errors.New("the vacancy is erased")

// DecodeClassification reads a record of the classified topic. A tombstone holds none, its error is ErrErasure.
func DecodeClassification(r *kgo.Record) (*schemas.Classification, error) {
	if kafka.IsErasure(r) {
		return nil, ErrErasure
	}
	c := &schemas.Classification{}
	if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, c); err != nil {
		return nil, fmt.Errorf("reading %s, partition %d, offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	return c, nil
}
