package classify

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"jobstrom/models"
	"jobstrom/schemas"
)

func randomVectors(random *rand.Rand, n, dim int) [][]float32 {
	vectors := make([][]float32, n)
	for v := range vectors {
		vectors[v] = make([]float32, dim)
		for j := range dim {
			vectors[v][j] = float32(random.NormFloat64())
		}
	}
	return vectors
}

func same(a, b []Prediction) bool {
	return slices.EqualFunc(a, b, func(p, q Prediction) bool {
		return p.Category == q.Category && p.Confidence == q.Confidence && slices.Equal(p.Probabilities, q.Probabilities)
	})
}

// formClassifiers returns a classifier of 22 × 100 weights in each form.
func formClassifiers(random *rand.Rand) map[string]*Classifier {
	all := map[string]*Classifier{}
	for name, c := range forms(random, 22, 100) {
		all[name] = &Classifier{encoder: "enc", dim: 100, weights: newWeights(c), bias: make([]float64, 22), mean: make([]float32, 100), temperature: 1, shift: make([]float64, 22)}
	}
	return all
}

// TestSpace: work space that was written on gives the same bits as a new one, also after vectors that were refused.
func TestSpace(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for name, c := range formClassifiers(random) {
		used, refused := &space{}, randomVectors(random, 70, 100)
		for v := range refused {
			refused[v][v] = float32(math.Inf(1))
		}
		for _, n := range []int{130, 1, 64, 33} {
			vectors := randomVectors(random, n, 100)
			if p, err := c.classify(refused, used); err == nil {
				t.Fatalf("%s: infinite vectors give %v", name, p)
			}
			got, err := c.classify(vectors, used)
			if err != nil {
				t.Fatalf("%s: %d vectors after infinite ones give %v", name, n, err)
			}
			want, err := c.classify(vectors, &space{})
			if err != nil || !same(want, got) {
				t.Fatalf("%s: %d vectors in used work space have %v (%v), want %v", name, n, got, err, want)
			}
		}
	}
}

// TestConcurrent: calls at the same time do not write on each other's work space or answers.
func TestConcurrent(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	for name, c := range formClassifiers(random) {
		var callers sync.WaitGroup
		for n := range 4 {
			vectors := randomVectors(random, 1+40*n, 100)
			want, err := c.classify(vectors, &space{})
			if err != nil {
				t.Fatal(err)
			}
			callers.Go(func() {
				var first []Prediction
				for range 50 {
					got, err := c.Classify("enc", vectors)
					if err != nil || !same(want, got) {
						t.Errorf("%s: %d vectors have other answers beside others (%v)", name, len(vectors), err)
						return
					}
					if first == nil {
						first = got
					}
				}
				if !same(want, first) {
					t.Errorf("%s: later calls changed an answer", name)
				}
			})
		}
		callers.Wait()
	}
}

// defaultClassifier opens a classifier that comes with the program.
func defaultClassifier(t testing.TB) *Classifier {
	t.Helper()
	entries, err := defaults.ReadDir("defaults")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := defaults.ReadFile("defaults/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if m, err := models.DecodeClassifier(data); err == nil {
			c, err := New(m, schemas.Jobnet(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatal("no classifier comes with the program")
	return nil
}

// TestAllocations: a batch takes memory for its answers alone. With rows for thousands of titles work space was most of it.
func TestAllocations(t *testing.T) {
	c := defaultClassifier(t)
	vectors, s := randomVectors(rand.New(rand.NewPCG(13, 14)), 2*vectorsAtOnce, c.dim), &space{}
	classify := func() {
		if _, err := c.classify(vectors, s); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(3, classify); n > 2 {
		t.Errorf("a batch takes %v pieces of memory, want 2: predictions and probabilities", n)
	}

	// With the race detector a pool drops a quarter of what it is given, at random, and every garbage collection takes from it. Without a pool a call would take all of it, and its answers.
	const calls = 40
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		if _, err := c.Classify(c.encoder, vectors[:vectorsAtOnce/4]); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	one := vectorsAtOnce / 4 * len(c.bias) * (8 + 4) // products and sums
	if each := (after.TotalAlloc - before.TotalAlloc) / calls; each > uint64(one)*3/4 {
		t.Errorf("a call takes %d bytes: it should not make its work space of %d bytes again", each, one)
	}
}

// BenchmarkDefault takes 512 vectors with the classifier that comes with the program.
func BenchmarkDefault(b *testing.B) {
	c := defaultClassifier(b)
	vectors := randomVectors(rand.New(rand.NewPCG(15, 16)), 512, c.dim)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Classify(c.encoder, vectors); err != nil {
			b.Fatal(err)
		}
	}
}
