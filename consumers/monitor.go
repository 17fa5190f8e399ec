package consumers

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/health"
	"jobstrom/kafka"
)

// StuckAfter is how long a partition may stand, with something to read, before it counts as stuck: three transactions at their longest.
const StuckAfter = 30 * time.Second

// MonitorOptions configure a monitor.
type MonitorOptions struct {
	Kafka kafka.Options
	// Readers are the stages to watch: those that work in this process.
	Readers []kafka.Reader
	// Interval between two looks, default 5 s.
	Interval time.Duration
	// StuckAfter is how long a partition may stand. Default StuckAfter.
	StuckAfter time.Duration
	// Board takes what is wrong; nil shows it nowhere.
	Board      *health.Board
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// EnsureDefaults fills what is zero.
func (o *MonitorOptions) EnsureDefaults() {
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	if o.StuckAfter == 0 {
		o.StuckAfter = StuckAfter
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Standing remembers since when partitions stand: something is there to read, and the committed offset does not move.
type Standing map[standingPlace]standingSince

type standingPlace struct {
	stage, topic string
	partition    int32
}

type standingSince struct {
	committed, end int64
	since          time.Time
}

// Look takes a new measurement and returns how long its partition stands by now, 0 when it moves or has nothing to read.
func (s Standing) Look(l kafka.Lag, now time.Time) time.Duration {
	at := standingPlace{l.Stage, l.Topic, l.Partition}
	before, seen := s[at]
	switch {
	case l.Records == 0 && l.Hidden == 0:
		delete(s, at)
		return 0
	case !seen, before.committed != l.Committed, l.Records == 0 && before.end != l.End: // one transaction after the other hides records, none for long
		s[at] = standingSince{l.Committed, l.End, now}
		return 0
	}
	return now.Sub(before.since)
}

// lagMetrics are gauges of the watched stages' lags.
type lagMetrics struct {
	records, age, standing *prometheus.GaugeVec
}

func newLagMetrics(registerer prometheus.Registerer) *lagMetrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return register(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"stage", "topic", "partition"}))
	}
	return &lagMetrics{
		records:  gauge("jobstrom_consumer_lag_records", "Offsets still to read: 0 when nothing is unread, else at most so many records, because the ends of transactions take offsets too."),
		age:      gauge("jobstrom_consumer_lag_seconds", "Age of the oldest unread record, by its timestamp; never negative."),
		standing: gauge("jobstrom_consumer_standing_seconds", "Time since the committed offset moved, while something is there to read; stuck from 30 s on."),
	}
}

// Monitor measures the stages' lags and says what stands, until ctx ends. What it cannot measure it reports and tries again: it never ends a flow.
func Monitor(ctx context.Context, o MonitorOptions) error {
	o.EnsureDefaults()
	o.Kafka.ClientID, o.Kafka.Registerer = "jobstrom.monitor", nil
	reader, err := kafka.NewLagReader(o.Kafka)
	if err != nil {
		return fmt.Errorf("watching the lag: %w", err)
	}
	defer reader.Close()
	metrics, standing := newLagMetrics(o.Registerer), Standing{}
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for {
		// A broker that is away must be told within seconds, not when the client gives up.
		look, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := o.look(look, reader, metrics, standing)
		cancel()
		at := health.Place{Part: "kafka"}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			o.Logger.Warn("lag cannot be measured, trying again", "after", o.Interval, "error", err)
			o.Board.Report(health.Problem{Place: at, Reason: err.Error(), Remedy: "see that the brokers run and can be reached; the stages go on by themselves when they do"}, 0)
		default:
			o.Board.Clear(at)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look measures every stage once.
func (o MonitorOptions) look(ctx context.Context, reader *kafka.LagReader, metrics *lagMetrics, standing Standing) error {
	unread := map[string]int64{}
	for _, r := range o.Readers {
		lags, err := reader.Read(ctx, r)
		if err != nil {
			return err
		}
		now := time.Now()
		unread[r.Stage] += 0
		for _, l := range lags {
			unread[r.Stage] += l.Records
			labels := []string{l.Stage, l.Topic, strconv.Itoa(int(l.Partition))}
			metrics.records.WithLabelValues(labels...).Set(float64(l.Records))
			metrics.age.WithLabelValues(labels...).Set(l.Age(now).Seconds())
			stands := standing.Look(l, now)
			metrics.standing.WithLabelValues(labels...).Set(stands.Seconds())
			o.report(l, stands, now)
		}
	}
	for stage, records := range unread {
		if records == 0 { // a worker without work cannot show that it is well again
			o.Board.ClearStage(stage)
		}
	}
	return nil
}

// report puts a stuck partition on the board, and says it once in the log.
func (o MonitorOptions) report(l kafka.Lag, stands time.Duration, now time.Time) {
	p := health.Problem{
		Place: health.Place{Part: "partition", Stage: l.Stage, Topic: l.Topic, Partition: l.Partition},
		Since: now.Add(-stands),
	}
	if stands < o.StuckAfter {
		o.Board.Clear(p.Place)
		return
	}
	p.Reason, p.Remedy = why(l, stands, now)
	o.Board.Report(p, 0)
	if stands < o.StuckAfter+o.Interval {
		o.Logger.Error("a partition is stuck", "stage", l.Stage, "topic", l.Topic, "partition", l.Partition, "committed", l.Committed, "reason", p.Reason, "remedy", p.Remedy)
	}
}

// why explains a stuck partition.
func why(l kafka.Lag, stands time.Duration, now time.Time) (reason, remedy string) {
	stood := stands.Round(time.Second)
	switch {
	case l.Records == 0:
		return fmt.Sprintf("a transaction has been open at offset %d for %s and hides %d records", l.End, stood, l.Hidden),
			"it ends with its writer or after the writer's transaction timeout; if it does not, see kafka-transactions.sh find-hanging"
	case l.Worker == "":
		return fmt.Sprintf("at most %d records are unread, the oldest for %s; no worker has had the partition for %s", l.Records, l.Age(now).Round(time.Second), stood),
			fmt.Sprintf("start one with jobstrom run %s, or see in the log of those that run why they do not join", l.Stage)
	}
	return fmt.Sprintf("at most %d records are unread, the oldest for %s; worker %s has the partition and committed nothing for %s, offset %d is next", l.Records, l.Age(now).Round(time.Second), l.Worker, stood, l.Committed),
		"see that worker's log for what it waits for; if it says nothing, restart its process"
}
