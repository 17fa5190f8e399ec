package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": percent,
	"points":  points,
	"signed":  signed,
	"number":  number,
	"shift":   shift,
	"count":   count,
	"shown":   shown,
	"clean":   clean,
	"kind":    kind,
	"moment":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") },
	"cells":   cellsOf,
	"model":   func(name string) string { return cut(shown(name), 12) },
	"sum":     func(a, b float64) float64 { return a + b },
	"sign":    func(v alarms.Verdict) string { sign, _ := mark(v); return sign },
	"word":    func(v alarms.Verdict) string { _, word := mark(v); return word },
	// A bar is at least visible where its value occurs at all.
	"width": func(share, longest float64) string { return fmt.Sprintf("%.1f", max(1, 100*share/longest)) },
}).Parse(pageText))

// Bounds of what is listed.
const (
	mostChanges = 15
	mostMeans   = 10
	mostMoved   = 10
)

// part is what the page shows of one column.
type part struct {
	drift.Column
	Bars       []change
	Longest    float64 // share among the bars
	Histogram  template.HTML
	Statistics []statistic
	Values     []described
}

// HTML writes the page. It writes nothing when the comparison is not valid.
func (o Options) HTML(w io.Writer) error {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	c := o.Comparison
	data := struct {
		Options
		*drift.Comparison
		Summary   summary
		Parts     []part
		Changes   []change
		Means     []mean
		Along     []example
		Against   []example
		Moved     []moved
		Drawing   template.HTML // of the map
		Data      []described
		Models    []model
		Qualities []quality
		Evidently bool
	}{
		Options: o, Comparison: c, Summary: summarise(c), Changes: largest(c.Columns, mostChanges), Means: means(c.Columns), Along: examples(c, true), Against: examples(c, false),
		Moved: farthest(c, mostMoved), Data: dataset(c), Models: models(c), Qualities: qualities(c), Evidently: c.Preset == drift.Evidently,
	}
	data.Means = data.Means[:min(mostMeans, len(data.Means))]
	if c.Map != nil {
		var err error
		if data.Drawing, err = embeddingMap(c.Map); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	for _, column := range sorted(c.Columns) {
		p := part{Column: column, Statistics: statistics(column), Values: values(column)}
		if column.Kind == drift.Categorical {
			p.Bars = bars(column)
			for _, b := range p.Bars {
				if !b.Rest {
					p.Longest = max(p.Longest, b.Reference, b.Current)
				}
			}
		} else if len(column.ReferenceShares) > 0 {
			var err error
			if p.Histogram, err = histogram(column); err != nil {
				return fmt.Errorf("writing the report: %w", err)
			}
		}
		data.Parts = append(data.Parts, p)
	}
	if err := page.Execute(w, data); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
