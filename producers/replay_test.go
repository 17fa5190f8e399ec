package producers_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"jobstrom/cluster/clustertest"
	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// TestMain lets this test binary be a replay's process, which can be killed.
func TestMain(m *testing.M) {
	if brokers := os.Getenv("REPLAY_TEST_BROKERS"); brokers != "" {
		_, err := producers.Replay(context.Background(), producers.ReplayOptions{
			Kafka: kafka.Options{Brokers: strings.Split(brokers, ",")}, Batch: 7, Progress: func(done, _ int) { fmt.Println(done) },
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(clustertest.Main(m))
}

const testEncoder = "0123456789abcdef"

// onEach runs a test on every kind of broker, with the flow's topics.
func onEach(t *testing.T, test func(t *testing.T, o kafka.Options, client *kgo.Client)) {
	t.Helper()
	for _, b := range clustertest.Brokers(t) {
		t.Run(b.Name, func(t *testing.T) {
			o := kafka.Options{Brokers: b.Start(t)}
			test(t, o, topics(t, o))
		})
	}
}

// topics makes the topics and returns a client.
func topics(t *testing.T, o kafka.Options) *kgo.Client {
	t.Helper()
	client, err := kafka.NewClient(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := kafka.EnsureTopics(t.Context(), client, testEncoder, kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	return client
}

func produce(t *testing.T, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// refuse runs a stage that refuses all of raw until n letters lie on their topic.
func refuse(t *testing.T, o kafka.Options, client *kgo.Client, n int) {
	t.Helper()
	id, err := kafka.IDOf(t.Context(), client, kafka.Raw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	stage := consumers.Stage{Name: "extract", From: kafka.Raw, To: kafka.Extracted, Topic: id, Batch: 64, Answer: func(_ context.Context, in []*kgo.Record) ([]consumers.Answer, error) {
		answers := make([]consumers.Answer, len(in))
		for i := range answers {
			answers[i].Err = fmt.Errorf("%w vacancy", schemas.ErrMalformed)
		}
		return answers, nil
	}}
	go func() { done <- consumers.Run(ctx, stage, consumers.RunnerOptions{Kafka: o, Version: "test"}) }()
	until(t, func() bool { return len(read(t, o, kafka.DeadLetter, isLetter)) == n })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !condition(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not come to hold in a minute")
		}
	}
}

func isLetter(r *kgo.Record) bool { return kafka.Header(r, kafka.ReplayMarker) == "" }
func isMarker(r *kgo.Record) bool { return !isLetter(r) }
func isReplay(r *kgo.Record) bool { return kafka.Replays(r) > 0 }

// read returns what is committed on a topic, in the order of each partition. Apache Kafka answers a commit before readers see it, so what is open is
// waited for.
func read(t *testing.T, o kafka.Options, topic string, choose func(*kgo.Record) bool) (records []*kgo.Record) {
	t.Helper()
	err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{topic}, Whole: true}, func(r *kgo.Record) error {
		if choose(r) {
			records = append(records, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// content is what a replay must not change; %#v tells nil from empty.
func content(r *kgo.Record, headers int) string {
	return fmt.Sprintf("%d %#v %#v %#v", r.Partition, r.Key, r.Value, append([]kgo.RecordHeader{}, r.Headers[:headers]...))
}

// anyRecord draws bytes that no text is made of, null and empty ones, and headers of any name.
func anyRecord(i int) *kgo.Record {
	return rapid.Custom(func(t *rapid.T) *kgo.Record {
		some := rapid.SliceOfN(rapid.Byte(), 0, 40)
		orNil := func(label string) []byte {
			if rapid.IntRange(0, 4).Draw(t, label+" is null") == 0 {
				return nil
			}
			return append([]byte{}, some.Draw(t, label)...)
		}
		r := &kgo.Record{Topic: kafka.Raw, Partition: rapid.Int32Range(0, 2).Draw(t, "partition"), Key: orNil("key"), Value: append([]byte{}, some.Draw(t, "value")...)}
		for range rapid.IntRange(0, 4).Draw(t, "headers") {
			name := string(some.Draw(t, "name"))
			if rapid.Bool().Draw(t, "known name") {
				name = rapid.SampledFrom([]string{kafka.ContentType, "replay-of", "replays", "raw-offset", "raw-topic-id", "", "trace"}).Draw(t, "name")
			}
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: orNil("header")})
		}
		return r
	}).Example(i)
}

// Three times a record is refused and sent again; each time it is what its publisher wrote, with the same identity, and then the loop ends.
func TestReplayKeepsEveryByteUntilTheLoopGuard(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		const n = 300
		var records []*kgo.Record
		for i := range n {
			records = append(records, anyRecord(i))
		}
		produce(t, client, records...)
		id, err := kafka.IDOf(t.Context(), client, kafka.Raw)
		if err != nil {
			t.Fatal(err)
		}
		type original struct {
			content string
			headers int
		}
		want := map[kafka.Place]original{}
		for _, r := range records {
			want[kafka.Place{Partition: r.Partition, Offset: r.Offset}] = original{content(r, len(r.Headers)), len(r.Headers)}
		}
		if len(want) != n {
			t.Fatalf("%d places of %d records", len(want), n)
		}
		for round := 1; round <= 3; round++ {
			refuse(t, o, client, round*n)
			result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o, Batch: 37})
			if err != nil || result.Replayed != n || result.Skipped != (round-1)*n || len(result.Refused) != 0 || result.Topics[kafka.Raw] != n {
				t.Fatalf("round %d: %+v, %v", round, result, err)
			}
			seen := map[kafka.Place]bool{}
			for _, r := range read(t, o, kafka.Raw, func(r *kgo.Record) bool { return kafka.Replays(r) == round }) {
				c := kafka.Identity(r, id)
				place := kafka.Place{Partition: c.Partition, Offset: c.Offset}
				first, known := want[place]
				if !known || seen[place] {
					t.Fatalf("round %d: %v is not a record that was published, or was sent twice", round, place)
				}
				seen[place] = true
				if got := content(r, min(first.headers, len(r.Headers))); got != first.content {
					t.Fatalf("round %d: %v was\n%s\nand is\n%s", round, place, first.content, got)
				}
				if added := len(r.Headers) - first.headers; added != 6 {
					t.Fatalf("round %d: %v got %d headers more, want 6", round, place, added)
				}
			}
			if len(seen) != n {
				t.Fatalf("round %d: %d records were sent, want %d", round, len(seen), n)
			}
		}
		refuse(t, o, client, 4*n)
		result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o})
		if err != nil || result.Replayed != 0 || len(result.Refused) != n || result.Refused[0].Why != producers.LoopGuard {
			t.Fatalf("the loop goes on: %d sent, %d refused, %v", result.Replayed, len(result.Refused), err)
		}
	})
}

// letters writes n letters of raw records "0", "1" and so on, and returns the places of the letters.
func letters(t *testing.T, client *kgo.Client, n int, change func(i int, m *schemas.DeadLetter, c *kafka.Coordinates)) []kafka.Place {
	t.Helper()
	var records []*kgo.Record
	for i := range n {
		c := kafka.Coordinates{Topic: kafka.TopicID{7}, Partition: int32(i % 3), Offset: int64(i), Time: noon}
		m := &schemas.DeadLetter{Stage: "extract", Class: "malformed", Topic: kafka.Raw, Partition: int32(i % 3), Offset: int64(i), Value: fmt.Append(nil, i), FailedAt: schemas.Time(noon)}
		change(i, m, &c)
		value, err := schemas.Encode(schemas.JSON, m)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, &kgo.Record{Topic: kafka.DeadLetter, Partition: int32(i % 3), Value: value, Headers: c.Headers(schemas.JSON)})
	}
	produce(t, client, records...)
	places := make([]kafka.Place, n)
	for i, r := range records {
		places[i] = kafka.Place{Partition: r.Partition, Offset: r.Offset}
	}
	return places
}

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func asTheyAre(int, *schemas.DeadLetter, *kafka.Coordinates) {}

// values returns what was replayed to raw, sorted.
func values(t *testing.T, o kafka.Options) (all []string) {
	t.Helper()
	for _, r := range read(t, o, kafka.Raw, isReplay) {
		all = append(all, string(r.Value))
	}
	slices.Sort(all)
	return all
}

// A letter of a record that the API wrote goes back to predictions.api, with its own place there for its identity, and none goes to the registry.
func TestReplayOfTheAPIsRecords(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		id, err := kafka.IDOf(t.Context(), client, kafka.APIPredictions)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the record that was refused, and one of another partition
			produce(t, client, &kgo.Record{Topic: kafka.APIPredictions, Partition: 1, Key: []byte("v"), Value: []byte("what was refused")})
		}
		letters(t, client, 2, func(i int, m *schemas.DeadLetter, c *kafka.Coordinates) {
			m.Stage, m.Topic, m.Partition, m.Offset, m.Key = "sink", []string{kafka.APIPredictions, kafka.Models}[i], int32(1-i), int64(0), []byte("v")
			*c = kafka.Coordinates{Topic: id, Partition: 1, Offset: 0, Time: noon}
		})
		result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o})
		if err != nil || result.Replayed != 1 || result.Topics[kafka.APIPredictions] != 1 || len(result.Refused) != 1 || result.Refused[0].Why != producers.NoPlace {
			t.Fatalf("got %+v, %v", result, err)
		}
		replayed := read(t, o, kafka.APIPredictions, isReplay)
		if len(replayed) != 1 {
			t.Fatalf("%d records were replayed", len(replayed))
		}
		want := kafka.Coordinates{Topic: id, Partition: 1, Offset: 0, Time: noon}
		if got := kafka.Identity(replayed[0], id); got != want || replayed[0].Partition != 1 {
			t.Errorf("it is known as %v, want %v", got, want)
		}
	})
}

func TestReplayFilters(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		places := letters(t, client, 4, func(i int, m *schemas.DeadLetter, _ *kafka.Coordinates) {
			m.Stage = []string{"extract", "embed", "classify", "classify"}[i]
			m.Class = []string{"malformed", "internal", "other_encoder", "internal"}[i]
			m.Model = []string{"", "e5", "abc1", "abd2"}[i]
			m.FailedAt = schemas.Time(noon.Add(time.Duration(i) * time.Minute))
		})
		f := func(name string, filter kafka.LetterFilter, want ...string) {
			t.Helper()
			all, err := kafka.ReadLetters(t.Context(), o, false)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range all.All {
				if filter.Match(l) {
					got = append(got, fmt.Sprint(l.Message.Offset))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o, Filter: filter, DryRun: true})
			if err != nil || result.Replayed != len(want) {
				t.Errorf("%s: a dry run says %+v, %v", name, result, err)
			}
		}
		f("all", kafka.LetterFilter{}, "0", "1", "2", "3")
		f("stage", kafka.LetterFilter{Stages: []string{"embed", "extract"}}, "0", "1")
		f("class", kafka.LetterFilter{Classes: []string{"internal"}}, "1", "3")
		f("since", kafka.LetterFilter{Since: noon.Add(2 * time.Minute)}, "2", "3")
		f("until", kafka.LetterFilter{Until: noon.Add(2 * time.Minute)}, "0", "1")
		f("window", kafka.LetterFilter{Since: noon.Add(time.Minute), Until: noon.Add(2 * time.Minute)}, "1")
		f("model", kafka.LetterFilter{Model: "ab"}, "2", "3")
		f("whole model", kafka.LetterFilter{Model: "abd2"}, "3")
		f("place", kafka.LetterFilter{Places: places[2:3]}, "2")
		f("together", kafka.LetterFilter{Stages: []string{"classify"}, Classes: []string{"internal"}, Model: "abd"}, "3")
		if got := values(t, o); len(got) != 0 {
			t.Fatalf("dry runs sent %v", got)
		}
		// And for good.
		filter := kafka.LetterFilter{Classes: []string{"internal"}}
		for _, want := range []producers.ReplayResult{{Replayed: 2, Topics: map[string]int{kafka.Raw: 2}}, {Skipped: 2, Topics: map[string]int{}}} {
			result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o, Filter: filter})
			if diff := cmp.Diff(want, result); err != nil || diff != "" {
				t.Fatalf("%v: %s", err, diff)
			}
		}
		if diff := cmp.Diff([]string{"1", "3"}, values(t, o)); diff != "" {
			t.Fatal(diff)
		}
		_, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o, Filter: kafka.LetterFilter{Places: []kafka.Place{{Partition: 0, Offset: 99}}}})
		if err == nil || !strings.Contains(err.Error(), "there is none at 0/99") {
			t.Fatalf("got %v", err)
		}
	})
}

// What must not be sent is refused, with the reason; the rest goes.
func TestReplayRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		letters(t, client, 9, func(i int, m *schemas.DeadLetter, _ *kafka.Coordinates) {
			switch i {
			case 0:
				m.Replays = 3
			case 1:
				m.Topic = "vacancies.nowhere"
			case 2:
				m.Partition = 3
			case 3:
				m.Topic, m.Partition = kafka.Models, 0
			case 4:
				m.LeftOut = 20 << 20
			case 5, 6: // both of the vacancy that is erased; only the first was published before
				m.Key = []byte("erased")
			case 7:
				m.Value, m.Key = []byte(`{"id":"erased","text":"x"}`), []byte("another key")
			}
		})
		at := func(partition int32, offset int64, at time.Time) *kgo.Record {
			c := kafka.Coordinates{Topic: kafka.TopicID{7}, Partition: partition, Offset: offset, Time: at}
			return &kgo.Record{Topic: kafka.DeadLetter, Partition: partition, Key: []byte("erased"), Headers: c.Headers(schemas.JSON)}
		}
		early := noon.Add(-time.Hour)
		produce(t, client, at(2, 6, early), at(0, 5, early), at(1, 8, early))
		result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o})
		if err != nil {
			t.Fatal(err)
		}
		why := map[string]string{}
		for _, r := range result.Refused {
			why[fmt.Sprint(r.Message.Offset)] = r.Why
		}
		want := map[string]string{"0": "loop guard", "1": "no such topic or partition", "2": "no such topic or partition", "3": "no such topic or partition", "4": "too large to keep", "5": "erased", "7": "erased"}
		if diff := cmp.Diff(want, why); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"6", "8"}, values(t, o)); diff != "" {
			t.Error(diff)
		}
	})
}

// The sink may tell twice of one refusal; it is replayed once.
func TestReplaySendsCopiesOnce(t *testing.T) {
	onEach(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		same := func(_ int, m *schemas.DeadLetter, c *kafka.Coordinates) {
			m.Partition, m.Offset, c.Partition, c.Offset = 1, 5, 1, 5
		}
		letters(t, client, 3, same)
		for i := range 2 {
			result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o})
			if err != nil || result.Replayed != 1-i {
				t.Fatalf("%+v, %v", result, err)
			}
			letters(t, client, 1, same) // and once more, late
		}
		if got := values(t, o); len(got) != 1 {
			t.Fatalf("sent %v", got)
		}
	})
}
