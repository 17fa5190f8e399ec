package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jobstrom/drift"
	"jobstrom/drift/report"
	"jobstrom/drift/watch"
	"jobstrom/schemas"
	"jobstrom/server/api"
	"jobstrom/warehouse"
)

// stepOf returns in which steps the shares of a time are counted: few enough to be looked at.
func stepOf(span time.Duration) time.Duration {
	const day = 24 * time.Hour
	switch {
	case span <= 3*day:
		return time.Hour
	case span <= 120*day:
		return day
	case span <= 3*365*day:
		return 7 * day
	}
	return 28 * day
}

// driftSeen returns the watch's events, the alarms that stand, and the shares of the categories.
func (s *apiSources) driftSeen(ctx context.Context, q api.DriftQuery) (*api.Drift, error) {
	asked, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	d := &api.Drift{Since: q.Since.UTC(), Until: q.Until.UTC()}
	events, err := s.warehouse.ReadDriftEvents(asked, warehouse.DriftEventFilter{Since: q.Since})
	if err != nil {
		return nil, s.warehouseAway(ctx, err)
	}
	for _, e := range slices.Backward(events) {
		if len(d.Events) < mostEvents && e.At.Before(q.Until) {
			d.Events = append(d.Events, apiDriftEvent(e))
		}
	}
	open, err := s.warehouse.ReadDriftEvents(asked, warehouse.DriftEventFilter{Open: true})
	if err != nil {
		return nil, s.warehouseAway(ctx, err)
	}
	for _, e := range slices.Backward(open) {
		if e.Kind == watch.Raised {
			d.Alarms = append(d.Alarms, apiDriftEvent(e))
		}
	}
	step := stepOf(q.Until.Sub(q.Since))
	steps, err := drift.Series(asked, s.warehouse, "category", q.Since, q.Until, step)
	if err != nil {
		return nil, s.warehouseAway(ctx, err)
	}
	d.Shares = apiShares(steps, step, s.pipeline.Taxonomy)
	return d, nil
}

// apiShares puts counts into index order, and between the first and the last of them steps without a vacancy, so that time runs evenly. A category of another taxonomy counts
// among the vacancies alone.
func apiShares(steps []drift.Step, every time.Duration, taxonomy *schemas.Taxonomy) []api.Share {
	var shares []api.Share
	for _, step := range steps {
		for n := len(shares); n > 0 && shares[n-1].From.Add(every).Before(step.From); n++ {
			shares = append(shares, api.Share{From: shares[n-1].From.Add(every), Categories: make([]uint64, len(taxonomy.Categories))})
		}
		share := api.Share{From: step.From, Categories: make([]uint64, len(taxonomy.Categories))}
		for value, n := range step.Counts {
			share.Vacancies += n
			if c := slices.Index(taxonomy.Names(), value); c >= 0 {
				share.Categories[c] += n
			}
		}
		shares = append(shares, share)
	}
	return shares
}

func apiDriftEvent(e warehouse.DriftEventRow) api.DriftEvent {
	event := api.DriftEvent{
		At: e.At, Kind: e.Kind, Column: e.Column, Verdict: e.Verdict, Effect: e.Effect, Measure: e.EffectName, Gate: e.Gate, Q: e.Q, Reason: e.Reason,
		Current:  api.TimeSpan{From: e.CurrentFrom, To: e.CurrentTo, Vacancies: e.CurrentVacancies},
		Compared: api.TimeSpan{From: e.ReferenceFrom, To: e.ReferenceTo, Vacancies: e.ReferenceVacancies},
	}
	for _, c := range e.Changes {
		event.Changes = append(event.Changes, api.ShareChange{Value: c.Value, Reference: c.Reference, Current: c.Current})
	}
	return event
}

// halves cuts a time in two windows of whole hours.
func halves(q api.DriftQuery) (reference, current drift.Window, err error) {
	since, until := q.Since.UTC().Truncate(time.Hour), q.Until.UTC().Add(time.Hour-1).Truncate(time.Hour)
	middle := since.Add(until.Sub(since) / 2).Truncate(time.Hour)
	reference, current = drift.Window{From: since, To: middle}, drift.Window{From: middle, To: until}
	if err := errors.Join(reference.Validate(), current.Validate()); err != nil {
		return reference, current, fmt.Errorf("%w: give two hours or more, between 1900 and 2299", api.ErrTooFew)
	}
	return reference, current, nil
}

// driftReport compares the halves of a time and returns the page, as jobstrom drift report writes it.
func (s *apiSources) driftReport(ctx context.Context, q api.DriftQuery) ([]byte, error) {
	reference, current, err := halves(q)
	if err != nil {
		return nil, err
	}
	work, cancel := context.WithTimeout(ctx, workWithin)
	defer cancel()
	if err := s.reports.Acquire(work, 1); err != nil {
		return nil, fmt.Errorf("another report is being made: ClickHouse %w", api.ErrAway)
	}
	defer s.reports.Release(1)
	comparison, err := drift.Compare(work, s.warehouse, drift.Options{Reference: reference, Current: current, Encoder: s.encoder})
	if errors.Is(err, drift.ErrNothing) {
		return nil, fmt.Errorf("%w: %w", api.ErrTooFew, err)
	}
	if err != nil {
		return nil, s.warehouseAway(ctx, err)
	}
	var page bytes.Buffer
	if err := (report.Options{Comparison: comparison, Version: version, Made: time.Now()}).HTML(&page); err != nil {
		return nil, err
	}
	return page.Bytes(), nil
}
