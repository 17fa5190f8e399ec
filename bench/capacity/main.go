// Command capacity measures what a vacancy costs: processors of each stage, the sink and ClickHouse, bytes on Kafka and in ClickHouse. It writes them to capacity/measured.json, from
// which `jobstrom plan` reckons where nothing else was measured.
//
// A whole flow runs, one process a stage, on Apache Kafka and the ClickHouse engine, in a folder that is deleted afterwards. Processors' time is what Linux counts of each process. The
// encoder's and the extractor's own comes from `jobstrom bench tune --measured`, because here the encoder finds what it embedded before.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/bench/database"
	"jobstrom/bench/figures"
	"jobstrom/capacity"
	"jobstrom/cluster"
	"jobstrom/kafka"
	"jobstrom/models"
)

func main() {
	database.RunEngine()
	program := flag.String("jobstrom", "bin/jobstrom", "the `program` to measure")
	rounds := flag.Int("rounds", 10, "how often the samples are published")
	out := flag.String("out", "capacity/measured.json", "write what was measured to this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *program, *rounds, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench-capacity:", err)
		os.Exit(1)
	}
}

var vacancies = []string{"samples/vacancies.jsonl", "samples/unseen.jsonl"}

// flow is what is measured.
type flow struct {
	program  string
	environ  []string
	database *database.Database
	client   *kgo.Client
	stages   map[string]*exec.Cmd
	logs     string
}

func run(ctx context.Context, program string, rounds int, out string) (err error) {
	if rounds < 2 {
		return fmt.Errorf("rounds (%d) must be at least 2: the first is measured in bytes, the others in time", rounds)
	}
	dir, err := os.MkdirTemp("", "bench-capacity-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	native, err := models.NativeDir()
	if err != nil {
		return err
	}
	libs, err := cluster.FindLibs(native)
	if err != nil {
		return err
	}
	brokers, err := cluster.Start(ctx, cluster.Options{Dir: filepath.Join(dir, "kafka"), Libs: libs, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer brokers.Stop()
	d, err := database.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Stop(ctx)) }()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers.Addrs()...))
	if err != nil {
		return err
	}
	defer client.Close()
	f := &flow{program: program, database: d, client: client, logs: dir, stages: map[string]*exec.Cmd{}, environ: append(os.Environ(),
		"JOBSTROM_BROKERS="+brokers.Addrs()[0], "JOBSTROM_CLICKHOUSE="+d.Engine.Addr(), "JOBSTROM_DATA="+filepath.Join(dir, "var"), "JOBSTROM_EMPLOYER_KEY=0123456789abcdef0123456789abcdef")}
	measured := filepath.Join(dir, "tuned.json")
	if err := f.jobstrom(ctx, "bench", "tune", "--measured", measured); err != nil {
		return err
	}
	m, err := capacity.Read(measured)
	if err != nil {
		return err
	}
	if err := f.jobstrom(ctx, "topics", "--create"); err != nil {
		return err
	}
	defer f.stop()
	for _, stage := range []string{"extract", "embed", "classify", "sink"} {
		if err := f.start(stage); err != nil {
			return err
		}
	}
	n, err := f.publish(ctx, 0)
	if err != nil {
		return err
	}
	if err := f.bytes(ctx, &m, n); err != nil {
		return err
	}
	before, err := f.processors()
	if err != nil {
		return err
	}
	total := n
	for range rounds - 1 {
		if total, err = f.publish(ctx, total); err != nil {
			return err
		}
	}
	after, err := f.processors()
	if err != nil {
		return err
	}
	ms := func(part string) float64 { return (after[part] - before[part]).Seconds() * 1000 / float64(total-n) }
	figures.Note("%d vacancies, %d of them for bytes; milliseconds of a processor for each: extract %.3f, embed from its cache %.3f, classify %.3f, sink %.3f, ClickHouse %.3f", total, n,
		ms("extract"), ms("embed"), ms("classify"), ms("sink"), ms("clickhouse"))
	// What classify does beyond the multiplication is what any stage does for a record.
	m.StageMS, m.SinkMS, m.ClickHouseMS = max(ms("classify")-m.ClassifyMS, .001), ms("sink"), ms("clickhouse")
	return m.Write(out)
}

// jobstrom runs a command of the program to its end.
func (f *flow) jobstrom(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, f.program, args...)
	cmd.Env, cmd.Stderr = f.environ, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %v: %w", cmd.Args, err)
	}
	return nil
}

// start starts a stage; its log goes to a file.
func (f *flow) start(stage string) error {
	log, err := os.Create(filepath.Join(f.logs, stage+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(f.program, "run", stage)
	cmd.Env, cmd.Stdout, cmd.Stderr = f.environ, log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", stage, err)
	}
	f.stages[stage] = cmd
	return nil
}

func (f *flow) stop() {
	for _, cmd := range f.stages {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
}

// publish publishes the samples and waits until ClickHouse has the answer to each; it returns how many it has.
func (f *flow) publish(ctx context.Context, before int) (int, error) {
	start := time.Now()
	if err := f.jobstrom(ctx, append([]string{"produce"}, vacancies...)...); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(10 * time.Minute)
	for {
		all, err := f.published(ctx)
		if err != nil {
			return 0, err
		}
		var rows uint64
		err = f.database.Warehouse.Conn().QueryRow(ctx, "SELECT least((SELECT count() FROM predictions) + (SELECT count() FROM dead_letters), (SELECT count() FROM embeddings) + (SELECT count() FROM dead_letters))").Scan(&rows)
		if err == nil && all > before && int(rows) == all {
			figures.Note("%d vacancies in %.1f s", all-before, time.Since(start).Seconds())
			return all, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("waiting for %d rows: there are %d after 10 minutes (%w); the stages' logs are in %s", all, rows, err, f.logs)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// published counts the records of the raw topic; nobody writes to it in transactions.
func (f *flow) published(ctx context.Context) (int, error) {
	ends, err := kadm.NewClient(f.client).ListEndOffsets(ctx, kafka.Raw)
	if err != nil {
		return 0, err
	}
	n := 0
	ends.Each(func(o kadm.ListedOffset) { n += int(o.Offset) })
	return n, ends.Error()
}

// bytes measures what n vacancies take on Kafka's and ClickHouse's disks.
func (f *flow) bytes(ctx context.Context, m *capacity.Measured, n int) error {
	topics := map[string]*float64{kafka.Raw: &m.RawBytes, kafka.Extracted: &m.ExtractedBytes, kafka.Embedded(m.EncoderID): &m.EmbeddedBytes, kafka.Classified: &m.ClassifiedBytes}
	on, err := kafka.TopicBytes(ctx, f.client, slices.Collect(maps.Keys(topics))...)
	if err != nil {
		return err
	}
	for topic, each := range topics {
		*each = float64(on[topic]) / float64(n)
	}
	warehouse := f.database.Warehouse
	there, err := warehouse.ReadTables(ctx)
	if err != nil {
		return err
	}
	rows := map[string]*float64{"embedding_rows": &m.EmbeddingRowBytes, "prediction_rows": &m.PredictionRowBytes}
	for _, t := range there {
		if strings.HasPrefix(t.Table, "similar_") {
			rows[t.Table] = &m.SimilarRowBytes
		}
	}
	for table := range rows { // merged, as they are in the long run; the index is built by merges
		if err := warehouse.Conn().Exec(ctx, "OPTIMIZE TABLE `"+table+"` FINAL"); err != nil {
			return err
		}
	}
	if there, err = warehouse.ReadTables(ctx); err != nil {
		return err
	}
	for _, t := range there {
		if each := rows[t.Table]; each != nil {
			if t.Rows == 0 {
				return fmt.Errorf("measuring %s: it has no rows", t.Table)
			}
			*each = float64(t.Bytes) / float64(t.Rows)
		}
	}
	if err := warehouse.Conn().QueryRow(ctx, `SELECT i.bytes / r.rows FROM (SELECT sum(data_uncompressed_bytes) AS bytes FROM system.data_skipping_indices WHERE database = currentDatabase() AND type = 'vector_similarity') AS i,
		(SELECT sum(rows) AS rows FROM system.parts WHERE active AND database = currentDatabase() AND table LIKE 'similar_%') AS r`).Scan(&m.IndexRowBytes); err != nil {
		return fmt.Errorf("measuring the index of similar vacancies: %w", err)
	}
	return nil
}

// processors returns the processors' time of each part so far.
func (f *flow) processors() (map[string]time.Duration, error) {
	all := map[string]time.Duration{}
	for stage, cmd := range f.stages {
		spent, err := spentBy(cmd.Process.Pid)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", stage, err)
		}
		all[stage] = spent
	}
	spent, err := spentBy(f.database.Engine.Pid())
	all["clickhouse"] = spent
	return all, err
}
