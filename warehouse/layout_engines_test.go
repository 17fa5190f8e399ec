package warehouse

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"jobstrom/cluster"
	"jobstrom/embedded"
	"jobstrom/models"
)

// twoShards starts two engines that know each other as the cluster two, of one server a shard, and a policy of a hot and a cold volume.
func twoShards(t *testing.T) [2]*embedded.ClickHouse {
	t.Helper()
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	// Remote servers are asked at the port that they are known by, which is known before they start.
	ports, err := cluster.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	var engines [2]*embedded.ClickHouse
	for i := range engines {
		dir := t.TempDir()
		config := fmt.Sprintf(`<clickhouse>
  <remote_servers><two>
    <shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>%d</port></replica></shard>
    <shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>%d</port></replica></shard>
  </two></remote_servers>
  <storage_configuration>
    <disks><archive><path>%s/</path></archive></disks>
    <policies><tiered><volumes><hot><disk>default</disk></hot><cold><disk>archive</disk></cold></volumes></tiered></policies>
  </storage_configuration>
</clickhouse>`, ports[0], ports[1], filepath.Join(dir, "archive"))
		if err := os.Mkdir(filepath.Join(dir, "config.d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.d", "cluster.xml"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		engine, err := embedded.StartClickHouse(t.Context(), embedded.ClickHouseOptions{
			DataDir: dir, NativePort: ports[i], Library: filepath.Join(native, models.LibraryClickHouse),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := engine.Stop(ctx); err != nil {
				t.Error(err)
			}
		})
		engines[i] = engine
	}
	return engines
}

// shardedOptions are those of one server of the cluster two.
func shardedOptions(engine *embedded.ClickHouse) Options {
	return Options{
		Addr: []string{engine.Addr()}, Database: "flow", CreateDatabase: true, Retention: Retention{Embeddings: 9000 * time.Hour, Hot: 48 * time.Hour},
		Layout: Layout{Cluster: "two", Sharded: true, Here: true, StoragePolicy: "tiered"},
	}
}

// fill writes the same rows, from a time on, into a database of any layout by the sink's own methods, some twice, erases some vacancies, and writes some of those again.
func fill(t *testing.T, w *Warehouse, begin time.Time) []Erasure {
	t.Helper()
	topic := uuid.MustParse("11111111-2222-3333-4444-555555555555")
	var embeddings []EmbeddingRow
	var predictions []PredictionRow
	var labels []LabelRow
	var letters []DeadLetterRow
	var replays []DeadLetterReplayRow
	for i := range 200 {
		at := Coordinates{topic, int32(i % 4), int64(i)}
		id, received := fmt.Sprintf("vacancy-%d", i%150), begin.Add(time.Duration(i)*20*time.Minute)
		category := uint16(i % 22)
		embeddings = append(embeddings, EmbeddingRow{Coordinates: at, ReceivedAt: received, VacancyID: id, Encoder: "e1", Vector: []float32{float32(i%7) + 1, 1, float32(i%3) - 1, 0.5},
			Tokens: uint32(i), Source: "test", Language: "da", TextLength: 100, TextHash: HashText(id), PublishedAt: received, Attributes: map[string]string{"region": fmt.Sprint(i % 3)}})
		predictions = append(predictions, PredictionRow{Coordinates: at, ReceivedAt: received, VacancyID: id, Model: "m1", Encoder: "e1", CategoryIndex: category, Category: fmt.Sprint("c", category),
			Confidence: float32(i%10) / 10, Probabilities: []float32{0.5, 0.5}, PublishedAt: received, ClassifiedAt: received.Add(time.Second)})
		if i%3 == 0 {
			labels = append(labels, LabelRow{TopicID: topic, Partition: at.Partition, Offset: at.Offset, ReceivedAt: received, VacancyID: id, CategoryIndex: category, Category: fmt.Sprint("c", category), Source: "test", LabelledAt: received.Add(time.Hour)})
		}
		if i%10 == 0 {
			l := DeadLetterRow{Coordinates: Coordinates{topic, 9, int64(i)}, ReceivedAt: received, RefusedTopic: "vacancies.raw", RefusedPartition: 9, RefusedOffset: int64(i), Stage: "extract",
				Class: "malformed", FailedAt: received, LetterPartition: 0, LetterOffset: int64(i), Version: "test"}
			letters = append(letters, l)
			l.VacancyID = id // known after a replay: it is the same letter
			letters = append(letters, l)
			if i%20 == 0 {
				replays = append(replays, DeadLetterReplayRow{Coordinates: l.Coordinates, ReceivedAt: received, RefusedTopic: l.RefusedTopic, RefusedPartition: 9, RefusedOffset: int64(i), Stage: "extract", ReplayedAt: received.Add(time.Hour)})
			}
		}
	}
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // a replay
		must(w.InsertEmbeddings(ctx, embeddings))
		must(w.InsertPredictions(ctx, predictions))
		must(w.InsertLabels(ctx, labels))
		must(w.InsertDeadLetters(ctx, letters))
		must(w.InsertDeadLetterReplays(ctx, replays))
	}
	must(w.InsertAPI(ctx, embeddings[:5], predictions[:5]))
	must(w.InsertModelEvents(ctx, []ModelEventRow{
		{EventID: "1", HistoryOffset: 1, At: begin, Action: "register", Model: "m1", Taxonomy: "t", Encoder: "e1", TrainedAt: begin},
		{EventID: "2", HistoryOffset: 2, At: begin, Action: "promote", Model: "m1", Taxonomy: "t", Encoder: "e1"},
	}))
	must(w.InsertTrainingRun(ctx, TrainingRun{RunID: "r", StartedAt: begin, Encoder: "e1"}))
	must(w.InsertTrainingRun(ctx, TrainingRun{RunID: "r", StartedAt: begin, FinishedAt: begin.Add(time.Hour), Encoder: "e1"}))
	must(w.InsertDriftEvents(ctx, []DriftEventRow{{EventID: "d", At: begin, Watch: "w", Kind: "raised", AlarmID: "d", Column: "category"}}))
	must(w.InsertDriftEvents(ctx, []DriftEventRow{{EventID: "d", At: begin, Watch: "w", Kind: "raised", AlarmID: "d", Column: "category", PublishedAt: begin}}))
	var erasures []Erasure
	for i := range 20 {
		for partition := range int32(4) {
			erasures = append(erasures, Erasure{VacancyID: fmt.Sprintf("vacancy-%d", 5*i), TopicID: topic, Partition: partition, Offset: 120, ErasedAt: time.Now()})
		}
	}
	return erasures
}

// viewRows are what the views say, each row of each as text, in an order of their own.
func viewRows(t *testing.T, w *Warehouse) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for view, columns := range map[string]string{
		"embeddings": "*", "all_embeddings": "*", "api_embeddings": "*", "predictions": "*", "all_predictions": "*", "api_predictions": "*", "labels": "*", "history": "*", "api_history": "*",
		"all_history": "*", "dead_letters": "* EXCEPT (vacancy_id)", "erasures": "* EXCEPT (erased_at)", "shadow_predictions": "*", "training_runs": "*", "model_history": "*", "champions": "*", "models": "*",
		"predictions_with_models": "*", "drift_events": "*",
	} {
		var rows []struct {
			Row string `ch:"row"`
		}
		if err := w.Conn().Select(t.Context(), &rows, fmt.Sprintf("SELECT toString(tuple(*)) AS row FROM (SELECT %s FROM %s) ORDER BY row", columns, view)); err != nil {
			t.Fatalf("asking %s: %v", view, err)
		}
		all[view] = []string{}
		for _, r := range rows {
			all[view] = append(all[view], r.Row)
		}
	}
	return all
}

// The same rows by the sink's code into one server and into two shards: every view answers the same, before and after vacancies are erased, whichever server is asked.
func TestSharded(t *testing.T) {
	engines := twoShards(t)
	one := open(t, Options{Addr: []string{engines[0].Addr()}, Database: "one", CreateDatabase: true})
	if err := one.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var shards [2]*Warehouse
	for i, engine := range engines {
		shards[i] = open(t, shardedOptions(engine))
		if err := shards[i].Migrate(t.Context(), nil); err != nil {
			t.Fatalf("server %d: %v", i, err)
		}
	}
	begin := time.Now().Add(-72 * time.Hour).Truncate(time.Hour)
	erasures := fill(t, one, begin)
	fill(t, shards[0], begin)
	want := viewRows(t, one)
	for view, least := range map[string]int{"embeddings": 195, "predictions": 195, "labels": 50, "history": 50, "dead_letters": 20, "api_embeddings": 5, "drift_events": 1, "predictions_with_models": 195, "training_runs": 1} {
		if len(want[view]) < least {
			t.Errorf("%s has %d rows, want at least %d to compare", view, len(want[view]), least)
		}
	}
	for i := range shards {
		var local uint64
		if err := shards[i].Conn().QueryRow(t.Context(), "SELECT count() FROM embedding_rows_local").Scan(&local); err != nil || local < 50 {
			t.Errorf("server %d holds %d embeddings, %v: the rows are not divided", i, local, err)
		}
		if diff := cmp.Diff(want, viewRows(t, shards[i])); diff != "" {
			t.Errorf("server %d answers otherwise than one server:\n%s", i, diff)
		}
	}
	// What tombstones hide, before anything is deleted, and then what is deleted.
	ids := []string{"vacancy-0", "vacancy-5", "vacancy-10"}
	for _, w := range []*Warehouse{one, shards[0]} {
		if err := insert(t.Context(), w, "erasure_rows", slices.Clone(erasures)); err != nil {
			t.Fatal(err)
		}
	}
	hidden := viewRows(t, one)
	if n := len(want["embeddings"]) - len(hidden["embeddings"]); n < 10 {
		t.Errorf("%d embeddings are hidden, want some to compare", n)
	}
	if diff := cmp.Diff(hidden, viewRows(t, shards[1])); diff != "" {
		t.Errorf("with tombstones two shards answer otherwise than one server:\n%s", diff)
	}
	if err := one.Erase(t.Context(), erasures); err != nil {
		t.Fatal(err)
	}
	for _, w := range shards { // by ON CLUSTER one of them would do
		if err := w.Erase(t.Context(), erasures); err != nil {
			t.Fatal(err)
		}
	}
	wantTraces, err := one.ReadTraces(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	gotTraces, err := shards[1].ReadTraces(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantTraces, gotTraces); diff != "" {
		t.Errorf("traces after the erasure:\n%s", diff)
	}
	for i := range shards {
		if diff := cmp.Diff(viewRows(t, one), viewRows(t, shards[i])); diff != "" {
			t.Errorf("after the erasure server %d answers otherwise than one server:\n%s", i, diff)
		}
		if err := shards[i].Purge(t.Context()); err != nil {
			t.Error(err)
		}
	}
	checkTexts(t, one, shards[1])
	checkSimilar(t, one, shards)
	checkPlan(t, engines)
	// Migrating again changes nothing and loses nothing.
	for _, w := range shards {
		if err := w.Migrate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(viewRows(t, one), viewRows(t, shards[0])); diff != "" {
		t.Errorf("after another Migrate:\n%s", diff)
	}
}

// checkTexts compares the vectors that --embed-reuse finds.
func checkTexts(t *testing.T, one, sharded *Warehouse) {
	t.Helper()
	texts := []TextHash{HashText("vacancy-0"), HashText("vacancy-1"), HashText("vacancy-149"), HashText("never")}
	want, err := one.ReadVectors(t.Context(), "e1", texts)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sharded.ReadVectors(t.Context(), "e1", texts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 || len(want) == len(texts) {
		t.Errorf("one server finds %d of %d texts, of which one was never there; two shards otherwise:\n%s", len(want), len(texts), diff)
	}
}

// checkSimilar compares searches, first without and then with the index on each shard.
func checkSimilar(t *testing.T, one *Warehouse, shards [2]*Warehouse) {
	t.Helper()
	q := SimilarQuery{Encoder: "e1", Vector: []float32{1, 1, 0, 0.5}, Most: 7, Category: -1}
	compare := func(when string) {
		t.Helper()
		want, err := one.Similar(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := shards[0].Similar(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(want) != 7 || len(got) != 7 {
			t.Fatalf("%s: one server finds %d, two shards %d, want 7", when, len(want), len(got))
		}
		for i := range want {
			if d := want[i].Similarity - got[i].Similarity; d > 1e-6 || d < -1e-6 {
				t.Errorf("%s: number %d is %v, want %v", when, i, got[i].Similarity, want[i].Similarity)
			}
		}
	}
	compare("without the index")
	if err := one.EnsureSimilar(t.Context(), "e1", 4); err != nil {
		t.Fatal(err)
	}
	for _, w := range shards {
		if err := w.EnsureSimilar(t.Context(), "e1", 4); err != nil {
			t.Fatal(err)
		}
	}
	compare("with the index")
}

// checkPlan compares the plan of what is there with the options that made it, and others.
func checkPlan(t *testing.T, engines [2]*embedded.ClickHouse) {
	t.Helper()
	o := shardedOptions(engines[0])
	f := func(change func(*Options), kind StepKind, what, to string) {
		t.Helper()
		changed := o
		change(&changed)
		p, err := PlanMigration(t.Context(), changed)
		if err != nil {
			t.Fatal(err)
		}
		if kind == "" {
			if len(p.Steps) != 0 {
				t.Errorf("planned %v, want nothing", p.Steps)
			}
			return
		}
		if !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == kind && s.What == what && s.To == to }) {
			t.Errorf("planned %v, want %s %s to %s", p.Steps, kind, what, to)
		}
	}
	f(func(*Options) {}, "", "", "")
	f(func(o *Options) { o.Layout.Here = false }, "", "", "")
	f(func(o *Options) { o.Layout = Layout{} }, StepRefused, "embedding_rows", "one server")
	f(func(o *Options) { o.Layout.Replicated = true }, StepRefused, "embedding_rows_local", "sharded and replicated over the cluster two")
	f(func(o *Options) { o.Database = "other" }, StepMigrate, "other", "created")
	f(func(o *Options) { o.Database, o.Layout.Cluster = "default", "three" }, StepRefused, "three", "sharded over the cluster three")
	f(func(o *Options) { o.Retention.Embeddings = time.Hour; o.Retention.Hot = 0 }, StepRetention, "embedding_rows", "kept 1h0m0s, after 48h0m0s on the volume cold")
}
