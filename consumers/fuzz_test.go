package consumers

import (
	"context"
	"hash/fnv"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/telemetry/logtest"
)

const fuzzPartitions = 4

// quickEncoder gives each text a vector of its own, in no time.
type quickEncoder struct{ card models.EncoderCard }

func (q quickEncoder) Card() models.EncoderCard { return q.card }

func (q quickEncoder) Embed(_ context.Context, texts []string) ([]embed.Vector, error) {
	vectors := make([]embed.Vector, len(texts))
	for i, text := range texts {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(text))
		state, values := hash.Sum64(), make([]float32, q.card.Dim)
		for k := range values {
			state = state*6364136223846793005 + 1442695040888963407
			values[k] = (float32(state>>40)/(1<<24) - .5) / 5
		}
		vectors[i] = embed.Vector{Values: values, Tokens: len(text)/4 + 1}
	}
	return vectors, nil
}

// fuzzStages are the three stages, real but for the encoder's arithmetic.
func fuzzStages(t testing.TB, raw kafka.TopicID) (stages []Stage, card models.EncoderCard) {
	t.Helper()
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	if card, err = models.ReadEncoderCard(filepath.Join(native, models.DefaultEncoder)); err != nil {
		t.Fatal(err)
	}
	x, err := extract.New(extract.Options{EmployerKey: []byte("fuzz"), Attributes: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := classify.Default(schemas.Jobnet(), card.ID)
	if err != nil {
		t.Fatal(err)
	}
	live := &classify.Live{}
	live.Store(classifier)
	return []Stage{Extract(x, raw), Embed(quickEncoder{card}), Classify(live, schemas.Jobnet(), card.ID)}, card
}

// Whatever is written to the topics, each record is classified or a dead letter, once, for a reason of its own, and no stage panics. JOBSTROM_FUZZ sets how
// many records are written (make fuzz: 1,000,000), JOBSTROM_FUZZ_SEED which.
func TestFuzzedRecordsAreAllAnswered(t *testing.T) {
	n, seed := setting(t, "JOBSTROM_FUZZ", 20_000), setting(t, "JOBSTROM_FUZZ_SEED", 1)
	begun := time.Now()
	broker, err := embedded.StartKafka(embedded.KafkaOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	o := kafka.Options{Brokers: broker.Addrs()}
	client, err := kafka.NewClient(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, card := fuzzStages(t, kafka.TopicID{})
	if err := kafka.EnsureTopics(t.Context(), client, card.ID, kafka.Layout{Partitions: fuzzPartitions, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
	if err != nil {
		t.Fatal(err)
	}
	stages, _ := fuzzStages(t, raw)
	log := &logtest.Buffer{}
	for _, stage := range stages {
		stop := start(t, stage, RunnerOptions{Kafka: o, Version: "fuzz", Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		defer func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}()
	}
	answered := make(chan map[string]int, 1)
	go func() { answered <- countAnswers(t, o, n, raw) }()

	m := newMalformer(uint64(seed), card.ID, card.Dim)
	written := map[string]int{}
	for i := range n {
		r := m.raw()
		if i%20 == 19 {
			r = m.inner()
		}
		written[r.Topic]++
		client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-answered
	total := 0
	for _, what := range slices.Sorted(maps.Keys(got)) {
		t.Logf("%9d %s", got[what], what)
		total += got[what]
	}
	t.Logf("seed=%d written=%d answered=%d in %.0f s", seed, n, total, time.Since(begun).Seconds())
	if total != n || got["classified"] < n/5 || got["dead: malformed"] < n/5 || got["dead: nothing_extracted"] == 0 || got["dead: other_encoder"] == 0 {
		t.Errorf("%d records were written (%v), %d answered: %v", n, written, total, got)
	}
	if got["dead: internal"] > 0 || strings.Contains(log.String(), "BUG") {
		t.Errorf("a stage failed on a record:\n%.3000s", log.String())
	}
}

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

// countAnswers reads the ends of the flow until there are n, and sees that no raw record is answered twice and none is answered out of range. When nothing comes
// for a minute it returns what there is.
func countAnswers(t *testing.T, o kafka.Options, n int, raw kafka.TopicID) map[string]int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	quiet := time.AfterFunc(time.Minute, cancel)
	defer quiet.Stop()
	got, seen := map[string]int{}, map[int32]map[int64]bool{}
	total := 0
	err := Follow(ctx, FollowOptions{Kafka: o, Topics: []string{kafka.Classified, kafka.DeadLetter}, FromStart: true}, func(r *kgo.Record) (bool, error) {
		quiet.Reset(time.Minute)
		c, err := kafka.CoordinatesOf(r)
		if err != nil {
			t.Errorf("%s, offset %d: %v", r.Topic, r.Offset, err)
		}
		if c.Topic == raw {
			if seen[c.Partition] == nil {
				seen[c.Partition] = map[int64]bool{}
			}
			if seen[c.Partition][c.Offset] {
				t.Errorf("record %d/%d is answered twice", c.Partition, c.Offset)
			}
			seen[c.Partition][c.Offset] = true
		}
		what := "classified"
		if r.Topic == kafka.Classified {
			classification, err := DecodeClassification(r)
			if err != nil || len(classification.Probabilities) != 22 || !(classification.Confidence > 0 && classification.Confidence <= 1) {
				t.Errorf("%v: classified as %v", err, classification)
			}
		} else {
			letter := &schemas.DeadLetter{}
			if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, letter); err != nil {
				t.Errorf("a dead letter cannot be read: %v", err)
			}
			what = "dead: " + letter.Class
			if letter.Class == "internal" {
				t.Errorf("%s refused %s/%d/%d: %s", letter.Stage, letter.Topic, letter.Partition, letter.Offset, letter.Reason)
			}
		}
		got[what]++
		total++
		return total < n, nil
	})
	if err != nil {
		t.Error(err)
	}
	return got
}

// Every answer has a record or a reason, for any content type and value, in every stage.
func FuzzStages(f *testing.F) {
	stages, card := fuzzStages(f, kafka.TopicID{1})
	m := newMalformer(1, card.ID, card.Dim)
	for range 40 {
		r := m.raw()
		f.Add(uint8(0), kafka.Header(r, kafka.ContentType), r.Key, r.Value)
		r = m.inner()
		f.Add(uint8(1), kafka.Header(r, kafka.ContentType), r.Key, r.Value)
	}
	f.Fuzz(func(t *testing.T, which uint8, contentType string, key, value []byte) {
		from := int(which) % len(stages)
		place := kafka.Coordinates{Topic: kafka.TopicID{1}, Partition: 2, Offset: 3, Time: time.UnixMilli(4)}
		r := &kgo.Record{Topic: stages[from].From, Key: key, Value: value, Headers: place.Headers(contentType), Partition: 2, Offset: 5, Timestamp: place.Time}
		for _, stage := range stages[from:] {
			answers, err := stage.Answer(t.Context(), []*kgo.Record{r})
			if err != nil || len(answers) != 1 {
				t.Fatalf("%s: %d answers, %v", stage.Name, len(answers), err)
			}
			a := answers[0]
			if (a.Record == nil) == (a.Err == nil) {
				t.Fatalf("%s: a record %t and an error %v", stage.Name, a.Record != nil, a.Err)
			}
			if a.Err != nil {
				if Class(a.Err) == "internal" {
					t.Fatalf("%s: %v", stage.Name, a.Err)
				}
				letter := deadLetter(r, stage.refusal("fuzz", 1, a.Err))
				if err := schemas.Decode(kafka.Header(letter, kafka.ContentType), letter.Value, &schemas.DeadLetter{}); err != nil {
					t.Fatalf("%s: a dead letter cannot be read: %v", stage.Name, err)
				}
				return
			}
			a.Record.Topic, a.Record.Partition, a.Record.Timestamp = stage.To, r.Partition, r.Timestamp
			r = a.Record
		}
		if kafka.IsErasure(r) {
			return
		}
		if c, err := DecodeClassification(r); err != nil || !(c.Confidence > 0 && c.Confidence <= 1) || math.IsNaN(float64(c.Probabilities[0])) {
			t.Fatalf("classified as %v, %v", c, err)
		}
	})
}
