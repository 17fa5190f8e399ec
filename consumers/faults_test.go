package consumers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

// letters reads n dead letters.
func letters(t *testing.T, o kafka.Options, n int) []*schemas.DeadLetter {
	t.Helper()
	var got []*schemas.DeadLetter
	for _, r := range collect(t, o, n, kafka.DeadLetter)[kafka.DeadLetter] {
		l := &schemas.DeadLetter{}
		if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, l); err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	return got
}

// One poisoned record must not take its batch along, whether the stage fails on it or panics.
func TestPoisonedRecordGoesAlone(t *testing.T) {
	f := func(name string, poison func() error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
				publish(t, client, 0, 100)
				stop := start(t, echo(func(in []*kgo.Record) error {
					for _, r := range in {
						if string(r.Value) == "good 0042" {
							return poison()
						}
					}
					return nil
				}), RunnerOptions{Kafka: o, Attempts: 2})
				got := letters(t, o, 11)
				collect(t, o, 89, kafka.Extracted)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(got, func(l *schemas.DeadLetter) bool { return string(l.Value) == "good 0042" })
				if i < 0 || got[i].Class != "internal" || got[i].Attempts != 2 {
					t.Fatalf("got %v", got)
				}
			})
		})
	}
	f("error", func() error { return errors.New("the tensor has no name") })
	f("panic", func() error { panic("index out of range") })
}

// What is temporary is waited for, however often it comes, and nothing is refused for it.
func TestTemporaryErrorRefusesNothing(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		publish(t, client, 0, 7)
		var calls atomic.Int32
		stop := start(t, echo(func([]*kgo.Record) error {
			if calls.Add(1) < 6 {
				return fmt.Errorf("%w: the model is being fetched", ErrTemporary)
			}
			return nil
		}), RunnerOptions{Kafka: o, Attempts: 1, Retries: 1})
		collect(t, o, 7, kafka.Extracted)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// A stage's answer that its topic does not take is refused alone; a letter that is too large as well goes without the content.
func TestTooLargeAnswerGoesAlone(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		admin := kadm.NewClient(client)
		limit := func(topic string, bytes string) {
			t.Helper()
			if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &bytes}}, topic); err != nil {
				t.Fatal(err)
			}
		}
		limit(kafka.Extracted, "20000")
		limit(kafka.DeadLetter, "100000")
		stage := echo(func([]*kgo.Record) error { return nil })
		echoed := stage.Answer
		stage.Answer = func(ctx context.Context, in []*kgo.Record) ([]Answer, error) {
			answers, err := echoed(ctx, in)
			for i, r := range in {
				if strings.HasPrefix(string(r.Value), "good 0003") || strings.HasPrefix(string(r.Value), "good 0055") {
					answers[i].Record.Value = noise(40_000)
				}
			}
			return answers, err
		}
		publish(t, client, 0, 55)
		long := append([]byte("good 0055"), noise(90_000)...) // its dead letter is too large as well
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.Raw, Key: []byte("55"), Value: long}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		stop := start(t, stage, RunnerOptions{Kafka: o})
		got := letters(t, o, 5+2)
		collect(t, o, 55-5-1, kafka.Extracted)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		whole, short, classes := 0, 0, []string{}
		for _, l := range got {
			classes = append(classes, l.Class)
			switch {
			case l.Class == "too_large" && l.LeftOut > 90_000 && len(l.Value) == 0:
				short++
			case l.Class == "too_large" && string(l.Value) == "good 0003":
				whole++
			}
		}
		if whole != 1 || short != 1 {
			t.Fatalf("%d letters hold the record, %d only say its size, want 1 and 1: %v", whole, short, classes)
		}
	})
}

// noise returns bytes that do not compress.
func noise(n int) []byte {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// Two processes of one slot fence each other; that must end with the remedy, not in an endless fight or in duplicates.
func TestSlotTakenTwice(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		work, cancel := context.WithCancel(t.Context())
		defer cancel()
		run := func() chan error {
			done := make(chan error, 1)
			go func() {
				done <- Run(work, echo(func([]*kgo.Record) error { return nil }), RunnerOptions{Kafka: o, Workers: 1, Retries: 1})
			}()
			return done
		}
		first, second := run(), run()
		survivor, deadline, n := first, time.Now().Add(3*time.Minute), 0
		for {
			publish(t, client, n, n+10)
			n += 10
			select {
			case err := <-first:
				said(t, err, "--slot")
				survivor = second
			case err := <-second:
				said(t, err, "--slot")
			case <-time.After(50 * time.Millisecond):
				if time.Now().After(deadline) {
					t.Fatal("both workers live")
				}
				continue
			}
			break
		}
		once(t, o, n)
		cancel()
		if err := <-survivor; err != nil {
			t.Error(err)
		}
	})
}

func said(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), what) {
		t.Fatalf("got %v, want it to say %s", err, what)
	}
}

func TestJudge(t *testing.T) {
	f := func(err error, want Verdict) {
		t.Helper()
		if got := Judge(fmt.Errorf("around it: %w", err)); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	f(context.DeadlineExceeded, Retry)
	f(ErrTemporary, Retry)
	f(kgo.ErrRecordTimeout, Retry)
	f(errors.New("whatever"), Suspect)
	f(schemas.ErrMalformed, Suspect)
}

func TestRunnerOptionsSayAllThatIsWrong(t *testing.T) {
	err := Run(t.Context(), Stage{Name: "embed"}, RunnerOptions{Workers: -1, Protocol: "new", TransactionTimeout: time.Hour, CommitInterval: time.Hour, MaxBytes: 1})
	for _, part := range []string{"workers (-1)", "group-protocol (new)", "transaction-timeout (1h", "commit-interval (1h", "worker-bytes (1)"} {
		said(t, err, part)
	}
}
