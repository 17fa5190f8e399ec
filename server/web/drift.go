package web

import (
	"net/http"
	"time"

	"jobstrom/server/access"
	"jobstrom/server/api"
)

// reportPolicy lets a report that is one file style itself, and nothing else.
const reportPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

// drifted is what the drift page shows.
type drifted struct {
	*api.Drift
	// From and To are the days chosen, as a date field has them.
	From, To string
	Trends   []trend
	Chart    chart
}

// drift shows the watch's alarms and the categories' shares.
func (p *Pages) drift(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if p.service.Drift == nil {
		return missing()
	}
	l := p.language(r)
	query, err := driftQuery(l, r)
	if err != nil {
		return err
	}
	found, err := p.service.DriftSeen(r.Context(), query)
	if err != nil {
		return err
	}
	steps := make([]step, len(found.Shares))
	for i, s := range found.Shares {
		steps[i] = step{s.From, s.Categories}
	}
	label := l.DayMonth
	if len(steps) > 1 && steps[1].From.Sub(steps[0].From) < 12*time.Hour {
		label = l.Minute
	}
	return p.show(w, r, "drift", drifted{
		Drift: found, From: dayField(l, found.Since), To: dayField(l, found.Until.Add(-time.Second)),
		Trends: trendsOf(steps, p.service.Taxonomy.Names()), Chart: newChart(l, steps, p.service.Taxonomy.Names(), label),
	})
}

// driftQuery reads the days of a form: from the first's begin to the last's end.
func driftQuery(l *Language, r *http.Request) (api.DriftQuery, error) {
	from, err := l.parseDay(r.FormValue("fra"))
	if err != nil {
		return api.DriftQuery{}, err
	}
	to, err := l.parseDay(r.FormValue("til"))
	if err != nil {
		return api.DriftQuery{}, err
	}
	if !to.IsZero() {
		to = to.AddDate(0, 0, 1)
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return api.DriftQuery{}, badRequest("error.dates")
	}
	return api.DriftQuery{Since: from, Until: to}, nil
}

func dayField(l *Language, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(l.zone).Format(time.DateOnly)
}

// driftReport shows the report of the days chosen.
func (p *Pages) driftReport(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if p.service.DriftReport == nil {
		return missing()
	}
	query, err := driftQuery(p.language(r), r)
	if err != nil {
		return err
	}
	report, err := p.service.DriftCompared(r.Context(), query)
	if err != nil {
		return err
	}
	return writeReport(w, report)
}

// writeReport writes a page that was made elsewhere.
func writeReport(w http.ResponseWriter, report []byte) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", reportPolicy)
	w.Header().Set("Cache-Control", "no-store")
	_, err := w.Write(report)
	return err
}
