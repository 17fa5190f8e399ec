package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/consumers"
	"jobstrom/health"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/pipeline/extract/gliner2"
	"jobstrom/schemas"
	"jobstrom/server"
	"jobstrom/warehouse"
)

// workerCommand is the first argument that makes the chaos program a worker of a stage.
const workerCommand = "worker"

// worker is what `jobstrom run STAGE` does, with the same stages and runner but a stub for the encoder; or, to see that the check notices, without
// exactly-once. It takes those of jobstrom's flags that it needs.
func worker(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("worker STAGE", flag.ContinueOnError)
	brokers := flags.String("brokers", "", "")
	slot := flags.String("slot", "0", "")
	engine := flags.String("clickhouse", "", "")
	protocol := flags.String("group-protocol", "auto", "")
	transaction := flags.Duration("transaction-timeout", 30*time.Second, "")
	model := flags.String("gliner2", "", "")
	flags.String("extractor", "", "") // both, where there is a model
	flags.String("gliner2-labels", "", "")
	exactlyOnce := flags.Bool("exactly-once", true, "")
	flags.String("log-level", "info", "")
	watched := flags.String("metrics-address", "", "")
	if len(args) == 0 {
		return fmt.Errorf("naming the stage: none is given")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	o := kafka.Options{Brokers: strings.Split(*brokers, ","), Logger: log}
	card, err := encoderCard()
	if err != nil {
		return err
	}
	registry, board := prometheus.NewRegistry(), &health.Board{}
	registry.MustRegister(collectors.NewGoCollector())
	if *watched != "" {
		listener, err := net.Listen("tcp", *watched)
		if err != nil {
			return err
		}
		defer listener.Close()
		go http.Serve(listener, server.NewWatched(board.Problems, registry)) // ends with the listener
	}
	if args[0] == "sink" {
		w, err := warehouse.Open(ctx, warehouse.Options{Addr: []string{*engine}, CreateDatabase: true})
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.Migrate(ctx, log); err != nil {
			return err
		}
		return consumers.Sink(ctx, consumers.SinkOptions{Kafka: o, Warehouse: w, Encoder: card.ID, Version: "chaos", Logger: log})
	}
	stage, err := stageOf(ctx, args[0], o, card, *model)
	if err != nil {
		return err
	}
	if !*exactlyOnce {
		return atLeastOnce(ctx, stage, o)
	}
	return consumers.Run(ctx, stage, consumers.RunnerOptions{Kafka: o, Slot: *slot, Protocol: *protocol, TransactionTimeout: *transaction, Version: "chaos", Board: board, Registerer: registry, Logger: log})
}

// encoderCard returns the card of the encoder that the stub stands in for: its topic, and the default classifier, are by its id.
func encoderCard() (models.EncoderCard, error) {
	native, err := models.NativeDir()
	if err != nil {
		return models.EncoderCard{}, err
	}
	return models.ReadEncoderCard(filepath.Join(native, models.DefaultEncoder))
}

func stageOf(ctx context.Context, name string, o kafka.Options, card models.EncoderCard, model string) (consumers.Stage, error) {
	taxonomy := schemas.Jobnet()
	switch name {
	case "extract":
		client, err := kafka.NewClient(o)
		if err != nil {
			return consumers.Stage{}, err
		}
		defer client.Close()
		raw, err := kafka.IDOf(ctx, client, kafka.Raw)
		if err != nil {
			return consumers.Stage{}, err
		}
		x, err := extractor(taxonomy, model)
		return consumers.Extract(x, raw), err
	case "embed":
		return consumers.Embed(stub{card}), nil
	case "classify":
		classifier, err := classify.Default(taxonomy, card.ID)
		if err != nil {
			return consumers.Stage{}, err
		}
		live := &classify.Live{}
		live.Store(classifier)
		return consumers.Classify(live, taxonomy, card.ID), nil
	}
	return consumers.Stage{}, fmt.Errorf("naming the stage: %q is none", name)
}

// extractor asks the rules, and the GLiNER2 model of a folder beside them when one is named. It lives as long as the process.
func extractor(taxonomy *schemas.Taxonomy, model string) (*extract.Extractor, error) {
	if model == "" {
		return extract.New(extract.Options{Taxonomy: taxonomy})
	}
	m, err := gliner2.Open(gliner2.Options{Dir: model, Labels: []gliner2.Label{{Name: modelLabel}}})
	if err != nil {
		return nil, err
	}
	return extract.New(extract.Options{Taxonomy: taxonomy, Method: extract.Both, GLiNER2: m, Fields: map[string]extract.Field{modelLabel: extract.Tasks}})
}

// stub gives each text a vector of length 1 that depends on nothing but the text.
type stub struct{ card models.EncoderCard }

func (s stub) Card() models.EncoderCard { return s.card }

func (s stub) Embed(_ context.Context, texts []string) ([]embed.Vector, error) {
	vectors := make([]embed.Vector, len(texts))
	for i, text := range texts {
		hash := sha256.Sum256([]byte(text))
		random := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(hash[:]), 2))
		values, square := make([]float32, s.card.Dim), 0.0
		for k := range values {
			values[k] = float32(random.NormFloat64())
			square += float64(values[k]) * float64(values[k])
		}
		for k := range values {
			values[k] /= float32(math.Sqrt(square))
		}
		vectors[i] = embed.Vector{Values: values, Tokens: len(text)/4 + 1}
	}
	return vectors, nil
}

// atLeastOnce is what most consumers do: answer, write, and commit offsets every five seconds, outside of any transaction.
func atLeastOnce(ctx context.Context, stage consumers.Stage, o kafka.Options) error {
	client, err := kafka.NewClient(o,
		kgo.ConsumerGroup(kafka.Group(stage.Name, stage.Encoder)), kgo.ConsumeTopics(stage.From), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		in := client.PollRecords(ctx, stage.Batch).Records()
		if ctx.Err() != nil {
			return nil
		}
		answers, err := stage.Answer(ctx, in)
		if err != nil {
			return err
		}
		var out []*kgo.Record
		for i, a := range answers {
			r := a.Record
			if a.Err != nil {
				if r, err = plainLetter(stage, in[i], a.Err); err != nil {
					return err
				}
			} else {
				r.Topic = stage.To
			}
			r.Partition = in[i].Partition
			out = append(out, r)
		}
		if err := client.ProduceSync(ctx, out...).FirstErr(); err != nil {
			return err
		}
	}
}

// plainLetter is a dead letter with what the check reads.
func plainLetter(stage consumers.Stage, in *kgo.Record, reason error) (*kgo.Record, error) {
	letter := &schemas.DeadLetter{Stage: stage.Name, Class: consumers.Class(reason), Reason: reason.Error(), Topic: in.Topic, Partition: in.Partition, Offset: in.Offset, FailedAt: schemas.Time(time.Now())}
	value, err := schemas.Encode(schemas.JSON, letter)
	if err != nil {
		return nil, err
	}
	place := kafka.Identity(in, stage.Topic)
	return &kgo.Record{Topic: kafka.DeadLetter, Key: in.Key, Value: value, Headers: place.Headers(schemas.JSON)}, nil
}
