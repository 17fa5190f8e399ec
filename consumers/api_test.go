package consumers

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/producers"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// answersOf are what the API keeps of its answers to these vacancies, whose text says which it is.
func answersOf(ids ...string) []*schemas.ApiPrediction {
	var results []pipeline.Result
	for _, id := range ids {
		results = append(results, pipeline.Result{
			Extraction: &schemas.Extraction{Id: id, Text: "text of " + id, Language: "da", TextLength: 40, Skills: []string{"mad"}},
			Vector:     embed.Vector{Values: []float32{0, 1}, Tokens: 9}, Model: "m", Prediction: classify.Prediction{Category: 10, Confidence: 1, Probabilities: []float32{1}},
		})
	}
	return pipeline.APIPredictions(results, schemas.Jobnet().Names(), testEncoder, time.Now())
}

// recordAnswers has Kafka take them, as the API does, and waits for it.
func recordAnswers(t *testing.T, o kafka.Options, ids ...string) {
	t.Helper()
	metrics := prometheus.NewRegistry()
	r, err := producers.NewRecorder(producers.RecorderOptions{Kafka: o, Registerer: metrics, Flush: time.Minute, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r.Record(answersOf(ids...))
	r.Close()
	for _, m := range metricsOf(t, metrics, "jobstrom_api_predictions_total") {
		if got := m.GetCounter().GetValue(); m.GetLabel()[0].GetValue() == "written" && got != float64(len(ids)) {
			t.Fatalf("%v of %d predictions were written", got, len(ids))
		}
	}
}

// What the API answered comes to ClickHouse under its own place on predictions.api, apart from the stream, once however often it is read; what is none of it becomes a letter.
func TestSinkTakesWhatTheAPIAnswered(t *testing.T) { eachBroker(t, sinkTakesWhatTheAPIAnswered) }

func sinkTakesWhatTheAPIAnswered(t *testing.T, o kafka.Options, client *kgo.Client) {
	w := store(t)
	topic, err := kafka.IDOf(t.Context(), client, kafka.APIPredictions)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Minute) // brokers' clocks
	recordAnswers(t, o, "a", "b")
	wrong := answersOf("c", "c", "c", "c", "c", "c")
	wrong[0].Embedding.Vector = nil
	wrong[1].Embedding.Extraction.Id = "d"
	wrong[2].Classification.Encoder = "another"
	wrong[3].TextHash = wrong[3].TextHash[1:]
	wrong[4].Embedding = nil
	records := []*kgo.Record{
		{Topic: kafka.APIPredictions, Key: []byte("c"), Value: []byte("no message")},
		{Topic: kafka.APIPredictions}, // erases nobody
		// A tombstone of somebody else's: it takes back what lies on this topic alone, here nothing.
		{Topic: kafka.APIPredictions, Key: []byte("nobody")},
	}
	for i, p := range wrong {
		value, err := schemas.Encode(schemas.Protobuf, p)
		if err != nil {
			t.Fatal(err)
		}
		// Nobody can claim another's place.
		headers := kafka.Coordinates{Topic: topic, Partition: 0, Offset: 1 << 40, Time: time.Unix(0, 0)}.Headers(schemas.Protobuf)
		key := "c"
		if i == 5 { // the only one that is right in itself
			key = "another's"
		}
		records = append(records, &kgo.Record{Topic: kafka.APIPredictions, Key: []byte(key), Value: value, Headers: headers})
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ask := func(query string, into ...any) {
		t.Helper()
		if err := w.Conn().QueryRow(t.Context(), query).Scan(into...); err != nil {
			t.Fatal(query, err)
		}
	}
	holds := func() bool {
		counts, err := w.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var embeddings, predictions, letters uint64
		ask("SELECT (SELECT count() FROM api_embeddings), (SELECT count() FROM api_predictions), (SELECT count() FROM dead_letters WHERE stage = 'sink' AND class = 'malformed' AND refused_topic = 'predictions.api' AND raw_topic_id = toUUID('"+fmt.Sprintf("%x", topic)+"'))", &embeddings, &predictions, &letters)
		return embeddings == 2 && predictions == 2 && letters == 8 && counts["embeddings"] == 0 && counts["predictions"] == 0
	}
	runSink(t, o, client, w, false, holds)
	runSink(t, o, client, w, true, holds)
	var got struct {
		id, encoder, language, model, category string
		vector                                 []float32
		skills                                 []string
		received, published, classified        time.Time
		same                                   uint8
	}
	ask(`SELECT e.vacancy_id, e.encoder, e.language, e.vector, e.received_at, e.published_at, p.model, p.category, p.skills, p.classified_at,
		e.raw_topic_id = toUUID('`+fmt.Sprintf("%x", topic)+`') AND e.published_at = p.published_at
		FROM api_embeddings AS e INNER JOIN api_predictions AS p USING (raw_topic_id, raw_partition, raw_offset) WHERE vacancy_id = 'a'`,
		&got.id, &got.encoder, &got.language, &got.vector, &got.received, &got.published, &got.model, &got.category, &got.skills, &got.classified, &got.same)
	if got.id != "a" || got.encoder != testEncoder || got.language != "da" || got.model != "m" || got.category != "Ledelse" || got.same != 1 ||
		!cmp.Equal(got.vector, []float32{0, 1}) || !cmp.Equal(got.skills, []string{"mad"}) {
		t.Errorf("got %+v", got)
	}
	for _, at := range []time.Time{got.received, got.published, got.classified} {
		if at.Before(before) {
			t.Errorf("got %+v", got)
		}
	}
	// The hash is that by which the embed stage looks for what was embedded before.
	found, err := w.ReadVectors(t.Context(), testEncoder, []warehouse.TextHash{warehouse.HashText("text of b")})
	if err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	var hours uint64
	if ask("SELECT count() FROM touched_hour_rows", &hours); hours != 0 {
		t.Errorf("%d hours of drift were touched", hours)
	}
}
