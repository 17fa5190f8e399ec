package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/server/api"
)

// mostEvents bounds the history that the API shows.
const mostEvents = 500

// registryContents reads the registry.
func (s *apiSources) registryContents(ctx context.Context) (*registry.Contents, error) {
	asked, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	contents, err := registry.Read(asked, s.kafka)
	return contents, s.away(ctx, err)
}

func (s *apiSources) scope() registry.Scope {
	return registry.Scope{Taxonomy: s.pipeline.Taxonomy.ID, Encoder: s.encoder}
}

// models lists the registry. Where it has no champion yet, the classifier that came with jobstrom is the champion.
func (s *apiSources) models(ctx context.Context) (*api.Models, error) {
	contents, err := s.registryContents(ctx)
	if err != nil {
		return nil, err
	}
	all := &api.Models{Encoder: s.encoder}
	if served := builtIn(s.scope()); contents.Champions[s.scope()] == "" && served != nil {
		m := s.apiModel(lineOfModel(contents, served), served)
		m.Role = registry.Champion
		all.Models = append(all.Models, m)
	}
	for _, line := range modelLines(contents) {
		all.Models = append(all.Models, s.apiModel(line, contents.Models[line.Model]))
	}
	for _, e := range slices.Backward(contents.History) {
		if len(all.History) == mostEvents {
			break
		}
		all.History = append(all.History, *apiModelEvent(e))
	}
	return all, nil
}

func (s *apiSources) apiModel(line modelLine, m *schemas.Classifier) api.Model {
	model := api.Model{
		ID: line.Model, Role: line.Alias, Rows: line.Rows, Bytes: line.Bytes, Metrics: line.Metrics, Training: m.GetTraining(), Encoder: line.Encoder,
	}
	if line.LiveSince != nil {
		model.LiveSince = *line.LiveSince
	}
	if line.TrainedAt != nil {
		model.TrainedAt = *line.TrainedAt
	}
	if path, ok := s.config.modelPage(line.Model); ok {
		_, err := os.Stat(path)
		model.HasReport = err == nil
	}
	return model
}

func apiModelEvent(e *schemas.ModelEvent) *api.ModelEvent {
	return &api.ModelEvent{At: e.At.AsTime(), Action: e.Action, Model: e.Model, Previous: e.Previous, Reason: e.Reason}
}

// promoteModel makes a model the champion of its encoder, if the champion is still the expected one.
func (s *apiSources) promoteModel(ctx context.Context, model, expect, reason, by string) (*api.ModelEvent, error) {
	contents, err := s.registryContents(ctx)
	if err != nil {
		return nil, err
	}
	m, err := contents.Find(model)
	if err != nil {
		return nil, changeError(err)
	}
	scope := registry.ScopeOf(m)
	expected := s.expected(contents, scope, expect)
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	if contents.Champions[scope] != expected { // also where the model is the champion already
		return nil, changeError(registry.ErrChampionChanged)
	}
	e, err := s.writer.Promote(ctx, registry.Promotion{Classifier: m, Expect: &expected, BuiltIns: builtIns(), Reason: asked(reason, by)})
	if err != nil {
		return nil, s.away(ctx, changeError(err))
	}
	if e == nil {
		return &api.ModelEvent{At: time.Now().UTC(), Action: registry.Promoted, Model: m.Id, Previous: m.Id, Reason: "it is the champion already"}, nil
	}
	return apiModelEvent(e), nil
}

// expected is the champion that a caller means: where the registry has none, one that came with jobstrom is shown as such.
func (s *apiSources) expected(contents *registry.Contents, scope registry.Scope, expect string) string {
	if contents.Champions[scope] == "" && expect != "" && builtIn(scope).GetId() == expect {
		return ""
	}
	return expect
}

// rollback makes the champion of before champion again, if the champion is still the expected one.
func (s *apiSources) rollback(ctx context.Context, expect, reason, by string) (*api.ModelEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	e, err := s.writer.Rollback(ctx, s.scope(), &expect, asked(reason, by))
	if err != nil {
		return nil, s.away(ctx, changeError(err))
	}
	return apiModelEvent(e), nil
}

// changeError says in the API's errors what keeps the registry from a change.
func changeError(err error) error {
	switch {
	case errors.Is(err, registry.ErrChampionChanged):
		return api.ErrChanged
	case errors.Is(err, registry.ErrUnknown), errors.Is(err, registry.ErrAmbiguous):
		return fmt.Errorf("the model is %w, or not by so few digits", api.ErrUnknown)
	case errors.Is(err, registry.ErrNoFormer):
		return fmt.Errorf("an earlier champion to go back to is %w", api.ErrUnknown)
	}
	return err
}

// asked says in the history who wanted a change.
func asked(reason, by string) string {
	if reason == "" {
		return "asked by " + by
	}
	return fmt.Sprintf("%s (asked by %s)", reason, by)
}

// modelPage is where the page of a model's training lies that was trained on this machine; not ok for what is no model's identity, which is thus no part of a path.
func (c Config) modelPage(model string) (path string, ok bool) {
	return filepath.Join(c.Data, "models", model+".html"), registry.IsModel(model)
}

// modelReport reads that page.
func (s *apiSources) modelReport(_ context.Context, model string) ([]byte, error) {
	path, ok := s.config.modelPage(model)
	if ok {
		page, err := os.ReadFile(path)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return page, err
		}
	}
	return nil, fmt.Errorf("a report of the training of %.64q is %w here", model, api.ErrUnknown)
}
