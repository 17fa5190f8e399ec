package consumers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"jobstrom/kafka"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// town is a flow whose stages are played: what they would write is written at random, and what must be visible of it is kept beside.
type town struct {
	t       *testing.T
	client  *kgo.Client
	random  *rand.Rand
	raw     kafka.TopicID
	next    [3]int64 // offset of each raw partition
	records []*kgo.Record
	// published and labelled are the coordinates of each vacancy's records, erased where the newest tombstone of each partition stands.
	published map[string][]kafka.Coordinates
	erased    map[string][3]int64
}

func newTown(t *testing.T, client *kgo.Client, seed uint64) *town {
	return &town{t: t, client: client, random: rand.New(rand.NewPCG(seed, 0)), raw: kafka.TopicID{9}, published: map[string][]kafka.Coordinates{}, erased: map[string][3]int64{}}
}

func (w *town) write(topic, contentType, key string, c kafka.Coordinates, m proto.Message, more ...kgo.RecordHeader) {
	value, err := schemas.Encode(contentType, m)
	if err != nil {
		w.t.Fatal(err)
	}
	w.records = append(w.records, &kgo.Record{Topic: topic, Partition: c.Partition, Key: []byte(key), Value: value, Headers: append(c.Headers(contentType), more...)})
}

// happen does n things of a day.
func (w *town) happen(n int) {
	w.t.Helper()
	for range n {
		id := fmt.Sprintf("vacancy-%d", w.random.IntN(12))
		at := time.Now().UTC().Truncate(time.Millisecond)
		partition := w.random.Int32N(3)
		c := kafka.Coordinates{Topic: w.raw, Partition: partition, Offset: w.next[partition], Time: at}
		switch w.random.IntN(9) {
		case 0: // a tombstone in every raw partition, forwarded to every topic
			var places [3]int64
			for p := range int32(3) {
				place := kafka.Coordinates{Topic: w.raw, Partition: p, Offset: w.next[p], Time: at}
				w.next[p]++
				places[p] = place.Offset
				for _, topic := range []string{kafka.Embedded(testEncoder), kafka.Classified, kafka.Labels, kafka.DeadLetter, kafka.APIPredictions} {
					r := kafka.ForwardErasure(topic, kafka.Erasure(id, at), place)
					r.Partition = p
					w.records = append(w.records, r)
				}
			}
			w.erased[id] = places
		case 1:
			w.write(kafka.Labels, schemas.JSON, id, c, &schemas.Label{Id: id, Category: "Ledelse", CategoryIndex: 10, Source: "test", LabelledAt: schemas.Time(at)})
		case 2:
			w.next[partition]++
			letter := deadLetter(&kgo.Record{Topic: kafka.Raw, Partition: partition, Offset: c.Offset, Timestamp: at, Value: fmt.Appendf(nil, `{"id":%q}`, id)}, refusal{Stage: "extract", Version: "test", Topic: w.raw, Reason: schemas.ErrMalformed})
			letter.Partition = partition
			w.records = append(w.records, letter)
		case 3:
			answer := answersOf(id)[0]
			value, err := schemas.Encode(schemas.Protobuf, answer)
			if err != nil {
				w.t.Fatal(err)
			}
			w.records = append(w.records, &kgo.Record{Topic: kafka.APIPredictions, Partition: partition, Key: []byte(id), Value: value, Headers: []kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(schemas.Protobuf)}}})
		case 4:
			event := &schemas.ModelEvent{Id: uuid.NewString(), At: schemas.Time(at), Action: "promote", Model: "m", Taxonomy: "jobnet", Encoder: testEncoder, Reason: id}
			w.write(kafka.ModelHistory, schemas.JSON, "m", kafka.Coordinates{}, event)
			drifted := &schemas.DriftEvent{Id: uuid.NewString(), At: schemas.Time(at), Watch: "w", Kind: "raised", Column: "category", Changes: []*schemas.ShareChange{{Value: "a", Current: .5}}, Reference: &schemas.TimeWindow{Vacancies: 3}}
			w.write(kafka.DriftEvents, schemas.JSON, "w", kafka.Coordinates{}, drifted)
		default:
			w.next[partition]++
			w.published[id] = append(w.published[id], c)
			x := &schemas.Extraction{Id: id, Text: "text of " + id, PublishedAt: schemas.Time(at), EmployerHash: make([]byte, 16), Attributes: map[string]string{"a": id}}
			answer := &schemas.Classification{Id: id, Encoder: testEncoder, Model: "m", Category: "Ledelse", CategoryIndex: 10, Confidence: .75, Probabilities: []float32{.75, .25}, PublishedAt: schemas.Time(at), ClassifiedAt: schemas.Time(at)}
			w.write(kafka.Embedded(testEncoder), schemas.Protobuf, id, c, &schemas.Embedding{Encoder: testEncoder, Vector: []float32{0.6, 0.8}, Tokens: 7, Extraction: x})
			w.write(kafka.Classified, schemas.JSON, id, c, answer)
			w.write(kafka.Shadow, schemas.JSON, id, c, answer, kgo.RecordHeader{Key: kafka.Version, Value: []byte("challenger")})
		}
	}
	if err := w.client.ProduceSync(w.t.Context(), w.records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	w.records = nil
}

// visible counts for each vacancy the records that the stream's views must show.
func (w *town) visible(published map[string][]kafka.Coordinates) map[string]uint64 {
	counts := map[string]uint64{}
	for id, all := range published {
		for _, c := range all {
			if places, known := w.erased[id]; !known || c.Offset >= places[c.Partition] {
				counts[id]++
			}
		}
	}
	return counts
}

// shownIn counts what a view shows of each vacancy.
func shownIn(t *testing.T, w *warehouse.Warehouse, view string) map[string]uint64 {
	t.Helper()
	rows, err := w.Conn().Query(t.Context(), "SELECT vacancy_id, count() FROM "+view+" GROUP BY vacancy_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	counts := map[string]uint64{}
	for rows.Next() {
		var id string
		var n uint64
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		counts[id] = n
	}
	return counts
}

// shownRows are what each view shows, row by row.
func shownRows(t *testing.T, w *warehouse.Warehouse) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for view, columns := range map[string]string{
		"embeddings": "*", "predictions": "*", "labels": "*", "history": "*", "dead_letters": "*", "shadow_predictions": "*", "erasures": "*", "model_history": "*",
		"api_embeddings": "*", "api_predictions": "*", "all_history": "*",
		"drift_events": "* EXCEPT (published_at, called_at)", // when, the topic's records say
	} {
		all[view] = []string{}
		rows, err := w.Conn().Query(t.Context(), "SELECT toString(tuple("+columns+")) AS row FROM "+view+" ORDER BY row")
		if err != nil {
			t.Fatal(view, err)
		}
		for rows.Next() {
			var row string
			if err := rows.Scan(&row); err != nil {
				t.Fatal(err)
			}
			all[view] = append(all[view], row)
		}
		rows.Close()
	}
	return all
}

// another opens a further database on a warehouse's engine.
func another(t *testing.T, addr, name string) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{addr}, Database: name, CreateDatabase: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// watchEvents stores what the watch has written, as it does itself.
func watchEvents(t *testing.T, o kafka.Options, w *warehouse.Warehouse) {
	t.Helper()
	var rows []warehouse.DriftEventRow
	err := kafka.Scan(t.Context(), o, kafka.ScanOptions{Topics: []string{kafka.DriftEvents}}, func(r *kgo.Record) error {
		row, err := driftEventRow(r)
		rows = append(rows, row)
		return err
	})
	if err == nil {
		err = w.InsertDriftEvents(t.Context(), rows)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A database that is rebuilt from the topics, or restored from a backup of any moment and then rebuilt, shows row by row what the original shows, whatever was published,
// labelled, refused and erased, before the backup or after it, and whatever Kafka holds no more; and at no time what is erased.
func TestRebuild(t *testing.T) {
	eachBroker(t, func(t *testing.T, o kafka.Options, client *kgo.Client) {
		engine := engine(t, t.TempDir(), nil)
		original := another(t, engine.Addr(), "jobstrom")
		if err := original.Migrate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		admin, always := kadm.NewClient(client), func() bool { return true }
		manual, err := kafka.NewClient(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer manual.Close()
		const seed = 10
		w := newTown(t, manual, seed)
		w.happen(40)
		runSink(t, o, client, original, false, always)
		offsets, err := SinkOffsets(t.Context(), o, testEncoder)
		if err != nil {
			t.Fatal(err)
		}
		backup, err := warehouse.ParseDestination("sunday")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := original.Backup(t.Context(), warehouse.BackupOptions{To: backup, Version: "test", Offsets: offsets}); err != nil {
			t.Fatal(err)
		}
		before := map[string][]kafka.Coordinates{}
		for id, all := range w.published {
			before[id] = slices.Clone(all)
		}
		middle := time.Now().Add(2 * time.Millisecond)
		waitFor(t, func() bool { return time.Now().After(middle.Add(2 * time.Millisecond)) })
		w.happen(40)
		runSink(t, o, client, original, false, always)
		watchEvents(t, o, original)
		committed, err := admin.FetchOffsetsForTopics(t.Context(), kafka.Group("sink", ""), kafka.Classified)
		if err != nil {
			t.Fatal(err)
		}
		want := shownRows(t, original)
		for _, view := range []string{"embeddings", "predictions", "shadow_predictions"} {
			if diff := cmp.Diff(w.visible(w.published), shownIn(t, original, view)); diff != "" {
				t.Fatalf("the sink's %s:\n%s", view, diff)
			}
		}
		migrated := func(name string) *warehouse.Warehouse {
			w := another(t, engine.Addr(), name)
			if err := w.Migrate(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			return w
		}
		// From the topics alone, broken off in the middle and run again.
		rebuilt := migrated("rebuilt")
		ctx, cancel := context.WithCancel(t.Context())
		passed := int64(0)
		_, err = Rebuild(ctx, RebuildOptions{Kafka: o, Warehouse: rebuilt, Encoder: testEncoder, MaxRows: 40, Passed: func(n int64) {
			if passed += n; passed > 50 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("broken off: %v", err)
		}
		half, err := rebuilt.ReadOffsets(t.Context())
		if err != nil || len(half) == 0 {
			t.Fatalf("nothing is remembered of what was read: %v, %v", half, err)
		}
		for _, id := range slices.Sorted(maps.Keys(w.erased)) {
			if got, most := shownIn(t, rebuilt, "embeddings")[id], w.visible(w.published)[id]; got > most {
				t.Errorf("half rebuilt, %s is seen %d times, erased but for %d", id, got, most)
			}
		}
		result, err := Rebuild(t.Context(), RebuildOptions{Kafka: o, Warehouse: rebuilt, Encoder: testEncoder, MaxRows: 40})
		if err != nil || result.Refused != 0 || len(result.Gaps) != 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		if diff := cmp.Diff(want, shownRows(t, rebuilt)); diff != "" {
			t.Errorf("rebuilt:\n%s", diff)
		}
		if result, err := Rebuild(t.Context(), RebuildOptions{Kafka: o, Warehouse: rebuilt, Encoder: testEncoder}); err != nil || result.Records != 0 {
			t.Errorf("once more: %+v, %v; there was nothing to read", result, err)
		}
		if _, err := Rebuild(t.Context(), RebuildOptions{Kafka: o, Warehouse: rebuilt, Encoder: testEncoder, Until: middle}); !errors.Is(err, ErrBeyond) {
			t.Errorf("to an earlier time: %v", err)
		}
		// As it was in the middle, without what was erased since.
		past := migrated("past")
		if _, err := Rebuild(t.Context(), RebuildOptions{Kafka: o, Warehouse: past, Encoder: testEncoder, Until: middle}); err != nil {
			t.Fatal(err)
		}
		for _, view := range []string{"embeddings", "predictions", "shadow_predictions"} {
			if diff := cmp.Diff(w.visible(before), shownIn(t, past, view)); diff != "" {
				t.Errorf("%s of before:\n%s", view, diff)
			}
		}
		// What was before the backup is not on Kafka any more.
		gone := kadm.Offsets{}
		for _, at := range offsets {
			if at.Topic != kafka.ModelHistory {
				gone.Add(kadm.Offset{Topic: at.Topic, Partition: at.Partition, At: at.Next})
			}
		}
		if deleted, err := admin.DeleteRecords(t.Context(), gone); err != nil || deleted.Error() != nil {
			t.Fatal(err, deleted.Error())
		}
		tombstones, err := Tombstones(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		restored := another(t, engine.Addr(), "restored")
		r, err := restored.Restore(t.Context(), warehouse.RestoreOptions{From: backup, Erasures: tombstones})
		if err != nil {
			t.Fatal(err)
		}
		for _, view := range []string{"embeddings", "predictions", "shadow_predictions", "embedding_rows FINAL", "prediction_rows FINAL"} {
			got, most := shownIn(t, restored, view), w.visible(before)
			for id := range w.erased {
				if view == "embeddings" || view == "predictions" || view == "shadow_predictions" {
					if got[id] != most[id] {
						t.Errorf("restored %s show %s %d times, want %d", view, id, got[id], most[id])
					}
				}
			}
		}
		t.Logf("%d rows restored, %d of them erased since, %d tombstones", r.Manifest.Rows(), r.Erased, r.Tombstones)
		if r.Erased == 0 {
			t.Error("the test erases nothing between the backup and the restore: it proves nothing")
		}
		result, err = Rebuild(t.Context(), RebuildOptions{Kafka: o, Warehouse: restored, Encoder: testEncoder})
		if err != nil || len(result.Gaps) != 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		if diff := cmp.Diff(want, shownRows(t, restored)); diff != "" {
			t.Errorf("restored and rebuilt:\n%s", diff)
		}
		// Without the backup, what is missing is said.
		lacking := migrated("lacking")
		if result, err = Rebuild(t.Context(), RebuildOptions{Kafka: o, Warehouse: lacking, Encoder: testEncoder}); err != nil || len(result.Gaps) == 0 {
			t.Errorf("Kafka holds half of it: %+v, %v", result, err)
		}
		// The sink stands where it stood.
		after, err := admin.FetchOffsetsForTopics(t.Context(), kafka.Group("sink", ""), kafka.Classified)
		if err != nil || !cmp.Equal(committed.Offsets(), after.Offsets()) {
			t.Errorf("the sink's group stood at %v, now at %v (%v)", committed.Offsets(), after.Offsets(), err)
		}
		// It goes on in the database that was rebuilt.
		w.happen(15)
		runSink(t, o, client, restored, false, always)
		for _, view := range []string{"embeddings", "predictions", "shadow_predictions"} {
			if diff := cmp.Diff(w.visible(w.published), shownIn(t, restored, view)); diff != "" {
				t.Errorf("%s after the switch:\n%s", view, diff)
			}
		}
	})
}
