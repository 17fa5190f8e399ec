package consumers

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

// counting counts the texts that an encoder embeds.
type counting struct {
	Encoder
	mu    sync.Mutex
	texts map[string]int
}

// countedEncoder opens the default encoder with a prompt and counts what it embeds.
func countedEncoder(t *testing.T, prompt string) *counting {
	t.Helper()
	e, err := embed.New(embed.Options{Prompt: prompt})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return &counting{Encoder: e, texts: map[string]int{}}
}

func (c *counting) Embed(ctx context.Context, texts []string) ([]embed.Vector, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range texts {
		c.texts[text]++
	}
	return c.Encoder.Embed(ctx, texts)
}

// embedded returns how often each text was embedded so far.
func (c *counting) embedded() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.texts)
}

// results reads jobstrom_embed_stored_total.
func results(t *testing.T, registry *prometheus.Registry) map[string]int {
	t.Helper()
	got := map[string]int{}
	for _, m := range metricsOf(t, registry, "jobstrom_embed_stored_total") {
		got[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
	}
	return got
}

// jobs are vacancies whose texts differ, under ids that begin as given.
func jobs(prefix string) (vacancies []*schemas.Vacancy) {
	for i, job := range []string{"kok, som skal lave mad", "tømrer, som skal lægge tag", "sygeplejerske, som skal pleje patienter", "murer, som skal mure vægge", "lærer, som skal undervise elever"} {
		title, _, _ := strings.Cut(job, ",")
		vacancies = append(vacancies, &schemas.Vacancy{Id: fmt.Sprint(prefix, i), Title: title, Text: "Vi søger en " + job + "."})
	}
	return vacancies
}

// A re-run of history embeds nothing twice: the same texts under other ids take the vectors that ClickHouse has, bit for bit. What is erased does not serve, and
// neither does ClickHouse while it is killed: then the flow embeds, and goes on as before when ClickHouse is back.
func TestHistoryIsNotEmbeddedTwice(t *testing.T) { eachBroker(t, historyIsNotEmbeddedTwice) }

func historyIsNotEmbeddedTwice(t *testing.T, o kafka.Options, client *kgo.Client) {
	dir := t.TempDir()
	first := engine(t, dir, nil)
	w := schema(t, first.Addr())
	encoder := countedEncoder(t, "")
	id := encoder.Card().ID
	if err := kafka.EnsureTopics(t.Context(), client, id, kafka.Layout{Partitions: 3, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	raw, err := kafka.IDOf(t.Context(), client, kafka.Raw)
	if err != nil {
		t.Fatal(err)
	}
	extractor, err := extract.New(extract.Options{Taxonomy: schemas.Jobnet()})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	stored := NewStored(encoder, StoredOptions{Warehouse: w, Pause: 10 * time.Millisecond, Timeout: time.Minute, Registerer: registry})
	for _, stage := range []Stage{Extract(extractor, raw), Embed(stored)} {
		stop := start(t, stage, RunnerOptions{Kafka: o, Workers: 1})
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	sunk := make(chan error, 1)
	go func() {
		sunk <- Sink(ctx, SinkOptions{Kafka: o, Warehouse: w, Encoder: id, Interval: 20 * time.Millisecond})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-sunk; err != nil {
			t.Error(err)
		}
	})
	type row struct {
		ID        string    `ch:"vacancy_id"`
		Vector    []float32 `ch:"vector"`
		Tokens    uint32    `ch:"tokens"`
		Truncated bool      `ch:"truncated"`
	}
	// rows returns what the view shows of vacancies whose ids begin so, without the prefix, in their order.
	rows := func(prefix string) (rows []row) {
		if err := w.Conn().Select(t.Context(), &rows, "SELECT vacancy_id, vector, tokens, truncated FROM embeddings WHERE startsWith(vacancy_id, ?) ORDER BY vacancy_id", prefix); err != nil {
			return nil // it is just started again
		}
		for i := range rows {
			rows[i].ID = strings.TrimPrefix(rows[i].ID, prefix)
		}
		return rows
	}
	send := func(vacancies ...*schemas.Vacancy) {
		t.Helper()
		for _, v := range vacancies {
			sendVacancy(t, client, v)
		}
	}
	// f compares what was embedded so far, which a batch that is answered again would not change, and the results, which it may make more.
	f := func(what string, embedded map[string]int, hit, miss, failed int) {
		t.Helper()
		if diff := cmp.Diff(embedded, encoder.embedded()); diff != "" {
			t.Errorf("%s: embedded\n%s", what, diff)
		}
		if got := results(t, registry); got["hit"] < hit || got["miss"] < miss || got["failed"] < failed {
			t.Errorf("%s: got %v, want at least %d hits, %d misses, %d failed", what, got, hit, miss, failed)
		}
	}
	send(jobs("a")...)
	waitFor(t, func() bool { return len(rows("a")) == 5 })
	whole := encoder.embedded()
	if len(whole) != 5 {
		t.Fatalf("%d texts were embedded, want 5", len(whole))
	}
	send(jobs("b")...)
	waitFor(t, func() bool { return len(rows("b")) == 5 })
	f("again", whole, 5, 5, 0)
	if diff := cmp.Diff(rows("a"), rows("b")); diff != "" {
		t.Errorf("vectors differ:\n%s", diff)
	}

	if _, err := producers.Erase(t.Context(), producers.EraseOptions{Kafka: o}, []string{"a0", "b0", "a1"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return len(rows("a")) == 3 && len(rows("b")) == 4 })
	send(jobs("c")...)
	waitFor(t, func() bool { return len(rows("c")) == 5 })
	cook := ""
	for text := range whole {
		if strings.Contains(text, "kok") {
			cook = text
		}
	}
	now := encoder.embedded()
	if now[cook] <= whole[cook] {
		t.Error("an erased vacancy's vector served")
	}
	whole[cook] = now[cook]
	f("after an erasure", whole, 9, 6, 0) // the carpenter's text is that of b1, too

	first.Kill()
	send(jobs("d")...)
	waitFor(t, func() bool { return results(t, registry)["failed"] >= 5 })
	engine(t, dir, first)
	waitFor(t, func() bool { return len(rows("d")) == 5 })
	now = encoder.embedded()
	for text, n := range now {
		if n <= whole[text] {
			t.Errorf("%q was not embedded while ClickHouse was killed", text)
		}
	}
	hits := results(t, registry)["hit"]
	send(jobs("e")...)
	waitFor(t, func() bool { return len(rows("e")) == 5 })
	f("it is back", now, hits+5, 6, 5)
	// Those of c and of d are stored. They were embedded in other batches, on which the last bits depend.
	before, meanwhile := rows("c"), rows("d")
	for i, got := range rows("e") {
		if !cmp.Equal(got, before[i]) && !cmp.Equal(got, meanwhile[i]) {
			t.Errorf("%v is neither %v nor %v", got, before[i], meanwhile[i])
		}
	}
}

// Order is kept whatever is stored, equal texts are embedded once, and rows of another encoder or width do not serve.
func TestStored(t *testing.T) {
	w := store(t)
	encoder, other := countedEncoder(t, ""), countedEncoder(t, "another: ")
	texts := []string{"kok", "tømrer", "kok", "murer", "", "tømrer", "smed"}
	want, err := encoder.Encoder.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	stored := func(offset int64, text string, encoder string, vector []float32) warehouse.EmbeddingRow {
		return warehouse.EmbeddingRow{
			Coordinates: warehouse.Coordinates{TopicID: uuid.UUID{9}, Offset: offset}, ReceivedAt: time.Now(), PublishedAt: time.Now(),
			VacancyID: fmt.Sprint(offset), Encoder: encoder, Vector: vector, Tokens: 7, Truncated: true, TextHash: warehouse.HashText(text),
		}
	}
	flat := make([]float32, encoder.Card().Dim)
	flat[0] = 1
	broken := slices.Clone(flat)
	broken[1] = float32(math.NaN())
	if err := w.InsertEmbeddings(t.Context(), []warehouse.EmbeddingRow{
		stored(0, "tømrer", encoder.Card().ID, flat), stored(1, "kok", "another", flat), stored(2, "murer", encoder.Card().ID, flat[:3]), stored(3, "smed", encoder.Card().ID, broken),
	}); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	got, err := NewStored(encoder, StoredOptions{Warehouse: w, Timeout: time.Minute, Registerer: registry}).Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	want[1] = embed.Vector{Values: flat, Tokens: 7, Truncated: true}
	want[5] = want[1]
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-5)); diff != "" { // the last bits depend on the batch
		t.Errorf("got\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"kok": 1, "murer": 1, "": 1, "smed": 1}, encoder.embedded()); diff != "" {
		t.Errorf("embedded\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"hit": 2, "miss": 5, "failed": 0}, results(t, registry)); diff != "" {
		t.Error(diff)
	}
	if _, err := NewStored(other, StoredOptions{Warehouse: w, Timeout: time.Minute}).Embed(t.Context(), texts[1:2]); err != nil || other.embedded()["tømrer"] != 1 {
		t.Errorf("another encoder embedded %v, %v", other.embedded(), err)
	}
}

// A ClickHouse that says nothing, is away, or has an older schema is asked once in a while, said of once, and nobody waits for it.
func TestStoredWithoutClickHouse(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	old := store(t)
	if err := old.Conn().Exec(t.Context(), "ALTER TABLE embedding_rows DROP INDEX by_text, DROP COLUMN text_hash"); err != nil {
		t.Fatal(err)
	}
	lazy := func(addr string) *warehouse.Warehouse {
		t.Helper()
		w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{addr}, Lazy: true, DialTimeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	const closed = "127.0.0.1:1" // nothing takes this port
	encoder := countedEncoder(t, "")
	f := func(w *warehouse.Warehouse, timeout time.Duration, want string) {
		t.Helper()
		var log bytes.Buffer
		registry, before := prometheus.NewRegistry(), encoder.embedded()["kok"]
		stored := NewStored(encoder, StoredOptions{Warehouse: w, Timeout: timeout, Pause: time.Nanosecond, Logger: slog.New(slog.NewTextHandler(&log, nil)), Registerer: registry})
		for range 3 {
			if got, err := stored.Embed(t.Context(), []string{"kok"}); err != nil || len(got) != 1 || len(got[0].Values) != encoder.Card().Dim {
				t.Fatalf("got %v, %v", got, err)
			}
		}
		if n := encoder.embedded()["kok"] - before; n != 3 {
			t.Errorf("embedded %d times, want 3", n)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("%d warnings, want one with %q:\n%s", n, want, log.String())
		}
		if diff := cmp.Diff(map[string]int{"hit": 0, "miss": 0, "failed": 3}, results(t, registry)); diff != "" {
			t.Error(diff)
		}
	}
	f(lazy(silent.Addr().String()), 10*time.Millisecond, "no answer within 10ms")
	f(lazy(closed), time.Minute, "nothing listens there")
	f(old, time.Minute, "text_hash")
	// After a failure it rests: the one that is back is not asked.
	stored := NewStored(encoder, StoredOptions{Warehouse: lazy(closed), Pause: time.Hour})
	if _, err := stored.Embed(t.Context(), []string{"kok"}); err != nil {
		t.Fatal(err)
	}
	if _, err := stored.find(t.Context(), nil); err != errResting {
		t.Errorf("got %v", err)
	}
	// The end of the flow is no failure of ClickHouse.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	stored = NewStored(encoder, StoredOptions{Warehouse: lazy(silent.Addr().String())})
	if _, err := stored.Embed(ended, []string{"kok"}); err == nil || !stored.next.IsZero() {
		t.Errorf("got %v, rests until %v", err, stored.next)
	}
}
