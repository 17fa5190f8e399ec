package consumers

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/embedded"
	"jobstrom/health"
	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/telemetry/logtest"
	"jobstrom/warehouse"
)

// sinking runs a sink with a board and metrics, until the test ends.
func sinking(t *testing.T, o kafka.Options, w *warehouse.Warehouse, board *health.Board) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Sink(ctx, SinkOptions{Kafka: o, Warehouse: w, Encoder: testEncoder, Interval: 50 * time.Millisecond, Board: board, Registerer: registry})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return registry
}

// predict writes a classification and its embedding of raw record n.
func predict(t *testing.T, client *kgo.Client, n int, at time.Time) {
	t.Helper()
	c, id := kafka.Coordinates{Topic: kafka.TopicID{9}, Offset: int64(n), Time: at}, fmt.Sprintf("v-%d", n)
	x := &schemas.Extraction{Id: id, PublishedAt: schemas.Time(at)}
	put(t, client, kafka.Embedded(testEncoder), schemas.Protobuf, c, &schemas.Embedding{Encoder: testEncoder, Vector: []float32{1, 0}, Extraction: x})
	put(t, client, kafka.Classified, schemas.JSON, c, &schemas.Classification{Id: id, Encoder: testEncoder, Model: "m", Category: "Ledelse", CategoryIndex: 10, Probabilities: []float32{1}, PublishedAt: schemas.Time(at), ClassifiedAt: schemas.Time(at)})
}

func counted(t *testing.T, w *warehouse.Warehouse, n uint64) func() bool {
	return func() bool {
		counts, err := w.Counts(t.Context())
		return err == nil && counts["predictions"] == n && counts["embeddings"] == n
	}
}

// notTaken waits until the board says that ClickHouse does not take the rows, and why.
func notTaken(t *testing.T, board *health.Board, why string) {
	t.Helper()
	waitFor(t, func() bool {
		for _, p := range board.Problems() {
			if p.Part == "clickhouse" && p.Stage == "sink" && strings.Contains(p.Reason, why) && p.Remedy != "" {
				return true
			}
		}
		return false
	})
}

// A ClickHouse that is killed stops the sink, not the stages; when it is back on its data, the sink catches up, and every row is there once.
func TestSinkCatchesUpWithAKilledClickHouse(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		dir := t.TempDir()
		first := engine(t, dir, nil)
		w := schema(t, first.Addr())
		var board health.Board
		sinking(t, o, w, &board)
		n, now := 0, time.Now()
		for ; n < 10; n++ {
			predict(t, client, n, now)
		}
		waitFor(t, counted(t, w, 10))
		first.Kill()
		publish(t, client, 0, 20) // a stage goes on meanwhile
		stop := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, Board: &board})
		for ; n < 30; n++ {
			predict(t, client, n, now)
		}
		notTaken(t, &board, "connection refused")
		collect(t, o, 18, kafka.Extracted)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		engine(t, dir, first)
		waitFor(t, func() bool { return counted(t, w, 30)() && len(board.Problems()) == 0 })
	})
}

// Times from clocks that are wrong break neither the sink nor a view: what ClickHouse cannot hold is kept as the nearest time that it can, and a block of
// hundreds of months goes in.
func TestSinkCopesWithWrongClocks(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		w := store(t)
		var board health.Board
		registry := sinking(t, o, w, &board)
		n := 0
		for _, at := range []time.Time{
			time.UnixMilli(-62135596800000), time.UnixMilli(-1), time.UnixMilli(0), time.UnixMilli(1), time.Now(),
			time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC), time.Date(2262, 4, 12, 0, 0, 0, 0, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), time.UnixMilli(253402300799999),
		} {
			predict(t, client, n, at)
			n++
		}
		for month := range 250 { // from 1990 on: more than go into one INSERT
			predict(t, client, n, time.Date(1990, time.Month(month+1), 1, 0, 0, 0, 0, time.UTC))
			n++
		}
		waitFor(t, counted(t, w, uint64(n)))
		if problems := board.Problems(); len(problems) != 0 {
			t.Fatalf("got %v", problems)
		}
		var first, last time.Time
		if err := w.Conn().QueryRow(t.Context(), "SELECT min(received_at), max(received_at) FROM predictions").Scan(&first, &last); err != nil {
			t.Fatal(err)
		}
		if first.UnixMilli() != 0 || last.Year() != 2199 {
			t.Errorf("times are from %v to %v, want 1970 to 2199", first, last)
		}
		// Rows are visible before their latencies are.
		waitFor(t, func() bool { count, _ := latencies(t, registry); return count >= uint64(n) })
		if count, sum := latencies(t, registry); count != uint64(n) || sum < 0 {
			t.Errorf("%d latencies add up to %f s: none may be negative", count, sum)
		}
	})
}

// latencies reads jobstrom_sink_latency_seconds.
func latencies(t *testing.T, registry *prometheus.Registry) (count uint64, sum float64) {
	t.Helper()
	all := metricsOf(t, registry, "jobstrom_sink_latency_seconds")
	if len(all) != 1 {
		t.Fatalf("jobstrom_sink_latency_seconds is served as %v", all)
	}
	h := all[0].GetHistogram()
	return h.GetSampleCount(), h.GetSampleSum()
}

// fullDisk is what LD_PRELOAD puts before the C library: while the file DISK_FULL exists, the file systems have no room, which is what ClickHouse asks
// before each insert. It needs neither root nor a file system of its own.
const fullDisk = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>
#define FULL(name, buffer) \
int name(const char *path, struct buffer *b) { \
	static int (*real)(const char *, struct buffer *); \
	const char *flag = getenv("DISK_FULL"); \
	if (!real) real = (int (*)(const char *, struct buffer *))dlsym(RTLD_NEXT, #name); \
	int status = real(path, b); \
	if (!status && flag && !access(flag, F_OK)) b->f_bavail = b->f_bfree = 0; \
	return status; \
}
FULL(statvfs, statvfs)
FULL(statvfs64, statvfs64)
`

// When ClickHouse's disk is full, the sink waits and says so; when there is room again, it goes on, and no row is lost or doubled.
func TestSinkWaitsWhileTheDiskIsFull(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Fatal("gcc is missing: the set-up needs it too")
	}
	dir, tools := t.TempDir(), t.TempDir()
	source, library, flag := filepath.Join(tools, "full.c"), filepath.Join(tools, "full.so"), filepath.Join(tools, "full")
	if err := os.WriteFile(source, []byte(fullDisk), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("DISK_FULL", flag)
	t.Setenv("LD_PRELOAD", library)
	e := engine(t, dir, nil)
	os.Unsetenv("LD_PRELOAD") // the engine has it; t.Setenv puts back what was there
	o, client := embeddedKafka(t, embedded.KafkaOptions{})
	w := schema(t, e.Addr())
	var board health.Board
	sinking(t, o, w, &board)
	predict(t, client, 0, time.Now())
	waitFor(t, counted(t, w, 1))
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		predict(t, client, 1+n, time.Now())
	}
	notTaken(t, &board, "disk is full or cannot be written: make room")
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return counted(t, w, 21)() && len(board.Problems()) == 0 })
}

// When the embedded Kafka's disk is full, the stage waits and the log names disk and partition; when there is room again, each record is answered once.
func TestStageWaitsWhileKafkasDiskIsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatal("/dev/full is missing: it is what has no space left")
	}
	dir, log := t.TempDir(), &logtest.Buffer{}
	o, client := embeddedKafka(t, embedded.KafkaOptions{Dir: dir, Logger: slog.New(slog.NewTextHandler(log, nil))})
	publish(t, client, 0, 60)
	var full []string // the files that the first records of a partition will make
	for partition := range 3 {
		folder := filepath.Join(dir, "partitions", fmt.Sprintf("%s-%d", kafka.Extracted, partition))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		full = append(full, filepath.Join(folder, "0.dat"))
		if err := os.Symlink("/dev/full", full[partition]); err != nil {
			t.Fatal(err)
		}
	}
	registry := prometheus.NewRegistry()
	stop := start(t, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, TransactionTimeout: 3 * time.Second, Registerer: registry})
	waitFor(t, func() bool {
		text := log.String()
		return strings.Contains(text, "no space left on device") && strings.Contains(text, kafka.Extracted) && strings.Contains(text, "make room") && errorsOf(t, registry, Retry) > 0
	})
	if n := errorsOf(t, registry, Suspect) + errorsOf(t, registry, Fatal); n > 0 {
		t.Errorf("%v failures were taken for something else than a full disk", n)
	}
	for _, name := range full {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	once(t, o, 60)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// errorsOf reads how many failures of the extract stage had a verdict.
func errorsOf(t *testing.T, registry *prometheus.Registry, verdict Verdict) float64 {
	t.Helper()
	for _, m := range metricsOf(t, registry, "jobstrom_stage_errors_total") {
		if labelOf(m, "verdict") == string(verdict) {
			return m.GetCounter().GetValue()
		}
	}
	return 0
}
