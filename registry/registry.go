// Package registry keeps classifiers on Kafka: it says which is live, changes that, and tells workers.
//
// The topic models.classifier is compacted: a classifier lies under its id; the aliases of a taxonomy and an encoder, one champion and any number of
// challengers, lie under keys of their own and hold ids. A taxonomy's live encoder, whose answers consumers read, lies there, too: Ownership says which encoder answers which
// raw record, Owners tells workers, Writer.Switch changes it. What was done to a model, and when, lies on models.history for ever. A change writes classifier, aliases and
// history in one transaction, so that no reader sees a part of it. All changes are made under one transactional id: a later writer fences an earlier one, then reads
// both topics to their end, so that it decides on what is true. A watcher has read the topic to its end before it reports ready.
package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
)

// Scope says whose champion is meant: a classifier serves one taxonomy and takes the vectors of one encoder.
type Scope struct{ Taxonomy, Encoder string }

// ScopeOf returns a classifier's scope.
func ScopeOf(c *schemas.Classifier) Scope { return Scope{c.GetTaxonomy(), c.GetEncoder()} }

// Aliases.
const (
	Champion   = "champion"
	Challenger = "challenger"
)

func (s Scope) championKey() string { return Champion + "/" + s.Taxonomy + "/" + s.Encoder }

func (s Scope) challengerKey(id string) string {
	return Challenger + "/" + s.Taxonomy + "/" + s.Encoder + "/" + id
}

var modelID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// IsModel tells the identity of a classifier, which is its key, from the key of an alias and from anything else.
func IsModel(key string) bool { return modelID.MatchString(key) }

// Actions of the history.
const (
	Registered = "register"
	Promoted   = "promote"
	RolledBack = "rollback"
	Challenged = "challenge"
	Withdrawn  = "withdraw"
	Retired    = "retire"
)

// Contents is what the registry holds.
type Contents struct {
	// Models are the classifiers by id.
	Models map[string]*schemas.Classifier
	// Champions and Challengers hold ids; challengers stand in the order in which they became it.
	Champions   map[Scope]string
	Challengers map[Scope][]string
	// History holds what was done, oldest first.
	History []*schemas.ModelEvent
	live    map[string]*schemas.LiveEncoders // by taxonomy; see Ownership
	// Unreadable are keys of records that are not the registry's, or are damaged.
	Unreadable []string
}

var (
	// ErrUnknown is returned for an id, or the beginning of one, that the registry does not hold.
	ErrUnknown = errors.New("the registry holds no such classifier")
	// ErrAmbiguous is returned for the beginning of several ids.
	ErrAmbiguous = errors.New("several models begin so")
)

// Read returns what the registry holds now.
func Read(ctx context.Context, o kafka.Options) (*Contents, error) {
	c, err := read(ctx, o, kafka.ScanOptions{Topics: []string{kafka.Models, kafka.ModelHistory}})
	if err != nil {
		return nil, fmt.Errorf("reading the registry: %w", err)
	}
	return c, nil
}

// Find returns a classifier by its id or the beginning of it, or the champion of a scope when id is empty. It needs no right to read the history.
func Find(ctx context.Context, o kafka.Options, scope Scope, id string) (*schemas.Classifier, error) {
	c, err := read(ctx, o, kafka.ScanOptions{Topics: []string{kafka.Models}})
	if err != nil {
		return nil, fmt.Errorf("reading the registry: %w", err)
	}
	if id != "" {
		return c.Find(id)
	}
	if champion := c.Models[c.Champions[scope]]; champion != nil {
		return champion, nil
	}
	return nil, fmt.Errorf("finding the champion of encoder %.12s: %w", scope.Encoder, ErrUnknown)
}

// read reads topics of the registry.
func read(ctx context.Context, o kafka.Options, s kafka.ScanOptions) (*Contents, error) {
	c := newContents()
	err := kafka.Scan(ctx, o, s, func(r *kgo.Record) error {
		c.take(r)
		return nil
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		err = fmt.Errorf("%w: jobstrom topics --create makes what is missing", err)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func newContents() *Contents {
	return &Contents{Models: map[string]*schemas.Classifier{}, Champions: map[Scope]string{}, Challengers: map[Scope][]string{}, live: map[string]*schemas.LiveEncoders{}}
}

// take adds a record.
func (c *Contents) take(r *kgo.Record) {
	key, parts := string(r.Key), strings.Split(string(r.Key), "/")
	switch {
	case r.Topic == kafka.ModelHistory:
		event := &schemas.ModelEvent{}
		if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, event); err != nil {
			c.Unreadable = append(c.Unreadable, kafka.ModelHistory+" at "+fmt.Sprint(r.Offset))
			return
		}
		c.History = append(c.History, event)
	case IsModel(key):
		delete(c.Models, key)
		if r.Value == nil {
			return
		}
		model, err := models.DecodeClassifier(r.Value)
		if err != nil || model.Id != key {
			c.Unreadable = append(c.Unreadable, key)
			return
		}
		c.Models[key] = model
	case parts[0] == Champion && len(parts) == 3:
		c.Champions[Scope{parts[1], parts[2]}] = string(r.Value)
	case parts[0] == Challenger && len(parts) == 4:
		scope, id := Scope{parts[1], parts[2]}, parts[3]
		c.Challengers[scope] = slices.DeleteFunc(c.Challengers[scope], func(other string) bool { return other == id })
		if r.Value != nil {
			c.Challengers[scope] = append(c.Challengers[scope], id)
		}
	case parts[0] == Live && len(parts) == 2:
		live, err := decodeLive(r.Value)
		if err != nil {
			c.Unreadable = append(c.Unreadable, key)
			return
		}
		c.live[parts[1]] = live
	default:
		c.Unreadable = append(c.Unreadable, fmt.Sprintf("%.80q", key))
	}
}

// Find returns the model whose id begins so, when it is one.
func (c *Contents) Find(prefix string) (*schemas.Classifier, error) {
	var found []string
	for id := range c.Models {
		if prefix != "" && strings.HasPrefix(id, strings.ToLower(prefix)) {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %.64q (jobstrom models list)", ErrUnknown, prefix)
	case 1:
		return c.Models[found[0]], nil
	}
	for i := range found {
		found[i] = fmt.Sprintf("%.20s", found[i])
	}
	return nil, fmt.Errorf("%w as %.64q: give more digits of %s", ErrAmbiguous, prefix, strings.Join(found, ", "))
}

// Retired returns what the history says of the model that was registered last among those whose id begins so; nil when there was none.
func (c *Contents) Retired(prefix string) *schemas.Classifier {
	for _, e := range slices.Backward(c.History) {
		if prefix != "" && e.Action == Registered && strings.HasPrefix(e.Model, strings.ToLower(prefix)) {
			return e.Classifier
		}
	}
	return nil
}

// Alias returns what a model is: Champion, Challenger or nothing.
func (c *Contents) Alias(model *schemas.Classifier) string {
	switch {
	case c.Champions[ScopeOf(model)] == model.GetId():
		return Champion
	case slices.Contains(c.Challengers[ScopeOf(model)], model.GetId()):
		return Challenger
	}
	return ""
}

// Former returns the champion of before that is still held, "" when there is none. Rolling back twice goes back two champions.
func (c *Contents) Former(scope Scope) string {
	var line []string // the champions that were, each the one before the next; rolling back takes from its end
	for _, e := range c.History {
		if (Scope{e.Taxonomy, e.Encoder}) != scope {
			continue
		}
		switch e.Action {
		case Promoted:
			line = append(line, e.Model)
		case RolledBack:
			for len(line) > 0 && line[len(line)-1] != e.Model {
				line = line[:len(line)-1]
			}
		}
	}
	for i := len(line) - 2; i >= 0; i-- {
		if c.Models[line[i]] != nil && line[i] != c.Champions[scope] {
			return line[i]
		}
	}
	return ""
}
