package consumers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/registry"
	"jobstrom/schemas"
)

// otherEncoder runs beside testEncoder; its vectors have 6 components, those of testEncoder 4.
const otherEncoder = "fedcba9876543210"

// hashEncoder stands in for an encoder of an id and a dimension.
type hashEncoder struct {
	id  string
	dim int
}

func (e hashEncoder) Card() models.EncoderCard { return models.EncoderCard{ID: e.id, Dim: e.dim} }

func (e hashEncoder) Embed(_ context.Context, texts []string) ([]embed.Vector, error) {
	vectors := make([]embed.Vector, len(texts))
	for i, text := range texts {
		hash := sha256.Sum256([]byte(text))
		vectors[i] = embed.Vector{Values: make([]float32, e.dim), Tokens: 1}
		for k := range vectors[i].Values {
			vectors[i].Values[k] = float32(hash[k])
		}
	}
	return vectors, nil
}

func encoderOf(id string) hashEncoder {
	if id == testEncoder {
		return hashEncoder{id, 4}
	}
	return hashEncoder{id, 6}
}

// workOf runs the stages of an encoder as jobstrom run does, until ctx ends.
func workOf(ctx context.Context, o kafka.Options, encoder, slot string) error {
	live, owners, ready := &classify.Live{}, &registry.Owners{Encoder: encoder}, make(chan struct{})
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		return registry.Watch(ctx, registry.WatchOptions{
			Kafka: o, Taxonomy: schemas.Jobnet().ID, Encoder: encoder, Owners: owners, Ready: func() { close(ready) },
			Champion: func(c *schemas.Classifier) error {
				opened, err := classify.New(c, schemas.Jobnet(), classify.Options{})
				if err == nil {
					live.Store(opened)
				}
				return err
			},
		})
	})
	select {
	case <-ready:
	case <-ctx.Done():
		return work.Wait()
	}
	for _, stage := range []Stage{Embed(encoderOf(encoder)), Classify(live, schemas.Jobnet(), encoder)} {
		stage.Owns = owners.Owns
		work.Go(func() error {
			return Run(ctx, stage, RunnerOptions{Kafka: o, Slot: slot, CommitInterval: 5 * time.Millisecond, TransactionTimeout: 5 * time.Second})
		})
	}
	return work.Wait()
}

// encoderEnv holds the brokers of a process to kill, which is this test binary: it runs the other encoder's stages.
const encoderEnv = "JOBSTROM_TEST_ENCODER"

// Two encoders work side by side while vacancies stream, one of them is live and then the other, there and back again; workers end, and are killed, in between. Every
// vacancy is classified exactly once, by the encoder that owns it and in its order, none becomes a dead letter, and what the other encoder says is there for comparison.
func TestSwitchEncodersUnderLoad(t *testing.T) {
	const rounds, each, backlog = 6, 100, 500
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		if err := kafka.EnsureTopics(t.Context(), client, otherEncoder, kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
		if err != nil {
			t.Fatal(err)
		}
		extractor, err := extract.New(extract.Options{})
		if err != nil {
			t.Fatal(err)
		}
		taxonomy, writer := schemas.Jobnet().ID, registry.Writer{Kafka: o}
		for _, id := range []string{testEncoder, otherEncoder} {
			c := linearOf(t, id, encoderOf(id).dim, 1, .1)
			if _, err := writer.Promote(t.Context(), registry.Promotion{Classifier: c}); err != nil {
				t.Fatal(err)
			}
		}
		stop := start(t, Extract(extractor, raw), RunnerOptions{Kafka: o})
		begin := func(encoder, slot string) (end func()) {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- workOf(ctx, o, encoder, slot) }()
			return func() {
				t.Helper()
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		process := func() *exec.Cmd {
			t.Helper()
			c := exec.Command(os.Args[0])
			c.Env, c.Stderr = append(os.Environ(), encoderEnv+"="+strings.Join(o.Brokers, ",")), os.Stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			return c
		}
		kill := func(c *exec.Cmd) {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
		ends := map[string]func(){testEncoder: begin(testEncoder, "0"), otherEncoder: begin(otherEncoder, "0")}
		killed := process()
		defer func() { kill(killed) }()
		switched, published, answered, publishing := atomic.Int64{}, atomic.Int64{}, atomic.Int64{}, errgroup.Group{}
		following, unfollow := context.WithCancel(t.Context())
		publishing.Go(func() error {
			return Follow(following, FollowOptions{Kafka: o, Topics: []string{kafka.Classified}, FromStart: true}, func(*kgo.Record) (bool, error) {
				answered.Add(1)
				return true, nil
			})
		})
		publishing.Go(func() error { // on and on, while the encoders are switched
			defer unfollow()
			for n := 0; switched.Load() < rounds && t.Context().Err() == nil; n++ {
				var records []*kgo.Record
				for i := range 5 {
					records = append(records, &kgo.Record{Topic: kafka.Raw, Value: fmt.Appendf(nil, `{"id":"%d-%d","text":"Vi søger en kok til vores restaurant. Du skal lave mad nummer %d."}`, n, i, n)})
				}
				if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
					return err
				}
				published.Add(5)
				for wait := true; wait; wait = published.Load()-answered.Load() > backlog && t.Context().Err() == nil { // the stages are to keep up
					<-time.After(5 * time.Millisecond)
				}
			}
			return nil
		})
		for round := range rounds {
			before := published.Load()
			waitFor(t, func() bool { return published.Load() >= before+each })
			next := []string{otherEncoder, testEncoder}[round%2]
			if _, err := writer.Switch(t.Context(), registry.Switch{Scope: registry.Scope{Taxonomy: taxonomy, Encoder: next}}); err != nil {
				t.Fatal(err)
			}
			switched.Add(1)
			switch round {
			case 1:
				ends[testEncoder]()
				ends[testEncoder] = begin(testEncoder, "0")
			case 2, 4:
				waitFor(t, func() bool { return answered.Load() >= before }) // the process has begun; what came since is in flight when the next switch comes
				kill(killed)
				killed = process()
			}
		}
		if err := publishing.Wait(); err != nil {
			t.Fatal(err)
		}
		total := int(published.Load())
		// As many answers of the other encoder lie beside them. When all are there, nothing is under way any more.
		collect(t, o, total, kafka.Shadow)
		collect(t, o, total, kafka.Classified)
		for _, end := range ends {
			end()
		}
		kill(killed)
		if err := stop(); err != nil {
			t.Error(err)
		}
		contents, err := registry.Read(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		ownership, seen, by := contents.Ownership(taxonomy), map[string]map[place]int{kafka.Classified: {}, kafka.Shadow: {}}, map[string]int{}
		newest := map[string]int64{}
		err = kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Classified, kafka.Shadow, kafka.DeadLetter}, Whole: true}, func(r *kgo.Record) error {
			c, err := kafka.CoordinatesOf(r)
			said := &schemas.Classification{}
			if err != nil || r.Topic == kafka.DeadLetter || schemas.Decode(schemas.JSON, r.Value, said) != nil {
				t.Fatalf("%s holds %s, %v", r.Topic, r.Value, err)
			}
			seen[r.Topic][place{c.Partition, c.Offset}]++
			owner := ownership.Owner(c)
			if (owner == said.Encoder) != (r.Topic == kafka.Classified) {
				t.Errorf("%s holds what %s said of partition %d, offset %d, which is %s's", r.Topic, said.Encoder, c.Partition, c.Offset, owner)
			}
			if r.Topic == kafka.Classified {
				by[said.Encoder]++
				in := fmt.Sprint(c.Partition, owner)
				if before, any := newest[in]; any && before >= c.Offset {
					t.Errorf("partition %d: offset %d stands behind %d", c.Partition, c.Offset, before)
				}
				newest[in] = c.Offset
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for topic, places := range seen {
			for at, n := range places {
				if n != 1 {
					t.Errorf("%s holds %v %d times", topic, at, n)
				}
			}
			if len(places) != total {
				t.Errorf("%s holds %d vacancies, want %d", topic, len(places), total)
			}
		}
		if by[testEncoder] < each || by[otherEncoder] < each {
			t.Errorf("the switches were not under load: answered by encoder: %v", by)
		}
		t.Logf("answered by encoder: %v", by)
	})
}

// An encoder without a champion waits: its vectors stay unread, none becomes a dead letter, and the board says what to do. When it has one, all are answered.
func TestEncoderWithoutChampionPauses(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		records := embeddedRecords(t, 30)
		for _, r := range records {
			r.Topic = kafka.Embedded(testEncoder)
		}
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		live, metrics := &classify.Live{}, prometheus.NewRegistry()
		stop := start(t, Classify(live, schemas.Jobnet(), testEncoder), RunnerOptions{Kafka: o, Workers: 1, Registerer: metrics})
		waitFor(t, func() bool {
			families, err := metrics.Gather()
			if err != nil {
				t.Fatal(err)
			}
			tries := 0.0
			for _, f := range families {
				for _, m := range f.GetMetric() {
					if f.GetName() == "jobstrom_stage_errors_total" {
						tries += m.GetCounter().GetValue()
					}
				}
			}
			return tries >= 3
		})
		admin := kadm.NewClient(client)
		committed, err := admin.FetchOffsets(t.Context(), kafka.Group("classify", testEncoder))
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			t.Fatal(err)
		}
		committed.Each(func(r kadm.OffsetResponse) {
			if r.At > 0 {
				t.Errorf("partition %d is committed to %d", r.Partition, r.At)
			}
		})
		ends, err := admin.ListEndOffsets(t.Context(), kafka.DeadLetter, kafka.Classified)
		if err != nil {
			t.Fatal(err)
		}
		ends.Each(func(l kadm.ListedOffset) {
			if l.Offset > 0 {
				t.Errorf("%s, partition %d ends at %d", l.Topic, l.Partition, l.Offset)
			}
		})
		live.Store(opened(t, linear(t, 1, 0)))
		if got := collect(t, o, 30, kafka.Classified, kafka.DeadLetter); len(got[kafka.DeadLetter]) > 0 {
			t.Errorf("%d dead letters", len(got[kafka.DeadLetter]))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
	if said := remedy(Retry, fmt.Errorf("%w: %w", ErrTemporary, pipeline.ErrNoClassifier)); !strings.Contains(said, "jobstrom train") {
		t.Errorf("the board says %q", said)
	}
}

// What another encoder owns is kept from consumers and makes no dead letter; tombstones go on, what bears no coordinates is refused by whoever reads it, and what was
// replayed belongs to who owns the place where it stands now.
func TestDisown(t *testing.T) {
	in := embeddedRecords(t, 7)
	replayed := func(r *kgo.Record, place int64) {
		kafka.SetRawPlace(r, place)
	}
	replayed(in[1], 6)
	in[3] = kafka.ForwardErasure("", &kgo.Record{Key: []byte("3")}, kafka.Coordinates{Topic: kafka.TopicID{9}, Offset: 3})
	in[4].Headers = nil
	live := &classify.Live{}
	live.Store(opened(t, linear(t, 1, 0)))
	stage := Classify(live, schemas.Jobnet(), testEncoder)
	asked := 0
	stage.Owns = func(context.Context) (func(kafka.Coordinates) bool, error) {
		if asked++; asked == 1 {
			return nil, errors.New("a switch is pending")
		}
		return func(c kafka.Coordinates) bool { return c.Offset >= 5 }, nil
	}
	w := &worker{stage: stage, options: RunnerOptions{}, metrics: newStageMetrics(nil), oversized: map[place]int{placeOf(in[2]): 1}}
	w.options.EnsureDefaults()
	w.log = w.options.Logger
	for i, r := range in {
		r.Topic, r.Offset = stage.From, int64(100+i)
	}
	w.oversized = map[place]int{placeOf(in[2]): 1}
	answers, err := w.answer(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	answers[0].Record, answers[0].Err = nil, ErrTooLarge
	if err := w.disown(t.Context(), in, answers); err != nil || asked != 2 {
		t.Fatalf("asked %d times: %v", asked, err)
	}
	for i, want := range []string{
		"", // refused
		kafka.Classified,
		"", // too large
		kafka.Classified,
		kafka.DeadLetter,
		kafka.Classified,
		kafka.Classified,
	} {
		var got []string
		for _, r := range w.records(in[i], answers[i]) {
			got = append(got, r.Topic)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("record %d goes to %q, want %q", i, got, want)
		}
	}
	if place := kafka.RawPlace(answers[1].Record, kafka.Coordinates{Offset: 1}); place != 6 {
		t.Errorf("the answer to what was replayed to offset 6 says %d", place)
	}
	// A publisher cannot say whose its vacancy is.
	made := &kgo.Record{}
	from := &kgo.Record{Topic: kafka.Raw}
	kafka.SetRawPlace(from, 1e9)
	if kafka.CarryRawPlace(from, made); len(made.Headers) > 0 {
		t.Errorf("what a publisher wrote goes on: %v", made.Headers)
	}
	other := embeddedRecords(t, 1)
	said, err := w.answer(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.disown(t.Context(), other, said); err != nil {
		t.Fatal(err)
	}
	if out := w.records(other[0], said[0]); len(out) != 1 || out[0].Topic != kafka.Shadow || kafka.Header(out[0], kafka.Version) != ChallengerName {
		t.Errorf("the other encoder's answer goes to %v", out)
	}
}

// What was replayed says where it stands now, from the first stage on.
func TestExtractTellsWhereAReplayStands(t *testing.T) {
	raw := kafka.TopicID{9}
	extractor, err := extract.New(extract.Options{})
	if err != nil {
		t.Fatal(err)
	}
	value := []byte(`{"id":"a","text":"Vi søger en kok til vores restaurant. Du skal lave mad."}`)
	first := &kgo.Record{Topic: kafka.Raw, Offset: 3, Value: value, Timestamp: time.UnixMilli(1e12)}
	again := &kgo.Record{Topic: kafka.Raw, Offset: 8, Value: value, Timestamp: time.UnixMilli(1e12), Headers: kafka.ReplayHeaders(kafka.Raw, nil, kafka.Place{}, kafka.Identity(first, raw))}
	answers, err := Extract(extractor, raw).Answer(t.Context(), []*kgo.Record{first, again})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{3, 8} {
		c, err := kafka.CoordinatesOf(answers[i].Record)
		if err != nil || c.Offset != 3 || kafka.RawPlace(answers[i].Record, c) != want {
			t.Errorf("record %d: %v stands at %d, want %d, %v", i, c, kafka.RawPlace(answers[i].Record, c), want, err)
		}
	}
}
