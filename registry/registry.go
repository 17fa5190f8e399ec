// Package registry keeps classifiers on Kafka: it announces a trained one and tells workers which is live.
//
// The topic models.classifier is compacted: a classifier lies under its id, and the alias "champion" of a taxonomy and an encoder lies under its own key. Both are written in one
// transaction, so that no reader sees an alias without its model. A watcher has read the topic to its end before it reports ready.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// championKey is the key under which the id of the live classifier lies.
func championKey(taxonomy, encoder string) string { return "champion/" + taxonomy + "/" + encoder }

// Promote announces a sealed classifier and makes it the champion of its taxonomy and encoder.
func Promote(ctx context.Context, o kafka.Options, c *schemas.Classifier) error {
	value, err := models.EncodeClassifier(c)
	if err != nil {
		return fmt.Errorf("promoting classifier: %w", err)
	}
	// One id for every promoter: a later one fences an earlier one that is still at it.
	client, err := kafka.NewClient(o, kgo.TransactionalID("jobstrom.registry"))
	if err != nil {
		return fmt.Errorf("promoting classifier: %w", err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("promoting classifier: %w", err)
	}
	contentType := kgo.RecordHeader{Key: kafka.ContentType, Value: []byte(schemas.Protobuf)}
	err = client.ProduceSync(ctx,
		&kgo.Record{Topic: kafka.Models, Key: []byte(c.Id), Value: value, Headers: []kgo.RecordHeader{contentType}},
		&kgo.Record{Topic: kafka.Models, Key: []byte(championKey(c.Taxonomy, c.Encoder)), Value: []byte(c.Id)},
	).FirstErr()
	if end := client.EndTransaction(ctx, kgo.TransactionEndTry(err == nil)); err == nil {
		err = end
	}
	if err != nil {
		return fmt.Errorf("promoting classifier %.12s: %w", c.Id, err)
	}
	return nil
}

// ErrUnknown is returned by Find for a classifier that the registry does not hold.
var ErrUnknown = errors.New("the registry holds no such classifier")

// Find returns a classifier by its id or the beginning of it, or the champion of a taxonomy and an encoder when id is empty.
func Find(ctx context.Context, o kafka.Options, taxonomy, encoder, id string) (*schemas.Classifier, error) {
	w := watcher{key: championKey(taxonomy, encoder), classifiers: map[string][]byte{}}
	if err := kafka.Scan(ctx, o, kafka.ScanOptions{Topics: []string{kafka.Models}}, func(r *kgo.Record) error { w.read(r); return nil }); err != nil {
		return nil, fmt.Errorf("finding a classifier: %w", err)
	}
	if id == "" {
		if id = w.champion; id == "" {
			return nil, fmt.Errorf("finding the champion of encoder %.12s: %w", encoder, ErrUnknown)
		}
	}
	var found []string
	for known := range w.classifiers {
		if strings.HasPrefix(known, id) {
			found = append(found, known)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("finding classifier %.64q: %w", id, ErrUnknown)
	case 1:
		return models.DecodeClassifier(w.classifiers[found[0]])
	}
	return nil, fmt.Errorf("finding classifier %.64q: %d begin so: give more of the id", id, len(found))
}

// WatchOptions configure a watcher.
type WatchOptions struct {
	Kafka kafka.Options
	// Taxonomy and Encoder say whose champion is watched.
	Taxonomy, Encoder string
	// Ready is called once, when the topic was read to the end it had at the start.
	Ready func()
	// Champion is called for the newest champion at the start, and for each new one. An error is logged; the former stays.
	Champion func(*schemas.Classifier) error
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
	w := &watcher{options: o, key: championKey(o.Taxonomy, o.Encoder)}
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
	w.classifiers, w.champion = map[string][]byte{}, ""
	for next := int64(0); ; {
		if next >= end.Offset {
			w.apply()
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

// watcher holds what was read: every classifier's bytes and the champion's id.
type watcher struct {
	options        WatchOptions
	key            string
	ready          func()
	wasReady       bool
	classifiers    map[string][]byte
	champion, live string
}

func (w *watcher) read(r *kgo.Record) {
	switch key := string(r.Key); {
	case key == w.key:
		w.champion = string(r.Value)
	case len(key) == 64: // a model id; other keys are aliases of others
		if r.Value == nil {
			delete(w.classifiers, key)
		} else {
			w.classifiers[key] = r.Value
		}
	}
}

// apply hands over the champion when it is another than the live one.
func (w *watcher) apply() {
	if w.champion == "" || w.champion == w.live {
		return
	}
	c, err := models.DecodeClassifier(w.classifiers[w.champion])
	if err == nil {
		err = w.options.Champion(c)
	}
	if err != nil {
		w.options.Logger.Error("champion refused, the former stays live", "model", w.champion, "error", err)
	} else {
		w.options.Logger.Info("champion is live", "model", w.champion)
	}
	w.live = w.champion
}
