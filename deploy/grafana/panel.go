package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// kind is how a panel draws.
type kind int

const (
	graph  kind = iota // lines over time, half as wide as the page
	number             // the newest value, large; six fill a row
	list               // a table of the newest values
	states             // a coloured bar over time for each series
)

// panel is one picture. Its title says what is drawn, with the unit where the axis does not; about says what is normal.
type panel struct {
	kind         kind
	title, about string
	unit         string // of the package units
	width        uint32 // of 24 columns; 0 is the kind's own
	stacked      bool
	limits       []limit
	words        map[string]word // what values are called, by their figures
	link         string          // where a click on a value leads
	queries      []query
}

// query is a line of PromQL and what its series are called in the legend.
type query struct{ expr, legend string }

// limit is where a colour begins.
type limit struct {
	from   float64
	colour string
}

// word is what a value is called, and its colour.
type word struct{ text, colour string }

// upTo are the limits of a figure that is well while it is small.
func upTo(warning, critical float64) []limit {
	return []limit{{warning, "orange"}, {critical, "red"}}
}

// any above 0 is worth a look.
var noneIsNormal = []limit{{1e-9, "orange"}}

func (p panel) size() (width, height uint32) {
	switch p.kind {
	case number:
		width, height = 4, 4
	default:
		width, height = 12, 8
	}
	if p.width != 0 {
		width = p.width
	}
	return width, height
}

// build makes Grafana's panel, without its place.
func (p panel) build() (dashboard.Panel, error) {
	built, err := p.draw()
	if err != nil {
		return built, err
	}
	built.Title, built.Description, built.Datasource = &p.title, &p.about, &source
	for i, q := range p.queries {
		target := prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).RefId(string(rune('A' + i))).Datasource(source)
		switch p.kind {
		case number:
			target.Instant()
		case list:
			target.Instant().Format(prometheus.PromQueryFormatTable)
		default:
			target.Range()
		}
		dataquery, err := target.Build()
		if err != nil {
			return built, err
		}
		built.Targets = append(built.Targets, dataquery)
	}
	field := &built.FieldConfig.Defaults
	field.Unit = &p.unit
	if p.link != "" {
		field.Links = []dashboard.DashboardLink{{Title: "Runbook", Type: dashboard.DashboardLinkTypeLink, Url: &p.link, TargetBlank: true}}
	}
	field.Thresholds = &dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: []dashboard.Threshold{{Color: "green"}}}
	for _, l := range p.limits {
		if l.from == below {
			field.Thresholds.Steps[0].Color = l.colour
			continue
		}
		field.Thresholds.Steps = append(field.Thresholds.Steps, dashboard.Threshold{Value: cog.ToPtr(l.from), Color: l.colour})
	}
	if p.words != nil {
		options := map[string]dashboard.ValueMappingResult{}
		for value, w := range p.words {
			options[value] = dashboard.ValueMappingResult{Text: &w.text, Color: &w.colour}
		}
		field.Mappings = []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: options}}}
	}
	return built, nil
}

// below, as a limit's beginning, is everything under the next one.
const below = -1e308

// draw makes the kind's own part of a panel.
func (p panel) draw() (dashboard.Panel, error) {
	switch p.kind {
	case number:
		return stat.NewPanelBuilder().
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
			GraphMode(common.BigValueGraphModeNone).ColorMode(common.BigValueColorModeValue).
			ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)).Build()
	case list:
		return table.NewPanelBuilder().
			Footer(common.NewTableFooterOptionsBuilder().Reducer([]string{})).
			WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{"excludeByName": map[string]any{"Time": true, "Value": true, "__name__": true, "alertstate": true}}}).Build()
	case states:
		return statetimeline.NewPanelBuilder().ShowValue(common.VisibilityModeNever).
			ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)).
			Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).Build()
	}
	lines := timeseries.NewPanelBuilder().
		LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).AxisSoftMin(0).
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdPaletteClassic)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom))
	if p.stacked {
		lines.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	}
	if p.limits != nil {
		lines.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	return lines.Build()
}
