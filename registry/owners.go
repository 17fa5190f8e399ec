package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
)

var (
	// ErrUnread is returned while the registry cannot be read.
	ErrUnread = errors.New("the registry cannot be read now")
	// ErrUndecided is returned where several encoders have champions that an older version promoted.
	ErrUndecided = errors.New("several encoders have a champion and none was made live: choose one with jobstrom models switch")
)

// Owners tells workers which records their encoder answers. A Watch keeps it up to date. Its methods may be called from any goroutine.
type Owners struct {
	// Encoder is the workers' own.
	Encoder string

	mu      sync.Mutex
	changed chan struct{} // closed when anything below changes
	client  *kgo.Client   // nil while nothing can be read
	next    int64         // offset up to which the registry was read
	now     Ownership
}

// publish says how far the registry was read, and what it says.
func (o *Owners) publish(client *kgo.Client, next int64, now Ownership) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.client, o.next, o.now = client, next, now
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}

// Owns returns which records this encoder answers, of those that were read before the call. It asks where the registry ends and waits until it is read to there: a worker
// that decided on an older state could answer what a switch has given to another encoder. It waits while a switch is pending, and returns ErrSwitching, ErrUnread or
// ErrUndecided when that lasts until ctx ends.
func (o *Owners) Owns(ctx context.Context) (func(kafka.Coordinates) bool, error) {
	now, err := o.current(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking which encoder answers: %w", err)
	}
	return func(c kafka.Coordinates) bool {
		owner := now.Owner(c)
		return owner == o.Encoder || owner == ""
	}, nil
}

func (o *Owners) current(ctx context.Context) (Ownership, error) {
	end := int64(-1)
	for {
		o.mu.Lock()
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		client, next, now, changed := o.client, o.next, o.now, o.changed
		o.mu.Unlock()
		reason := ErrUnread
		if client != nil && end < 0 {
			ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, kafka.Models)
			if err == nil {
				err = ends.Error()
			}
			if err != nil {
				return now, fmt.Errorf("%w: %w", ErrUnread, err)
			}
			at, _ := ends.Lookup(kafka.Models, 0)
			end = at.Offset
		}
		if client != nil && next >= end {
			switch {
			case now.Undecided():
				reason = ErrUndecided
			case now.Pending() != "":
				reason = fmt.Errorf("%w: if it lasts, run jobstrom models switch %s again", ErrSwitching, kafka.Short(now.Pending()))
			default:
				return now, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, reason
		}
	}
}

// ownership is what a watcher has read of who is live.
func (w *watcher) ownership() Ownership {
	o := Ownership{record: w.live}
	for e := range w.champions {
		o.champions = append(o.champions, e)
	}
	slices.Sort(o.champions)
	return o
}
