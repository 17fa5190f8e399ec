package cli

import (
	"errors"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/consumers"
	"jobstrom/drift/watch"
	"jobstrom/kafka"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/producers"
	"jobstrom/server"
	"jobstrom/telemetry"
)

// buildInfo says which jobstrom runs.
func buildInfo() prometheus.Collector {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "jobstrom_build_info", Help: "1; the labels say which version runs, and which Go built it."}, []string{"version", "go"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	return info
}

// trainedGauge says when the classifier in use was trained.
type trainedGauge struct {
	*prometheus.GaugeVec
	shown string
}

func newTrainedGauge() *trainedGauge {
	return &trainedGauge{GaugeVec: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "jobstrom_classifier_trained_timestamp_seconds", Help: "When the classifier in use was trained; 0 where its maker does not say.",
	}, []string{"classifier"})}
}

// show takes the classifier in use; one at a time calls it. Nil is none.
func (g *trainedGauge) show(c *classify.Classifier) {
	if c == nil {
		return
	}
	g.WithLabelValues(c.Model()).Set(float64(c.TrainedAt().UnixMilli()) / 1000)
	if g.shown != "" && g.shown != c.Model() {
		g.DeleteLabelValues(g.shown)
	}
	g.shown = c.Model()
}

// RegisterMetrics registers every metric that a process of jobstrom may show, before there is anything to show: for the list in docs/metrics.md.
func RegisterMetrics(registerer prometheus.Registerer) error {
	registerer.MustRegister(buildInfo(), newTrainedGauge().GaugeVec)
	registerer.MustRegister(cacheMetrics(func() embed.CacheStats { return embed.CacheStats{} })...)
	consumers.RegisterMetrics(registerer)
	producers.RegisterMetrics(registerer)
	server.RegisterMetrics(registerer)
	watch.RegisterMetrics(registerer)
	return errors.Join(telemetry.RegisterMetrics(registerer), kafka.RegisterMetrics(registerer))
}
