package classify

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"jobstrom/models"
	"jobstrom/schemas"
)

const names = `[{"index":0,"name":"a","code":"1"},{"index":1,"name":"b","code":"2"},{"index":2,"name":"c","code":"3"}]`

func taxonomy(t testing.TB) *schemas.Taxonomy {
	t.Helper()
	x, err := schemas.ParseTaxonomy([]byte(names))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// message returns a sealed classifier of 3 categories on 2 components, after a change.
func message(t testing.TB, change func(*schemas.Classifier)) *schemas.Classifier {
	t.Helper()
	c := &schemas.Classifier{
		Encoder: "enc", Taxonomy: taxonomy(t).ID, Dim: 2, Categories: 3,
		Weights: []float32{1, 0, 0, 1, -1, -1}, Bias: []float32{0, .5, 0}, Mean: []float32{1, 2}, Temperature: 2, Prior: []float32{.5, .25, .25},
	}
	if change != nil {
		change(c)
	}
	if err := models.SealClassifier(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t testing.TB, o Options, change func(*schemas.Classifier)) *Classifier {
	t.Helper()
	c, err := New(message(t, change), taxonomy(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func classify(t testing.TB, c *Classifier, vectors ...[]float32) []Prediction {
	t.Helper()
	p, err := c.Classify("enc", vectors)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

func TestClassify(t *testing.T) {
	c := open(t, Options{}, nil)
	// (3,1) − mean = (2,−1): scores (2, −0.5, −1) ÷ 2.
	p := classify(t, c, []float32{3, 1})[0]
	e := []float64{math.Exp(1), math.Exp(-.25), math.Exp(-.5)}
	sum := e[0] + e[1] + e[2]
	for i := range e {
		if !near(float64(p.Probabilities[i]), e[i]/sum) {
			t.Fatalf("probabilities %v, want %v ÷ %v", p.Probabilities, e, sum)
		}
	}
	if p.Category != 0 || !near(p.Confidence, e[0]/sum) {
		t.Fatalf("category %d with %v, want 0 with %v", p.Category, p.Confidence, e[0]/sum)
	}
	if got := Top(p, 2); !slices.Equal(got, []int{0, 1}) {
		t.Fatalf("top 2 is %v", got)
	}
	if got := Top(p, 9); !slices.Equal(got, []int{0, 1, 2}) {
		t.Fatalf("top 9 is %v", got)
	}
	if got := classify(t, c); len(got) != 0 {
		t.Fatalf("no vectors have predictions %v", got)
	}
	if c.Model() != message(t, nil).Id || c.Encoder() != "enc" || c.Dim() != 2 {
		t.Fatalf("the classifier is %s for %s, width %d", c.Model(), c.Encoder(), c.Dim())
	}
}

// TestRows: two rows of one category count together, and bytes classify like numbers, but for the rounding of vectors.
func TestRows(t *testing.T) {
	v := []float32{3, 1}
	split := func(c *schemas.Classifier) {
		// Category 0 twice, each with half the mass of the one row it replaces.
		c.Owners, c.Weights = []uint32{2, 0, 1, 0}, []float32{-1, -1, 1, 0, 0, 1, 1, 0}
		c.Bias = []float32{0, float32(math.Log(.5)), .5, float32(math.Log(.5))}
	}
	want := classify(t, open(t, Options{}, nil), v)[0]
	for _, change := range []func(*schemas.Classifier){split, func(c *schemas.Classifier) { split(c); models.Quantize(c) }} {
		got := classify(t, open(t, Options{}, change), v)[0]
		for i := range want.Probabilities {
			if math.Abs(float64(got.Probabilities[i]-want.Probabilities[i])) > 1e-5 {
				t.Fatalf("four rows give %v, three %v", got.Probabilities, want.Probabilities)
			}
		}
	}
}

func TestClassifyFailure(t *testing.T) {
	c := open(t, Options{}, nil)
	f := func(encoder string, vectors [][]float32, want error, text string) {
		t.Helper()
		p, err := c.Classify(encoder, vectors)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), text) || p != nil {
			t.Fatalf("Classify = %v, %v; want %v with %q", p, err, want, text)
		}
	}
	good, nan, inf := []float32{1, 1}, float32(math.NaN()), float32(math.Inf(1))
	f("other", [][]float32{good}, ErrOtherEncoder, `"other"`)
	f("enc", [][]float32{good, {1}}, ErrBadVector, "vector 2 of 2")
	f("enc", [][]float32{{1, 2, 3}}, ErrBadVector, "width 3")
	f("enc", [][]float32{{nan, 1}}, ErrBadVector, "not finite")
	f("enc", [][]float32{{inf, 1}}, ErrBadVector, "not finite")
}

func TestNewFailure(t *testing.T) {
	f := func(o Options, change func(*schemas.Classifier), want string) {
		t.Helper()
		if _, err := New(message(t, change), taxonomy(t), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("New = %v, want an error with %q", err, want)
		}
	}
	f(Options{}, func(c *schemas.Classifier) { c.Taxonomy = "other" }, ErrOtherTaxonomy.Error())
	f(Options{Prior: "x"}, nil, `Prior ("x")`)
	f(Options{Prior: PriorUniform, Shares: []float32{1}}, nil, "must be empty")
	f(Options{Shares: []float32{1, 1}}, nil, "Shares (2 values)")
	f(Options{Shares: []float32{0, 0, 0}}, nil, "positive sum")
	f(Options{Shares: []float32{-1, 1, float32(math.NaN())}}, nil, "Shares[0] (-1)")
	f(Options{Shares: []float32{-1, 1, float32(math.NaN())}}, nil, "Shares[2] (NaN)")
	f(Options{Prior: PriorUniform}, func(c *schemas.Classifier) { c.Prior = nil }, "train it again")
	changed := message(t, nil)
	changed.Bias[0]++
	if _, err := New(changed, taxonomy(t), Options{}); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Fatalf("a changed classifier gave %v", err)
	}
}

// TestPrior holds Bayes' rule: odds change by the ratio of wanted to trained odds, whatever the vector.
func TestPrior(t *testing.T) {
	trained := open(t, Options{}, nil)
	rapid.Check(t, func(r *rapid.T) {
		v := rapid.SliceOfN(rapid.Float32Range(-3, 3), 2, 2).Draw(r, "vector")
		shares := rapid.SliceOfN(rapid.Float32Range(.05, 1), 3, 3).Draw(r, "shares")
		a := classify(t, trained, v)[0].Probabilities
		b := classify(t, open(t, Options{Shares: shares}, nil), v)[0].Probabilities
		prior := []float64{.5, .25, .25}
		for i := range 2 {
			got := math.Log(float64(b[i])/float64(b[2])) - math.Log(float64(a[i])/float64(a[2]))
			want := math.Log(float64(shares[i])/float64(shares[2])) - math.Log(prior[i]/prior[2])
			if math.Abs(got-want) > 1e-4 {
				r.Fatalf("log-odds of %d moved by %v, want %v", i, got, want)
			}
		}
	})
	v := []float32{1, 2} // the mean: nothing but bias and prior speak
	uniform := classify(t, open(t, Options{Prior: PriorUniform}, func(c *schemas.Classifier) { c.Bias = []float32{0, 0, 0} }), v)[0]
	if uniform.Category == 0 || !near(float64(uniform.Probabilities[0])*2, float64(uniform.Probabilities[1])) {
		t.Fatalf("uniform prior: %v", uniform.Probabilities)
	}
	never := classify(t, open(t, Options{Shares: []float32{0, 1, 1}}, nil), []float32{50, 2})[0]
	if never.Category == 0 || never.Probabilities[0] != 0 {
		t.Fatalf("a category with share 0 is predicted: %+v", never)
	}
	unseen := open(t, Options{Prior: PriorUniform}, func(c *schemas.Classifier) { c.Prior = []float32{.5, .5, 0} })
	if p := classify(t, unseen, v)[0]; !(p.Probabilities[2] < 1) {
		t.Fatalf("a category never trained has %v", p.Probabilities)
	}
}

// TestProperties: probabilities sum to 1 for any finite vector, adding the same to all biases changes
// nothing, and neighbours in a batch do not matter.
func TestProperties(t *testing.T) {
	plain := open(t, Options{}, nil)
	shifted := open(t, Options{}, func(c *schemas.Classifier) {
		for i := range c.Bias {
			c.Bias[i] += 64
		}
	})
	rapid.Check(t, func(r *rapid.T) {
		vectors := rapid.SliceOfN(rapid.SliceOfN(rapid.Float32Range(-1e4, 1e4), 2, 2), 1, 9).Draw(r, "vectors")
		all, moved := classify(t, plain, vectors...), classify(t, shifted, vectors...)
		for i, p := range all {
			var sum, highest float64
			for j, q := range p.Probabilities {
				sum += float64(q)
				highest = max(highest, float64(q))
				if !near(float64(q), float64(moved[i].Probabilities[j])) {
					r.Fatalf("a shift of all scores changed %v to %v", p.Probabilities, moved[i].Probabilities)
				}
			}
			if !near(sum, 1) || !near(highest, p.Confidence) || p.Category != Top(p, 1)[0] {
				r.Fatalf("%+v: sum %v, highest %v", p, sum, highest)
			}
			if diff := cmp.Diff(p, classify(t, plain, vectors[i])[0]); diff != "" {
				r.Fatalf("alone and in a batch differ:\n%s", diff)
			}
		}
	})
}

// TestLive swaps under concurrent readers; the race detector watches.
func TestLive(t *testing.T) {
	var live Live
	a, b := open(t, Options{}, nil), open(t, Options{Prior: PriorUniform}, nil)
	live.Store(a)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 100 {
				if _, err := live.Load().Classify("enc", [][]float32{{1, 2}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if old := live.Swap(b); old != a {
		t.Fatal("Swap returned another classifier than was in use")
	}
	readers.Wait()
	if live.Load() != b {
		t.Fatal("the new classifier is not in use")
	}
}

// What comes with the program is listed whole, each for the encoder that its file names.
func TestDefaultModels(t *testing.T) {
	all, err := DefaultModels()
	if err != nil || len(all) == 0 {
		t.Fatalf("got %d classifiers, %v", len(all), err)
	}
	for _, c := range all {
		if one, err := DefaultModel(c.Encoder); err != nil || one.Id != c.Id {
			t.Errorf("encoder %.12s: %v", c.Encoder, err)
		}
	}
}

func TestDefault(t *testing.T) {
	entries, err := fs.ReadDir(defaults, "defaults")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".bin") {
			continue
		}
		data, err := defaults.ReadFile("defaults/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		m, err := models.DecodeClassifier(data)
		if err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		c, err := Default(schemas.Jobnet(), m.Encoder)
		if err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		if c.Model() != m.Id || m.Metrics["top1"] == 0 {
			t.Fatalf("%s: model %s, metrics %v", e.Name(), c.Model(), m.Metrics)
		}
	}
	for _, id := range []string{"", "0", strings.Repeat("0", 64), "../classify"} {
		if _, err := Default(schemas.Jobnet(), id); !errors.Is(err, ErrNoDefault) || !strings.Contains(err.Error(), "train") {
			t.Fatalf("Default(%q) = %v", id, err)
		}
	}
}

// BenchmarkClassify takes 64 vectors, with one row a category and with as many rows as there are titles.
func BenchmarkClassify(b *testing.B) {
	for _, rows := range []int{22, 2400} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			c := open(b, Options{}, func(c *schemas.Classifier) {
				c.Dim, c.Mean, c.Weights, c.Bias, c.Owners = 384, nil, make([]float32, rows*384), make([]float32, rows), make([]uint32, rows)
				for i := range c.Owners {
					c.Owners[i] = uint32(i % 3)
				}
			})
			vectors := make([][]float32, 64)
			for i := range vectors {
				vectors[i] = make([]float32, 384)
			}
			for b.Loop() {
				if _, err := c.Classify("enc", vectors); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
