package warehouse

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"jobstrom/embedded/clickhousetest"
)

// near is a vacancy's embedding and prediction of a record: a vector at this angle from (1, 0, 0).
func near(offset int64, vacancy string, angle float64, category uint16) (EmbeddingRow, PredictionRow) {
	e, p := embedding(offset, vacancy, "e5"), prediction(offset, vacancy, "m1")
	e.Vector = []float32{float32(math.Cos(angle)), float32(math.Sin(angle)), 0}
	e.PublishedAt, p.PublishedAt = noon.Add(time.Duration(offset)*time.Hour), noon.Add(time.Duration(offset)*time.Hour)
	p.CategoryIndex, p.Category = category, fmt.Sprint("kategori ", category)
	return e, p
}

// The nearest are found with or without the encoder's table, once each, as they were published last; never what is erased, of another encoder or not classified yet.
func TestSimilar(t *testing.T) {
	w := openMigrated(t)
	put := func(offset int64, vacancy string, angle float64, category uint16) {
		t.Helper()
		e, p := near(offset, vacancy, angle, category)
		if err := errors.Join(w.InsertEmbeddings(t.Context(), []EmbeddingRow{e}), w.InsertPredictions(t.Context(), []PredictionRow{p})); err != nil {
			t.Fatal(err)
		}
	}
	// f asks with the vector (1, 0, 0).
	f := func(change func(*SimilarQuery), want ...string) {
		t.Helper()
		q := SimilarQuery{Encoder: "e5", Vector: []float32{1, 0, 0}, Category: -1, Most: 3}
		change(&q)
		found, err := w.Similar(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range found {
			got = append(got, fmt.Sprintf("%s %.2f %d", r.VacancyID, math.Acos(min(1, r.Similarity)), r.CategoryIndex))
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	put(1, "a", .1, 1)
	put(2, "b", .2, 2)
	put(3, "moved", .05, 3)
	put(4, "moved", .3, 4) // published anew, with another text
	put(1, "a", .1, 1)     // a replay
	put(5, "gone", .15, 1)
	put(6, "d", .4, 1)
	put(7, "e", 1.5, 1)
	waits, _ := near(8, "not classified", .01, 0)
	other := embedding(9, "other encoder", "bge")
	other.Vector = []float32{1, 0}
	if err := errors.Join(w.InsertEmbeddings(t.Context(), []EmbeddingRow{waits, other}), w.Erase(t.Context(), tombstones("gone", 6))); err != nil {
		t.Fatal(err)
	}
	all := func(where string) {
		t.Run(where, func(t *testing.T) {
			f(func(*SimilarQuery) {}, "a 0.10 1", "b 0.20 2", "moved 0.30 4")
			f(func(q *SimilarQuery) { q.Most = 1 }, "a 0.10 1")
			f(func(q *SimilarQuery) { q.Most = 100 }, "a 0.10 1", "b 0.20 2", "moved 0.30 4", "d 0.40 1", "e 1.50 1")
			f(func(q *SimilarQuery) { q.Category = 1 }, "a 0.10 1", "d 0.40 1", "e 1.50 1")
			f(func(q *SimilarQuery) { q.Category = 3 }) // what was said of an old text does not count
			f(func(q *SimilarQuery) { q.Since = noon.Add(2 * time.Hour) }, "b 0.20 2", "moved 0.30 4", "d 0.40 1")
			f(func(q *SimilarQuery) { q.Until = noon.Add(2 * time.Hour) }, "a 0.10 1")
			f(func(q *SimilarQuery) { q.Since, q.Category = noon.Add(6*time.Hour), 1 }, "d 0.40 1", "e 1.50 1")
			f(func(q *SimilarQuery) { q.Encoder = "bge" })
			f(func(q *SimilarQuery) { q.Vector = []float32{1, 0} })
		})
	}
	all("without a table")
	for range 2 {
		if err := w.EnsureSimilar(t.Context(), "e5", 3); err != nil {
			t.Fatal(err)
		}
	}
	all("with a table of before")
	put(10, "late", .15, 1)
	put(11, "late", .12, 1)
	f(func(q *SimilarQuery) { q.Most = 2 }, "a 0.10 1", "late 0.12 1")
	// Whatever the sink has not deleted yet, or inserted late, is not found.
	if err := insert(t.Context(), w, "erasure_rows", tombstones("late", 20)); err != nil {
		t.Fatal(err)
	}
	all("after an erasure that has deleted nothing yet")
	table := similarTable("e5", 3)
	if got := selected[struct {
		N uint64 `ch:"n"`
	}](t, w, "SELECT count() AS n FROM "+table+" WHERE vacancy_id = 'late'")[0].N; got == 0 {
		t.Error("the table lacks what came after it was made")
	}
	if err := w.Erase(t.Context(), tombstones("late", 20)); err != nil {
		t.Fatal(err)
	}
	traces, err := w.ReadTraces(t.Context(), []string{"late", "a"})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(traces, func(r Trace) bool { return r.VacancyID == "late" }) || !slices.ContainsFunc(traces, func(r Trace) bool { return r.Table == table }) {
		t.Errorf("got %+v, want nothing of late and a in %s", traces, table)
	}
	if err := w.conn.Exec(t.Context(), "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
		t.Fatal(err)
	}
	all("with an index")
}

func TestSimilarRetention(t *testing.T) {
	o := testOptions(t)
	w := open(t, o)
	if err := errors.Join(w.Migrate(t.Context(), nil), w.EnsureSimilar(t.Context(), "e5", 3)); err != nil {
		t.Fatal(err)
	}
	o.Retention.Embeddings = 48 * time.Hour
	kept := open(t, o)
	if err := errors.Join(kept.Migrate(t.Context(), nil), kept.EnsureSimilar(t.Context(), "it's bge", 4)); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{similarTable("e5", 3), similarTable("it's bge", 4)} {
		if got, err := kept.Retention(t.Context(), table); err != nil || got != 48*time.Hour {
			t.Errorf("%s: got %v (%v), want 48 h", table, got, err)
		}
	}
}

func TestSimilarFailure(t *testing.T) {
	w := openMigrated(t)
	f := func(want string, change func(*SimilarQuery)) {
		t.Helper()
		q := SimilarQuery{Encoder: "e5", Vector: []float32{1, 0, 0}, Category: -1, Most: 3}
		change(&q)
		if _, err := w.Similar(t.Context(), q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("the vector of 0 numbers", func(q *SimilarQuery) { q.Vector = nil })
	f("must be finite and not all zeros", func(q *SimilarQuery) { q.Vector = []float32{0, 0} })
	f("must be finite", func(q *SimilarQuery) { q.Vector[0] = float32(math.NaN()) })
	f("must be finite", func(q *SimilarQuery) { q.Vector[0] = float32(math.Inf(1)) })
	f("most (0)", func(q *SimilarQuery) { q.Most = 0 })
	f("most (101)", func(q *SimilarQuery) { q.Most = 101 })
	f("category (-2)", func(q *SimilarQuery) { q.Category = -2 })
}

// unit scales a vector to length 1.
func unit(v []float32) []float32 {
	n := 0.
	for _, x := range v {
		n += float64(x) * float64(x)
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(n))
	}
	return v
}

// drawn returns n vectors of length dim: of each four, three lie about one of 100 centres, as vacancies do, and one anywhere.
func drawn(random *rand.Rand, n, dim int) [][]float32 {
	gaussian := func(centre []float32, spread float64) []float32 {
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(spread * random.NormFloat64())
			if centre != nil {
				v[i] += centre[i]
			}
		}
		return unit(v)
	}
	var centres [][]float32
	for range 100 {
		centres = append(centres, gaussian(nil, 1))
	}
	vectors := make([][]float32, n)
	for i := range vectors {
		if i%4 == 0 {
			vectors[i] = gaussian(nil, 1)
		} else {
			vectors[i] = gaussian(centres[random.IntN(len(centres))], .6/math.Sqrt(float64(dim)))
		}
	}
	return vectors
}

// load inserts vectors as vacancies v-0, v-1, … with a prediction each: categories in turn, one vacancy a second.
func load(t testing.TB, w *Warehouse, vectors [][]float32) {
	t.Helper()
	for from := 0; from < len(vectors); from += 10_000 {
		var embeddings []EmbeddingRow
		var predictions []PredictionRow
		for i := from; i < min(from+10_000, len(vectors)); i++ {
			e, p := embedding(int64(i), fmt.Sprint("v-", i), "e5"), prediction(int64(i), fmt.Sprint("v-", i), "m1")
			at := noon.Add(time.Duration(i) * time.Second)
			e.Vector, e.PublishedAt, e.ReceivedAt, p.PublishedAt, p.ReceivedAt, p.CategoryIndex = vectors[i], at, at, at, at, uint16(i%22)
			embeddings, predictions = append(embeddings, e), append(predictions, p)
		}
		if err := errors.Join(w.InsertEmbeddings(t.Context(), embeddings), w.InsertPredictions(t.Context(), predictions)); err != nil {
			t.Fatal(err)
		}
	}
}

// bruteForce returns the vacancies nearest to a vector, of those that are chosen.
func bruteForce(vectors [][]float32, to []float32, most int, chosen func(i int) bool) []string {
	type scored struct {
		i      int
		cosine float64
	}
	var all []scored
	for i, v := range vectors {
		if chosen(i) {
			sum := 0.
			for j := range v {
				sum += float64(v[j]) * float64(to[j])
			}
			all = append(all, scored{i, sum})
		}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(b.cosine, a.cosine) })
	var ids []string
	for _, s := range all[:min(most, len(all))] {
		ids = append(ids, fmt.Sprint("v-", s.i))
	}
	return ids
}

// recall is the share of want that is among got.
func recall(want []string, got []SimilarRow) float64 {
	n := 0.
	for _, r := range got {
		if slices.Contains(want, r.VacancyID) {
			n++
		}
	}
	return n / float64(len(want))
}

// The index finds what brute force finds, but for few; with filters, too.
func TestSimilarRecall(t *testing.T) {
	const n, dim, most = 20_000, 48, 10
	random := rand.New(rand.NewPCG(9, 9))
	vectors := drawn(random, n, dim)
	// Threads that build an index side by side make another one each time, which finds more or less.
	engine := clickhousetest.Start(t, map[string]string{"config.d/index.xml": "<clickhouse><max_build_vector_similarity_index_thread_pool_size>1</max_build_vector_similarity_index_thread_pool_size></clickhouse>"})
	w := open(t, Options{Addr: []string{engine.Addr()}, Database: "similar", CreateDatabase: true})
	if err := errors.Join(w.Migrate(t.Context(), nil), w.EnsureSimilar(t.Context(), "e5", dim)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	load(t, w, vectors)
	t.Logf("inserting %d vacancies: %v", n, time.Since(start).Round(time.Millisecond))
	table := similarTable("e5", dim)
	start = time.Now()
	if err := w.conn.Exec(t.Context(), "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
		t.Fatal(err)
	}
	t.Logf("merging, which builds the index: %v", time.Since(start).Round(time.Millisecond))
	if bytes := selected[struct {
		N uint64 `ch:"n"`
	}](t, w, "SELECT data_uncompressed_bytes AS n FROM system.data_skipping_indices WHERE database = currentDatabase() AND table = '"+table+"'")[0].N; bytes < n*dim*2 {
		t.Fatalf("the index has %d bytes, which is too little for %d vectors", bytes, n)
	} else {
		t.Logf("the index has %d bytes a vacancy", bytes/n)
	}
	type filter struct {
		name   string
		change func(*SimilarQuery)
		chosen func(i int) bool
	}
	for _, f := range []filter{
		{"all", func(*SimilarQuery) {}, func(int) bool { return true }},
		{"a category", func(q *SimilarQuery) { q.Category = 7 }, func(i int) bool { return i%22 == 7 }},
		{"a narrow time", func(q *SimilarQuery) { q.Since, q.Until = noon.Add(100*time.Second), noon.Add(105*time.Second) }, func(i int) bool { return i >= 100 && i < 105 }},
	} {
		indexed, exact, took, tookExactly := 0., 0., time.Duration(0), time.Duration(0)
		const queries = 20
		for i := range queries {
			q := SimilarQuery{Encoder: "e5", Vector: vectors[i*997], Category: -1, Most: most}
			f.change(&q)
			want := bruteForce(vectors, q.Vector, most, f.chosen)
			start := time.Now()
			got, err := w.Similar(t.Context(), q)
			took += time.Since(start)
			if err != nil || len(got) != len(want) {
				t.Fatalf("%s: got %d (%v), want %d", f.name, len(got), err, len(want))
			}
			indexed += recall(want, got) / queries
			start = time.Now()
			if got, err = w.similarExactly(t.Context(), q, table); err != nil {
				t.Fatal(err)
			}
			tookExactly += time.Since(start)
			exact += recall(want, got) / queries
		}
		t.Logf("%s: recall@%d %.3f in %v, brute force %.3f in %v", f.name, most, indexed, took/queries, exact, tookExactly/queries)
		if indexed < .95 || exact < 1 {
			t.Errorf("%s: recall@%d is %.3f with the index and %.3f without, want at least .95 and 1", f.name, most, indexed, exact)
		}
	}
}
