package producers_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// A transaction of another worker that is open on the topic hides what a replay committed behind it. A second replay must wait, not send it again.
func TestReplayWaitsForOpenTransactions(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		letters(t, client, 3, asTheyAre)
		worker, err := kafka.NewClient(o, kgo.TransactionalID("jobstrom.worker"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer worker.Close()
		if err := worker.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		// The first replay reads before this one is written, and commits after: its marker lies behind an open record.
		blocked := false
		_, err = producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o, Batch: 1, Progress: func(done, total int) {
			if !blocked {
				blocked = true
				for p := range int32(3) {
					if err := worker.ProduceSync(t.Context(), &kgo.Record{Topic: kafka.DeadLetter, Partition: p, Value: []byte("open")}).FirstErr(); err != nil {
						t.Error(err)
					}
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		type outcome struct {
			result producers.ReplayResult
			err    error
		}
		second := make(chan outcome, 1)
		go func() {
			result, err := producers.Replay(context.Background(), producers.ReplayOptions{Kafka: o})
			second <- outcome{result, err}
		}()
		select {
		case got := <-second:
			t.Fatalf("the second replay did not wait: %+v", got)
		case <-time.After(700 * time.Millisecond):
		}
		if err := worker.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		if got := <-second; got.err != nil || got.result.Replayed != 0 || got.result.Skipped != 3 {
			t.Fatalf("the second replay: %+v", got)
		}
		if diff := cmp.Diff([]string{"0", "1", "2"}, values(t, o)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// after makes letters those of raw records that come after the first had.
func after(had int) func(int, *schemas.DeadLetter, *kafka.Coordinates) {
	return func(i int, m *schemas.DeadLetter, c *kafka.Coordinates) {
		m.Offset, m.Value = m.Offset+int64(had), fmt.Append(nil, had+i)
		c.Offset = m.Offset
	}
}

// onceEach checks that n letters were sent once each, with a marker each.
func onceEach(t *testing.T, o kafka.Options, n int) {
	t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, values(t, o)); diff != "" {
		t.Fatalf("sent: %s", diff)
	}
	if markers := read(t, o, kafka.DeadLetter, isMarker); len(markers) != n {
		t.Fatalf("%d markers, want %d", len(markers), n)
	}
}

func TestConcurrentReplaysSendOnce(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		var replays sync.WaitGroup
		takenOver := make(chan error, 1000)
		had := 0
		// On a busy machine one may come to the end before the others begin: then there is more to send.
		for deadline := time.Now().Add(5 * time.Minute); !t.Failed() && len(takenOver) == 0; {
			if time.Now().After(deadline) {
				t.Fatal("no replay was taken over: they did not meet")
			}
			const n = 100
			letters(t, client, n, after(had))
			had += n
			for range 3 {
				replays.Go(func() {
					for t.Context().Err() == nil {
						_, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o, Batch: 5})
						if err == nil {
							return
						}
						if !errors.Is(err, producers.ErrReplayTakenOver) {
							t.Error(err)
							return
						}
						takenOver <- err
						<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond) // or they fence each other for ever
					}
				})
			}
			replays.Wait()
		}
		onceEach(t, o, had)
	})
}

// Processes are killed between transactions and in the midst of one; in the end each letter was sent once.
func TestKilledReplaysSendOnce(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		const n = 350
		letters(t, client, n, asTheyAre)
		had := n
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		kills := 0
		for run := 0; ; run++ {
			if run > 200 {
				t.Fatal("200 replays did not come to an end")
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "REPLAY_TEST_BROKERS="+strings.Join(o.Brokers, ","))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// It dies some transactions from now and a moment later: before, in or after the next.
			lines, killed := bufio.NewScanner(out), false
			for after := random.IntN(8); lines.Scan(); after-- {
				if after == 0 {
					<-time.After(time.Duration(random.IntN(4000)) * time.Microsecond)
					killed = cmd.Process.Kill() == nil
					break
				}
			}
			_, _ = io.Copy(io.Discard, out) // Wait wants it read to its end
			err = cmd.Wait()
			if err == nil && kills >= 3 {
				break
			}
			if err == nil { // a replay may come to its end while a busy machine keeps its killer waiting: then there is more to send
				letters(t, client, n, after(had))
				had += n
				continue
			}
			if !killed {
				t.Fatalf("a replay ended with %v: %s", err, &stderr)
			}
			kills++
		}
		t.Logf("%d kills of replays that sent %d letters", kills, had)
		onceEach(t, o, had)
	})
}
