package consumers

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// A record that no letter can hold must not stop its partition: first JSON gives way to Protobuf, then the content to its place.
func TestDeadLetterFitsItsTopic(t *testing.T) {
	f := func(bytesOfValue int, contentType string, leftOut bool) {
		t.Helper()
		in := &kgo.Record{
			Topic: kafka.Raw, Partition: 2, Offset: 7, Key: []byte("k"), Value: bytes.Repeat([]byte{0xff}, bytesOfValue),
			Headers: []kgo.RecordHeader{{Key: "\xfe", Value: nil}, {Key: "", Value: []byte{}}},
		}
		r := deadLetter(in, refusal{Stage: "extract", Attempts: 1, Reason: schemas.ErrMalformed})
		if got := kafka.Header(r, kafka.ContentType); got != contentType {
			t.Fatalf("%d bytes: a letter of %s, want %s", bytesOfValue, got, contentType)
		}
		if size := len(r.Key) + len(r.Value); size > letterRoom {
			t.Fatalf("%d bytes: a letter of %d", bytesOfValue, size)
		}
		letter := &schemas.DeadLetter{}
		if err := schemas.Decode(contentType, r.Value, letter); err != nil {
			t.Fatal(err)
		}
		if leftOut {
			if letter.LeftOut != uint64(bytesOfValue+2) || letter.Value != nil || letter.Offset != 7 || !strings.Contains(letter.Reason, "too large for a dead letter") {
				t.Fatalf("%d bytes: got %v", bytesOfValue, letter)
			}
			return
		}
		got := kafka.Original(letter)
		if diff := cmp.Diff(in.Headers, got.Headers); diff != "" || !bytes.Equal(got.Value, in.Value) || letter.LeftOut != 0 {
			t.Fatalf("%d bytes: the letter is not the record: %s", bytesOfValue, diff)
		}
	}
	f(1000, schemas.JSON, false)
	f(8<<20, schemas.JSON, false)
	f(10<<20, schemas.Protobuf, false)
	f(kafka.MaxRecordBytes, schemas.JSON, true)
}

// A classifier of another encoder is live, so everything is refused. It is replaced, the letters are replayed, and each vacancy is classified
// once. What is wrong with one of them stays wrong, and makes another letter.
func TestReplayedVacancyIsClassifiedOnce(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		w := store(t)
		taxonomy, err := schemas.ParseTaxonomy([]byte(`[{"index":0,"name":"a","code":"1"},{"index":1,"name":"b","code":"2"}]`))
		if err != nil {
			t.Fatal(err)
		}
		live := &classify.Live{}
		goLive := func(encoder string) (model string) {
			message := &schemas.Classifier{Encoder: encoder, Taxonomy: taxonomy.ID, Dim: 2, Categories: 2, Weights: []float32{1, 0, 0, 1}, Bias: []float32{0, 0}, Mean: []float32{0, 0}, Temperature: 1, Prior: []float32{.5, .5}}
			if err := models.SealClassifier(message); err != nil {
				t.Fatal(err)
			}
			c, err := classify.New(message, taxonomy, classify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			live.Store(c)
			return c.Model()
		}
		wrong := goLive("another encoder")
		const n = 20
		at := time.Now().UTC().Truncate(time.Millisecond)
		for i := range n {
			vector := []float32{1, 0}
			if i == 0 {
				vector = append(vector, 0) // one component too many, for any classifier
			}
			c := kafka.Coordinates{Topic: kafka.TopicID{9}, Partition: int32(i % 3), Offset: int64(i), Time: at}
			put(t, client, kafka.Embedded(testEncoder), schemas.Protobuf, c, &schemas.Embedding{Encoder: testEncoder, Vector: vector, Extraction: &schemas.Extraction{Id: fmt.Sprint(i)}})
		}
		stop := start(t, Classify(live, taxonomy, testEncoder), RunnerOptions{Kafka: o, Version: "test"})
		asks := func(query string) (n uint64) {
			t.Helper()
			if err := w.Conn().QueryRow(t.Context(), query).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		runSink(t, o, client, w, false, func() bool {
			return asks("SELECT count() FROM dead_letters WHERE class = 'other_encoder' AND stage = 'classify' AND model = '"+wrong+"' AND version = 'test' AND attempts = 1 AND replays = 0 AND replayed_at IS NULL AND letter_offset >= 0") == n
		})
		right := goLive(testEncoder)
		result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o, Filter: kafka.LetterFilter{Model: wrong[:8], Classes: []string{"other_encoder"}}})
		if err != nil || result.Replayed != n {
			t.Fatalf("%+v, %v", result, err)
		}
		runSink(t, o, client, w, false, func() bool {
			return asks("SELECT count() FROM predictions WHERE model = '"+right+"'") == n-1 && asks("SELECT count() FROM dead_letters") == n+1
		})
		if result, err = producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o, Filter: kafka.LetterFilter{Model: wrong}}); err != nil || result.Replayed != 0 || result.Skipped != n {
			t.Fatalf("%+v, %v", result, err)
		}
		check := func() {
			t.Helper()
			if got := asks("SELECT count() FROM dead_letters WHERE replayed_at >= failed_at AND replays = 0"); got != n {
				t.Errorf("%d letters are replayed, want %d", got, n)
			}
			if got := asks("SELECT count() FROM dead_letters WHERE replays = 1 AND replayed_at IS NULL AND raw_offset = 0 AND model = '" + right + "'"); got != 1 {
				t.Errorf("%d letters of the vacancy that is refused again, want 1", got)
			}
			if got := asks("SELECT uniqExact(raw_topic_id, raw_partition, raw_offset) FROM predictions WHERE raw_offset BETWEEN 1 AND 19"); got != n-1 {
				t.Errorf("%d vacancies have a prediction under their coordinates, want %d", got, n-1)
			}
		}
		check()
		// Read again by the sink, letters and markers tell the same.
		runSink(t, o, client, w, true, func() bool { return true })
		check()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, r := range collect(t, o, n-1, kafka.Classified)[kafka.Classified] {
			ids[string(r.Key)] = true
		}
		if len(ids) != n-1 || ids["0"] {
			t.Fatalf("classified are %v", ids)
		}
	})
}
