package consumers

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// trial are the stages of a reprocessing with another encoder and classifier, which stand-ins are. Each batch is told to before.
func trial(from string, raw kafka.TopicID, before func()) []Stage {
	extractor, err := extract.New(extract.Options{Taxonomy: schemas.Jobnet()})
	if err != nil {
		panic(err)
	}
	embed := Stage{From: kafka.Extracted, To: kafka.Embedded("another"), Batch: 16, Answer: func(_ context.Context, in []*kgo.Record) ([]Answer, error) {
		answers, items, place := decodeAll(in, func() *schemas.Extraction { return &schemas.Extraction{} })
		for k, x := range items {
			answers[place[k]] = answer(&schemas.Embedding{Extraction: x.message, Vector: []float32{0, 1}, Encoder: "another"}, nil, x.message.Id, schemas.Protobuf, x.coordinates)
		}
		return answers, nil
	}}
	classify := Stage{Encoder: "another", From: kafka.Embedded("another"), To: kafka.Classified, Batch: 8, Answer: func(_ context.Context, in []*kgo.Record) ([]Answer, error) {
		before()
		answers, items, place := decodeAll(in, func() *schemas.Embedding { return &schemas.Embedding{} })
		for k, x := range items {
			c := &schemas.Classification{Id: x.message.Extraction.Id, Model: "trial", Encoder: "another", Category: "Elever", CategoryIndex: 3, Probabilities: []float32{1}, ClassifiedAt: schemas.Time(time.Now())}
			answers[place[k]] = answer(c, nil, c.Id, schemas.JSON, x.coordinates)
		}
		return answers, nil
	}}
	stages := map[string][]Stage{kafka.Raw: {Extract(extractor, raw), embed, classify}, kafka.Extracted: {embed, classify}}[from]
	if stages == nil {
		classify.From = from
		stages = []Stage{classify}
	}
	return stages
}

// everything returns each record of a topic, as its place and the hash of all its parts.
func everything(t *testing.T, o kafka.Options, topic string) (records []string) {
	t.Helper()
	err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{topic}, Whole: true}, func(r *kgo.Record) error {
		records = append(records, fmt.Sprintf("%d/%d %x", r.Partition, r.Offset, sha256.Sum256(fmt.Appendf(nil, "%q %q %q %v", r.Key, r.Value, r.Headers, r.Timestamp))))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(records) // partitions are read side by side
	return records
}

// shadows counts the records of a reprocessing by their coordinates.
func shadows(t *testing.T, o kafka.Options, name string) map[kafka.Coordinates]int {
	t.Helper()
	got := map[kafka.Coordinates]int{}
	err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Shadow}, Whole: true}, func(r *kgo.Record) error {
		if kafka.Header(r, kafka.Version) != name {
			return nil
		}
		c, err := kafka.CoordinatesOf(r)
		if err != nil || c.Partition != r.Partition {
			t.Errorf("record %d/%d: coordinates %v, %v", r.Partition, r.Offset, c, err)
		}
		m := &schemas.Classification{}
		if err := schemas.Decode(kafka.Header(r, kafka.ContentType), r.Value, m); err != nil || m.Model != "trial" || m.Id == "" || string(r.Key) != m.Id {
			t.Errorf("record %d/%d: %v, %v", r.Partition, r.Offset, m, err)
		}
		got[c]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// classified returns the coordinates on the classified topic, and waits until there are so many.
func classified(t *testing.T, o kafka.Options, want int) map[kafka.Coordinates]bool {
	t.Helper()
	got := map[kafka.Coordinates]bool{}
	waitFor(t, func() bool {
		clear(got)
		err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Classified}}, func(r *kgo.Record) error {
			if !kafka.IsErasure(r) {
				c, err := kafka.CoordinatesOf(r)
				if err != nil {
					t.Error(err)
				}
				got[c] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(got) == want
	})
	return got
}

func publishCooks(t *testing.T, client *kgo.Client, from, to int) {
	t.Helper()
	p := producers.NewPublisher(client, schemas.Jobnet())
	for i := from; i < to; i++ {
		if err := p.Publish(t.Context(), &schemas.Vacancy{Id: fmt.Sprintf("cook-%d", i), Title: "Kok", Text: "Vi søger en kok til vores restaurant. Du skal lave mad."}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A reprocessing answers each record of its range once, from whichever topic, leaves erased vacancies out, and changes nothing that others read.
func TestReprocess(t *testing.T) { eachBroker(t, reprocessAll) }

func reprocessAll(t *testing.T, o kafka.Options, client *kgo.Client) {
	raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
	if err != nil {
		t.Fatal(err)
	}
	flowOf(t, o, client)
	publishCooks(t, client, 0, 40)
	malformed := &kgo.Record{Topic: kafka.Raw, Value: []byte("nonsense")}
	if err := client.ProduceSync(t.Context(), malformed).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := producers.Erase(t.Context(), producers.EraseOptions{Kafka: o}, []string{"cook-7"}); err != nil {
		t.Fatal(err)
	}
	publishCooks(t, client, 7, 8) // published again: it counts
	live := classified(t, o, 41)
	waitFor(t, func() bool {
		erasures, err := kafka.ReadErasures(t.Context(), o)
		return err == nil && len(erasures["cook-7"]) == 3
	})
	waitFor(t, func() bool { // the last stage forwards the tombstones last
		n := 0
		err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Classified}}, func(r *kgo.Record) error {
			if kafka.IsErasure(r) {
				n++
			}
			return nil
		})
		return err == nil && n == 3
	})
	topics := []string{kafka.Raw, kafka.Extracted, kafka.Embedded(testEncoder), kafka.Classified, kafka.Labels, kafka.DeadLetter}
	before := map[string][]string{}
	for _, topic := range topics {
		before[topic] = everything(t, o, topic)
	}
	for _, from := range []string{kafka.Raw, kafka.Extracted, kafka.Embedded(testEncoder)} {
		t.Run(from, func(t *testing.T) {
			total, passed := 0, 0
			name := strings.ReplaceAll(from, ".", "-")
			options := ReprocessOptions{
				Runner: RunnerOptions{Kafka: o}, Name: name, Stages: trial(from, raw, func() {}),
				Start: func(n int) { total = n }, Passed: func(n int) { passed += n },
			}
			result, err := Reprocess(t.Context(), options)
			want := ReprocessResult{Classified: 40, Erased: 1, Refused: map[string]int{}}
			if from == kafka.Raw {
				want.Refused["malformed"] = 1
			}
			if diff := cmp.Diff(want, result); err != nil || diff != "" || passed != total {
				t.Errorf("%v, %d of %d\n%s", err, passed, total, diff)
			}
			got := shadows(t, o, name)
			for c, n := range got {
				if n != 1 || !live[c] {
					t.Errorf("%v: %d times, live %t", c, n, live[c])
				}
			}
			if len(got) != 40 {
				t.Errorf("%d records, want 40", len(got))
			}
			// Under the same name there is nothing left to do.
			if result, err := Reprocess(t.Context(), options); err != nil || result.Classified != 0 || total != 0 {
				t.Errorf("again: %+v of %d, %v", result, total, err)
			}
		})
	}
	for _, topic := range topics {
		if diff := cmp.Diff(before[topic], everything(t, o, topic)); diff != "" {
			t.Errorf("%s has changed:\n%s", topic, diff)
		}
	}
}

// Since and Until bound what is run again; what comes later under the same name begins where it ended.
func TestReprocessBounds(t *testing.T) { eachBroker(t, reprocessBounds) }

func reprocessBounds(t *testing.T, o kafka.Options, client *kgo.Client) {
	day := time.Now().Add(-24 * time.Hour).Truncate(time.Hour)
	for hour := range 10 {
		for partition := range 3 {
			c := kafka.Coordinates{Topic: kafka.TopicID{9}, Partition: int32(partition), Offset: int64(hour), Time: day}
			value, err := schemas.Encode(schemas.Protobuf, &schemas.Embedding{Encoder: testEncoder, Vector: []float32{1}, Extraction: &schemas.Extraction{Id: fmt.Sprint(hour)}})
			if err != nil {
				t.Fatal(err)
			}
			r := &kgo.Record{Topic: kafka.Embedded(testEncoder), Partition: int32(partition), Key: fmt.Append(nil, hour), Value: value, Headers: c.Headers(schemas.Protobuf), Timestamp: day.Add(time.Duration(hour) * time.Hour)}
			manual, err := kafka.NewClient(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if err != nil {
				t.Fatal(err)
			}
			if err := manual.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			manual.Close()
		}
	}
	f := func(name string, since, until, want int) {
		t.Helper()
		options := ReprocessOptions{Runner: RunnerOptions{Kafka: o}, Name: name, Stages: trial(kafka.Embedded(testEncoder), kafka.TopicID{}, func() {})}
		if since > 0 {
			options.Since = day.Add(time.Duration(since) * time.Hour)
		}
		if until > 0 {
			options.Until = day.Add(time.Duration(until) * time.Hour)
		}
		result, err := Reprocess(t.Context(), options)
		got := shadows(t, o, name)
		if err != nil || result.Classified != want || len(got) != want {
			t.Errorf("%s: %+v, %d records, want %d, %v", name, result, len(got), want, err)
		}
		for c, n := range got {
			if n != 1 || c.Offset < int64(since) || until > 0 && c.Offset >= int64(until) {
				t.Errorf("%s: %v %d times", name, c, n)
			}
		}
	}
	f("all", 0, 0, 30)
	f("since", 4, 0, 18)
	f("until", 0, 4, 12)
	f("both", 2, 7, 15)
	f("later", 30, 0, 0)
}

// A reprocessing that is killed goes on under the same name, and answers each record once.
func TestReprocessIsKilled(t *testing.T) { eachBroker(t, reprocessIsKilled) }

// reprocessEnv holds the brokers of the process to kill, which is this test binary.
const reprocessEnv = "JOBSTROM_TEST_REPROCESS"

func reprocessIsKilled(t *testing.T, o kafka.Options, client *kgo.Client) {
	raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
	if err != nil {
		t.Fatal(err)
	}
	publishCooks(t, client, 0, 400)
	killed := exec.Command(os.Args[0])
	killed.Env = append(os.Environ(), reprocessEnv+"="+strings.Join(o.Brokers, ","))
	in, err := killed.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := killed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(client)
	some := func() bool { // it has committed
		committed, err := admin.FetchOffsets(t.Context(), kafka.Group("reprocess.killed", "another"))
		if err != nil {
			return false
		}
		n := int64(0)
		committed.Each(func(r kadm.OffsetResponse) { n += r.At })
		return n > 40
	}
	// It waits for an answer before every batch, so it cannot come to its end before it is killed.
	for asks := bufio.NewScanner(out); asks.Scan() && !some(); {
		fmt.Fprintln(in)
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	done := len(shadows(t, o, "killed"))
	if done == 0 || done == 400 {
		t.Fatalf("%d of 400 were done when it was killed: it tells nothing", done)
	}
	result, err := Reprocess(t.Context(), ReprocessOptions{Runner: RunnerOptions{Kafka: o}, Name: "killed", Stages: trial(kafka.Raw, raw, func() {})})
	if err != nil || result.Classified == 0 || result.Classified > 400-done {
		t.Fatalf("%+v after %d, %v", result, done, err)
	}
	got := shadows(t, o, "killed")
	for c, n := range got {
		if n != 1 {
			t.Errorf("%v: %d times", c, n)
		}
	}
	if len(got) != 400 {
		t.Errorf("%d records, want 400", len(got))
	}
	t.Logf("killed after %d of 400, then %d", done, result.Classified)
}

// reprocessSlowly is the process that the test above kills: it works in small transactions, and asks before each batch.
func reprocessSlowly(brokers string) error {
	o := kafka.Options{Brokers: strings.Split(brokers, ",")}
	client, err := kafka.NewClient(o)
	if err != nil {
		return err
	}
	defer client.Close()
	raw, err := kafka.IDOf(context.Background(), client, kafka.Raw)
	if err != nil {
		return err
	}
	answers := bufio.NewReader(os.Stdin)
	stages := trial(kafka.Raw, raw, func() {
		fmt.Println("a batch")
		_, _ = answers.ReadString('\n')
	})
	_, err = Reprocess(context.Background(), ReprocessOptions{Runner: RunnerOptions{Kafka: o, CommitInterval: time.Millisecond}, Name: "killed", Stages: stages})
	return err
}

func TestReprocessOptionsFailure(t *testing.T) {
	_, err := Reprocess(t.Context(), ReprocessOptions{Name: "a b", Since: time.Unix(2, 0), Until: time.Unix(1, 0)})
	if err == nil || !strings.Contains(err.Error(), `name ("a b")`) || !strings.Contains(err.Error(), "until (") {
		t.Fatalf("got %v", err)
	}
}
