// Command stream measures the stream without the models' cost: throughput against a bare loop, latency, scaling, memory and the cost of traces, on Apache Kafka.
//
// It prints one tab-separated line a figure: name, figure, target, ok or short. Lines that begin with # say what was measured. Sides that are
// compared are measured in turns in one run, because machines are shared and noisy.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"jobstrom/bench/figures"
	"jobstrom/cluster"
	"jobstrom/consumers"
	"jobstrom/models"
)

// The parts, in the order of their output.
const (
	partThroughput = "throughput"
	partLatency    = "latency"
	partScaling    = "scaling"
	partMemory     = "memory"
	partTraces     = "traces"
)

var parts = figures.Parts{partThroughput, partLatency, partScaling, partMemory, partTraces}

func main() {
	var o options
	profile := flag.String("cpuprofile", "", "write a CPU profile of the throughput rounds' stages to this `file`")
	flag.IntVar(&o.records, "records", 200_000, "records of a throughput round")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each side is measured")
	flag.DurationVar(&o.latency, "latency", 30*time.Second, "how long latency is measured")
	flag.DurationVar(&o.answer, "answer", 20*time.Millisecond, "time the scaling stub takes for a record")
	flag.IntVar(&o.backlog, "backlog", 600, "seconds of backlog, at 100 vacancies of 10 KiB a second, that memory is measured with")
	flag.DurationVar(&o.runner.CommitInterval, "commit-interval", 0, "the runner's setting, 0 for its default")
	flag.IntVar(&o.runner.MaxBytes, "worker-bytes", 0, "the runner's setting, 0 for its default")
	flag.IntVar(&o.runner.Workers, "workers", 2, "workers of a stage, and sessions of the bare loop")
	flag.StringVar(&o.part, "part", "", parts.Usage())
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench-stream:", err)
			os.Exit(1)
		}
		o.profile = f
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-stream:", err)
		os.Exit(1)
	}
}

type options struct {
	records, rounds, backlog int
	latency, answer          time.Duration
	profile                  *os.File
	runner                   consumers.RunnerOptions
	part                     string
}

// bench measures on one cluster.
type bench struct {
	options
	brokers []string
}

func run(ctx context.Context, o options) error {
	if err := parts.Check(o.part); err != nil {
		return err
	}
	native, err := models.NativeDir()
	if err != nil {
		return err
	}
	libs, err := cluster.FindLibs(native)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "jobstrom-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, err := cluster.Start(ctx, cluster.Options{Dir: dir, Libs: libs, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	defer c.Stop()
	b := &bench{options: o, brokers: c.Addrs()}
	figures.Note("%s %s/%s, %d CPUs, Apache Kafka %s, one broker on the same machine", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), version(libs))
	b.runner.Kafka.Brokers = b.brokers
	b.runner.EnsureDefaults()
	return parts.Measure(ctx, b.part, map[string]func(context.Context) error{
		partThroughput: b.throughput, partLatency: b.latencyAtHalfLoad, partScaling: b.scaling, partMemory: b.memory, partTraces: b.traces,
	})
}

// version reads Kafka's from the name of its jar.
func version(libs string) string {
	jars, _ := filepath.Glob(filepath.Join(libs, "kafka-clients-*.jar"))
	if len(jars) != 1 {
		return "of unknown version"
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "kafka-clients-"), ".jar")
}
