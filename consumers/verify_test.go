package consumers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// Verify finds a vacancy on every topic and in every table, tells what was published since, and when the rest expires by each topic's own settings.
func TestVerify(t *testing.T) { eachBroker(t, verify) }

func verify(t *testing.T, o kafka.Options, client *kgo.Client) {
	w := store(t)
	flowOf(t, o, client)
	verification := func(id string) (Verification, map[string]Trace) {
		t.Helper()
		var offsets, passed int64
		all, err := Verify(t.Context(), VerifyOptions{Kafka: o, Warehouse: w, Start: func(n int64) { offsets = n }, Passed: func(n int64) { passed += n }}, []string{"nobody", id})
		if err != nil || len(all) != 2 || passed != offsets {
			t.Fatalf("%d verifications, %d of %d offsets, %v", len(all), passed, offsets, err)
		}
		traces := map[string]Trace{}
		for i, trace := range all[1].Traces {
			if nobody := all[0].Traces[i]; nobody != (Trace{Place: trace.Place, Table: trace.Table}) {
				t.Errorf("of nobody: %+v", nobody)
			}
			traces[trace.Place] = trace
		}
		return all[1], traces
	}
	// Old and new of every place.
	counts := func(traces map[string]Trace) map[string][2]int {
		got := map[string][2]int{}
		for place, trace := range traces {
			if trace.Old+trace.New > 0 {
				got[place] = [2]int{trace.Old, trace.New}
			}
		}
		return got
	}
	at := time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second)
	publishersClock(t, client, kafka.Raw, kafka.Labels)
	value := []byte(`{"title":"Kok","text":"Vi søger en kok til vores restaurant. Du skal lave mad."}`)
	id := schemas.ContentID(&schemas.Vacancy{Title: "Kok", Text: "Vi søger en kok til vores restaurant. Du skal lave mad."})
	send := func(records ...*kgo.Record) {
		t.Helper()
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	send(&kgo.Record{Topic: kafka.Raw, Value: value, Timestamp: at}, // it has no id of its own
		&kgo.Record{Topic: kafka.Raw, Value: []byte(`{"id":"` + id + `","text":""}`), Timestamp: at}, // refused
		&kgo.Record{Topic: kafka.Labels, Value: []byte(`{"id":"` + id + `","category":"Ledelse","category_index":10}`), Timestamp: at})
	recordAnswers(t, o, id)
	embedded := kafka.Embedded(testEncoder)
	flow := []string{kafka.Raw, kafka.Extracted, embedded, kafka.Classified, kafka.Labels, kafka.DeadLetter, kafka.APIPredictions, "embedding_rows", "prediction_rows", "label_rows", "deadletter_rows"}
	expect := func(old, since int, raw [2]int) map[string][2]int {
		want := map[string][2]int{}
		for _, place := range flow {
			want[place] = [2]int{old, since}
		}
		want[kafka.Raw] = raw
		for _, table := range flow[7:9] { // what the API answered besides
			want[table] = [2]int{2 * old, since}
		}
		return want
	}
	holds := func(want map[string][2]int) func() bool {
		return func() bool {
			_, traces := verification(id)
			return cmp.Equal(want, counts(traces))
		}
	}
	runSink(t, o, client, w, false, holds(expect(1, 0, [2]int{2, 0})))
	v, _ := verification(id)
	if v.Clean() || !v.ErasedAt.IsZero() {
		t.Errorf("before it was erased: %+v", v)
	}

	if _, err := producers.Erase(t.Context(), producers.EraseOptions{Kafka: o}, []string{id}); err != nil {
		t.Fatal(err)
	}
	// While the sink is away the rows are left, and old.
	v, traces := verification(id)
	if v.Clean() || v.ErasedAt.IsZero() || traces["prediction_rows"].Old != 2 || !traces["prediction_rows"].Left() {
		t.Errorf("before the sink: %+v", v)
	}
	gone := expect(1, 0, [2]int{2, 0})
	for _, table := range flow[7:] {
		delete(gone, table)
	}
	runSink(t, o, client, w, false, holds(gone))
	v, traces = verification(id)
	if !v.Clean() {
		t.Errorf("after the sink: %+v", v)
	}
	// Kept for seven days, and a segment's day.
	if got, want := traces[kafka.Raw].Expires, at.Add(8*24*time.Hour); !got.Equal(want) {
		t.Errorf("expires %v, want %v", got, want)
	}
	if got, least := traces[kafka.Classified].Expires, at.Add(31*24*time.Hour); !got.After(least) {
		t.Errorf("expires %v, want more than %v", got, least)
	}
	send(&kgo.Record{Topic: kafka.Raw, Value: value})
	again := expect(1, 1, [2]int{2, 1})
	again[kafka.Labels], again[kafka.DeadLetter], again[kafka.APIPredictions] = [2]int{1, 0}, [2]int{1, 0}, [2]int{1, 0}
	for _, table := range flow[7:9] {
		again[table] = [2]int{0, 1}
	}
	delete(again, "label_rows")
	delete(again, "deadletter_rows")
	runSink(t, o, client, w, false, holds(again))
	if v, _ = verification(id); !v.Clean() {
		t.Errorf("what was published since is no trace: %+v", v)
	}

	forever := "-1"
	if _, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: &forever}}, kafka.Raw); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { v, traces = verification(id); return traces[kafka.Raw].Expires.IsZero() })
	if v.Clean() || !traces[kafka.Raw].Left() {
		t.Errorf("a topic that keeps for ever: %+v", v)
	}
}
