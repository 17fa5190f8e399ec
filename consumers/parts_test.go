package consumers

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/warehouse"
)

// engine starts ClickHouse on a data folder; the ports of an earlier one are taken again.
func engine(t testing.TB, dir string, former *embedded.ClickHouse) *embedded.ClickHouse {
	t.Helper()
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	o := embedded.ClickHouseOptions{DataDir: dir, Library: filepath.Join(native, models.LibraryClickHouse)}
	if former != nil {
		for port, addr := range map[*int]string{&o.NativePort: former.Addr(), &o.HTTPPort: former.HTTPAddr()} {
			_, text, _ := net.SplitHostPort(addr)
			*port, _ = strconv.Atoi(text)
		}
	}
	e, err := embedded.StartClickHouse(t.Context(), o)
	// A process that is being started beside it holds all open files of the former one until its exec, the ports included.
	for deadline := time.Now().Add(30 * time.Second); err != nil && former != nil && time.Now().Before(deadline); {
		<-time.After(20 * time.Millisecond)
		e, err = embedded.StartClickHouse(t.Context(), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	return e
}

// schema opens the database of an engine, with jobstrom's tables.
func schema(t *testing.T, addr string) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{addr}, CreateDatabase: true, DialTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	if err := w.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// embeddedKafka starts an embedded Kafka with the topics of a flow.
func embeddedKafka(t *testing.T, options embedded.KafkaOptions) (kafka.Options, *kgo.Client) {
	t.Helper()
	broker, err := embedded.StartKafka(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	o := kafka.Options{Brokers: broker.Addrs()}
	client, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := kafka.EnsureTopics(t.Context(), client, testEncoder, kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	return o, client
}

// metricsOf returns the metrics of a name, one for each set of labels; none while nothing is shown under it.
func metricsOf(t *testing.T, registry *prometheus.Registry, name string) []*dto.Metric {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}

// labelOf returns a label's value; empty where a metric has none of that name.
func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
