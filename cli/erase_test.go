package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/consumers"
	"jobstrom/embedded"
	"jobstrom/kafka"
)

func TestVerificationSaysWhatIsLeft(t *testing.T) {
	noon := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	verifications := []consumers.Verification{
		{ID: "tavle-1", ErasedAt: noon, Traces: []consumers.Trace{
			{Place: "vacancies.raw", Old: 2, Expires: noon.Add(8 * 24 * time.Hour), New: 1},
			{Place: "vacancies.labels"},
			{Place: "prediction_rows", Table: true, New: 1},
		}},
		{ID: "tavle-2", ErasedAt: noon, Traces: []consumers.Trace{
			{Place: "vacancies.raw", Old: 1}, {Place: "prediction_rows", Table: true, Old: 3},
		}},
		{ID: "tavle-3", Traces: []consumers.Trace{{Place: "prediction_rows", Table: true, Old: 1}}},
	}
	clean := []bool{true, false, false}
	for i, v := range verifications {
		if v.Clean() != clean[i] {
			t.Errorf("%s: clean %t", v.ID, v.Clean())
		}
	}
	var out bytes.Buffer
	a := &app{out: &out}
	a.printVerifications(verifications)
	if err := a.printVerificationsJSON(verifications[:1]); err != nil {
		t.Fatal(err)
	}
	want := `tavle-1 was erased at 2026-03-14 12:00:00 UTC
┌──────────────────┬──────┬───────────────────────────────────────┬─────────────────┐
│ TOPIC OR TABLE   │ LEFT │ UNTIL                                 │ PUBLISHED SINCE │
├──────────────────┼──────┼───────────────────────────────────────┼─────────────────┤
│ vacancies.raw    │ 2    │ 2026-03-22 12:00:00 UTC at the latest │ 1               │
│ vacancies.labels │ gone │                                       │                 │
│ prediction_rows  │ gone │                                       │ 1               │
└──────────────────┴──────┴───────────────────────────────────────┴─────────────────┘
tavle-2 was erased at 2026-03-14 12:00:00 UTC
┌─────────────────┬──────┬──────────────────────────────────────┬─────────────────┐
│ TOPIC OR TABLE  │ LEFT │ UNTIL                                │ PUBLISHED SINCE │
├─────────────────┼──────┼──────────────────────────────────────┼─────────────────┤
│ vacancies.raw   │    1 │ for ever: the topic has no retention │                 │
│ prediction_rows │    3 │ the sink gets to it: does it run?    │                 │
└─────────────────┴──────┴──────────────────────────────────────┴─────────────────┘
tavle-3 was never erased: jobstrom erase erases it
┌─────────────────┬──────┬──────────────┬─────────────────┐
│ TOPIC OR TABLE  │ LEFT │ UNTIL        │ PUBLISHED SINCE │
├─────────────────┼──────┼──────────────┼─────────────────┤
│ prediction_rows │    1 │ it is erased │                 │
└─────────────────┴──────┴──────────────┴─────────────────┘
[{"id":"tavle-1","erased_at":"2026-03-14T12:00:00Z","clean":true,"traces":[{"place":"vacancies.raw","table":false,"left":2,"expires":"2026-03-22T12:00:00Z","published_since":1},{"place":"vacancies.labels","table":false,"left":0,"expires":null,"published_since":0},{"place":"prediction_rows","table":true,"left":0,"expires":null,"published_since":1}]}]
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestEraseFailure(t *testing.T) {
	f := func(stdin, want string, status int, args ...string) {
		t.Helper()
		got, _, errOut := jobstrom(t, stdin, append([]string{"erase"}, args...)...)
		if got != status || !bytes.Contains([]byte(errOut), []byte(want)) {
			t.Errorf("%q: status %d, %s; want %d, %q", args, got, errOut, status, want)
		}
	}
	f("", "requires at least 1 arg", 2)
	f("\n\n", "there is none", 2, "-")
	f("", "id 2 has 201 bytes, the limit is 200", 2, "a", string(bytes.Repeat([]byte("x"), 201)))
	f("", "nothing listens there", 1, "a", "--kafka-port", "1")
}

// A tombstone is no classification: machines are told of it, people see the next vacancy.
func TestFollowPassesTombstones(t *testing.T) {
	k, err := embedded.StartKafka(embedded.KafkaOptions{})
	must(t, err)
	defer k.Stop()
	client, err := kafka.NewClient(kafka.Options{Brokers: k.Addrs()})
	must(t, err)
	defer client.Close()
	must(t, kafka.EnsureTopics(t.Context(), client, "abc", kafka.Layout{Partitions: 1, Replication: 1}))
	tombstone := kafka.ForwardErasure(kafka.Classified, kafka.Erasure("tavle-1", time.Now()), kafka.Coordinates{})
	must(t, client.ProduceSync(t.Context(), tombstone, &kgo.Record{Topic: kafka.Classified, Value: []byte(`{"id":"tavle-2","category":"Ledelse"}`)}).FirstErr())
	f := func(want, not string, args ...string) {
		t.Helper()
		status, out, errOut := jobstrom(t, "", append([]string{"follow", "--from-start", "-n", "1", "--brokers", k.Addrs()[0]}, args...)...)
		if status != 0 || !bytes.Contains([]byte(out), []byte("Ledelse")) || !bytes.Contains([]byte(out), []byte(want)) || not != "" && bytes.Contains([]byte(out), []byte(not)) {
			t.Errorf("%q: status %d, %s%s", args, status, out, errOut)
		}
	}
	f(`{"erased":true,"id":"tavle-1"}`, "", "--format", "json")
	f("tavle-2", "tavle-1")
}
