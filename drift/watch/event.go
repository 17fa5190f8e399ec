package watch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"jobstrom/drift"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// Kinds of events. Raised and Cleared are those of an alarm, the others are steps of the training that it asked for.
const (
	Raised     = "raised"
	Cleared    = "cleared"
	Retraining = "retraining"
	// Promoted: the trained model passed the gate and is the champion.
	Promoted = "promoted"
	// Kept: it did not, and the champion is kept.
	Kept   = "kept"
	Failed = "failed"
)

// Kinds lists them.
var Kinds = []string{Raised, Cleared, Retraining, Promoted, Kept, Failed}

// mostChanges bounds the values that an event names.
const mostChanges = 5

// identity makes an event's id of what makes it this event and no other.
func identity(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// columnEvent is an event about a column of a comparison; its kind and reason are for the caller.
func (o *Options) columnEvent(c *drift.Comparison, column drift.Column, at time.Time) warehouse.DriftEventRow {
	return warehouse.DriftEventRow{
		At: at, Watch: o.Name(), Column: column.Name, Verdict: string(column.Verdict), Effect: column.Effect, EffectName: column.EffectName, Gate: column.Gate, Q: column.Q,
		ReferenceFrom: c.Reference.From, ReferenceTo: c.Reference.To, ReferenceVacancies: uint64(c.Vacancies[0]),
		CurrentFrom: c.Current.From, CurrentTo: c.Current.To, CurrentVacancies: uint64(c.Vacancies[1]),
		Changes: changes(column), Encoder: c.Encoder, Version: o.Version,
	}
}

// changes returns the values of a categorical column whose shares changed most.
func changes(column drift.Column) []warehouse.ShareChange {
	var all []warehouse.ShareChange
	for i, value := range column.Values {
		if column.ReferenceShares[i] != column.CurrentShares[i] {
			all = append(all, warehouse.ShareChange{Value: value, Reference: column.ReferenceShares[i], Current: column.CurrentShares[i]})
		}
	}
	slices.SortStableFunc(all, func(a, b warehouse.ShareChange) int {
		return cmp.Compare(math.Abs(b.Current-b.Reference), math.Abs(a.Current-a.Reference))
	})
	return all[:min(len(all), mostChanges)]
}

// raise is the event that begins an alarm. Two watches that see the same window give it the same id.
func (o *Options) raise(c *drift.Comparison, column drift.Column, at time.Time) warehouse.DriftEventRow {
	e := o.columnEvent(c, column, at)
	e.Kind, e.EventID = Raised, identity(e.Watch, e.Column, Raised, e.CurrentTo.UTC().Format(time.RFC3339))
	e.AlarmID = e.EventID
	e.Reason = fmt.Sprintf("%s drifted: %s %.3g (drift from %.3g), by chance %.2g", e.Column, e.EffectName, e.Effect, e.Gate, e.Q)
	for i, change := range e.Changes {
		e.Reason += fmt.Sprintf("%s %s %.1f %% → %.1f %%", []string{";", ","}[min(i, 1)], change.Value, 100*change.Reference, 100*change.Current)
	}
	return e
}

// clear is the event that ends it.
func (o *Options) clear(c *drift.Comparison, column drift.Column, alarm string, at time.Time) warehouse.DriftEventRow {
	e := o.columnEvent(c, column, at)
	e.Kind, e.AlarmID, e.EventID = Cleared, alarm, identity(alarm, Cleared)
	e.Reason = fmt.Sprintf("%s no longer differs: chance explains it", e.Column)
	return e
}

// step is an event about the training that an alarm asked for.
func step(alarm warehouse.DriftEventRow, kind string, at time.Time, model, reason string) warehouse.DriftEventRow {
	e := alarm
	e.Kind, e.At, e.Model, e.Reason = kind, at, model, reason
	e.EventID = identity(alarm.AlarmID, kind, at.UTC().Format(time.RFC3339Nano))
	e.PublishedAt, e.CalledAt = time.Time{}, time.Time{}
	return e
}

// Message is a row as it travels on drift.events and to the webhook.
func Message(e warehouse.DriftEventRow) *schemas.DriftEvent {
	m := &schemas.DriftEvent{
		Id: e.EventID, At: schemas.Time(e.At), Watch: e.Watch, Kind: e.Kind, Alarm: e.AlarmID, Column: e.Column, Verdict: e.Verdict,
		Effect: e.Effect, EffectName: e.EffectName, Gate: e.Gate, Q: e.Q,
		Reference: &schemas.TimeWindow{From: schemas.Time(e.ReferenceFrom), To: schemas.Time(e.ReferenceTo), Vacancies: e.ReferenceVacancies},
		Current:   &schemas.TimeWindow{From: schemas.Time(e.CurrentFrom), To: schemas.Time(e.CurrentTo), Vacancies: e.CurrentVacancies},
		Encoder:   e.Encoder, Model: e.Model, Reason: e.Reason, Version: e.Version,
	}
	for _, c := range e.Changes {
		m.Changes = append(m.Changes, &schemas.ShareChange{Value: c.Value, Reference: c.Reference, Current: c.Current})
	}
	return m
}
