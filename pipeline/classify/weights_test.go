package classify

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"jobstrom/models"
	"jobstrom/schemas"
)

// forms returns one random classifier of rows × dim weights in the forms that are computed with: plain, pruned by half, in bytes.
func forms(random *rand.Rand, rows, dim int) map[string]*schemas.Classifier {
	all := map[string]*schemas.Classifier{}
	weights := make([]float32, rows*dim)
	for i := range weights {
		weights[i] = float32(random.NormFloat64())
	}
	for _, name := range []string{"plain", "pruned", "bytes", "both"} {
		c := &schemas.Classifier{Dim: uint32(dim), Bias: make([]float32, rows), Weights: weights}
		if name == "pruned" || name == "both" {
			models.Prune(c, .5)
		}
		if name == "bytes" || name == "both" {
			models.Quantize(c)
		}
		all[name] = c
	}
	return all
}

// TestMultiply compares every form with the sum in 64 bits, for sizes that do and do not fill the blocks, and holds
// that neighbours in the batch change no bit.
func TestMultiply(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][3]int{{1, 1, 1}, {3, 7, 5}, {22, 384, 33}, {5, 1024, 64}, {2, 17, 600}} {
		rows, dim, n := size[0], size[1], size[2]
		mean, vectors := make([]float32, dim), make([][]float32, n)
		for j := range mean {
			mean[j] = float32(random.NormFloat64())
		}
		for v := range vectors {
			vectors[v] = make([]float32, dim)
			scale := math.Exp(4 * random.NormFloat64())
			for j := range vectors[v] {
				vectors[v][j] = mean[j] + float32(scale*random.NormFloat64())
			}
		}
		for name, c := range forms(random, rows, dim) {
			w, out, alone, s := newWeights(c), make([]float64, n*rows), make([]float64, rows), &space{}
			if bad := w.multiply(out, vectors, mean, s); bad != -1 {
				t.Fatalf("%s %v: vector %d is not finite", name, size, bad)
			}
			exact := models.Weights(c)
			for v := range vectors {
				if w.multiply(alone, vectors[v:v+1], mean, s); fmt.Sprint(alone) != fmt.Sprint(out[v*rows:(v+1)*rows]) {
					t.Fatalf("%s %v: vector %d alone has %v, in the batch %v", name, size, v, alone, out[v*rows:(v+1)*rows])
				}
				var largest float64
				for j := range mean {
					largest = max(largest, math.Abs(float64(vectors[v][j]-mean[j])))
				}
				for r := range rows {
					var want, mass, squares float64
					for j := range mean {
						weight := float64(exact[r*dim+j])
						p := weight * float64(vectors[v][j]-mean[j])
						want, mass, squares = want+p, mass+math.Abs(p), squares+weight*weight
					}
					// Bytes are exact but for the rounding of the vector, half a step for each component at most.
					tolerance := 1e-5 * mass
					if b, ok := w.(*byteWeights); ok {
						tolerance = 1e-5*mass + .5*largest/float64(b.steps)*math.Sqrt(squares*float64(dim))
					}
					if got := out[v*rows+r]; math.Abs(got-want) > tolerance {
						t.Fatalf("%s %v: product of vector %d and row %d is %v, want %v ± %v", name, size, v, r, got, want, tolerance)
					}
				}
			}
		}
	}
}

func TestForms(t *testing.T) {
	all := forms(rand.New(rand.NewPCG(3, 4)), 22, 384)
	f := func(name string, want string, bytes int) {
		t.Helper()
		w := newWeights(all[name])
		if got := fmt.Sprintf("%T", w); got != "*classify."+want || w.bytes() != bytes {
			t.Errorf("%s is %s in %d bytes, want %s in %d", name, got, w.bytes(), want, bytes)
		}
	}
	f("plain", "denseWeights", 22*384*4)
	f("pruned", "sparseWeights", 22*384/2*6+23*4)
	f("bytes", "byteWeights", 22*384+22*4)
	f("both", "byteWeights", 22*384+22*4)
}

// TestWidest: the largest products of the widest vectors stay within the integers that they are added in.
func TestWidest(t *testing.T) {
	const dim = 1 << 16
	c := &schemas.Classifier{Dim: dim, Bias: make([]float32, 2), Weights: make([]float32, 2*dim)}
	vector, mean := make([]float32, dim), make([]float32, dim)
	for j := range dim {
		c.Weights[j], c.Weights[dim+j], vector[j] = 1, -1, 3
	}
	models.Quantize(c)
	out := make([]float64, 2)
	if newWeights(c).multiply(out, [][]float32{vector}, mean, &space{}); math.Abs(out[0]-3*dim) > 1e-3*dim || out[1] != -out[0] {
		t.Fatalf("the products are %v, want ± %v", out, 3*dim)
	}
	clear(vector)
	if newWeights(c).multiply(out, [][]float32{vector}, mean, &space{}); out[0] != 0 || out[1] != 0 {
		t.Fatalf("the products of zeros are %v", out)
	}
}

func TestMultiplyFailure(t *testing.T) {
	for name, c := range forms(rand.New(rand.NewPCG(5, 6)), 3, 5) {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32} {
			vectors, mean := make([][]float32, 70), []float32{0, 0, 0, 0, -math.MaxFloat32}
			for v := range vectors {
				vectors[v] = []float32{1, 2, 3, 4, 5}
			}
			vectors[67] = []float32{1, 2, 3, 4, bad}
			if bad == float32(math.Inf(-1)) {
				mean[4] = 0
			}
			if got := newWeights(c).multiply(make([]float64, 70*3), vectors, mean, &space{}); got != 67 {
				t.Errorf("%s with %v: vector %d is called not finite, want 67", name, bad, got)
			}
		}
	}
}

// BenchmarkForms takes 512 vectors in each form. It says from which share of zeros on leaving them out is faster.
func BenchmarkForms(b *testing.B) {
	random := rand.New(rand.NewPCG(7, 8))
	for _, dim := range []int{384, 1024} {
		vectors, mean, out, s := make([][]float32, 512), make([]float32, dim), make([]float64, 512*22), &space{}
		for v := range vectors {
			vectors[v] = make([]float32, dim)
			for j := range dim {
				vectors[v][j] = float32(random.NormFloat64())
			}
		}
		run := func(name string, w weights) {
			b.Run(fmt.Sprintf("dim=%d/%s", dim, name), func(b *testing.B) {
				for b.Loop() {
					w.multiply(out, vectors, mean, s)
				}
			})
		}
		run("plain", newWeights(forms(random, 22, dim)["plain"]))
		run("bytes", newWeights(forms(random, 22, dim)["bytes"]))
		for _, share := range []float64{.05, .1, .15, .2, .25, .3, .5, .9} {
			c := forms(random, 22, dim)["plain"]
			models.Prune(c, share)
			run(fmt.Sprintf("zeros=%v", share), sparse(c))
		}
	}
}
