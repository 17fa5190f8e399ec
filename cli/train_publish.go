package cli

import (
	"context"
	"errors"
	"fmt"

	"jobstrom/pipeline/classify"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

// When a trained model becomes the champion.
const (
	promoteBetter = "better"
	promoteAlways = "always"
	promoteNever  = "never"
)

var promotions = []string{promoteBetter, promoteAlways, promoteNever}

// publication says what became of a trained model.
type publication struct {
	// Alias is champion or challenger.
	Alias string `json:"alias"`
	Why   string `json:"why"`
	// Former is the champion that it was compared with.
	Former     string              `json:"former"`
	Comparison *trainer.Comparison `json:"comparison,omitempty"`
}

func (p publication) String() string {
	if p.Alias == registry.Champion {
		return "promoted, it is the champion: " + p.Why
	}
	return "not promoted, it is a challenger: " + p.Why + "\njobstrom models gate compares it on labelled traffic, jobstrom models promote makes it the champion"
}

// writer changes the registry.
func (a *app) writer() registry.Writer {
	return registry.Writer{Kafka: a.kafkaOptions(), Version: version}
}

// builtIn returns the classifier that serves a scope before anything was promoted; nil where there is none.
func builtIn(scope registry.Scope) *schemas.Classifier {
	c, err := classify.DefaultModel(scope.Encoder) // not every encoder has one
	if err != nil || registry.ScopeOf(c) != scope {
		return nil
	}
	return c
}

// builtIns returns the classifiers that come with jobstrom.
func builtIns() []*schemas.Classifier {
	all, _ := classify.DefaultModels() // they are part of this program, whose tests open them
	return all
}

// publish registers a trained model as the champion, or as a challenger, and says why.
func (a *app) publish(ctx context.Context, r *trainer.Result, t training) (publication, error) {
	contents, err := registry.Read(ctx, a.kafkaOptions())
	if err != nil {
		return publication{}, err
	}
	c := r.Classifier
	scope := registry.ScopeOf(c)
	expect := contents.Champions[scope]
	live := contents.Models[expect]
	if live == nil {
		live = builtIn(scope)
	}
	p := publication{Former: live.GetId()}
	good, why := true, "there was no champion"
	if live != nil {
		comparison, err := trainer.CompareWith(live, schemas.Jobnet(), r.TestPart)
		if err != nil {
			return p, err
		}
		p.Comparison = &comparison
		good, why = comparison.NotWorse()
		why = "of the same test vacancies " + why
	}
	promotion := registry.Promotion{Classifier: c, BuiltIns: builtIns(), Expect: &expect}
	switch t.promote {
	case promoteAlways:
		good, why, promotion.Expect = true, why+" (--promote always)", nil
	case promoteNever:
		good, why = false, why+" (--promote never)"
	}
	if good {
		promotion.Reason = t.because() + why
		_, err := a.writer().Promote(ctx, promotion)
		if err == nil {
			p.Alias, p.Why = registry.Champion, why
			return p, nil
		}
		if !errors.Is(err, registry.ErrChampionChanged) {
			return p, err
		}
		why = fmt.Sprintf("the champion %.12s, with which it was compared, was replaced meanwhile", expect)
	}
	_, err = a.writer().Challenge(ctx, c, t.because()+why)
	p.Alias, p.Why = registry.Challenger, why
	return p, err
}
