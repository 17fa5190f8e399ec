package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
)

// writerID is the transactional id of every change: a later one fences an earlier one that is still at it.
const writerID = "jobstrom.registry"

var (
	// ErrChampionChanged is returned for a change that was decided on when another champion was live.
	ErrChampionChanged = errors.New("the champion has changed meanwhile: look again with jobstrom models list, and decide anew")
	// ErrNoFormer is returned for a rollback where no champion of before is left.
	ErrNoFormer = errors.New("there is no earlier champion to go back to")
	// ErrInUse is returned for a model that an alias names.
	ErrInUse = errors.New("the model is in use")

	// errFenced says that another writer began meanwhile, or that a transaction ended in a way that only reading can tell.
	errFenced = errors.New("another writer changes the registry")
)

// Writer changes the registry. Several may work at once: each change is whole, and decided on what all earlier ones left.
type Writer struct {
	Kafka kafka.Options
	// Version of this jobstrom, for the history.
	Version string
	// TransactionTimeout after which the broker aborts the transaction of a writer that was killed, default 10 s.
	TransactionTimeout time.Duration
}

// Promotion makes a model the champion of its scope.
type Promotion struct {
	// Classifier is sealed; it is registered where the registry lacks it.
	Classifier *schemas.Classifier
	// Expect is the champion on which this was decided, "" for none. Nil takes the place of any.
	Expect *string
	// BuiltIns are the classifiers that came with jobstrom and serve where the registry has no champion yet. That of the scope is registered as the first one, so that
	// rolling back leads to it. One of another encoder may have answered already; see Switch.
	BuiltIns []*schemas.Classifier
	// Reason is for people.
	Reason string
}

// Promote makes a model champion. It is a challenger no more. The event is nil when it is the champion already. The first champion of a taxonomy makes its encoder live, from
// the beginning, unless an encoder that came with a classifier was at work.
func (w Writer) Promote(ctx context.Context, p Promotion) (*schemas.ModelEvent, error) {
	announced := false
	event, err := w.change(ctx, func(c *change) error {
		announced = false
		scope, id := ScopeOf(p.Classifier), p.Classifier.GetId()
		if c.Champions[scope] == id {
			return nil
		}
		if err := c.expect(scope, p.Expect); err != nil {
			return err
		}
		if builtIn := ofScope(p.BuiltIns, scope); c.Champions[scope] == "" && builtIn != nil && builtIn.Id != id {
			if err := c.register(builtIn); err != nil {
				return err
			}
			c.promote(Promoted, scope, builtIn.Id, "came with jobstrom")
		}
		if err := c.register(p.Classifier); err != nil {
			return err
		}
		var err error
		if announced, err = w.beginWith(ctx, c, scope, id, p.BuiltIns); err != nil {
			return err
		}
		c.promote(Promoted, scope, id, p.Reason)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("promoting model %.12s: %w", p.Classifier.GetId(), err)
	}
	if scope := ScopeOf(p.Classifier); announced {
		if _, err := w.complete(ctx, scope, "", p.BuiltIns); err != nil {
			return nil, fmt.Errorf("settling which encoder is live after model %.12s was promoted: %w: jobstrom models switch %s does it", p.Classifier.GetId(), err, kafka.Short(scope.Encoder))
		}
	}
	return event, nil
}

// ofScope returns the classifier of a scope, nil where there is none.
func ofScope(all []*schemas.Classifier, scope Scope) *schemas.Classifier {
	if i := slices.IndexFunc(all, func(c *schemas.Classifier) bool { return ScopeOf(c) == scope }); i >= 0 {
		return all[i]
	}
	return nil
}

// Rollback makes the champion of before champion again.
func (w Writer) Rollback(ctx context.Context, scope Scope, expect *string, reason string) (*schemas.ModelEvent, error) {
	event, err := w.change(ctx, func(c *change) error {
		if err := c.expect(scope, expect); err != nil {
			return err
		}
		former := c.Former(scope)
		if former == "" {
			return fmt.Errorf("%w: promote another model by its id", ErrNoFormer)
		}
		c.promote(RolledBack, scope, former, reason)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("rolling back: %w", err)
	}
	return event, nil
}

// MaxChallengers bounds the challengers of a scope, because each costs the classify stage as much as the champion.
const MaxChallengers = 5

// Challenge makes a model a challenger, which classify workers score beside the champion. The oldest one makes room where there are MaxChallengers. The event is
// nil when it is one already.
func (w Writer) Challenge(ctx context.Context, model *schemas.Classifier, reason string) (*schemas.ModelEvent, error) {
	event, err := w.change(ctx, func(c *change) error {
		scope := ScopeOf(model)
		switch c.Alias(model) {
		case Challenger:
			return nil
		case Champion:
			return fmt.Errorf("%w: it is the champion", ErrInUse)
		}
		if err := c.register(model); err != nil {
			return err
		}
		for i := range len(c.Challengers[scope]) - MaxChallengers + 1 {
			oldest := c.Challengers[scope][i]
			c.write(kafka.Models, scope.challengerKey(oldest), nil)
			c.event(Withdrawn, scope, oldest, "", fmt.Sprintf("made room: there are %d challengers at most", MaxChallengers))
		}
		c.write(kafka.Models, scope.challengerKey(model.Id), []byte(model.Id))
		c.event(Challenged, scope, model.Id, "", reason)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("challenging with model %.12s: %w", model.GetId(), err)
	}
	return event, nil
}

// Withdraw ends a challenge. The event is nil when the model is no challenger.
func (w Writer) Withdraw(ctx context.Context, model *schemas.Classifier, reason string) (*schemas.ModelEvent, error) {
	event, err := w.change(ctx, func(c *change) error {
		if scope := ScopeOf(model); c.Alias(model) == Challenger {
			c.write(kafka.Models, scope.challengerKey(model.Id), nil)
			c.event(Withdrawn, scope, model.Id, "", reason)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("withdrawing model %.12s: %w", model.GetId(), err)
	}
	return event, nil
}

// Retire removes a model that no alias names. Its card stays in the history.
func (w Writer) Retire(ctx context.Context, model *schemas.Classifier, reason string) (*schemas.ModelEvent, error) {
	event, err := w.change(ctx, func(c *change) error {
		if alias := c.Alias(model); alias != "" {
			return fmt.Errorf("%w: it is a %s; promote another one, or withdraw it, first", ErrInUse, alias)
		}
		if c.Models[model.GetId()] == nil {
			return ErrUnknown
		}
		c.write(kafka.Models, model.Id, nil)
		c.event(Retired, ScopeOf(model), model.Id, "", reason)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("retiring model %.12s: %w", model.GetId(), err)
	}
	return event, nil
}

// change is one transaction: what the registry held before it, and what it writes.
type change struct {
	*Contents
	id, version string
	at          time.Time
	records     []*kgo.Record
	last        *schemas.ModelEvent
	failed      error // what could not be encoded
}

func (c *change) expect(scope Scope, champion *string) error {
	if champion == nil || *champion == c.Champions[scope] {
		return nil
	}
	name := func(id string) string {
		if id == "" {
			return "none"
		}
		return fmt.Sprintf("%.12s", id)
	}
	return fmt.Errorf("%w (expected %s, it is %s)", ErrChampionChanged, name(*champion), name(c.Champions[scope]))
}

func (c *change) write(topic, key string, value []byte, headers ...kgo.RecordHeader) {
	c.records = append(c.records, &kgo.Record{Topic: topic, Key: []byte(key), Value: value, Headers: headers})
}

// register writes a classifier that the registry lacks.
func (c *change) register(model *schemas.Classifier) error {
	if c.Models[model.GetId()] != nil {
		return nil
	}
	value, err := models.EncodeClassifier(model)
	if err != nil {
		return err
	}
	c.Models[model.Id] = model
	c.write(kafka.Models, model.Id, value, kgo.RecordHeader{Key: kafka.ContentType, Value: []byte(schemas.Protobuf)})
	c.event(Registered, ScopeOf(model), model.Id, "", "")
	return nil
}

// promote moves the alias of the champion to a model that the registry holds.
func (c *change) promote(action string, scope Scope, id, reason string) {
	if slices.Contains(c.Challengers[scope], id) {
		c.write(kafka.Models, scope.challengerKey(id), nil)
	}
	c.write(kafka.Models, scope.championKey(), []byte(id))
	c.event(action, scope, id, c.Champions[scope], reason)
	c.Champions[scope] = id
}

// event writes history. The last one of a change has its id.
func (c *change) event(action string, scope Scope, model, previous, reason string) {
	if c.last != nil {
		c.last.Id = uuid.NewString()
	}
	c.last = &schemas.ModelEvent{
		Id: c.id, Action: action, Model: model, Taxonomy: scope.Taxonomy, Encoder: scope.Encoder, Previous: previous, Reason: reason, Version: c.version, At: schemas.Time(c.at),
	}
	if action == Registered {
		c.last.Classifier = models.WithoutNumbers(c.Models[model])
	}
	c.History = append(c.History, c.last)
}

// changeTries bounds how often a change gives way to other writers.
const changeTries = 8

// change decides and writes, anew when another writer came between. It returns the last event, or none when there was nothing to change.
func (w Writer) change(ctx context.Context, decide func(*change) error) (*schemas.ModelEvent, error) {
	if w.TransactionTimeout == 0 {
		w.TransactionTimeout = 10 * time.Second
	}
	id := uuid.NewString()
	for try := 1; ; try++ {
		event, err := w.try(ctx, id, decide)
		if !errors.Is(err, errFenced) || try == changeTries {
			return event, err
		}
		select { // two writers that begin again at once would fence each other again
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(rand.Int64N(int64(100*time.Millisecond) << try))):
		}
	}
}

func (w Writer) try(ctx context.Context, id string, decide func(*change) error) (*schemas.ModelEvent, error) {
	client, err := kafka.NewClient(w.Kafka, kgo.TransactionalID(writerID), kgo.TransactionTimeout(w.TransactionTimeout), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	// From here on no earlier writer can commit, so what is read to the end now is what this change is made on.
	if _, _, err := client.ProducerID(ctx); err != nil {
		return nil, fmt.Errorf("taking over %s: %w", writerID, err)
	}
	contents, err := read(ctx, w.Kafka, kafka.ScanOptions{Topics: []string{kafka.Models, kafka.ModelHistory}, Whole: true})
	if err != nil {
		return nil, err
	}
	c := &change{Contents: contents, id: id, version: w.Version, at: time.Now()}
	before := len(c.History)
	for _, e := range c.History {
		if e.Id == id {
			return e, nil // an earlier try was committed after all
		}
		if at := e.At.AsTime(); at.After(c.at) {
			c.at = at // the clock of whoever wrote that goes ahead of ours
		}
	}
	if err := errors.Join(decide(c), c.failed); err != nil || len(c.records) == 0 {
		return nil, err
	}
	for _, e := range c.History[before:] {
		value, err := schemas.Encode(schemas.JSON, e)
		if err != nil {
			return nil, err
		}
		c.write(kafka.ModelHistory, e.Model, value, kgo.RecordHeader{Key: kafka.ContentType, Value: []byte(schemas.JSON)})
	}
	return c.last, commit(ctx, client, c.records)
}

// commit writes the records in one transaction. Once begun it is ended, in bounded time, also when ctx ends.
func commit(ctx context.Context, client *kgo.Client, records []*kgo.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		return fenced(fmt.Errorf("beginning a transaction: %w", err))
	}
	if err := client.ProduceSync(work, records...).FirstErr(); err != nil {
		// Nothing more is sent through this client: one that recovers might have been fenced, with a decision on what is no longer so.
		return fenced(errors.Join(err, client.EndTransaction(work, kgo.TryAbort)))
	}
	if err := client.EndTransaction(work, kgo.TryCommit); err != nil {
		return fenced(fmt.Errorf("committing: %w", err))
	}
	awaitVisible(work, kadm.NewClient(client), records)
	return nil
}

// awaitVisible waits until readers see what was committed: brokers mark it as such in each topic a moment after they acknowledge the commit, and whoever reads next should find
// it. It is committed whether or not that comes in time.
func awaitVisible(ctx context.Context, admin *kadm.Client, records []*kgo.Record) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		ends, err := admin.ListCommittedOffsets(ctx, kafka.Models, kafka.ModelHistory)
		seen := err == nil
		for _, r := range records {
			end, ok := ends.Lookup(r.Topic, r.Partition)
			seen = seen && ok && end.Offset > r.Offset
		}
		if seen {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// fenced marks the errors of a writer that another one fenced, and of a commit that may or may not have been: reading again tells. A commit is told so by
// INVALID_TXN_STATE where the broker has aborted the transaction for the writer that came after, and by UNKNOWN_SERVER_ERROR where Apache Kafka is about to.
func fenced(err error) error {
	for _, sign := range []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState, kerr.UnknownServerError} {
		if errors.Is(err, sign) {
			return fmt.Errorf("%w (%w)", errFenced, err)
		}
	}
	return err
}
