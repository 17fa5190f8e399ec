package trainer

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"

	"jobstrom/models/onnx"
)

func testMultiplier(t testing.TB) *multiplier {
	t.Helper()
	o := Options{}
	o.EnsureDefaults()
	if err := onnx.Open(o.Library); err != nil {
		t.Fatal(err)
	}
	m, err := newMultiplier()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.close(), onnx.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// tilesOf cuts up a symmetric matrix.
func tilesOf(a mat.Symmetric, sizes []int) *tiles {
	m := newTiles(sizes)
	row := 0
	for i, rows := range sizes {
		col := 0
		for j := range i + 1 {
			t := m.at(i, j)
			for r := range t.rows {
				for c := range t.cols {
					t.data[r*t.cols+c] = float32(a.At(row+r, col+c))
				}
			}
			col += sizes[j]
		}
		row += rows
	}
	return m
}

// TestInvertAgreesWithGonum: tiles of any sizes, and any number of workers, which do not change a bit.
func TestInvertAgreesWithGonum(t *testing.T) {
	x := testMultiplier(t)
	rapid.Check(t, func(r *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 23), 1, 6).Draw(r, "sizes")
		n := 0
		for _, s := range sizes {
			n += s
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		root := mat.NewDense(n, n, nil)
		for i := range n {
			for j := range n {
				root.Set(i, j, random.NormFloat64())
			}
		}
		a := mat.NewSymDense(n, nil)
		a.SymOuterK(1/float64(n), root)
		for i := range n {
			a.SetSym(i, i, a.At(i, i)+.1)
		}
		var factor mat.Cholesky
		if !factor.Factorize(a) {
			r.Fatal("the matrix is not positive definite")
		}
		var inverse mat.SymDense
		if err := factor.InverseTo(&inverse); err != nil {
			r.Fatal(err)
		}
		want := tilesOf(&inverse, sizes)
		var first *tiles
		for _, workers := range []int{1, 3} {
			got, sweeps := tilesOf(a, sizes), 0
			if err := got.invert(r.Context(), x, workers, func(int) { sweeps++ }); err != nil {
				r.Fatal(err)
			}
			for i, tile := range got.tile {
				for j, v := range tile {
					if math.Abs(float64(v-want.tile[i][j])) > 1e-4 {
						r.Fatalf("element %d of tile %d is %v, gonum has %v", j, i, v, want.tile[i][j])
					}
				}
				if first != nil && !slices.Equal(tile, first.tile[i]) {
					r.Fatalf("%d workers change tile %d", workers, i)
				}
			}
			if first = got; sweeps != len(sizes) {
				r.Fatalf("%d sweeps of %d were reported", sweeps, len(sizes))
			}
		}
	})
}

func TestInvertFailure(t *testing.T) {
	x := testMultiplier(t)
	a := mat.NewSymDense(5, nil)
	for i := range 5 {
		a.SetSym(i, i, 1)
	}
	a.SetSym(4, 1, 2)
	if err := tilesOf(a, []int{2, 3}).invert(t.Context(), x, 2, nil); !errors.Is(err, errIndefinite) {
		t.Errorf("an indefinite matrix gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.SetSym(4, 1, 0)
	if err := tilesOf(a, []int{2, 3}).invert(ctx, x, 2, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled inversion gives %v", err)
	}
}

func TestCut(t *testing.T) {
	f := func(n int, want ...int) {
		t.Helper()
		if got := cut(n); !slices.Equal(got, want) {
			t.Errorf("%d rows are cut into %v, want %v", n, got, want)
		}
	}
	f(1, 1)
	f(tileSize, tileSize)
	f(tileSize+1, 176, 177)
	f(1025, 341, 342, 342)
}

func BenchmarkInvert(b *testing.B) {
	x := testMultiplier(b)
	sizes := slices.Repeat([]int{342}, 9)
	n := 342 * 9
	a := mat.NewSymDense(n, nil)
	for i := range n {
		a.SetSym(i, i, 2)
		if i > 0 {
			a.SetSym(i, i-1, .5)
		}
	}
	o := Options{}
	o.EnsureDefaults()
	for b.Loop() {
		b.StopTimer()
		m := tilesOf(a, sizes)
		b.StartTimer()
		if err := m.invert(b.Context(), x, o.Threads, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(math.Pow(float64(n), 3)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
