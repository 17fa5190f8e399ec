package grafana

import "github.com/grafana/grafana-foundation-sdk/go/units"

// models is which classifier answers, and how the API that asks it fares.
func models() board {
	return board{name: "models", title: "Models and API", about: "Which classifier answers, how old it is, how right it probably is, and how the API fares.", rows: []row{
		{"Which classifier answers?", []panel{
			{kind: number, width: 6, title: "Age of the classifier", about: "Since it was trained. Normal: below half a year; vacancies change.", unit: units.Seconds, limits: []limit{{180 * 86400, "orange"}},
				queries: []query{{`time() - min(jobstrom_classifier_trained_timestamp_seconds > 0)`, ""}}},
			{kind: number, width: 6, title: "Classifiers in use", about: "Normal: 1; 2 for moments while a new champion is taken over.", unit: units.Number, limits: upTo(2, 3),
				queries: []query{{`count(group by (classifier) (jobstrom_classifier_trained_timestamp_seconds))`, ""}}},
			{kind: number, width: 6, title: "Estimated accuracy now", about: "What the probabilities of the current window promise; labels may say otherwise. Compare with the reference beside.", unit: units.PercentUnit,
				queries: []query{{`max(jobstrom_drift_estimated_accuracy{window="current"})`, ""}}},
			{kind: number, width: 6, title: "Estimated accuracy of the reference", about: "The same for what the champion was trained on, or the window that --drift-reference names.", unit: units.PercentUnit,
				queries: []query{{`max(jobstrom_drift_estimated_accuracy{window="reference"})`, ""}}},
			{title: "When the classifiers in use were trained", about: "One line; a step is a new champion.", unit: units.DateTimeFromNow, queries: []query{
				{`max by (classifier) (jobstrom_classifier_trained_timestamp_seconds) * 1000`, "{{classifier}}"}}},
			{title: "Estimated accuracy", about: "Normal: the two within 2 points of each other.", unit: units.PercentUnit, queries: []query{
				{`max by (window) (jobstrom_drift_estimated_accuracy)`, "{{window}}"}}},
		}},
		{"How does the API fare?", []panel{
			{title: "Requests per second, by route", about: "Without health and metrics.", unit: units.RequestsPerSecond, stacked: true, queries: []query{
				{`sum by (route) (rate(jobstrom_http_request_seconds_count{route!~".*/(healthz|readyz|metrics)"}[$__rate_interval]))`, "{{route}}"}}},
			{title: "Answers per second, by status", about: "Normal: 200 and 202. 429: too many at once; 5xx: a defect, or a part is away.", unit: units.RequestsPerSecond, stacked: true, queries: []query{
				{`sum by (status) (rate(jobstrom_http_request_seconds_count{route!~".*/(healthz|readyz|metrics)"}[$__rate_interval]))`, "{{status}}"}}},
			{title: "Time of requests, 99 %, by route", about: "Normal: /classify well below a second. Streams (/v1/batch, /v1/events) last as long as their callers want.", unit: units.Seconds, queries: []query{
				{`histogram_quantile(0.99, sum by (route, le) (rate(jobstrom_http_request_seconds_bucket{route!~".*/(healthz|readyz|metrics|events|batch)"}[$__rate_interval])))`, "{{route}}"}}},
			{title: "Requests refused per second, by reason", about: "Before a route was asked. Many with a wrong token: somebody tries them.", unit: units.RequestsPerSecond, stacked: true, queries: []query{
				{`sum by (reason) (rate(jobstrom_http_refused_total[$__rate_interval]))`, "{{reason}}"}}},
			{title: "Predictions of the API per second, by outcome", about: "Normal: written. Dropped: Kafka is away or slow; no caller notices, but feedback finds nothing to join.", unit: units.CountsPerSecond, queries: []query{
				{`sum by (outcome) (rate(jobstrom_api_predictions_total[$__rate_interval]))`, "{{outcome}}"}}},
			{title: "Processes whose file of tokens is damaged", about: "Normal: 0. Else the tokens of before are in force.", unit: units.Short, limits: noneIsNormal, queries: []query{
				{`sum(jobstrom_http_tokens_damaged)`, "processes"}}},
		}},
	}}
}
