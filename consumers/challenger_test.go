package consumers

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/registry"
	"jobstrom/schemas"
)

// linear returns a sealed classifier of the 22 categories on vectors of 4, in favour of one category.
func linear(t testing.TB, favourite int, weight float32) *schemas.Classifier {
	t.Helper()
	return linearOf(t, testEncoder, 4, favourite, weight)
}

func linearOf(t testing.TB, encoder string, dim, favourite int, weight float32) *schemas.Classifier {
	t.Helper()
	taxonomy := schemas.Jobnet()
	n := len(taxonomy.Categories)
	c := &schemas.Classifier{Encoder: encoder, Taxonomy: taxonomy.ID, Dim: uint32(dim), Categories: uint32(n), Weights: make([]float32, dim*n), Bias: make([]float32, n), Temperature: 1}
	for i := range c.Weights {
		c.Weights[i] = weight
	}
	c.Bias[favourite] = 3
	if err := models.SealClassifier(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func opened(t testing.TB, c *schemas.Classifier) *classify.Classifier {
	t.Helper()
	opened, err := classify.New(c, schemas.Jobnet(), classify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// embeddedRecords returns n records as the embed stage writes them.
func embeddedRecords(t testing.TB, n int) []*kgo.Record {
	t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		c := kafka.Coordinates{Topic: kafka.TopicID{9}, Offset: int64(i), Time: time.UnixMilli(1e12)}
		a := answer(&schemas.Embedding{Encoder: testEncoder, Vector: []float32{1, 0, 0, 0}, Extraction: &schemas.Extraction{Id: fmt.Sprint(i), PublishedAt: schemas.Time(c.Time)}}, nil, fmt.Sprint(i), schemas.Protobuf, c)
		records[i] = a.Record
	}
	return records
}

// A challenger answers beside the champion, never in its place, and what it cannot answer changes nothing.
func TestChallengersAnswerBeside(t *testing.T) {
	live := &classify.Live{}
	stage := Classify(live, schemas.Jobnet(), testEncoder)
	champion, a, b, broken := linear(t, 1, 0), linear(t, 2, 0), linear(t, 3, 0), linear(t, 4, math.MaxFloat32)
	live.Store(opened(t, champion))
	in := embeddedRecords(t, 3)
	in[1] = answer(&schemas.Embedding{Encoder: testEncoder, Vector: []float32{1}}, nil, "", schemas.Protobuf, kafka.Coordinates{}).Record
	in[2] = answer(&schemas.Embedding{Encoder: testEncoder, Vector: []float32{2, 2, 2, 2}, Extraction: &schemas.Extraction{Id: "2"}}, nil, "2", schemas.Protobuf, kafka.Coordinates{Offset: 2}).Record
	f := func(want string) {
		t.Helper()
		answers, err := stage.Answer(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, a := range answers {
			said := func(r *kgo.Record) string {
				c := &schemas.Classification{}
				if err := schemas.Decode(schemas.JSON, r.Value, c); err != nil {
					t.Fatal(err)
				}
				if place, err := kafka.CoordinatesOf(r); err != nil || place.Offset != int64(i) || string(r.Key) != c.Id {
					t.Fatalf("answer %d is of %v with key %s, %v", i, place, r.Key, err)
				}
				return fmt.Sprint(c.CategoryIndex)
			}
			if a.Err != nil {
				got += fmt.Sprintf(" refused+%d", len(a.Also))
				continue
			}
			got += " " + said(a.Record)
			if v := kafka.Header(a.Record, kafka.Version); v != "" {
				t.Errorf("the champion's answer has the version %q", v)
			}
			for _, r := range a.Also {
				if r.Topic != kafka.Shadow || kafka.Header(r, kafka.Version) != "challenger" {
					t.Errorf("a challenger's answer goes to %q as %q", r.Topic, kafka.Header(r, kafka.Version))
				}
				got += "+" + said(r)
			}
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(" 1 refused+0 1")
	live.Challenge([]*classify.Classifier{opened(t, a), opened(t, broken), opened(t, b)})
	f(" 1+2+0+3 refused+0 1+2+3") // the broken one overflows on the last vector
	live.Challenge(nil)
	f(" 1 refused+0 1")
}

// What challengers say and what is done to models comes to ClickHouse, and never to those who read the classified topic.
func TestShadowComesToClickHouse(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		w := store(t)
		champion, challenger := linear(t, 1, 0), linear(t, 2, 0)
		writer := registry.Writer{Kafka: o, Version: "test"}
		if _, err := writer.Promote(t.Context(), registry.Promotion{Classifier: champion, Reason: "first"}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Challenge(t.Context(), challenger, ""); err != nil {
			t.Fatal(err)
		}
		live, ctx := &classify.Live{}, t.Context()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		ready, watched := make(chan struct{}), make(chan error, 1)
		go func() {
			watched <- registry.Watch(ctx, registry.WatchOptions{
				Kafka: o, Taxonomy: champion.Taxonomy, Encoder: testEncoder, Ready: func() { close(ready) },
				Champion:    func(c *schemas.Classifier) error { live.Store(opened(t, c)); return nil },
				Challengers: func(c []*schemas.Classifier) { live.Challenge([]*classify.Classifier{opened(t, c[0])}) },
			})
		}()
		<-ready
		const n = 30
		for _, r := range embeddedRecords(t, n) {
			r.Topic = kafka.Embedded(testEncoder)
			client.Produce(ctx, r, nil)
		}
		if err := client.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		stop := start(t, Classify(live, schemas.Jobnet(), testEncoder), RunnerOptions{Kafka: o, Version: "test"})
		asks := func(query string, args ...any) (n uint64) {
			t.Helper()
			if err := w.Conn().QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		runSink(t, o, client, w, false, func() bool {
			return asks("SELECT count() FROM shadow_predictions WHERE name = 'challenger' AND model = ? AND category_index = 2", challenger.Id) == n &&
				asks("SELECT count() FROM predictions WHERE model = ? AND category_index = 1", champion.Id) == n && asks("SELECT count() FROM model_history") == 4
		})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if other := asks("SELECT count() FROM predictions WHERE model != ?", champion.Id); other != 0 {
			t.Errorf("%d predictions are the challenger's", other)
		}
		if n := asks("SELECT count() FROM champions WHERE model = ? AND reason = 'first' AND live_until > now()", champion.Id); n != 1 {
			t.Errorf("the champion is live %d times", n)
		}
		if got := asks("SELECT count() FROM predictions_with_models WHERE live_from <= classified_at"); got != n {
			t.Errorf("%d of %d predictions know when their model was promoted", got, n)
		}
		for _, r := range collect(t, o, n, kafka.Classified)[kafka.Classified] {
			c := &schemas.Classification{}
			if err := schemas.Decode(schemas.JSON, r.Value, c); err != nil || c.Model != champion.Id {
				t.Fatalf("a consumer reads of model %.12s, %v", c.Model, err)
			}
		}
		cancel()
		if err := <-watched; err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkClassifyStage says what challengers cost: go test ./consumers -bench ClassifyStage -run xxx.
func BenchmarkClassifyStage(b *testing.B) {
	for _, challengers := range []int{0, 1, 2} {
		b.Run(fmt.Sprint("challengers=", challengers), func(b *testing.B) {
			live := &classify.Live{}
			live.Store(opened(b, linear(b, 0, 0)))
			var beside []*classify.Classifier
			for i := range challengers {
				beside = append(beside, opened(b, linear(b, i+1, 0)))
			}
			live.Challenge(beside)
			stage, in := Classify(live, schemas.Jobnet(), testEncoder), embeddedRecords(b, 512)
			for b.Loop() {
				if _, err := stage.Answer(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/vacancy")
		})
	}
}
