package consumers

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// BenchmarkRebuild rebuilds, backs up and restores 20,000 vacancies with vectors of 384 components and 22 probabilities, on the embedded Kafka and ClickHouse: docs/backup.md says how fast.
func BenchmarkRebuild(b *testing.B) {
	const vacancies = 20_000
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	broker, err := embedded.StartKafka(embedded.KafkaOptions{})
	must(err)
	defer broker.Stop()
	o := kafka.Options{Brokers: broker.Addrs()}
	client, err := kafka.NewClient(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(err)
	defer client.Close()
	must(kafka.EnsureTopics(b.Context(), client, testEncoder, kafka.Layout{Partitions: 4, Replication: 1}))
	random := rand.New(rand.NewPCG(1, 0))
	at := time.Now().UTC().Truncate(time.Millisecond)
	var records []*kgo.Record
	for i := range vacancies {
		id, c := fmt.Sprintf("vacancy-%d", i), kafka.Coordinates{Topic: kafka.TopicID{9}, Partition: int32(i % 4), Offset: int64(i / 4), Time: at}
		vector, probabilities := make([]float32, 384), make([]float32, 22)
		for k := range vector {
			vector[k] = random.Float32() - .5
		}
		for k := range probabilities {
			probabilities[k] = random.Float32()
		}
		add := func(topic, contentType string, m proto.Message) {
			value, err := schemas.Encode(contentType, m)
			must(err)
			records = append(records, &kgo.Record{Topic: topic, Partition: c.Partition, Key: []byte(id), Value: value, Headers: c.Headers(contentType)})
		}
		add(kafka.Embedded(testEncoder), schemas.Protobuf, &schemas.Embedding{Encoder: testEncoder, Vector: vector, Extraction: &schemas.Extraction{Id: id, Text: "text of " + id, PublishedAt: schemas.Time(at)}})
		add(kafka.Classified, schemas.JSON, &schemas.Classification{Id: id, Encoder: testEncoder, Model: "m", Category: "Ledelse", CategoryIndex: 10, Probabilities: probabilities, PublishedAt: schemas.Time(at), ClassifiedAt: schemas.Time(at)})
	}
	must(client.ProduceSync(b.Context(), records...).FirstErr())
	engine := engine(b, b.TempDir(), nil)
	open := func(name string) *warehouse.Warehouse {
		w, err := warehouse.Open(b.Context(), warehouse.Options{Addr: []string{engine.Addr()}, Database: name, CreateDatabase: true})
		must(err)
		b.Cleanup(func() { _ = w.Close() })
		return w
	}
	round := 0
	for b.Loop() {
		round++
		rebuilt, restored := open(fmt.Sprintf("rebuilt%d", round)), open(fmt.Sprintf("restored%d", round))
		must(rebuilt.Migrate(b.Context(), nil))
		rate := func(what string, rows int, f func()) {
			begun := time.Now()
			f()
			b.ReportMetric(float64(rows)/time.Since(begun).Seconds(), what+"-rows/s")
		}
		rate("rebuild", 2*vacancies, func() {
			result, err := Rebuild(b.Context(), RebuildOptions{Kafka: o, Warehouse: rebuilt, Encoder: testEncoder})
			must(err)
			if result.Records != 2*vacancies {
				b.Fatalf("%d records, want %d", result.Records, 2*vacancies)
			}
		})
		place, err := warehouse.ParseDestination(fmt.Sprintf("bench%d", round))
		must(err)
		rate("backup", 2*vacancies, func() {
			_, err := rebuilt.Backup(b.Context(), warehouse.BackupOptions{To: place})
			must(err)
		})
		rate("restore", 2*vacancies, func() {
			_, err := restored.Restore(b.Context(), warehouse.RestoreOptions{From: place})
			must(err)
		})
	}
}
