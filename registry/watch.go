package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/health"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
)

// WatchOptions configure a watcher.
type WatchOptions struct {
	Kafka kafka.Options
	// Taxonomy and Encoder say whose champion is watched.
	Taxonomy, Encoder string
	// Ready is called once, when the topic was read to the end it had at the start.
	Ready func()
	// Champion is called for the newest champion at the start, and for each new one. An error is logged; the former stays.
	Champion func(*schemas.Classifier) error
	// Challengers is called with those of the start, when there are any, and whenever they change. Nil ignores them.
	Challengers func([]*schemas.Classifier)
	// Owners is kept up to date with who is live. Nil keeps none.
	Owners *Owners
	// Board says so until the topic was read. Later troubles are in the log alone: the champion of before serves on. Nil shows it nowhere.
	Board  *health.Board
	Logger *slog.Logger
}

// Pauses between tries to read the topic: each doubles the one before.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
)

// Watch reads the registry until ctx ends, then returns nil. When the topic cannot be read it tries again, from the topic's start, and the champion of before
// stays. It returns an error only when the user lacks the right to read it.
func Watch(ctx context.Context, o WatchOptions) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	unread := health.Problem{Place: health.Place{Part: "registry", Topic: kafka.Models}, Reason: kafka.Models + " has not been read to its end yet", Remedy: "wait; if it lasts, see that the brokers run and the topic exists (jobstrom topics --create)"}
	o.Board.Report(unread, 0)
	w := &watcher{options: o, scope: Scope{o.Taxonomy, o.Encoder}}
	defer o.Owners.publish(nil, 0, Ownership{})
	w.ready = sync.OnceFunc(func() {
		o.Board.Clear(unread.Place)
		o.Ready()
		w.wasReady = true
	})
	for failures := 0; ; failures++ {
		start := time.Now()
		err := w.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		err = fmt.Errorf("watching the registry: %w", kafka.Denied(err, kafka.ReadTopic(kafka.Models)))
		if errors.Is(err, kafka.ErrDenied) || errors.Is(err, kerr.SaslAuthenticationFailed) {
			return err
		}
		if time.Since(start) > time.Minute {
			failures = 0
		}
		pause := min(firstPause<<min(failures, 10), longestPause)
		o.Logger.Warn("the registry cannot be read, the champion of before stays; trying again", "topic", kafka.Models, "after", pause, "error", err)
		if unread.Reason = err.Error(); !w.wasReady {
			o.Board.Report(unread, 0)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// watch reads the topic from its start until ctx ends or it cannot be read.
func (w *watcher) watch(ctx context.Context) error {
	client, err := kafka.NewClient(w.options.Kafka, kgo.ConsumeTopics(kafka.Models), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, kafka.Models)
	if err != nil {
		return err
	}
	end, _ := ends.Lookup(kafka.Models, 0) // zero where there is no such topic yet
	if end.Err != nil {
		return fmt.Errorf("asking for its end: %w", end.Err)
	}
	w.classifiers, w.champion, w.challengers, w.champions, w.live = map[string][]byte{}, "", map[string]bool{}, map[string]bool{}, nil
	defer w.options.Owners.publish(nil, 0, Ownership{})
	for next := int64(0); ; {
		if next >= end.Offset {
			w.apply()
			w.options.Owners.publish(client, next, w.ownership())
			w.ready()
		}
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		if err := fetches.Err0(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				w.read(r)
			}
		}
	}
}

// watcher holds what was read: every classifier's bytes, the champion's id and the challengers'.
type watcher struct {
	options           WatchOptions
	scope             Scope
	ready             func()
	wasReady          bool
	classifiers       map[string][]byte
	champion, serving string // the champion of now, and the one that was handed over
	challengers       map[string]bool
	scoring           []string        // the challengers that were handed over
	champions         map[string]bool // encoders of the taxonomy that have one
	live              *schemas.LiveEncoders
}

func (w *watcher) read(r *kgo.Record) {
	switch key := string(r.Key); {
	case strings.HasPrefix(key, Champion+"/"+w.scope.Taxonomy+"/"):
		w.champions[strings.TrimPrefix(key, Champion+"/"+w.scope.Taxonomy+"/")] = true
		if key == w.scope.championKey() {
			w.champion = string(r.Value)
		}
	case key == liveKey(w.scope.Taxonomy):
		live, err := decodeLive(r.Value)
		if err != nil { // a newer version's; what was known stays
			w.options.Logger.Error("the record of the live encoder cannot be read", "key", key, "error", err)
			return
		}
		w.live = live
	case strings.HasPrefix(key, w.scope.challengerKey("")):
		id := strings.TrimPrefix(key, w.scope.challengerKey(""))
		if r.Value == nil {
			delete(w.challengers, id)
		} else {
			w.challengers[id] = true
		}
	case IsModel(key): // other keys are aliases of others
		if r.Value == nil {
			delete(w.classifiers, key)
		} else {
			w.classifiers[key] = r.Value
		}
	}
}

// apply hands over the champion when it is another than the live one, and the challengers when they are others than before.
func (w *watcher) apply() {
	if w.champion != "" && w.champion != w.serving {
		c, err := models.DecodeClassifier(w.classifiers[w.champion])
		if err == nil {
			err = w.options.Champion(c)
		}
		if err != nil {
			w.options.Logger.Error("champion refused, the former stays live", "model", w.champion, "error", err)
		} else {
			w.options.Logger.Info("champion is live", "model", w.champion)
		}
		w.serving = w.champion
	}
	ids := slices.Sorted(maps.Keys(w.challengers))
	if w.options.Challengers == nil || slices.Equal(ids, w.scoring) {
		return
	}
	var challengers []*schemas.Classifier
	for _, id := range ids {
		c, err := models.DecodeClassifier(w.classifiers[id])
		if err != nil {
			w.options.Logger.Error("challenger refused, it is not scored", "model", id, "error", err)
			continue
		}
		challengers = append(challengers, c)
	}
	w.options.Challengers(challengers)
	w.scoring = ids
}
