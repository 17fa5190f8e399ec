package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// catalogue is a registry of metrics that nothing has happened to yet: it shows each that has labels once, or they would show nothing.
type catalogue struct{ *prometheus.Registry }

func newCatalogue() catalogue { return catalogue{prometheus.NewPedanticRegistry()} }

// Register takes a collector.
func (c catalogue) Register(collector prometheus.Collector) error {
	var err error
	switch v := collector.(type) {
	case *prometheus.CounterVec:
		err = exemplify(v, v.GetMetricWithLabelValues)
	case *prometheus.GaugeVec:
		err = exemplify(v, v.GetMetricWithLabelValues)
	case *prometheus.HistogramVec:
		err = exemplify(v, v.GetMetricWithLabelValues)
	}
	if err != nil {
		return err
	}
	return c.Registry.Register(collector)
}

// MustRegister takes collectors.
func (c catalogue) MustRegister(collectors ...prometheus.Collector) {
	for _, collector := range collectors {
		if err := c.Register(collector); err != nil {
			panic(err)
		}
	}
}

// mostLabels bounds the labels of a metric of ours.
const mostLabels = 8

// exemplify makes a metric of a vector that has none: with as many labels as it takes.
func exemplify[M any](vector prometheus.Collector, with func(values ...string) (M, error)) error {
	var values []string
	for range mostLabels + 1 {
		if _, err := with(values...); err == nil {
			return nil
		}
		values = append(values, "x")
	}
	descriptions := make(chan *prometheus.Desc, 1)
	vector.Describe(descriptions)
	return fmt.Errorf("%v has more than %d labels", <-descriptions, mostLabels)
}
