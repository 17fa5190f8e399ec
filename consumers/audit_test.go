package consumers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/producers"
)

// The audit is right about a good flow, and sees each kind of fault when it is made by hand.
func TestAudit(t *testing.T) { eachBroker(t, audits) }

func audits(t *testing.T, o kafka.Options, client *kgo.Client) {
	w := store(t)
	flowOf(t, o, client)
	ctx, cancel := context.WithCancel(t.Context())
	sunk := make(chan error, 1)
	go func() {
		sunk <- Sink(ctx, SinkOptions{Kafka: o, Warehouse: w, Encoder: testEncoder, Interval: 20 * time.Millisecond})
	}()
	defer func() {
		cancel()
		if err := <-sunk; err != nil {
			t.Error(err)
		}
	}()
	for i := range 40 {
		value := fmt.Appendf(nil, `{"id":"v-%d","title":"Kok","text":"Vi søger en kok. Dine opgaver: lave mad."}`, i)
		if i%10 == 3 {
			value = []byte(`{"text":`)
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Raw, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	recordAnswers(t, o, "v-1", "v-2", "asked of the API alone") // none of the audit's business
	if _, err := producers.Erase(t.Context(), producers.EraseOptions{Kafka: o}, []string{"v-7"}); err != nil {
		t.Fatal(err)
	}
	raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
	if err != nil {
		t.Fatal(err)
	}
	options := AuditOptions{Kafka: o, Warehouse: w, Encoder: testEncoder, Raw: raw, Wait: 3 * time.Minute}
	audit := func() AuditResult {
		t.Helper()
		r, err := Audit(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	good := audit()
	if want := (AuditResult{Vacancies: 40, Classified: 35, Letters: 4, Erased: 1}); !good.OK() || fmt.Sprint(good) != fmt.Sprint(want) {
		t.Fatalf("got %+v, want %+v", good, want)
	}

	// Somebody writes a classification a second time, and one for a place where no vacancy stands; a row goes.
	var twice *kgo.Record
	err = kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Classified}}, func(r *kgo.Record) error {
		if !kafka.IsErasure(r) && string(r.Key) != "v-7" {
			twice = &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := kafka.CoordinatesOf(twice)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), twice).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := w.Conn().Exec(t.Context(), "DELETE FROM prediction_rows WHERE vacancy_id = 'v-1'"); err != nil {
		t.Fatal(err)
	}
	bad := audit()
	if bad.Duplicated != 1 || bad.RowsMissing != 1 || bad.Lost != 0 || bad.OK() {
		t.Fatalf("got %+v", bad)
	}
	if want := fmt.Sprintf("raw partition %d, offset %d: 2 times classified", c.Partition, c.Offset); !strings.Contains(fmt.Sprint(bad.Findings), want) {
		t.Fatalf("got %v, want it to name %s", bad.Findings, want)
	}
}

// Without workers an audit must not take what waits for lost.
func TestAuditSaysThatTheFlowStands(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		publish(t, client, 0, 3)
		_, err := Audit(t.Context(), AuditOptions{Kafka: o, Encoder: testEncoder, Wait: time.Second})
		said(t, err, "stage extract has not got through partition")
	})
}

func TestAuditJudges(t *testing.T) {
	f := func(o outcome, want AuditResult) {
		t.Helper()
		a := &audit{AuditOptions: AuditOptions{Warehouse: nil}, first: map[int32]int64{}, outcomes: map[int32][]outcome{0: {o}}}
		a.judge()
		a.result.Findings = nil
		if fmt.Sprint(a.result) != fmt.Sprint(want) {
			t.Errorf("%+v: got %+v, want %+v", o, a.result, want)
		}
	}
	f(outcome{}, AuditResult{})
	f(outcome{vacancy: true, classified: 1}, AuditResult{Vacancies: 1, Classified: 1})
	f(outcome{vacancy: true, letters: 1}, AuditResult{Vacancies: 1, Letters: 1})
	f(outcome{vacancy: true}, AuditResult{Vacancies: 1, Lost: 1})
	f(outcome{vacancy: true, classified: 1, letters: 1}, AuditResult{Vacancies: 1, Duplicated: 1})
	f(outcome{vacancy: true, classified: 3}, AuditResult{Vacancies: 1, Duplicated: 1})
	f(outcome{vacancy: true, erased: true}, AuditResult{Vacancies: 1, Erased: 1})
	f(outcome{classified: 1}, AuditResult{Duplicated: 1})
}

// What a former encoder owns and has not answered is lost until its stages run; all encoders' stages are waited for in the order of the flow.
func TestAuditOfSeveralEncoders(t *testing.T) {
	a := &audit{
		AuditOptions: AuditOptions{Encoder: "live", Former: []string{"former"}, Owner: func(c kafka.Coordinates) string {
			if c.Offset < 1 {
				return "former"
			}
			return "live"
		}},
		first: map[int32]int64{}, outcomes: map[int32][]outcome{0: {{vacancy: true}, {vacancy: true}}},
	}
	a.judge()
	if f := a.result.Findings; a.result.Lost != 2 || len(f) != 2 || !strings.Contains(f[0], "encoder former's to answer") || strings.Contains(f[1], "encoder") {
		t.Errorf("got %q", f)
	}
	groups := ""
	for _, r := range a.readers() {
		groups += " " + r.Group()
	}
	if want := " jobstrom.extract jobstrom.embed.former jobstrom.embed.live jobstrom.classify.former jobstrom.classify.live jobstrom.sink.former jobstrom.sink.live jobstrom.sink"; groups != want {
		t.Errorf("waits for%s, want%s", groups, want)
	}
}
