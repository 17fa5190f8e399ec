package consumers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"jobstrom/kafka"
	"jobstrom/pipeline/extract"
	"jobstrom/pipeline/extract/gliner2"
	"jobstrom/pipeline/extract/gliner2/gliner2test"
	"jobstrom/schemas"
)

// withModel returns an extractor that asks the tiny GLiNER2 model, too.
func withModel(t *testing.T) *extract.Extractor {
	t.Helper()
	m := gliner2test.Open(t, "../pipeline/extract/gliner2/testdata/tiny", gliner2.Options{Labels: []gliner2.Label{{Name: "stillingsbetegnelser", Threshold: .01}}})
	x, err := extract.New(extract.Options{Method: extract.Both, GLiNER2: m, Fields: map[string]extract.Field{"stillingsbetegnelser": extract.Occupations}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// publishVacancies publishes so many; every tenth holds nothing.
func publishVacancies(t *testing.T, client *kgo.Client, from, to int) {
	t.Helper()
	var records []*kgo.Record
	for i := from; i < to; i++ {
		text := fmt.Sprintf("Vi søger en kok til køkken %d. Du skal lave mad til 60 gæster. Ring til Mette Holm på 22 31 44 56.", i)
		if i%10 == 7 {
			text = "?"
		}
		records = append(records, &kgo.Record{Topic: kafka.Raw, Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"id":"%d","text":%q}`, i, text)})
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// With a model in it the stage keeps its promises: workers come and go, every vacancy is extracted once and in order, and to what the extractor says of it alone.
func TestExtractWithModel(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
		if err != nil {
			t.Fatal(err)
		}
		x := withModel(t)
		publishVacancies(t, client, 0, 60)
		first := start(t, Extract(x, raw), RunnerOptions{Kafka: o, Slot: "a"})
		second := start(t, Extract(x, raw), RunnerOptions{Kafka: o, Slot: "b"})
		publishVacancies(t, client, 60, 100)
		collect(t, o, 30, kafka.Extracted)
		if err := first(); err != nil {
			t.Fatal(err)
		}
		publishVacancies(t, client, 100, 150)
		once(t, o, 150)
		if err := second(); err != nil {
			t.Fatal(err)
		}
		got := collect(t, o, 150, kafka.Extracted, kafka.DeadLetter)
		for _, r := range got[kafka.Extracted] {
			e := &schemas.Extraction{}
			if err := schemas.Decode(schemas.Protobuf, r.Value, e); err != nil {
				t.Fatal(err)
			}
			alone, err := x.Extract(t.Context(), []*schemas.Vacancy{{Id: e.Id, Text: fmt.Sprintf("Vi søger en kok til køkken %s. Du skal lave mad til 60 gæster. Ring til Mette Holm på 22 31 44 56.", e.Id), PublishedAt: e.PublishedAt}})
			if err != nil {
				t.Fatal(err)
			}
			want, by := alone[0].Extraction, map[string]int{}
			for i, found := range e.Entities {
				by[found.By]++
				if d := found.Score - want.Entities[i].Score; d < -1e-5 || d > 1e-5 {
					t.Errorf("%s: score %v, want %v", e.Id, found.Score, want.Entities[i].Score)
				}
				found.Score = want.Entities[i].Score
			}
			if !proto.Equal(e, want) || by["gliner2"] == 0 || by["rules"] == 0 {
				t.Errorf("%s: %v\n got %v\nwant %v", e.Id, by, e, want)
			}
		}
		for _, r := range got[kafka.DeadLetter] {
			letter := &schemas.DeadLetter{}
			if err := schemas.Decode(schemas.JSON, r.Value, letter); err != nil {
				t.Fatal(err)
			}
			if letter.Class != "nothing_extracted" || letter.Model != x.Identity() {
				t.Errorf("letter: class %s, model %s", letter.Class, letter.Model)
			}
		}
	})
}

// A model that fails is no vacancy's fault: none becomes a dead letter, and the worker gives up in the end and says why.
func TestExtractWithBrokenModel(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
		if err != nil {
			t.Fatal(err)
		}
		x := withModel(t)
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		publishVacancies(t, client, 0, 9)
		err = Run(t.Context(), Extract(x, raw), RunnerOptions{Kafka: o, Workers: 1, Attempts: 1, Retries: 1})
		if err == nil || !strings.Contains(err.Error(), "giving up after 2 tries") || !strings.Contains(err.Error(), "closed") {
			t.Fatalf("got %v", err)
		}
		healthy := start(t, Extract(withModel(t), raw), RunnerOptions{Kafka: o})
		got := collect(t, o, 9, kafka.Extracted, kafka.DeadLetter)
		if err := healthy(); err != nil {
			t.Fatal(err)
		}
		if len(got[kafka.DeadLetter]) != 1 { // the one that holds nothing
			t.Errorf("%d dead letters", len(got[kafka.DeadLetter]))
		}
	})
}
