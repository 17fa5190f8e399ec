// Command bench compares jobstrom with the physical limit and prints one tab-separated line a figure: name, ratio, target, ok or short.
//
// Lines that begin with # say what was measured and where. Each figure is a ratio of two measurements in one run, in turns,
// because machines are shared and noisy.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	onnxruntime "github.com/yalue/onnxruntime_go"
	"golang.org/x/sync/errgroup"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/consumers"
	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/samples"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == embedded.EngineCommand {
		os.Exit(embedded.RunClickHouseEngine(os.Args[2:]))
	}
	rounds := flag.Int("rounds", 3, "how often each side is measured")
	copies := flag.Int("copies", 3, "how often the 330 samples are published in a round")
	flag.Parse()
	if err := run(context.Background(), *rounds, *copies); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds, copies int) error {
	b, err := load(copies)
	if err != nil {
		return err
	}
	defer b.pipeline.Encoder.Close()
	fmt.Printf("# the whole way (Kafka, three stages, ClickHouse sink) against a bare loop over the same texts and ONNX session\n")
	fmt.Printf("# %s %s/%s, %d CPUs, ONNX Runtime %s, encoder %s, %d vacancies a round, %d rounds in turns\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), onnxruntime.GetVersion(), b.pipeline.Encoder.Card().Name, len(b.vacancies), rounds)
	var ratios []float64
	for i := range rounds {
		bare, err := b.bare(ctx)
		if err != nil {
			return err
		}
		whole, err := b.whole(ctx)
		if err != nil {
			return err
		}
		ratios = append(ratios, bare.Seconds()/whole.Seconds())
		n := float64(len(b.vacancies))
		fmt.Printf("# round %d: bare %.1f/s, whole way %.1f/s\n", i+1, n/bare.Seconds(), n/whole.Seconds())
	}
	slices.Sort(ratios)
	figure("whole way / bare loop, throughput", ratios[len(ratios)/2], .80)
	return nil
}

// figure prints a line.
func figure(name string, ratio, target float64) {
	verdict := "ok"
	if ratio < target {
		verdict = "short"
	}
	fmt.Printf("%s\t%.3f\t%.2f\t%s\n", name, ratio, target, verdict)
}

// bench holds what both sides share.
type bench struct {
	pipeline  *pipeline.Pipeline
	vacancies []*schemas.Vacancy
	texts     []string
}

func load(copies int) (*bench, error) {
	taxonomy := schemas.Jobnet()
	extractor, err := extract.New(extract.Options{Taxonomy: taxonomy})
	if err != nil {
		return nil, err
	}
	encoder, err := embed.New(embed.Options{})
	if err != nil {
		return nil, err
	}
	b := &bench{pipeline: &pipeline.Pipeline{Extractor: extractor, Encoder: encoder, Live: &classify.Live{}, Taxonomy: taxonomy}}
	classifier, err := classify.Default(taxonomy, encoder.Card().ID)
	if err != nil {
		return nil, err
	}
	b.pipeline.Live.Store(classifier)
	for i := range copies {
		err := producers.Read(samples.Vacancies(), "samples", producers.JSONL, producers.ReadOptions{}, func(_ int, v *schemas.Vacancy) error {
			v.Id = fmt.Sprintf("%s-%d", v.Id, i)
			b.vacancies = append(b.vacancies, v)
			return nil
		}, func(bad *producers.BadLine) { panic(bad) })
		if err != nil {
			return nil, err
		}
	}
	results, err := extractor.Extract(context.Background(), b.vacancies)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		b.texts = append(b.texts, r.Extraction.GetText())
	}
	return b, nil
}

// bare tokenises and embeds the extracted texts in the embed stage's batches, and does nothing else.
func (b *bench) bare(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	for texts := range slices.Chunk(b.texts, consumers.EmbedBatch) {
		if _, err := b.pipeline.Encoder.Embed(ctx, texts); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// whole publishes the vacancies and waits for the last on the classified topic.
func (b *bench) whole(ctx context.Context) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "jobstrom-bench-*")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	broker, err := embedded.StartKafka(embedded.KafkaOptions{Dir: filepath.Join(dir, "kafka")})
	if err != nil {
		return 0, err
	}
	defer broker.Stop()
	native, err := models.NativeDir()
	if err != nil {
		return 0, err
	}
	engine, err := embedded.StartClickHouse(ctx, embedded.ClickHouseOptions{DataDir: filepath.Join(dir, "clickhouse"), Library: filepath.Join(native, models.LibraryClickHouse)})
	if err != nil {
		return 0, err
	}
	defer engine.Stop(ctx)
	store, err := warehouse.Open(ctx, warehouse.Options{Addr: []string{engine.Addr()}, CreateDatabase: true})
	if err != nil {
		return 0, err
	}
	defer store.Close()
	if err := store.Migrate(ctx, nil); err != nil {
		return 0, err
	}
	o := kafka.Options{Brokers: broker.Addrs()}
	client, err := kafka.NewClient(o)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	encoder := b.pipeline.Encoder.Card().ID
	if err := kafka.EnsureTopics(ctx, client, encoder, kafka.Layout{Partitions: 4, Replication: 1}); err != nil {
		return 0, err
	}
	raw, err := kafka.IDOf(ctx, client, kafka.Raw)
	if err != nil {
		return 0, err
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	actors, work := errgroup.WithContext(work)
	for _, stage := range []consumers.Stage{
		consumers.Extract(b.pipeline.Extractor, raw), consumers.Embed(b.pipeline.Encoder), consumers.Classify(b.pipeline.Live, b.pipeline.Taxonomy, encoder),
	} {
		actors.Go(func() error { return consumers.Run(work, stage, consumers.RunnerOptions{Kafka: o}) })
	}
	actors.Go(func() error {
		return consumers.Sink(work, consumers.SinkOptions{Kafka: o, Warehouse: store, Encoder: encoder})
	})
	arrived, start := 0, time.Time{}
	published := make(chan error, 1)
	err = consumers.Follow(work, consumers.FollowOptions{Kafka: o, Topics: []string{kafka.Classified, kafka.DeadLetter}, Ready: func() {
		start = time.Now()
		go func() { published <- b.publish(work, client) }()
	}}, func(*kgo.Record) (bool, error) {
		arrived++
		return arrived < len(b.vacancies), nil
	})
	took := time.Since(start)
	if err == nil {
		err = <-published
	}
	cancel()
	if ended := actors.Wait(); err == nil {
		err = ended
	}
	if err == nil && arrived < len(b.vacancies) {
		err = fmt.Errorf("%d of %d vacancies arrived", arrived, len(b.vacancies))
	}
	return took, err
}

func (b *bench) publish(ctx context.Context, client *kgo.Client) error {
	publisher := producers.NewPublisher(client, b.pipeline.Taxonomy)
	for _, v := range b.vacancies {
		if err := publisher.Publish(ctx, v); err != nil {
			return err
		}
	}
	_, _, err := publisher.Close(ctx)
	return err
}
