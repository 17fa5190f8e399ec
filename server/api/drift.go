package api

import (
	"context"
	"net/http"
	"time"

	"jobstrom/server/access"
)

// driftSpan is how far back drift is looked at when nobody says since when.
const driftSpan = 30 * 24 * time.Hour

type driftInput struct {
	Since time.Time `query:"since" doc:"published from then on; 30 days before until when absent"`
	Until time.Time `query:"until" doc:"published before; now when absent"`
}

// query fills what is absent.
func (i *driftInput) query() (DriftQuery, error) {
	q := DriftQuery{i.Since, i.Until}
	if q.Until.IsZero() {
		q.Until = time.Now().UTC()
	}
	if q.Since.IsZero() {
		q.Since = q.Until.Add(-driftSpan)
	}
	if !q.Since.Before(q.Until) {
		return q, invalid("since must be before until")
	}
	return q, nil
}

// driftRoutes are those of the watch.
func (r *routes) driftRoutes() {
	add(r, operation{
		method: http.MethodGet, path: "/v1/drift", id: "drift", tag: tagDrift, scope: access.Classify, errors: queryErrors,
		summary: "See what the watch saw", text: "Alarms that stand, what happened, and the categories' shares over time.",
	}, func(ctx context.Context, in *driftInput) (*struct{ Body *Drift }, error) {
		if r.Drift == nil {
			return nil, noWarehouse("drift is not known")
		}
		q, err := in.query()
		if err != nil {
			return nil, err
		}
		d, err := r.Drift(ctx, q)
		if err != nil {
			return nil, err
		}
		d.Alarms, d.Events, d.Shares = orEmpty(d.Alarms), orEmpty(d.Events), orEmpty(d.Shares)
		return &struct{ Body *Drift }{d}, nil
	})
	add(r, operation{
		method: http.MethodGet, path: "/v1/drift/report", id: "drift-report", tag: tagDrift, scope: access.Classify, errors: append([]int{http.StatusConflict}, queryErrors...), content: "text/html",
		summary: "Read the page that compares the two halves of a time", text: "409 when too little was classified in it.",
	}, func(ctx context.Context, in *driftInput) (*pageOutput, error) {
		if r.DriftReport == nil {
			return nil, noWarehouse("drift is not known")
		}
		q, err := in.query()
		if err != nil {
			return nil, err
		}
		html, err := r.DriftReport(ctx, q)
		if err != nil {
			return nil, err
		}
		return page(html), nil
	})
}
