package watch

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
	"jobstrom/warehouse"
)

// metrics are the watch's gauges and counters.
type metrics struct {
	verdict, effect, gate, q, alarm, vacancies, accuracy *prometheus.GaugeVec
	evaluations, events                                  *prometheus.CounterVec
	evaluated, undelivered                               prometheus.Gauge
	seconds                                              prometheus.Histogram
	columns                                              map[string]bool // those that are shown
}

// verdicts are what jobstrom_drift_verdict shows.
var verdicts = map[alarms.Verdict]float64{alarms.Unknown: -1, alarms.None: 0, alarms.Possible: 1, alarms.Drift: 2}

// Results of an evaluation.
const (
	compared = "compared"
	nothing  = "nothing"
	failed   = "failed"
)

func newMetrics(registerer prometheus.Registerer) *metrics {
	gauge := func(name, help string, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label})
	}
	counter := func(name, help string, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		verdict:     gauge("jobstrom_drift_verdict", "-1 unknown, 0 none, 1 possible, 2 drift.", "column"),
		effect:      gauge("jobstrom_drift_effect", "Size of the difference, of the kind that the report names.", "column"),
		gate:        gauge("jobstrom_drift_gate", "Size from which on the verdict is drift.", "column"),
		q:           gauge("jobstrom_drift_q", "How often chance makes such a difference, corrected for the number of columns.", "column"),
		alarm:       gauge("jobstrom_drift_alarm", "1 while the alarm is open.", "column"),
		vacancies:   gauge("jobstrom_drift_vacancies", "Vacancies of the reference and of the current window.", "window"),
		accuracy:    gauge("jobstrom_drift_estimated_accuracy", "Accuracy that the probabilities promise; NaN while unknown.", "window"),
		evaluations: counter("jobstrom_drift_evaluations_total", "Evaluations: compared, nothing (a window is empty or unknown), failed (tried again).", "result"),
		events:      counter("jobstrom_drift_events_total", "Events: raised, cleared, retraining, promoted, kept, failed.", "kind"),
		evaluated:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "jobstrom_drift_evaluated_timestamp_seconds", Help: "When windows were last compared."}),
		undelivered: prometheus.NewGauge(prometheus.GaugeOpts{Name: "jobstrom_drift_undelivered_events", Help: "Events that the topic or the webhook has not taken yet."}),
		seconds:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "jobstrom_drift_evaluation_seconds", Help: "Time to compare windows.", Buckets: prometheus.ExponentialBuckets(0.05, 2, 14)}),
	}
	// Shown before there is anything to show.
	m.columns = map[string]bool{"category": true, "embedding": true}
	m.show(&drift.Comparison{})
	for column := range m.columns {
		for _, v := range []*prometheus.GaugeVec{m.effect, m.gate, m.q, m.alarm} {
			v.WithLabelValues(column)
		}
	}
	for _, kind := range Kinds {
		m.events.WithLabelValues(kind)
	}
	for _, result := range []string{compared, nothing, failed} {
		m.evaluations.WithLabelValues(result)
	}
	if registerer != nil {
		registerer.MustRegister(m.verdict, m.effect, m.gate, m.q, m.alarm, m.vacancies, m.accuracy, m.evaluations, m.events, m.evaluated, m.undelivered, m.seconds)
	}
	return m
}

// RegisterMetrics registers what the package's parts show, before any of them runs: for the list in docs/metrics.md.
func RegisterMetrics(registerer prometheus.Registerer) {
	newMetrics(registerer)
}

// show sets the gauges of a comparison. A column that it lacks is unknown, an accuracy that it lacks NaN, as Prometheus has it.
func (m *metrics) show(c *drift.Comparison) {
	for name := range m.columns {
		m.verdict.WithLabelValues(name).Set(verdicts[alarms.Unknown])
	}
	for _, column := range c.Columns {
		m.columns[column.Name] = true
		m.verdict.WithLabelValues(column.Name).Set(verdicts[column.Verdict])
		m.effect.WithLabelValues(column.Name).Set(column.Effect)
		m.gate.WithLabelValues(column.Name).Set(column.Gate)
		m.q.WithLabelValues(column.Name).Set(column.Q)
	}
	for side, window := range []string{"reference", "current"} {
		m.vacancies.WithLabelValues(window).Set(float64(c.Vacancies[side]))
		accuracy := math.NaN()
		if p := c.Performance[side]; p != nil {
			accuracy = p.Estimated.Accuracy
		}
		m.accuracy.WithLabelValues(window).Set(accuracy)
	}
}

// alarms sets the gauges of the alarms that are open.
func (m *metrics) alarms(open []warehouse.DriftEventRow) {
	for column := range m.columns {
		m.alarm.WithLabelValues(column).Set(0)
	}
	for _, alarm := range open {
		m.columns[alarm.Column] = true
		m.alarm.WithLabelValues(alarm.Column).Set(1)
	}
}
