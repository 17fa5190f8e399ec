package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
	"jobstrom/health"
	"jobstrom/warehouse"
)

// grace is how long evaluations may fail before anyone is told.
const grace = 5 * time.Minute

var place = health.Place{Part: "clickhouse", Stage: "drift watch"}

// watch is one that runs.
type watch struct {
	Options
	reference  drift.Reference
	hysteresis Hysteresis
	recalled   bool // whether the hysteresis knows what was before this process
	metrics    *metrics
	// pause is how long a failed evaluation or delivery waits before it is tried again.
	pause time.Duration
}

func newWatch(o Options) (*watch, error) {
	o.EnsureDefaults()
	err := o.Validate()
	if err == nil && o.Publish == nil {
		err = errors.New("nothing publishes the events")
	}
	if err == nil && o.Webhook != nil {
		err = o.Webhook.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("watching for drift: %w", err)
	}
	reference, err := drift.ParseReference(o.Reference, o.Now())
	if err != nil {
		return nil, fmt.Errorf("watching for drift: %w", err)
	}
	return &watch{
		Options: o, reference: reference, metrics: newMetrics(o.Registerer), pause: time.Minute,
		hysteresis: Hysteresis{RaiseAfter: o.RaiseAfter, ClearAfter: o.ClearAfter},
	}, nil
}

// Run evaluates until ctx ends (nil). What fails is tried again: it never ends a flow. Its error is of the options alone.
func Run(ctx context.Context, o Options) error {
	w, err := newWatch(o)
	if err != nil {
		return err
	}
	w.run(ctx)
	return nil
}

func (w *watch) run(ctx context.Context) {
	due := w.Now()
	for {
		now := w.Now()
		if !now.Before(due) {
			if _, err := w.evaluate(ctx); err == nil {
				due = now.Add(w.Every)
				w.retrain(ctx)
			} else {
				due = now.Add(w.pause)
			}
		}
		wait := due.Sub(w.Now())
		if !w.deliver(ctx) {
			wait = min(wait, w.pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Evaluation is what Once found.
type Evaluation struct {
	// Comparison is nil where there was nothing to compare; Nothing says why.
	Comparison *drift.Comparison
	Nothing    string
	// Open are the events that raised the alarms that are open now.
	Open []warehouse.DriftEventRow
	// Undelivered says that the topic or the webhook has not taken every event.
	Undelivered bool
}

// Once evaluates the windows that end now, by the rules of Run, delivers, and trains where that is asked for.
func Once(ctx context.Context, o Options) (*Evaluation, error) {
	w, err := newWatch(o)
	if err != nil {
		return nil, err
	}
	e, err := w.evaluate(ctx)
	if err != nil {
		return nil, err
	}
	w.retrain(ctx)
	e.Undelivered = !w.deliver(ctx)
	return e, nil
}

// evaluate compares the windows of now and writes what is raised and cleared.
func (w *watch) evaluate(ctx context.Context) (*Evaluation, error) {
	began := time.Now()
	e, err := w.look(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		w.metrics.evaluations.WithLabelValues(failed).Inc()
		w.Logger.Warn("drift is not evaluated, trying again", "error", err)
		w.Board.Report(health.Problem{Place: place, Reason: err.Error(), Remedy: "it is tried again by itself; see that ClickHouse runs, can be reached and has memory"}, grace)
		return nil, err
	}
	w.Board.Clear(place)
	w.metrics.alarms(e.Open)
	if e.Comparison == nil {
		w.metrics.evaluations.WithLabelValues(nothing).Inc()
		w.metrics.show(&drift.Comparison{})
		w.Logger.Debug("drift has nothing to compare", "reason", e.Nothing)
		return e, nil
	}
	w.metrics.evaluations.WithLabelValues(compared).Inc()
	w.metrics.show(e.Comparison)
	w.metrics.evaluated.Set(float64(w.Now().Unix()))
	w.metrics.seconds.Observe(time.Since(began).Seconds())
	return e, nil
}

// look compares the windows of now and says what that changes.
func (w *watch) look(ctx context.Context) (e *Evaluation, err error) {
	e = &Evaluation{}
	if e.Open, err = w.open(ctx); err != nil {
		return nil, err
	}
	if e.Comparison, err = w.compare(ctx, w.Now()); errors.Is(err, drift.ErrNothing) {
		e.Nothing = err.Error()
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	if err := w.recall(ctx, e); err != nil {
		return nil, err
	}
	return e, w.judge(ctx, e)
}

// compare compares the windows of a moment.
func (w *watch) compare(ctx context.Context, now time.Time) (*drift.Comparison, error) {
	current, err := drift.ParseWindow(w.Current, now)
	if err != nil {
		return nil, err
	}
	reference, err := w.reference.Resolve(ctx, w.Warehouse, current)
	if errors.Is(err, drift.ErrNothing) && w.reference.OfModel() {
		reference, err = current.Before(), nil
	}
	if err != nil {
		return nil, err
	}
	return drift.Compare(ctx, w.Warehouse, drift.Options{Reference: reference, Current: current, Alarms: w.Alarms, VerdictsOnly: true})
}

// looksBack is how many earlier windows are evaluated at the start.
const looksBack = 4

// recall evaluates earlier windows where that may raise or clear an alarm, once: what a process of before has seen, this one does not know.
func (w *watch) recall(ctx context.Context, e *Evaluation) error {
	if w.recalled || !slices.ContainsFunc(e.Comparison.Columns, func(c drift.Column) bool {
		return c.Verdict == alarms.Drift && e.alarm(c.Name) < 0 || c.Verdict == alarms.None && e.alarm(c.Name) >= 0
	}) {
		w.recalled = true
		return nil
	}
	back := max(w.hysteresis.RaiseAfter, w.hysteresis.ClearAfter)
	for i := looksBack; i > 0 && back > 0; i-- {
		c, err := w.compare(ctx, w.Now().Add(-back*time.Duration(i)/looksBack))
		if errors.Is(err, drift.ErrNothing) {
			continue
		}
		if err != nil {
			return err
		}
		for _, column := range c.Columns {
			w.hysteresis.See(column.Name, time.Time{}, column.Verdict, c.Current.To) // what it raised then, it raises now
		}
	}
	w.recalled = true
	return nil
}

// alarm returns the place of a column's alarm among those that are open, -1 if it has none.
func (e *Evaluation) alarm(column string) int {
	return slices.IndexFunc(e.Open, func(alarm warehouse.DriftEventRow) bool { return alarm.Column == column })
}

// judge writes the events of a comparison.
func (w *watch) judge(ctx context.Context, e *Evaluation) error {
	var events []warehouse.DriftEventRow
	for _, column := range e.Comparison.Columns {
		i := e.alarm(column.Name)
		var open time.Time
		if i >= 0 {
			open = e.Open[i].CurrentTo
		}
		switch w.hysteresis.See(column.Name, open, column.Verdict, e.Comparison.Current.To) {
		case Raises:
			alarm := w.raise(e.Comparison, column, w.Now())
			events, e.Open = append(events, alarm), append(e.Open, alarm)
		case Clears:
			events = append(events, w.clear(e.Comparison, column, e.Open[i].AlarmID, w.Now()))
			e.Open = slices.Delete(e.Open, i, i+1)
		}
	}
	return w.write(ctx, events)
}

// open returns the events that raised the alarms that are open.
func (w *watch) open(ctx context.Context) ([]warehouse.DriftEventRow, error) {
	events, err := w.Warehouse.ReadDriftEvents(ctx, warehouse.DriftEventFilter{Watch: w.Name(), Open: true})
	return slices.DeleteFunc(events, func(e warehouse.DriftEventRow) bool { return e.Kind != Raised }), err
}

// write keeps events in ClickHouse, which is what makes them happen.
func (w *watch) write(ctx context.Context, events []warehouse.DriftEventRow) error {
	if err := w.Warehouse.InsertDriftEvents(ctx, events); err != nil {
		return err
	}
	for _, e := range events {
		w.metrics.events.WithLabelValues(e.Kind).Inc()
		w.Logger.Warn("drift: "+e.Reason, "kind", e.Kind, "alarm", e.AlarmID)
	}
	return nil
}

// alarmed says which of the open alarms ask for a training now, and nil where one was lately.
func (w *watch) alarmed(ctx context.Context) ([]warehouse.DriftEventRow, error) {
	events, err := w.Warehouse.ReadDriftEvents(ctx, warehouse.DriftEventFilter{Watch: w.Name(), Open: true})
	if err != nil {
		return nil, err
	}
	lately, err := w.Warehouse.ReadDriftEvents(ctx, warehouse.DriftEventFilter{Watch: w.Name(), Since: w.Now().Add(-w.RetrainEvery)})
	if err != nil || slices.ContainsFunc(lately, func(e warehouse.DriftEventRow) bool { return e.Kind != Raised && e.Kind != Cleared }) {
		return nil, err
	}
	answered := map[string]bool{} // alarms that a promoted model answered
	for _, e := range events {
		answered[e.AlarmID] = answered[e.AlarmID] || e.Kind == Promoted
	}
	return slices.DeleteFunc(events, func(e warehouse.DriftEventRow) bool {
		return e.Kind != Raised || answered[e.AlarmID] || !slices.Contains(w.RetrainOn, e.Column)
	}), nil
}

// retrain trains where open alarms ask for it, and writes what comes of it. A training that fails, or whose model the gate refuses, is tried again after
// RetrainEvery while an alarm is open: labels come late.
func (w *watch) retrain(ctx context.Context) {
	if w.Retrain == nil {
		return
	}
	if err := w.answer(ctx); err != nil && ctx.Err() == nil {
		w.Logger.Warn("drift: the training that alarms asked for is not begun or not recorded", "error", err)
	}
}

func (w *watch) answer(ctx context.Context) error {
	asking, err := w.alarmed(ctx)
	if err != nil || len(asking) == 0 {
		return err
	}
	steps := func(kind, model, reason string) error {
		var events []warehouse.DriftEventRow
		for _, alarm := range asking {
			events = append(events, step(alarm, kind, w.Now(), model, reason))
		}
		return w.write(ctx, events)
	}
	why := fmt.Sprintf("drift of %s since %s", asking[0].Column, asking[0].At.UTC().Format(time.RFC3339))
	if len(asking) > 1 {
		why += fmt.Sprintf(" and of %d more columns", len(asking)-1)
	}
	if err := steps(Retraining, "", why); err != nil {
		return err
	}
	w.deliver(ctx) // a training takes a while
	training, err := w.Retrain(ctx, why)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return steps(Failed, "", err.Error())
	case training.Promoted:
		return steps(Promoted, training.Model, training.Why)
	}
	return steps(Kept, training.Model, training.Why)
}
