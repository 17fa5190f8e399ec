package consumers

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/warehouse"
)

// UsageOptions configure MeasureUsage.
type UsageOptions struct {
	Kafka     kafka.Options
	Warehouse *warehouse.Warehouse
	// Topics are measured: see kafka.Topics.
	Topics []string
	// Interval between two questions, default 1 min: those to ClickHouse and the brokers are cheap, yet not free.
	Interval   time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// EnsureDefaults fills what is zero.
func (o *UsageOptions) EnsureDefaults() {
	if o.Interval == 0 {
		o.Interval = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// usageMetrics show what ClickHouse and the topics take.
type usageMetrics struct{ rows, bytes, parts, disk, free, topics *labelledGauge }

func newUsageMetrics(registerer prometheus.Registerer) *usageMetrics {
	gauge := func(name, label, help string) *labelledGauge {
		return &labelledGauge{vec: register(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label}))}
	}
	return &usageMetrics{
		rows:   gauge("jobstrom_warehouse_rows", "table", "Rows of a table as they lie on ClickHouse's disk, those that a merge will replace included; on a cluster of the server that answers."),
		bytes:  gauge("jobstrom_warehouse_bytes", "table", "Bytes that a table takes on ClickHouse's disk, compressed."),
		parts:  gauge("jobstrom_warehouse_parts", "table", "Active parts of a table; ClickHouse refuses inserts at some 3000 in one month."),
		disk:   gauge("jobstrom_warehouse_disk_bytes", "disk", "Size of ClickHouse's disk."),
		free:   gauge("jobstrom_warehouse_disk_free_bytes", "disk", "Bytes that are free on ClickHouse's disk."),
		topics: gauge("jobstrom_topic_bytes", "topic", "Bytes that one replica of a topic takes on the brokers' disks."),
	}
}

// labelledGauge is a gauge of one label, of which old values vanish.
type labelledGauge struct {
	vec   *prometheus.GaugeVec
	shown map[string]float64
}

// show replaces the values; none may be there.
func (g *labelledGauge) show(values map[string]float64) {
	for label := range g.shown {
		if _, still := values[label]; !still {
			g.vec.DeleteLabelValues(label)
		}
	}
	for label, value := range values {
		g.vec.WithLabelValues(label).Set(value)
	}
	g.shown = values
}

// MeasureUsage asks ClickHouse and the brokers again and again what the tables and topics take, until ctx ends (nil). What cannot be had, because its server is away or a right is
// missing, is not shown: an old figure would look like a new one. It never ends a flow.
func MeasureUsage(ctx context.Context, o UsageOptions) error {
	o.EnsureDefaults()
	o.Kafka.ClientID, o.Kafka.Registerer = "jobstrom.usage", nil
	client, err := kafka.NewClient(o.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	metrics, said := newUsageMetrics(o.Registerer), map[string]bool{}
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for {
		o.measure(ctx, client, metrics, said)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// usageTimeout bounds the questions of one round.
const usageTimeout = 10 * time.Second

// measure asks once. Said holds what is missing that the log has already: a missing right is no news every minute.
func (o UsageOptions) measure(ctx context.Context, client *kgo.Client, m *usageMetrics, said map[string]bool) {
	ask := func(what string, question func(context.Context) error) {
		asked, cancel := context.WithTimeout(ctx, usageTimeout)
		defer cancel()
		err := question(asked)
		switch {
		case err == nil:
			delete(said, what)
		case ctx.Err() == nil && !said[what]:
			said[what] = true
			level := slog.LevelWarn
			if errors.Is(err, kafka.ErrDenied) || warehouse.IsDenied(err) {
				level = slog.LevelInfo // it may be wanted so
			}
			o.Logger.Log(ctx, level, "metrics are not shown for now", "of", what, "error", err)
		}
	}
	ask("tables", func(ctx context.Context) error {
		tables, err := o.Warehouse.ReadTables(ctx)
		rows, bytes, parts := map[string]float64{}, map[string]float64{}, map[string]float64{}
		for _, t := range tables {
			rows[t.Table], bytes[t.Table], parts[t.Table] = float64(t.Rows), float64(t.Bytes), float64(t.Parts)
		}
		m.rows.show(rows)
		m.bytes.show(bytes)
		m.parts.show(parts)
		return err
	})
	ask("disks", func(ctx context.Context) error {
		disks, err := o.Warehouse.ReadDisks(ctx)
		all, free := map[string]float64{}, map[string]float64{}
		for _, d := range disks {
			all[d.Disk], free[d.Disk] = float64(d.Bytes), float64(d.Free)
		}
		m.disk.show(all)
		m.free.show(free)
		return err
	})
	ask("topics", func(ctx context.Context) error {
		topics, err := kafka.TopicBytes(ctx, client, o.Topics...)
		sizes := map[string]float64{}
		for topic, size := range topics {
			sizes[topic] = float64(size)
		}
		m.topics.show(sizes)
		return err
	})
}
