package consumers

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
)

// shown returns the values of a gauge of one label, by the label's value.
func shown(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for _, m := range metricsOf(t, registry, name) {
		values[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
	}
	return values
}

// What tables, disks and topics take is shown, on every kind of broker. While ClickHouse is away nothing is shown of it; topics go on, and it comes back by itself.
func TestUsageIsShownWhileItCanBeHad(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		dir := t.TempDir()
		running := engine(t, dir, nil)
		w := schema(t, running.Addr())
		publish(t, client, 0, 20)
		topics := kafka.TopicNames(testEncoder)
		registry := prometheus.NewRegistry()
		var said bytes.Buffer // read when nobody writes any more
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- MeasureUsage(ctx, UsageOptions{Kafka: o, Warehouse: w, Topics: topics, Interval: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&said, nil)), Registerer: registry})
		}()
		defer cancel()
		topicsAreShown := func() bool { // one after the other
			sizes := shown(t, registry, "jobstrom_topic_bytes")
			return sizes[kafka.Raw] > 0 && len(sizes) == len(topics)
		}
		waitFor(t, topicsAreShown)
		if size := shown(t, registry, "jobstrom_topic_bytes")[kafka.Shadow]; size != 0 {
			t.Errorf("an empty topic takes %v bytes", size)
		}
		ofTables := []string{"jobstrom_warehouse_rows", "jobstrom_warehouse_bytes", "jobstrom_warehouse_parts"}
		for _, name := range ofTables {
			waitFor(t, func() bool { return len(shown(t, registry, name)) >= 10 })
		}
		waitFor(t, func() bool { return shown(t, registry, "jobstrom_warehouse_disk_free_bytes")["default"] > 0 }) // the last of them
		free, size := shown(t, registry, "jobstrom_warehouse_disk_free_bytes")["default"], shown(t, registry, "jobstrom_warehouse_disk_bytes")["default"]
		if free > size {
			t.Errorf("%v of %v bytes are free", free, size)
		}
		if err := running.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		for _, name := range append(ofTables, "jobstrom_warehouse_disk_bytes", "jobstrom_warehouse_disk_free_bytes") {
			waitFor(t, func() bool { return len(shown(t, registry, name)) == 0 })
		}
		const rounds = 20
		for n := range rounds { // that the topics grow shows another round without ClickHouse
			before := shown(t, registry, "jobstrom_topic_bytes")[kafka.Raw]
			publish(t, client, 20+n, 21+n)
			waitFor(t, func() bool { return topicsAreShown() && shown(t, registry, "jobstrom_topic_bytes")[kafka.Raw] > before })
		}
		engine(t, dir, running)
		waitFor(t, func() bool { return shown(t, registry, "jobstrom_warehouse_disk_bytes")["default"] == size })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		// Once an outage, of which a busy machine may have others.
		if n := strings.Count(said.String(), "of=tables"); n < 1 || n > rounds/2 {
			t.Errorf("it is said %d times that the tables are not shown, in %d rounds without ClickHouse:\n%s", n, rounds, &said)
		}
	})
}
