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

// complete fills what is absent.
func (q DriftQuery) complete(now time.Time) (DriftQuery, error) {
	if q.Until.IsZero() {
		q.Until = now.UTC()
	}
	if q.Since.IsZero() {
		q.Since = q.Until.Add(-driftSpan)
	}
	if !q.Since.Before(q.Until) {
		return q, invalid("since must be before until")
	}
	return q, nil
}

// DriftSeen returns what the watch saw in a time; the last 30 days where the query says nothing.
func (s *Service) DriftSeen(ctx context.Context, q DriftQuery) (*Drift, error) {
	if s.Drift == nil {
		return nil, noWarehouse("drift is not known")
	}
	q, err := q.complete(s.Now())
	if err != nil {
		return nil, err
	}
	d, err := s.Drift(ctx, q)
	if err != nil {
		return nil, err
	}
	d.Alarms, d.Events, d.Shares = orEmpty(d.Alarms), orEmpty(d.Events), orEmpty(d.Shares)
	return d, nil
}

// DriftCompared returns the page that compares the two halves of a time; of the last 30 days where the query says nothing.
func (s *Service) DriftCompared(ctx context.Context, q DriftQuery) ([]byte, error) {
	if s.DriftReport == nil {
		return nil, noWarehouse("drift is not known")
	}
	q, err := q.complete(s.Now())
	if err != nil {
		return nil, err
	}
	return s.DriftReport(ctx, q)
}

// driftRoutes are those of the watch.
func (r *routes) driftRoutes() {
	add(r, operation{
		method: http.MethodGet, path: "/v1/drift", id: "drift", tag: tagDrift, scope: access.Classify, errors: queryErrors,
		summary: "See what the watch saw", text: "Alarms that stand, what happened, and the categories' shares over time.",
	}, func(ctx context.Context, in *driftInput) (*struct{ Body *Drift }, error) {
		d, err := r.DriftSeen(ctx, DriftQuery{in.Since, in.Until})
		if err != nil {
			return nil, err
		}
		return &struct{ Body *Drift }{d}, nil
	})
	add(r, operation{
		method: http.MethodGet, path: "/v1/drift/report", id: "drift-report", tag: tagDrift, scope: access.Classify, errors: append([]int{http.StatusConflict}, queryErrors...), content: "text/html",
		summary: "Read the page that compares the two halves of a time", text: "409 when too little was classified in it.",
	}, func(ctx context.Context, in *driftInput) (*pageOutput, error) {
		html, err := r.DriftCompared(ctx, DriftQuery{in.Since, in.Until})
		if err != nil {
			return nil, err
		}
		return page(html), nil
	})
}
