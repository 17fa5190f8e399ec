package consumers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// flowOf runs the three stages and the sink on a broker. The encoder and the classifier are stand-ins; records are decoded, answered and forwarded
// by the stages' own code.
func flowOf(t *testing.T, o kafka.Options, client *kgo.Client) {
	t.Helper()
	raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
	if err != nil {
		t.Fatal(err)
	}
	extractor, err := extract.New(extract.Options{Taxonomy: schemas.Jobnet()})
	if err != nil {
		t.Fatal(err)
	}
	embed := Stage{Name: "embed", Encoder: testEncoder, From: kafka.Extracted, To: kafka.Embedded(testEncoder), Batch: 16, Answer: func(_ context.Context, in []*kgo.Record) ([]Answer, error) {
		answers, items, place := decodeAll(in, func() *schemas.Extraction { return &schemas.Extraction{} })
		for k, x := range items {
			e := &schemas.Embedding{Extraction: x.message, Vector: []float32{1, 0}, Encoder: testEncoder}
			answers[place[k]] = answer(e, nil, x.message.Id, schemas.Protobuf, x.coordinates)
		}
		return answers, nil
	}}
	classify := Stage{Name: "classify", Encoder: testEncoder, From: kafka.Embedded(testEncoder), To: kafka.Classified, Batch: 16, Answer: func(_ context.Context, in []*kgo.Record) ([]Answer, error) {
		answers, items, place := decodeAll(in, func() *schemas.Embedding { return &schemas.Embedding{} })
		for k, x := range items {
			c := &schemas.Classification{Id: x.message.Extraction.Id, Model: "m", Encoder: testEncoder, Category: "Ledelse", CategoryIndex: 10, Probabilities: []float32{1}, ClassifiedAt: schemas.Time(time.Now())}
			answers[place[k]] = answer(c, nil, c.Id, schemas.JSON, x.coordinates)
		}
		return answers, nil
	}}
	for _, stage := range []Stage{Extract(extractor, raw), embed, classify} {
		stop := start(t, stage, RunnerOptions{Kafka: o})
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// runSink runs the sink until a condition holds and it has read everything. From says that it forgets first what it has read.
func runSink(t *testing.T, o kafka.Options, client *kgo.Client, w *warehouse.Warehouse, fromStart bool, condition func() bool) {
	t.Helper()
	admin := kadm.NewClient(client)
	if fromStart {
		forgetSink(t, admin)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Sink(ctx, SinkOptions{Kafka: o, Warehouse: w, Encoder: testEncoder, Interval: 20 * time.Millisecond})
	}()
	waitFor(t, func() bool { return condition() && hasReadAll(t, o, admin) && condition() })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// hasReadAll says whether the sink has committed every record of its topics. Lag would not do: it counts the marks that end transactions, which nobody reads.
func hasReadAll(t *testing.T, o kafka.Options, admin *kadm.Client) bool {
	t.Helper()
	all := true
	for _, reader := range kafka.Readers(testEncoder) {
		if reader.Stage != "sink" {
			continue
		}
		committed, err := admin.FetchOffsets(t.Context(), reader.Group())
		if err != nil {
			return false
		}
		err = kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: reader.Topics}, func(r *kgo.Record) error {
			at, _ := committed.Lookup(r.Topic, r.Partition)
			all = all && at.At > r.Offset
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// rowsOf counts a vacancy's rows in every table and view.
func rowsOf(t *testing.T, w *warehouse.Warehouse, vacancy string) map[string]uint64 {
	t.Helper()
	tables, err := w.ErasableTables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, from := range append(tables, "embeddings", "predictions", "labels", "dead_letters", "history", "api_embeddings", "api_predictions", "api_history") {
		var n uint64
		// A table counts a replayed row once, too: the engine has not always merged it yet.
		if err := w.Conn().QueryRow(t.Context(), fmt.Sprintf("SELECT uniqExact(toString(tuple(* EXCEPT (%s)))) FROM %s WHERE vacancy_id = ?", exceptOf(from), from), vacancy).Scan(&n); err != nil {
			t.Fatal(from, err)
		}
		if n > 0 {
			counts[from] = n
		}
	}
	return counts
}

func exceptOf(from string) string {
	if len(from) > 5 && from[len(from)-5:] == "_rows" {
		return "inserted_at"
	}
	return "vacancy_id"
}

func sendVacancy(t *testing.T, client *kgo.Client, v *schemas.Vacancy) {
	t.Helper()
	p := producers.NewPublisher(client, schemas.Jobnet())
	if err := p.Publish(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// An erased vacancy leaves every table and view. Reading everything again from the beginning brings nothing of it back, while what is published
// after its erasure counts.
func TestErase(t *testing.T) { eachBroker(t, eraseForGood) }

func eraseForGood(t *testing.T, o kafka.Options, client *kgo.Client) {
	w := store(t)
	flowOf(t, o, client)
	cook := &schemas.Vacancy{Id: "cook", Title: "Kok", Text: "Vi søger en kok til vores restaurant. Du skal lave mad.", Category: "Hotel, restauration, køkken, kantine"}
	other := &schemas.Vacancy{Id: "other", Title: "Tømrer", Text: "Vi søger en tømrer. Du skal lægge tag.", Category: "Bygge og anlæg"}
	sendVacancy(t, client, cook)
	sendVacancy(t, client, other)
	refused := &kgo.Record{Topic: kafka.Raw, Key: []byte("cook"), Value: []byte(`{"id":"cook","text":""}`)} // a dead letter with a name
	if err := client.ProduceSync(t.Context(), refused).FirstErr(); err != nil {
		t.Fatal(err)
	}
	recordAnswers(t, o, "cook")
	whole := map[string]uint64{"embedding_rows": 1, "prediction_rows": 1, "label_rows": 1, "embeddings": 1, "predictions": 1, "labels": 1, "history": 1}
	everywhere, withAnswer := maps.Clone(whole), maps.Clone(whole)
	for _, of := range []map[string]uint64{everywhere, withAnswer} {
		of["embedding_rows"], of["prediction_rows"], of["api_embeddings"], of["api_predictions"], of["api_history"] = 2, 2, 1, 1, 1
	}
	everywhere["deadletter_rows"], everywhere["dead_letters"] = 1, 1
	holds := func(cook, other map[string]uint64) func() bool {
		return func() bool { return cmp.Equal(rowsOf(t, w, "cook"), cook) && cmp.Equal(rowsOf(t, w, "other"), other) }
	}
	none := map[string]uint64{}
	runSink(t, o, client, w, false, holds(everywhere, whole))

	erased := 0
	partitions, err := producers.Erase(t.Context(), producers.EraseOptions{Kafka: o, Erased: func(n int) { erased += n }}, []string{"cook", "never published"})
	if err != nil || partitions != 3 || erased != 2 {
		t.Fatalf("%d partitions, %d vacancies, %v", partitions, erased, err)
	}
	tombstones := func() bool { // raw, label and predictions.api partitions of both vacancies
		var n uint64
		if err := w.Conn().QueryRow(t.Context(), "SELECT count() FROM erasures").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 18
	}
	runSink(t, o, client, w, false, func() bool { return tombstones() && holds(none, whole)() })
	runSink(t, o, client, w, true, func() bool { return tombstones() && holds(none, whole)() })

	sendVacancy(t, client, cook)
	runSink(t, o, client, w, false, holds(whole, whole))
	runSink(t, o, client, w, true, holds(whole, whole))
	recordAnswers(t, o, "cook") // somebody asks the API again
	runSink(t, o, client, w, false, holds(withAnswer, whole))
	runSink(t, o, client, w, true, holds(withAnswer, whole))

	// The tombstone is on every topic, with the coordinates of the raw one, and nothing took it for a dead letter.
	if counts, err := w.Counts(t.Context()); err != nil || counts["dead_letters"] != 0 {
		t.Errorf("%d dead letters, %v", counts["dead_letters"], err)
	}
	for _, topic := range []string{kafka.Extracted, kafka.Embedded(testEncoder), kafka.Classified, kafka.Labels, kafka.DeadLetter, kafka.APIPredictions} {
		got := map[string]int{}
		err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{topic}, Whole: true}, func(r *kgo.Record) error {
			if kafka.IsErasure(r) {
				c, err := kafka.CoordinatesOf(r)
				if err != nil || c.Partition != r.Partition || kafka.Header(r, "erase") == "" {
					t.Errorf("%s: tombstone %v of %v: %v", topic, r.Headers, c, err)
				}
				if _, err := DecodeClassification(r); !errors.Is(err, ErrErasure) {
					t.Errorf("%s: a tombstone decodes with %v", topic, err)
				}
				got[string(r.Key)]++
			}
			return nil
		})
		if diff := cmp.Diff(map[string]int{"cook": 3, "never published": 3}, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", topic, err, diff)
		}
	}
	erasures, err := kafka.ReadErasures(t.Context(), o)
	if err != nil || len(erasures) != 2 || len(erasures["cook"]) != 3 {
		t.Errorf("read %v, %v", erasures, err)
	}
}

// The sink reads its topics at their own speeds: a row that comes after another topic's tombstone was carried out is seen by nobody.
func TestTombstoneOvertakesRows(t *testing.T) { eachBroker(t, tombstoneOvertakesRows) }

func tombstoneOvertakesRows(t *testing.T, o kafka.Options, client *kgo.Client) {
	w := store(t)
	at := time.Now().UTC().Truncate(time.Millisecond)
	place := func(offset int64) kafka.Coordinates {
		return kafka.Coordinates{Topic: kafka.TopicID{9}, Partition: 1, Offset: offset, Time: at}
	}
	vector := func(id string, offset int64) {
		put(t, client, kafka.Embedded(testEncoder), schemas.Protobuf, place(offset), &schemas.Embedding{Encoder: testEncoder, Vector: []float32{1, 0}, Extraction: &schemas.Extraction{Id: id}})
	}
	tombstone := kafka.ForwardErasure(kafka.Classified, &kgo.Record{Key: []byte("v")}, place(10))
	if err := client.ProduceSync(t.Context(), tombstone).FirstErr(); err != nil {
		t.Fatal(err)
	}
	vector("other", 1)
	sees := func(want ...string) func() bool {
		return func() bool {
			var got []string
			if err := w.Conn().QueryRow(t.Context(), "SELECT arraySort(groupArray(concat(vacancy_id, ' ', toString(raw_offset)))) FROM embedding_rows").Scan(&got); err != nil {
				t.Fatal(err)
			}
			return cmp.Equal(want, got)
		}
	}
	runSink(t, o, client, w, false, sees("other 1"))
	vector("v", 9)
	vector("v", 11)
	runSink(t, o, client, w, false, sees("other 1", "v 11"))
}

// A null value without a key names nobody; a tombstone that lacks coordinates on an inner topic was not written by jobstrom erase.
func TestNullValuesThatEraseNothing(t *testing.T) { eachBroker(t, nullValuesThatEraseNothing) }

func nullValuesThatEraseNothing(t *testing.T, o kafka.Options, client *kgo.Client) {
	flowOf(t, o, client)
	err := client.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Raw}, &kgo.Record{Topic: kafka.Raw, Key: []byte("empty"), Value: []byte{}}, &kgo.Record{Topic: kafka.Extracted, Key: []byte("v")}).FirstErr()
	if err != nil {
		t.Fatal(err)
	}
	stages := map[string]int{}
	for _, r := range collect(t, o, 3, kafka.DeadLetter)[kafka.DeadLetter] {
		letter := &schemas.DeadLetter{}
		if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, letter); err != nil {
			t.Fatal(err)
		}
		stages[letter.Stage+" "+letter.Class]++
	}
	if diff := cmp.Diff(map[string]int{"extract malformed": 2, "embed malformed": 1}, stages); diff != "" {
		t.Error(diff)
	}
}

// What a reprocessing says is kept apart from what consumers were told, under its name, and is erased with its vacancy.
func TestSinkKeepsShadowsApart(t *testing.T) { eachBroker(t, sinkKeepsShadowsApart) }

func sinkKeepsShadowsApart(t *testing.T, o kafka.Options, client *kgo.Client) {
	w := store(t)
	at := time.Now().UTC().Truncate(time.Millisecond)
	for i, id := range []string{"a", "b"} {
		c := kafka.Coordinates{Topic: kafka.TopicID{9}, Partition: 1, Offset: int64(i), Time: at}
		value, err := schemas.Encode(schemas.JSON, &schemas.Classification{Id: id, Model: "m", Category: "Ledelse", CategoryIndex: 10, ClassifiedAt: schemas.Time(at)})
		if err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: kafka.Shadow, Value: value, Headers: append(c.Headers(schemas.JSON), kgo.RecordHeader{Key: kafka.Version, Value: []byte("trial")})}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	sees := func(want ...string) func() bool {
		return func() bool {
			var got []string
			if err := w.Conn().QueryRow(t.Context(), "SELECT arraySort(groupArray(concat(name, ' ', vacancy_id))) FROM shadow_predictions").Scan(&got); err != nil {
				t.Fatal(err)
			}
			return cmp.Equal(want, got)
		}
	}
	runSink(t, o, client, w, false, sees("trial a", "trial b"))
	if counts, err := w.Counts(t.Context()); err != nil || counts["predictions"] != 0 {
		t.Errorf("%d live predictions, %v", counts["predictions"], err)
	}
	tombstone := kafka.ForwardErasure(kafka.Classified, &kgo.Record{Key: []byte("a")}, kafka.Coordinates{Topic: kafka.TopicID{9}, Partition: 1, Offset: 10, Time: at})
	if err := client.ProduceSync(t.Context(), tombstone).FirstErr(); err != nil {
		t.Fatal(err)
	}
	runSink(t, o, client, w, false, sees("trial b"))
	runSink(t, o, client, w, true, sees("trial b"))
}
