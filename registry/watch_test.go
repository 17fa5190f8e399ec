package registry

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"jobstrom/cluster/clustertest"
	"jobstrom/health"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
)

func classifier(t *testing.T, bias float32) *schemas.Classifier {
	t.Helper()
	c := &schemas.Classifier{
		Encoder: "e1", Taxonomy: "t1", Dim: 2, Categories: 2, Weights: []float32{1, 0, 0, 1}, Bias: []float32{bias, 0},
		Temperature: 1, Prior: []float32{.5, .5},
	}
	if err := models.SealClassifier(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMain lets this test binary be a promoter that is killed.
func TestMain(m *testing.M) {
	if brokers := os.Getenv(promoterEnv); brokers != "" {
		promoteForEver(kafka.Options{Brokers: strings.Split(brokers, ",")})
	}
	os.Exit(clustertest.Main(m))
}

// promote makes a classifier champion, whoever was before.
func promote(ctx context.Context, o kafka.Options, c *schemas.Classifier) error {
	_, err := Writer{Kafka: o, Version: "test"}.Promote(ctx, Promotion{Classifier: c})
	return err
}

// eachBroker runs a test on each kind of broker, with the flow's topics.
func eachBroker(t *testing.T, test func(t *testing.T, o kafka.Options)) {
	t.Helper()
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		o := kafka.Options{Brokers: addrs}
		client, err := kafka.NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := kafka.EnsureTopics(t.Context(), client, "e1", kafka.Layout{Partitions: 1, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		test(t, o)
	})
}

func TestWatchFollowsTheChampion(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		first, second, refused, third := classifier(t, 1), classifier(t, 2), classifier(t, 3), classifier(t, 4)
		other := classifier(t, 5)
		other.Encoder, other.Id = "e2", ""
		if err := models.SealClassifier(other); err != nil {
			t.Fatal(err)
		}
		become := func(c *schemas.Classifier) {
			t.Helper()
			if err := promote(t.Context(), o, c); err != nil {
				t.Fatal(err)
			}
		}
		become(first)
		become(second)
		become(other)

		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		live, ready, done := make(chan string, 10), make(chan string, 1), make(chan error, 1)
		go func() {
			done <- Watch(ctx, WatchOptions{
				Kafka: o, Taxonomy: "t1", Encoder: "e1",
				Ready: func() { ready <- "" },
				Champion: func(c *schemas.Classifier) error {
					if c.Id == refused.Id {
						return errors.New("refused")
					}
					live <- c.Id
					return nil
				},
			})
		}()
		next := func(want string) {
			t.Helper()
			select {
			case got := <-live:
				if got != want {
					t.Fatalf("live is %.12s, want %.12s", got, want)
				}
			case err := <-done:
				t.Fatalf("the watcher ended: %v", err)
			case <-ctx.Done():
				t.Fatal("nothing came")
			}
		}
		<-ready
		next(second.Id) // the first was live once, but is not now
		become(refused)
		become(third)
		next(third.Id)
		become(first)
		next(first.Id) // a former champion is taken back by promoting it again
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestWatchOfAnEmptyRegistryIsReady(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		ready := false
		err := Watch(ctx, WatchOptions{Kafka: o, Taxonomy: "t1", Encoder: "e1", Ready: func() { ready = true; cancel() }, Champion: func(*schemas.Classifier) error {
			return errors.New("there is none")
		}})
		if err != nil || !ready {
			t.Fatalf("ready %t, %v", ready, err)
		}
	})
}

// While the registry is away the champion of before serves on; when it is back, the watcher takes over what is promoted then.
func TestWatchOutlivesItsTopic(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		client, err := kafka.NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		var board health.Board
		var log strings.Builder // the watcher's goroutine alone writes, and has ended when it is read
		live, ready, done := make(chan string, 10), make(chan string, 1), make(chan error, 1)
		watch := func() {
			done <- Watch(ctx, WatchOptions{
				Kafka: o, Taxonomy: "t1", Encoder: "e1", Board: &board, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Ready:    func() { ready <- "" },
				Champion: func(c *schemas.Classifier) error { live <- c.Id; return nil },
			})
		}
		next := func(want *schemas.Classifier) {
			t.Helper()
			if err := promote(ctx, o, want); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-live:
				if got != want.Id {
					t.Fatalf("live is %.12s, want %.12s", got, want.Id)
				}
			case <-ctx.Done():
				t.Fatal("nothing came")
			}
		}
		first := classifier(t, 1)
		go watch()
		<-ready
		if problems := board.Problems(); len(problems) != 0 {
			t.Fatalf("ready, but %v", problems)
		}
		next(first)
		clustertest.DeleteTopic(t, client, kafka.Models)
		if err := kafka.EnsureTopics(ctx, client, "e1", kafka.Layout{Partitions: 1, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		next(classifier(t, 2))
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), kafka.Models) || !strings.Contains(log.String(), "trying again") {
			t.Errorf("the log does not say what was away:\n%s", &log)
		}
	})
}

// refusals is a logger that hands on what the watcher logs as an error.
func refusals(to chan<- error) *slog.Logger {
	return slog.New(slog.NewTextHandler(writerFunc(func(line []byte) {
		select {
		case to <- errors.New(string(line)):
		default:
		}
	}), &slog.HandlerOptions{Level: slog.LevelError}))
}

type writerFunc func([]byte)

func (f writerFunc) Write(line []byte) (int, error) {
	f(line)
	return len(line), nil
}

// Challengers come, go and become champions; each change is told once.
func TestWatchFollowsTheChallengers(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		a, b, champion := classifier(t, 1), classifier(t, 2), classifier(t, 3)
		w := Writer{Kafka: o}
		do := func(_ *schemas.ModelEvent, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		do(w.Challenge(ctx, a, ""))
		told, done := make(chan []*schemas.Classifier, 10), make(chan error, 1)
		go func() {
			done <- Watch(ctx, WatchOptions{
				Kafka: o, Taxonomy: "t1", Encoder: "e1", Ready: func() {}, Champion: func(*schemas.Classifier) error { return nil },
				Challengers: func(c []*schemas.Classifier) { told <- c },
			})
		}()
		next := func(want ...*schemas.Classifier) {
			t.Helper()
			select {
			case got := <-told:
				ids := map[string]bool{}
				for _, c := range got {
					ids[c.Id] = true
				}
				for _, c := range want {
					delete(ids, c.Id)
				}
				if len(got) != len(want) || len(ids) > 0 {
					t.Fatalf("told %d challengers, want %d, and not %v", len(got), len(want), ids)
				}
			case <-ctx.Done():
				t.Fatal("nothing was told")
			}
		}
		next(a)
		do(w.Promote(ctx, Promotion{Classifier: champion}))
		do(w.Challenge(ctx, b, ""))
		next(a, b)
		do(w.Promote(ctx, Promotion{Classifier: a}))
		next(b)
		do(w.Withdraw(ctx, b, ""))
		next()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
