package health

import "github.com/prometheus/client_golang/prometheus"

// Parts are all that a problem's Part may be: /metrics shows each, also the well ones.
var Parts = []string{"start", "registry", "classifier", "worker", "partition", "issuer", "kafka", "clickhouse"}

// Collector returns the gauge jobstrom_problems, which counts the problems of a board by their part: 0 throughout where /readyz answers 200.
func (b *Board) Collector() prometheus.Collector {
	return collector{b, prometheus.NewDesc("jobstrom_problems", "Problems that keep the process from doing its work, as /readyz shows them, by part.", []string{"part"}, nil)}
}

type collector struct {
	board *Board
	desc  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	problems := map[string]int{}
	for _, part := range Parts {
		problems[part] = 0
	}
	for _, p := range c.board.Problems() {
		problems[p.Part]++
	}
	for part, n := range problems {
		metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), part)
	}
}
