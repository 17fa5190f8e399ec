// Package grafana draws the dashboards of jobstrom: one file of Go a dashboard, which lists its rows and panels, and this one, which makes Grafana's JSON of them.
// The JSON files beside the sources are what Grafana loads; "go generate ./deploy/grafana" writes them again.
package grafana

//lint:file-ignore SA1019 every Grafana loads this form of a dashboard from a file; the new one, dashboardv2, is read by the newest alone

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

//go:generate go run ./generate

// board is a dashboard: its file is NAME.json, its uid jobstrom-NAME.
type board struct {
	name, title, about string
	stages             bool // whether it has the variables stage and topic
	rows               []row
}

// row is a question, and the panels that answer it.
type row struct {
	title  string
	panels []panel
}

// Files returns the dashboards by the name of their file.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, b := range []board{flow(), stages(), models(), drift(), clickhouse()} {
		d, err := b.dashboard()
		if err != nil {
			return nil, fmt.Errorf("drawing dashboard %s: %w", b.name, err)
		}
		var file bytes.Buffer
		encoder := json.NewEncoder(&file)
		encoder.SetEscapeHTML(false) // people read queries
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(d); err != nil {
			return nil, fmt.Errorf("writing dashboard %s: %w", b.name, err)
		}
		files[b.name+".json"] = file.Bytes()
	}
	return files, nil
}

// source is the Prometheus that the reader of a dashboard chooses.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

func (b board) dashboard() (dashboard.Dashboard, error) {
	built := dashboard.NewDashboardBuilder("Jobstrom / "+b.title).
		Uid("jobstrom-"+b.name).
		Description(b.about).
		Tags([]string{"jobstrom"}).
		Timezone("browser").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Time("now-6h", "now").
		Refresh("1m").
		Link(dashboard.NewDashboardLinkBuilder("Dashboards").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{"jobstrom"}).KeepTime(true)).
		Link(dashboard.NewDashboardLinkBuilder("Runbook").Type(dashboard.DashboardLinkTypeLink).Url("${runbook}/README.md").Icon("doc").TargetBlank(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"))
	if b.stages {
		built.WithVariable(choice("stage", "Stage", "label_values(jobstrom_consumer_lag_records, stage)")).
			WithVariable(choice("topic", "Topic", `label_values(jobstrom_consumer_lag_records{stage=~"$stage"}, topic)`))
	}
	built.WithVariable(dashboard.NewTextBoxVariableBuilder("runbook").Label("Runbook at").
		Description("Where your people read docs/runbook: the links of the dashboards lead there.").
		DefaultValue(dashboard.StringOrMap{String: cog.ToPtr("docs/runbook")}))
	for _, a := range annotations {
		built.Annotation(a.build())
	}
	d, err := built.Build()
	if err != nil {
		return d, err
	}
	d.Panels, err = place(b.rows)
	return d, err
}

// choice is a variable of which several values, or all, may be chosen.
func choice(name, label, query string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source).
		Query(dashboard.StringOrMap{String: &query}).Definition(query).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".*").
		Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{String: cog.ToPtr("All")}, Value: dashboard.StringOrArrayOfString{String: cog.ToPtr("$__all")}})
}

// annotation marks the times at which a query has an answer.
type annotation struct{ name, colour, title, query string }

// annotations are on every dashboard: what explains a bend in a line.
var annotations = []annotation{
	{"Alerts", "red", "{{alertname}}", `max by (alertname) (ALERTS{alertname=~"Jobstrom.*",alertstate="firing",severity!="info"})`},
	{"Drift alarms", "orange", "Drift alarm on {{column}}", `max by (column) (jobstrom_drift_alarm) == 1`},
	{"New classifier", "purple", "Classifier {{classifier}}", `group by (classifier) (jobstrom_classifier_trained_timestamp_seconds) unless on (classifier) group by (classifier) (jobstrom_classifier_trained_timestamp_seconds offset 5m)`},
	{"New version", "blue", "Version {{version}}", `group by (version) (jobstrom_build_info) unless on (version) group by (version) (jobstrom_build_info offset 5m)`},
}

func (a annotation) build() *dashboard.AnnotationQueryBuilder {
	return dashboard.NewAnnotationQueryBuilder().Name(a.name).Datasource(source).Enable(true).IconColor(a.colour).
		Target(prometheus.NewDataqueryBuilder().Expr(a.query).RefId("A").Range()).
		Expr(a.query).TitleFormat(a.title).Step("60s")
}

// place lays the rows out on Grafana's grid of 24 columns, from left to right, and numbers what it lays.
func place(rows []row) ([]dashboard.PanelOrRowPanel, error) {
	const columns = 24
	var placed []dashboard.PanelOrRowPanel
	var id, y uint32
	for _, r := range rows {
		id++
		placed = append(placed, dashboard.PanelOrRowPanel{RowPanel: &dashboard.RowPanel{
			Type: "row", Title: &r.title, Id: id, Panels: []dashboard.Panel{}, GridPos: &dashboard.GridPos{H: 1, W: columns, Y: y},
		}})
		y++
		var x, tallest uint32
		for _, p := range r.panels {
			built, err := p.build()
			if err != nil {
				return nil, fmt.Errorf("panel %q: %w", p.title, err)
			}
			width, height := p.size()
			if x+width > columns {
				x, y, tallest = 0, y+tallest, 0
			}
			id++
			built.Id, built.GridPos = cog.ToPtr(id), &dashboard.GridPos{H: height, W: width, X: x, Y: y}
			placed = append(placed, dashboard.PanelOrRowPanel{Panel: &built})
			x, tallest = x+width, max(tallest, height)
		}
		y += tallest
	}
	return placed, nil
}
