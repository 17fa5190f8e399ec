package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"jobstrom/consumers"
	"jobstrom/embedded"
	"jobstrom/embedded/clickhousetest"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

func TestMain(m *testing.M) { os.Exit(clickhousetest.Main(m, "")) }

// keptEncoder is that of all kept records.
var keptEncoder = strings.Repeat("e0", 32)

// eachRelease runs f with what each release wrote.
func eachRelease(t *testing.T, f func(t *testing.T, kept []*kgo.Record)) {
	t.Helper()
	found, err := filepath.Glob("../../schemas/testdata/records-*")
	if err != nil || len(found) == 0 {
		t.Fatalf("no release's records are there: %v", err)
	}
	for _, dir := range found {
		t.Run(filepath.Base(dir), func(t *testing.T) { f(t, readKept(t, dir)) })
	}
}

func readKept(t *testing.T, dir string) []*kgo.Record {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, "topics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []*kgo.Record
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var kept record
		if err := json.Unmarshal(lines.Bytes(), &kept); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: kept.Topic, Partition: kept.Partition, Offset: kept.Offset, Timestamp: time.UnixMilli(kept.Timestamp), Key: kept.Key, Value: kept.Value}
		for _, h := range kept.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h[0]), Value: h[1]})
		}
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func of(kept []*kgo.Record, topic string) []*kgo.Record {
	return slices.DeleteFunc(slices.Clone(kept), func(r *kgo.Record) bool { return r.Topic != topic })
}

// replayed starts a broker that holds what a release wrote.
func replayed(t *testing.T, kept []*kgo.Record) kafka.Options {
	t.Helper()
	broker, err := embedded.StartKafka(embedded.KafkaOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	o := kafka.Options{Brokers: broker.Addrs()}
	client, err := kafka.NewClient(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.EnsureTopics(t.Context(), client, keptEncoder, kafka.Layout{Partitions: partitions, Replication: -1}); err != nil {
		t.Fatal(err)
	}
	for _, r := range kept {
		again := *r
		if err := client.ProduceSync(t.Context(), &again).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// The registry of a release is whole to this one, which goes on from there.
func TestRegistryOfARelease(t *testing.T) {
	eachRelease(t, func(t *testing.T, kept []*kgo.Record) {
		o := replayed(t, kept)
		contents, err := registry.Read(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		scope := registry.Scope{Taxonomy: schemas.Jobnet().ID, Encoder: keptEncoder}
		var ids, actions []string
		for _, e := range contents.History {
			if actions = append(actions, e.Action); e.Action == registry.Registered {
				ids = append(ids, e.Model)
			}
		}
		if diff := cmp.Diff([]string{"register", "promote", "register", "promote", "register", "challenge"}, actions); diff != "" {
			t.Error(diff)
		}
		if len(contents.Unreadable) > 0 || len(contents.Models) != 3 || contents.Champions[scope] != ids[1] || !slices.Equal(contents.Challengers[scope], ids[2:]) || contents.Former(scope) != ids[0] {
			t.Errorf("unreadable %v, %d models, champion %s, challengers %v, before %s; registered were %v", contents.Unreadable, len(contents.Models), contents.Champions[scope], contents.Challengers[scope], contents.Former(scope), ids)
		}
		for _, id := range ids {
			if err := models.VerifyClassifier(contents.Models[id]); err != nil {
				t.Error(err)
			}
		}
		if _, err := (registry.Writer{Kafka: o, Version: "next"}).Rollback(t.Context(), scope, &ids[1], "a test"); err != nil {
			t.Fatal(err)
		}
		if now, err := registry.Find(t.Context(), o, scope, ""); err != nil || now.Id != ids[0] {
			t.Errorf("after the rollback the champion is %s, %v", now.GetId(), err)
		}
	})
}

// Dead letters, markers of their replays and tombstones of a release mean what they did, and its letters are sent again as they were.
func TestDeadLettersOfARelease(t *testing.T) {
	eachRelease(t, func(t *testing.T, kept []*kgo.Record) {
		o := replayed(t, kept)
		letters, err := kafka.ReadLetters(t.Context(), o, true)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range letters.All {
			got = append(got, l.Message.Class+" "+string(l.State))
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"malformed waiting", "nothing_extracted replayed", "nothing_extracted waiting"}, got); diff != "" || len(letters.Unreadable) > 0 {
			t.Errorf("unreadable %v, letters:\n%s", letters.Unreadable, diff)
		}
		erasures, err := kafka.ReadErasures(t.Context(), o)
		if err != nil || len(erasures["records-7"]) != partitions {
			t.Errorf("got the erasures %v, %v", erasures, err)
		}
		result, err := producers.Replay(t.Context(), producers.ReplayOptions{Kafka: o})
		if err != nil || result.Replayed != 2 {
			t.Fatalf("sent %+v, %v, want 2", result, err)
		}
		var malformed, twice *kgo.Record
		err = kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.Raw}}, func(r *kgo.Record) error {
			if string(r.Key) == "records-5" && kafka.Replays(r) == 1 {
				malformed = r
			}
			if kafka.Replays(r) == 2 {
				twice = r
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if malformed == nil || string(malformed.Value) != `{"id":"records-5","text":` || kafka.Header(malformed, "trace") != "\xff\x01" || malformed.Headers[2].Key != "null" || malformed.Headers[2].Value != nil {
			t.Errorf("the malformed one is sent as %+v", malformed)
		}
		if twice == nil || string(twice.Key) != "records-6" {
			t.Errorf("the one that was refused twice is sent as %+v", twice)
		}
	})
}

// Each stage of this release answers what the stage before it of an older one wrote, and a stage of this one as that one did.
func TestStagesReadARelease(t *testing.T) {
	eachRelease(t, func(t *testing.T, kept []*kgo.Record) {
		taxonomy := schemas.Jobnet()
		x, err := extract.New(extract.Options{Taxonomy: taxonomy, Attributes: []string{"region"}, EmployerKey: []byte("of the records")})
		if err != nil {
			t.Fatal(err)
		}
		extracted := of(kept, kafka.Extracted)
		coordinates, err := kafka.CoordinatesOf(extracted[0])
		if err != nil {
			t.Fatal(err)
		}
		live, champion := &classify.Live{}, ""
		for _, r := range of(kept, kafka.Models) {
			if strings.HasPrefix(string(r.Key), registry.Champion+"/") {
				champion = string(r.Value)
			}
		}
		for _, r := range of(kept, kafka.Models) {
			if string(r.Key) == champion {
				message, err := models.DecodeClassifier(r.Value)
				if err != nil {
					t.Fatal(err)
				}
				c, err := classify.New(message, taxonomy, classify.Options{})
				if err != nil {
					t.Fatal(err)
				}
				live.Store(c)
			}
		}
		f := func(stage consumers.Stage, empty func() proto.Message, same func(then, now proto.Message) bool, refused int) {
			t.Helper()
			in := of(kept, stage.From)
			answers, err := stage.Answer(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			bad := 0
			for i, a := range answers {
				if a.Err != nil {
					bad++
					continue
				}
				place := kafka.Identity(in[i], stage.Topic)
				then := slices.IndexFunc(of(kept, stage.To), func(r *kgo.Record) bool {
					c, err := kafka.CoordinatesOf(r)
					return err == nil && c.Partition == place.Partition && c.Offset == place.Offset
				})
				if then < 0 {
					t.Errorf("%s: %s at %d was not answered then, and is now", stage.Name, in[i].Key, in[i].Offset)
					continue
				}
				before := of(kept, stage.To)[then]
				if string(before.Key) != string(a.Record.Key) || (before.Value == nil) != (a.Record.Value == nil) {
					t.Errorf("%s: %s was answered by %s, is by %s", stage.Name, in[i].Key, before.Key, a.Record.Key)
					continue
				}
				if before.Value == nil {
					continue
				}
				was, is := empty(), empty()
				if err := schemas.Decode(kafka.Header(before, kafka.ContentType), before.Value, was); err != nil {
					t.Fatal(err)
				}
				if err := schemas.Decode(kafka.Header(a.Record, kafka.ContentType), a.Record.Value, is); err != nil {
					t.Fatal(err)
				}
				if !same(was, is) {
					t.Errorf("%s of %s:\nwas %v\nis  %v", stage.Name, in[i].Key, was, is)
				}
			}
			if bad != refused {
				t.Errorf("%s refused %d, want %d", stage.Name, bad, refused)
			}
		}
		// What is extracted may get better from release to release: that it is of the same vacancy is what must not change.
		f(consumers.Extract(x, coordinates.Topic), func() proto.Message { return &schemas.Extraction{} }, func(then, now proto.Message) bool {
			a, b := then.(*schemas.Extraction), now.(*schemas.Extraction)
			return a.Id == b.Id && a.PublishedAt.AsTime().Equal(b.PublishedAt.AsTime()) && string(a.EmployerHash) == string(b.EmployerHash) && a.Attributes["region"] == b.Attributes["region"] && b.Text != ""
		}, 3)
		f(consumers.Embed(encoder{models.EncoderCard{ID: keptEncoder, Dim: dim}}), func() proto.Message { return &schemas.Embedding{} }, proto.Equal, 0)
		f(consumers.Classify(live, taxonomy, keptEncoder), func() proto.Message { return &schemas.Classification{} }, func(then, now proto.Message) bool {
			now.(*schemas.Classification).ClassifiedAt = then.(*schemas.Classification).ClassifiedAt
			return proto.Equal(then, now)
		}, 0)
	})
}

// The sink of this release stores what an older flow wrote: all of it, once, and without what was erased.
func TestSinkStoresARelease(t *testing.T) {
	eachRelease(t, func(t *testing.T, kept []*kgo.Record) {
		o := replayed(t, kept)
		database := strings.NewReplacer("/", "_", "-", "_", ".", "_").Replace(t.Name())
		w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{clickhousetest.Engine(t).Addr()}, Database: database, CreateDatabase: true})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if err := w.Migrate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		sunk := make(chan error, 1)
		go func() {
			sunk <- consumers.Sink(ctx, consumers.SinkOptions{Kafka: o, Warehouse: w, Encoder: keptEncoder, Interval: 50 * time.Millisecond})
		}()
		want := map[string]uint64{
			"embeddings": 5, "predictions": 5, "labels": 2, "dead_letters": 3, "shadow_predictions": 5, "api_predictions": 1, "model_history": 6,
		}
		got := map[string]uint64{}
		for deadline := time.Now().Add(2 * time.Minute); !cmp.Equal(want, got); {
			if time.Now().After(deadline) {
				t.Fatalf("the tables lack or double something:\n%s", cmp.Diff(want, got))
			}
			for view := range want {
				var n uint64
				if err := w.Conn().QueryRow(t.Context(), "SELECT count() FROM "+view).Scan(&n); err != nil {
					t.Fatal(err)
				}
				got[view] = n
			}
			time.Sleep(20 * time.Millisecond)
		}
		var erased uint64
		if err := w.Conn().QueryRow(t.Context(), "SELECT count() FROM all_predictions WHERE vacancy_id = 'records-7'").Scan(&erased); err != nil || erased > 0 {
			t.Errorf("%d rows of an erased vacancy are there, %v", erased, err)
		}
		cancel()
		if err := <-sunk; err != nil {
			t.Error(err)
		}
	})
}
