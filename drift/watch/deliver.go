package watch

import (
	"context"
	"errors"
	"time"

	"jobstrom/warehouse"
)

// keepTrying is how long an event is offered to a webhook that does not take it. It stays in ClickHouse and on the topic.
const keepTrying = 7 * 24 * time.Hour

// deliver hands the events over that are not delivered yet, the oldest first, and says whether none is left. Topic and webhook each get them in order: behind one
// that was not taken nothing is tried. The webhook is called for what is on the topic.
func (w *watch) deliver(ctx context.Context) bool {
	events, err := w.Warehouse.ReadDriftEvents(ctx, warehouse.DriftEventFilter{Watch: w.Name(), Undelivered: true, Since: w.Now().Add(-keepTrying)})
	if err != nil {
		if ctx.Err() == nil {
			w.Logger.Warn("drift: the events to deliver are not known, trying again", "error", err)
		}
		return false
	}
	var topic, hook, noting error
	left := 0
	for _, e := range events {
		message, news := Message(e), false
		if e.PublishedAt.IsZero() && topic == nil {
			if topic = w.Publish(ctx, message); topic == nil {
				e.PublishedAt, news = w.Now(), true
			}
		}
		if !e.PublishedAt.IsZero() && e.CalledAt.IsZero() && hook == nil {
			if hook = w.Webhook.call(ctx, message); hook == nil {
				e.CalledAt, news = w.Now(), true
			}
		}
		if news { // else it is delivered again
			noting = errors.Join(noting, w.Warehouse.InsertDriftEvents(ctx, []warehouse.DriftEventRow{e}))
		}
		if e.PublishedAt.IsZero() || e.CalledAt.IsZero() {
			left++
		}
	}
	w.metrics.undelivered.Set(float64(left))
	if err := errors.Join(topic, hook, noting); err != nil && ctx.Err() == nil {
		w.Logger.Warn("drift: events are not delivered, trying again", "events", left, "error", err)
	}
	return left == 0
}
