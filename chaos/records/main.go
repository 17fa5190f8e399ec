// Command records keeps what a release writes, so that later ones are tested against it: `chaos/records/make.sh COMMIT VERSION`, which runs it in that release's source.
//
// It writes the descriptor of the messages; each message with every field filled, as JSON and Protobuf; and what a small flow of that release put on its topics: vacancies
// of every form, labels, what each stage made of them, dead letters and their replays, tombstones, classifiers and their aliases, the history, an answer of the API, a drift event.
// The flow's encoder and classifiers are small ones of this program, so that the records are.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"jobstrom/consumers"
	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/schemas/schematest"
)

func main() {
	out := flag.String("out", "", "`folder` to write")
	version := flag.String("version", "", "of the release")
	flag.Parse()
	if err := write(*out, *version); err != nil {
		fmt.Fprintln(os.Stderr, "records:", err)
		os.Exit(1)
	}
}

func write(out, version string) error {
	if out == "" || version == "" {
		return errors.New("reading the command line: -out and -version are needed")
	}
	if err := os.MkdirAll(filepath.Join(out, "messages"), 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	if err := writeMessages(out); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return writeTopics(ctx, out, version)
}

// writeMessages writes the descriptor, and every message with every field.
func writeMessages(out string) error {
	file := schemas.File_jobstrom_proto
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto), protodesc.ToFileDescriptorProto(file)}}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return fmt.Errorf("describing the messages: %w", err)
	}
	if err := os.WriteFile(filepath.Join(out, "descriptor.binpb"), value, 0o644); err != nil {
		return fmt.Errorf("writing the descriptor: %w", err)
	}
	for i := range file.Messages().Len() {
		name := string(file.Messages().Get(i).Name())
		for form, contentType := range map[string]string{"json": schemas.JSON, "binpb": schemas.Protobuf} {
			kind, err := protoregistry.GlobalTypes.FindMessageByName(file.Messages().Get(i).FullName())
			if err != nil {
				return fmt.Errorf("finding the message %s: %w", name, err)
			}
			m := kind.New()
			schematest.Fill(m)
			value, err := schemas.Encode(contentType, m.Interface())
			if err != nil {
				return err
			}
			if form == "json" {
				value = append(value, '\n')
			}
			if err := os.WriteFile(filepath.Join(out, "messages", name+"."+form), value, 0o644); err != nil {
				return fmt.Errorf("writing the message %s: %w", name, err)
			}
		}
	}
	return nil
}

// partitions of the flow's topics; records of them all are kept.
const partitions = 2

// dim is the width of the vectors.
const dim = 8

// flow is the one whose records are kept.
type flow struct {
	kafka    kafka.Options
	card     models.EncoderCard
	taxonomy *schemas.Taxonomy
	version  string
	client   *kgo.Client
}

func writeTopics(ctx context.Context, out, version string) error {
	broker, err := embedded.StartKafka(embedded.KafkaOptions{})
	if err != nil {
		return err
	}
	defer broker.Stop()
	f := &flow{kafka: kafka.Options{Brokers: broker.Addrs()}, card: models.EncoderCard{ID: strings.Repeat("e0", 32), Dim: dim}, taxonomy: schemas.Jobnet(), version: version}
	if f.client, err = kafka.NewClient(f.kafka); err != nil {
		return err
	}
	defer f.client.Close()
	if err := kafka.EnsureTopics(ctx, f.client, f.card.ID, kafka.Layout{Partitions: partitions, Replication: -1}); err != nil {
		return err
	}
	live := &classify.Live{}
	if err := f.models(ctx, live); err != nil {
		return err
	}
	if err := f.publish(ctx); err != nil {
		return err
	}
	if err := f.work(ctx, live); err != nil {
		return err
	}
	return f.dump(ctx, out)
}

// models puts two classifiers into the registry: a champion that takes another one's place, and a challenger.
func (f *flow) models(ctx context.Context, live *classify.Live) error {
	var made []*schemas.Classifier
	for n := range 3 {
		c := &schemas.Classifier{
			Encoder: f.card.ID, Taxonomy: f.taxonomy.ID, Dim: dim, Categories: uint32(len(f.taxonomy.Categories)), Temperature: 1.5, TrainedAt: schemas.Time(time.Date(2026, 11, 1+n, 12, 0, 0, 0, time.UTC)),
			Metrics: map[string]float64{"accuracy": .8 + float64(n)/100}, Training: map[string]string{"seed": fmt.Sprint(n)},
			Card: &schemas.Card{EncoderName: "small", Version: f.version, History: &schemas.TrainingHistory{Rows: 440}, Split: &schemas.TrainingSplit{Train: 300, Validation: 60, Test: 80, Seed: uint64(n), Method: "employer"}},
		}
		for k := range int(c.Categories) {
			c.Bias, c.Prior = append(c.Bias, float32(k%3)/10), append(c.Prior, 1/float32(c.Categories))
			for d := range dim {
				c.Weights = append(c.Weights, float32((k*7+d*3+n)%11)/11-.5)
			}
		}
		if err := models.SealClassifier(c); err != nil {
			return err
		}
		made = append(made, c)
	}
	w := registry.Writer{Kafka: f.kafka, Version: f.version}
	for _, c := range made[:2] {
		if _, err := w.Promote(ctx, registry.Promotion{Classifier: c, Reason: "for the records"}); err != nil {
			return err
		}
	}
	if _, err := w.Challenge(ctx, made[2], "for the records"); err != nil {
		return err
	}
	champion, err := classify.New(made[1], f.taxonomy, classify.Options{})
	if err != nil {
		return err
	}
	challenger, err := classify.New(made[2], f.taxonomy, classify.Options{})
	if err != nil {
		return err
	}
	live.Store(champion)
	live.Challenge([]*classify.Classifier{challenger})
	return nil
}

// publish writes vacancies of every form, what must be refused, an answer of the API and a drift event.
func (f *flow) publish(ctx context.Context) error {
	const text = "Vi søger en tømrer til tagarbejde i Aarhus. Du skal lægge tag og montere vinduer."
	whole := &schemas.Vacancy{
		Id: "records-1", Text: text, Title: "Tømrer", Employer: "Tagene A/S", Source: "jobnet", PublishedAt: schemas.Time(time.Date(2026, 11, 2, 3, 4, 5, 6e6, time.UTC)), Category: f.taxonomy.Categories[2].Name,
		Attributes: map[string]string{"region": "Midtjylland"},
	}
	if err := producers.PublishVacancies(ctx, f.client, f.taxonomy, []*schemas.Vacancy{whole, {Id: "records-2", Text: strings.ReplaceAll(text, "tømrer", "murer")}}); err != nil {
		return err
	}
	if err := producers.PublishLabel(ctx, f.client, &schemas.Label{Id: "records-2", Category: f.taxonomy.Categories[3].Name, CategoryIndex: 3, Source: "person", LabelledAt: schemas.Time(time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC))}); err != nil {
		return err
	}
	other := proto.CloneOf(whole)
	other.Id = "records-3"
	binary, err := schemas.Encode(schemas.Protobuf, other)
	if err != nil {
		return err
	}
	raw := func(key string, value []byte, headers ...kgo.RecordHeader) *kgo.Record {
		return &kgo.Record{Topic: kafka.Raw, Key: []byte(key), Value: value, Headers: headers}
	}
	is := func(contentType string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: kafka.ContentType, Value: []byte(contentType)}
	}
	records := []*kgo.Record{
		raw("records-3", binary, is(schemas.Protobuf)),
		raw("records-3", slices.Concat([]byte{0, 0, 0, 0, 7, 0}, binary), is(schemas.Protobuf)), // in Confluent's frame
		raw("records-4", []byte(`{"text":"`+text+`"}`)),
		raw("records-5", []byte(`{"id":"records-5","text":`), is(schemas.JSON), kgo.RecordHeader{Key: "trace", Value: []byte{0xff, 1}}, kgo.RecordHeader{Key: "null"}),
		raw("records-6", []byte(`{"id":"records-6","text":"Hej."}`), is("application/json; charset=utf-8")),
		raw("records-7", []byte(`{"id":"records-7","text":"`+text+`"}`), is(schemas.JSON)), // is erased
	}
	for _, r := range records { // one by one: each has a place of its own
		if err := f.client.ProduceSync(ctx, r).FirstErr(); err != nil {
			return err
		}
	}
	if _, err := producers.Erase(ctx, producers.EraseOptions{Kafka: f.kafka}, []string{"records-7"}); err != nil {
		return err
	}
	recorder, err := producers.NewRecorder(producers.RecorderOptions{Kafka: f.kafka})
	if err != nil {
		return err
	}
	recorder.Record([]*schemas.ApiPrediction{{
		Embedding:      &schemas.Embedding{Extraction: &schemas.Extraction{Id: "records-8", TextLength: 82, Language: "da"}, Vector: vectorOf("x"), Encoder: f.card.ID, Tokens: 20},
		Classification: &schemas.Classification{Id: "records-8", Category: f.taxonomy.Categories[2].Name, CategoryIndex: 2, Confidence: .5, Probabilities: []float32{.25, .25, .5}, Model: strings.Repeat("ab", 32), Encoder: f.card.ID, ClassifiedAt: schemas.Time(time.Now())},
		TextHash:       bytes.Repeat([]byte{7}, 32),
	}})
	recorder.Close()
	return producers.PublishDriftEvent(ctx, f.client, &schemas.DriftEvent{
		Id: "records-event", At: schemas.Time(time.Now()), Watch: "last 7d against model", Kind: "raised", Alarm: "records-event", Column: "category", Verdict: "drift", Effect: .25, EffectName: "V", Gate: .1, Q: .001,
		Reference: &schemas.TimeWindow{Vacancies: 100}, Current: &schemas.TimeWindow{Vacancies: 50}, Changes: []*schemas.ShareChange{{Value: f.taxonomy.Categories[1].Name, Reference: .1, Current: .4}}, Encoder: f.card.ID, Version: f.version,
	})
}

// work runs the stages until all is answered, a letter is replayed and refused again.
func (f *flow) work(ctx context.Context, live *classify.Live) error {
	x, err := extract.New(extract.Options{Taxonomy: f.taxonomy, Attributes: []string{"region"}, EmployerKey: []byte("of the records")})
	if err != nil {
		return err
	}
	raw, err := kafka.IDOf(ctx, f.client, kafka.Raw)
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	var stages errgroup.Group
	defer func() { stop(); _ = stages.Wait() }()
	for _, stage := range []consumers.Stage{consumers.Extract(x, raw), consumers.Embed(encoder{f.card}), consumers.Classify(live, f.taxonomy, f.card.ID)} {
		stages.Go(func() error {
			return consumers.Run(working, stage, consumers.RunnerOptions{Kafka: f.kafka, Version: f.version})
		})
	}
	// records-1 to -4 (-3 twice) and -7 are answered; a tombstone stands behind them in each partition.
	if err := f.await(ctx, kafka.Classified, 6+partitions); err != nil {
		return err
	}
	if err := f.await(ctx, kafka.DeadLetter, 2+partitions); err != nil {
		return err
	}
	if _, err := producers.Replay(ctx, producers.ReplayOptions{Kafka: f.kafka, Filter: kafka.LetterFilter{Classes: []string{"nothing_extracted"}}}); err != nil {
		return err
	}
	return f.await(ctx, kafka.DeadLetter, 4+partitions) // its marker, and the letter of the second refusal
}

// await polls until a topic holds so many records.
func (f *flow) await(ctx context.Context, topic string, n int) error {
	for {
		got := 0
		if err := kafka.Scan(ctx, f.kafka, kafka.ScanOptions{Topics: []string{topic}}, func(*kgo.Record) error { got++; return nil }); err != nil {
			return err
		}
		if got >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d records on %s: %d are there: %w", n, topic, got, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// encoder gives each text a vector that depends on nothing else.
type encoder struct{ card models.EncoderCard }

func (e encoder) Card() models.EncoderCard { return e.card }

func (e encoder) Embed(_ context.Context, texts []string) ([]embed.Vector, error) {
	var vectors []embed.Vector
	for _, text := range texts {
		vectors = append(vectors, embed.Vector{Values: vectorOf(text), Tokens: len(text) / 4})
	}
	return vectors, nil
}

func vectorOf(text string) []float32 {
	values, square := make([]float32, dim), 0.0
	for i, letter := range text {
		values[i%dim] += float32(letter%17) - 8
	}
	for _, v := range values {
		square += float64(v) * float64(v)
	}
	for i := range values {
		values[i] /= float32(math.Sqrt(square) + 1e-9)
	}
	return values
}

// record is how a record is kept: bytes in base64, null as null.
type record struct {
	Topic     string      `json:"topic"`
	Partition int32       `json:"partition"`
	Offset    int64       `json:"offset"`
	Timestamp int64       `json:"timestamp"`
	Key       []byte      `json:"key"`
	Value     []byte      `json:"value"`
	Headers   [][2][]byte `json:"headers,omitempty"`
}

// dump writes all topics, a record a line.
func (f *flow) dump(ctx context.Context, out string) error {
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	for _, topic := range kafka.Topics(f.card.ID) {
		n := 0
		err := kafka.Scan(ctx, f.kafka, kafka.ScanOptions{Topics: []string{topic.Name}}, func(r *kgo.Record) error {
			n++
			kept := record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				kept.Headers = append(kept.Headers, [2][]byte{[]byte(h.Key), h.Value})
			}
			return lines.Encode(kept)
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("reading %s: nothing is there", topic.Name)
		}
	}
	return os.WriteFile(filepath.Join(out, "topics.jsonl"), text.Bytes(), 0o644)
}
