package grafana

import "github.com/grafana/grafana-foundation-sdk/go/units"

// drift is what the watch finds.
func drift() board {
	return board{name: "drift", title: "Drift", about: "Do the vacancies of now differ from those the champion was trained on? What the watch finds, and whether it looks.", rows: []row{
		{"Do vacancies differ?", []panel{
			{kind: states, width: 24, title: "Verdicts, by column", about: "Normal: none. Possible: chance does not explain it, but it is small. An alarm follows when drift lasts.", unit: units.Number,
				limits:  []limit{{below, "#808080"}, {0, "green"}, {1, "yellow"}, {2, "red"}},
				words:   map[string]word{"-1": {"unknown", "#808080"}, "0": {"none", "green"}, "1": {"possible", "yellow"}, "2": {"drift", "red"}},
				queries: []query{{`max by (column) (jobstrom_drift_verdict)`, "{{column}}"}}},
			{kind: states, width: 24, title: "Alarms, by column", about: "Normal: closed. Raised after 12 hours of drift, cleared after 24 without.", unit: units.Number,
				limits: []limit{{below, "green"}, {1, "red"}}, words: map[string]word{"0": {"closed", "green"}, "1": {"open", "red"}},
				queries: []query{{`max by (column) (jobstrom_drift_alarm)`, "{{column}}"}}},
			{title: "Size of the difference, as a multiple of its gate", about: "From 1 on the verdict can be drift.", unit: units.Short, limits: []limit{{1, "red"}}, queries: []query{
				{`max by (column) (jobstrom_drift_effect) / (max by (column) (jobstrom_drift_gate) > 0)`, "{{column}}"}}},
			{title: "How often chance makes such a difference", about: "Corrected for the number of columns. Below the dashed 5 % chance does not explain it.", unit: units.PercentUnit, limits: []limit{{below, "red"}, {0.05, "green"}}, queries: []query{
				{`min by (column) (jobstrom_drift_q)`, "{{column}}"}}},
			{title: "Estimated accuracy, by window", about: "What the probabilities promise. A fall is what drift costs.", unit: units.PercentUnit, queries: []query{
				{`max by (window) (jobstrom_drift_estimated_accuracy)`, "{{window}}"}}},
			{title: "Vacancies compared, by window", about: "Few vacancies hide small differences.", unit: units.Short, queries: []query{
				{`max by (window) (jobstrom_drift_vacancies)`, "{{window}}"}}},
		}},
		{"Does the watch look?", []panel{
			{kind: number, width: 6, title: "Last comparison, ago", about: "Normal: below an hour, the watch's pace.", unit: units.Seconds, limits: upTo(2*3600, 3*3600),
				queries: []query{{`time() - max(jobstrom_drift_evaluated_timestamp_seconds > 0)`, ""}}},
			{kind: number, width: 6, title: "Events not delivered", about: "Normal: 0. Else drift.events or the webhook does not take them.", unit: units.Number, limits: upTo(1, 10),
				queries: []query{{`max(jobstrom_drift_undelivered_events)`, ""}}},
			{title: "Evaluations per hour, by result", about: "Normal: one an hour, compared. Nothing: a window is empty. Failed: tried again.", unit: units.Short, queries: []query{
				{`sum by (result) (increase(jobstrom_drift_evaluations_total[1h]))`, "{{result}}"}}},
			{title: "Time of an evaluation, mean", about: "Normal: seconds; it grows with the windows.", unit: units.Seconds, queries: []query{
				{`sum(rate(jobstrom_drift_evaluation_seconds_sum[1h])) / sum(rate(jobstrom_drift_evaluation_seconds_count[1h]))`, "mean"}}},
			{title: "Events per day, by kind", about: "One shift, one raised and one cleared; with --drift-retrain also its training and what became of it.", unit: units.Short, stacked: true, queries: []query{
				{`sum by (kind) (increase(jobstrom_drift_events_total[1d]))`, "{{kind}}"}}},
		}},
	}}
}
