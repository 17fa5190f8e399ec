package apitest

import (
	"context"
	"time"

	"jobstrom/server/api"
)

func (f *Flow) models(context.Context) (*api.Models, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := &api.Models{Encoder: Encoder, History: append([]api.ModelEvent{}, f.history...)}
	for _, id := range []string{Model, Before} {
		model := api.Model{
			ID: id, TrainedAt: Began.Add(-time.Hour), Rows: 12_000, Bytes: 34_000, Encoder: Encoder, HasReport: id == Model,
			Metrics: map[string]float64{"accuracy": .81, "macro_f1": .74}, Training: map[string]string{"prior": "uniform"},
		}
		if id == f.champion {
			model.Role, model.LiveSince = "champion", f.history[0].At
			m.Models = append([]api.Model{model}, m.Models...)
		} else {
			m.Models = append(m.Models, model)
		}
	}
	return m, nil
}

func (f *Flow) promote(_ context.Context, model, expect, reason, _ string) (*api.ModelEvent, error) {
	if model != Model && model != Before {
		return nil, unknown("model")
	}
	return f.change("promoted", model, expect, reason)
}

func (f *Flow) rollback(_ context.Context, expect, reason, _ string) (*api.ModelEvent, error) {
	f.mu.Lock()
	to := f.history[0].Previous
	f.mu.Unlock()
	return f.change("rolled_back", to, expect, reason)
}

func (f *Flow) change(action, model, expect, reason string) (*api.ModelEvent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if expect != f.champion {
		return nil, api.ErrChanged
	}
	e := api.ModelEvent{At: time.Now().UTC(), Action: action, Model: model, Previous: f.champion, Reason: reason}
	f.champion = model
	if f.history = append([]api.ModelEvent{e}, f.history...); len(f.history) > 100 {
		f.history = f.history[:100]
	}
	return &e, nil
}

func (f *Flow) modelReport(_ context.Context, model string) ([]byte, error) {
	if model != Model {
		return nil, unknown("report")
	}
	return []byte("<!doctype html><title>Training</title><p>The report."), nil
}

func (f *Flow) drift(_ context.Context, q api.DriftQuery) (*api.Drift, error) {
	alarm := api.DriftEvent{
		At: Began, Kind: "raised", Column: "category", Verdict: "drift", Effect: .31, Measure: "Cramér's V", Gate: .1, Q: .0004,
		Current:  api.TimeSpan{From: Began.Add(-24 * time.Hour), To: Began, Vacancies: 900},
		Compared: api.TimeSpan{From: Began.Add(-8 * 24 * time.Hour), To: Began.Add(-24 * time.Hour), Vacancies: 6000},
		Changes:  []api.ShareChange{{Value: f.Taxonomy.Categories[4].Name, Reference: .05, Current: .21}},
	}
	d := &api.Drift{Since: q.Since, Until: q.Until, Alarms: []api.DriftEvent{alarm}, Events: []api.DriftEvent{alarm}}
	for day := range 7 {
		share := api.Share{From: Began.Add(time.Duration(day-7) * 24 * time.Hour), Categories: make([]uint64, len(f.Taxonomy.Categories))}
		for c := range share.Categories {
			share.Categories[c] = uint64(10 + (c+day)%7)
			share.Vacancies += share.Categories[c]
		}
		d.Shares = append(d.Shares, share)
	}
	return d, nil
}

func (f *Flow) driftReport(_ context.Context, q api.DriftQuery) ([]byte, error) {
	if q.Until.Sub(q.Since) < time.Hour {
		return nil, api.ErrTooFew
	}
	return []byte("<!doctype html><title>Drift</title><p>The report."), nil
}

func (f *Flow) deadLetters(_ context.Context, most int) (*api.DeadLetters, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := &api.DeadLetters{Letters: append([]api.Letter{}, f.letters[:min(most, len(f.letters))]...)}
	for _, l := range f.letters {
		if l.State == "waiting" {
			d.Waiting++
		}
	}
	return d, nil
}

func (f *Flow) replay(_ context.Context, places []api.LetterPlace) (*api.Replayed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted, done := map[api.LetterPlace]bool{}, &api.Replayed{}
	for _, p := range places {
		wanted[p] = true
	}
	for i := range f.letters {
		l := &f.letters[i]
		if len(places) > 0 && !wanted[l.LetterPlace] {
			continue
		}
		delete(wanted, l.LetterPlace)
		if l.State != "waiting" {
			done.Skipped++
			continue
		}
		l.State = "replayed"
		l.Replays++
		done.Replayed++
	}
	if len(wanted) > 0 {
		done.Refused = map[string]int{"no such letter": len(wanted)}
	}
	return done, nil
}
