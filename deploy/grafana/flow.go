package grafana

import "github.com/grafana/grafana-foundation-sdk/go/units"

// flow is what to look at first.
func flow() board {
	return board{name: "flow", title: "Flow", about: "What to look at first: is all well, how fast do vacancies come through, and what goes wrong.", rows: []row{
		{"Is all well?", []panel{
			{kind: number, title: "Alerts that fire", about: "Normal: 0. The table below names them.", unit: units.Number, limits: upTo(1, 5),
				queries: []query{{`count(ALERTS{alertname=~"Jobstrom.*",alertstate="firing",severity!="info"}) or vector(0)`, ""}}},
			{kind: number, title: "Processes not ready", about: "Normal: 0. What keeps them from their work is drawn below, and said by their /readyz.", unit: units.Number, limits: upTo(1, 2),
				queries: []query{{`count(sum by (job, instance) (jobstrom_problems) > 0) or vector(0)`, ""}}},
			{kind: number, title: "Error budget left, 30 days", about: "The objective lets 1 % of vacancies take longer than 60 s. 100 %: none did. Below 0: the objective is missed.", unit: units.PercentUnit,
				limits: []limit{{below, "red"}, {0, "orange"}, {0.25, "green"}}, queries: []query{{`jobstrom:latency_budget:remaining30d`, ""}}},
			{kind: number, title: "Classified per second", about: "Normal: what your publishers send. 0 while nobody publishes.", unit: units.CountsPerSecond,
				queries: []query{{`sum(rate(jobstrom_stage_records_total{stage="classify"}[$__rate_interval]))`, ""}}},
			{kind: number, title: "Oldest unread record", about: "Of all stages and the sink. Normal: below a few seconds.", unit: units.Seconds, limits: upTo(60, 300),
				queries: []query{{`max(jobstrom_consumer_lag_seconds)`, ""}}},
			{kind: number, title: "Dead letters, 24 hours", about: "What no stage could process. Normal: few, of class nothing_extracted.", unit: units.Number, limits: upTo(10, 1000),
				queries: []query{{`sum(increase(jobstrom_stage_dead_letters_total[24h]))`, ""}}},
		}},
		{"From publishing to the answer", []panel{
			{title: "Vacancies per second", about: "Read from vacancies.raw, classified, and in ClickHouse. Normal: three lines on top of each other.", unit: units.CountsPerSecond, queries: []query{
				{`sum(rate(jobstrom_stage_records_total{stage="extract"}[$__rate_interval]))`, "read"},
				{`sum(rate(jobstrom_stage_records_total{stage="classify"}[$__rate_interval]))`, "classified"},
				{`sum(rate(jobstrom_sink_rows_total{table="predictions"}[$__rate_interval]))`, "in ClickHouse"}}},
			{title: "Time from publishing to classified", about: "Normal: 99 % below 60 s. A backlog, an import or a replay draws all three up.", unit: units.Seconds, limits: upTo(30, 60), queries: []query{
				{`histogram_quantile(0.5, sum by (le) (rate(jobstrom_stage_latency_seconds_bucket{stage="classify"}[$__rate_interval])))`, "half"},
				{`histogram_quantile(0.95, sum by (le) (rate(jobstrom_stage_latency_seconds_bucket{stage="classify"}[$__rate_interval])))`, "95 %"},
				{`histogram_quantile(0.99, sum by (le) (rate(jobstrom_stage_latency_seconds_bucket{stage="classify"}[$__rate_interval])))`, "99 %"}}},
			{title: "Share of late vacancies (over 60 s)", about: "Normal: below the dashed 1 %. An hour above 14.4 % burns 2 % of the month's budget.", unit: units.PercentUnit, limits: upTo(0.01, 0.144), queries: []query{
				{`jobstrom:vacancies_late:ratio_rate5m`, "5 minutes"},
				{`jobstrom:vacancies_late:ratio_rate1h`, "1 hour"},
				{`jobstrom:vacancies_late:ratio_rate6h`, "6 hours"}}},
			{title: "Unread records, by stage", about: "Normal: near 0, and back there soon after each burst. Stages shows the partitions.", unit: units.Short, queries: []query{
				{`sum by (stage) (max by (stage, topic, partition) (jobstrom_consumer_lag_records))`, "{{stage}}"}}},
		}},
		{"What goes wrong", []panel{
			{kind: list, title: "Alerts that fire", about: "A click on a name opens its page of the runbook.", unit: units.Number, link: "${runbook}/${__data.fields.alertname}.md",
				queries: []query{{`ALERTS{alertname=~"Jobstrom.*",alertstate="firing"}`, ""}}},
			{title: "Dead letters per hour, by stage and class", about: "Normal: few, of class nothing_extracted. The class internal is a defect of ours.", unit: units.Short, stacked: true, queries: []query{
				{`sum by (stage, class) (rate(jobstrom_stage_dead_letters_total[$__rate_interval])) * 3600`, "{{stage}} {{class}}"}}},
			{title: "Problems, by part", about: "What /readyz says of all processes. Normal: 0.", unit: units.Short, limits: noneIsNormal, queries: []query{
				{`sum by (part) (jobstrom_problems)`, "{{part}}"}}},
			{title: "Spans of traces per second, by outcome", about: "Normal: sent, where --otlp-endpoint is set. Dropped: the collector is away or slow.", unit: units.OpsPerSecond, queries: []query{
				{`sum by (outcome) (rate(jobstrom_trace_spans_total[$__rate_interval]))`, "{{outcome}}"}}},
			{title: "Processes, by version", about: "Normal: one version; two during an upgrade.", unit: units.Short, stacked: true, queries: []query{
				{`count by (version, go) (jobstrom_build_info)`, "{{version}} ({{go}})"}}},
		}},
	}}
}
