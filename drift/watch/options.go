package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
	"jobstrom/health"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// Defaults: bench/drift measures how many false alarms a year they raise.
const (
	// Level is the share of false alarms that an evaluation accepts: who looks every hour gives chance more chances than who looks once.
	Level = .01
	// An alarm is raised when its verdict has held for a fourteenth of the current window, and cleared after a seventh: of a week 12 h and 24 h.
	raisePart, clearPart = 14, 7
)

// Options say what is watched and who is told.
type Options struct {
	Warehouse *warehouse.Warehouse
	// Current is the sliding window, as "last 7d".
	Current string
	// Reference is what it is compared with, as drift.ParseReference reads it. Default model; while no model was promoted, the time before the current window.
	Reference string
	// Every is the time between two evaluations, 1 minute at least, default 1 h: windows are of whole hours.
	Every time.Duration
	// RaiseAfter and ClearAfter are how long the verdict must have been drift or none to raise or clear an alarm, default a fourteenth and a seventh of the current window.
	RaiseAfter, ClearAfter time.Duration
	// Alarms are the options of the verdicts. Default Alpha is Level.
	Alarms alarms.Options

	// Publish writes an event to the topic and returns when Kafka has it; needed.
	Publish func(ctx context.Context, e *schemas.DriftEvent) error
	// Webhook takes each event by HTTP. Nil: there is none.
	Webhook *Webhook
	// Retrain trains, asks the gate and promotes, because of the given reason. Nil: nobody asked for it.
	Retrain func(ctx context.Context, reason string) (Training, error)
	// RetrainOn are the columns whose alarms ask for a training. Default those that say something of the classifier's input and answers.
	RetrainOn []string
	// RetrainEvery is the time between two trainings, default 24 h.
	RetrainEvery time.Duration

	// Version is that of the program.
	Version string
	// Now returns the time; default the clock's.
	Now func() time.Time
	// Board takes what is wrong; nil shows it nowhere.
	Board      *health.Board
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Training says what became of one.
type Training struct {
	Model    string
	Promoted bool
	// Why it was promoted or not.
	Why string
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.Current == "" {
		o.Current = "last 7d"
	}
	if o.Reference == "" {
		o.Reference = "model"
	}
	if o.Every == 0 {
		o.Every = time.Hour
	}
	if w, err := drift.ParseWindow(o.Current, time.Now()); err == nil {
		o.RaiseAfter = cmp.Or(o.RaiseAfter, w.To.Sub(w.From)/raisePart)
		o.ClearAfter = cmp.Or(o.ClearAfter, w.To.Sub(w.From)/clearPart)
	}
	if o.RetrainOn == nil {
		o.RetrainOn = []string{"category", "label", "confidence", "embedding"}
	}
	if o.RetrainEvery == 0 {
		o.RetrainEvery = 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Alarms.Alpha == 0 {
		o.Alarms.Alpha = Level
	}
	o.Alarms.EnsureDefaults()
}

// Validate reports every violation.
func (o Options) Validate() error {
	var wrong []error
	if _, err := drift.ParseWindow(o.Current, time.Now()); err != nil || !strings.HasPrefix(strings.TrimSpace(o.Current), "last") {
		wrong = append(wrong, fmt.Errorf("drift-current (%s) must slide: write it like last 7d, last 12h or last 4w", o.Current))
	}
	if _, err := drift.ParseReference(o.Reference, time.Now()); err != nil {
		wrong = append(wrong, fmt.Errorf("drift-reference: %w", err))
	}
	for _, least := range []struct {
		name         string
		value, least time.Duration
	}{{"drift-every", o.Every, time.Minute}, {"drift-retrain-every", o.RetrainEvery, time.Minute}} {
		if least.value < least.least {
			wrong = append(wrong, fmt.Errorf("%s (%v) must be at least %v", least.name, least.value, least.least))
		}
	}
	for name, d := range map[string]time.Duration{"drift-raise-after": o.RaiseAfter, "drift-clear-after": o.ClearAfter} {
		if d < 0 {
			wrong = append(wrong, fmt.Errorf("%s (%v) must not be negative", name, d))
		}
	}
	if err := o.Alarms.Validate(); err != nil {
		wrong = append(wrong, fmt.Errorf("drift-alpha: %w", err))
	}
	return errors.Join(wrong...)
}

// Name tells this watch from others, which have alarms of their own.
func (o *Options) Name() string {
	return strings.TrimSpace(o.Current) + " against " + strings.TrimSpace(o.Reference)
}
