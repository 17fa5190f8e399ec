package trainer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	ort "github.com/yalue/onnxruntime_go"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"

	"jobstrom/models/onnx"
)

// tileSize bounds the rows of a tile: three tiles of 350² float32 take 1.4 MiB, and a product of two is large enough for
// ONNX Runtime to be near its peak.
const tileSize = 352

// pivotCondition is the condition of a tile on the diagonal beyond which its inverse says more about the rounding of its elements than
// about them.
const pivotCondition = 1e10

// errIndefinite is returned for a matrix that is not positive definite, as far as float32 can tell.
var errIndefinite = errors.New("the matrix is not positive definite")

// tiles is a symmetric matrix in float32, of which the lower half is kept in tiles that lie together: half the memory of
// the whole, and each tile can go to ONNX Runtime where it lies.
type tiles struct {
	sizes []int       // rows of each row of tiles
	tile  [][]float32 // of row i and column j ≤ i, at i(i+1)/2 + j, row by row
}

// newTiles makes a matrix of zeros.
func newTiles(sizes []int) *tiles {
	m := &tiles{sizes: sizes}
	for i := range sizes {
		for j := range i + 1 {
			m.tile = append(m.tile, make([]float32, sizes[i]*sizes[j]))
		}
	}
	return m
}

// cut divides n rows into as few pieces of about equal size as tileSize allows.
func cut(n int) []int {
	pieces := (n + tileSize - 1) / tileSize
	sizes := make([]int, pieces)
	for i := range sizes {
		sizes[i] = (n + i) / pieces
	}
	return sizes
}

// tilesBytes is the memory of a matrix, and of what invert needs beside it.
func tilesBytes(sizes []int) int64 {
	var n, half, widest int64
	for _, s := range sizes {
		n += int64(s)
		half += n * int64(s)
		widest = max(widest, int64(s))
	}
	return 4 * (half + 2*n*widest)
}

// at returns the tile of row i and column j ≤ i.
func (m *tiles) at(i, j int) matrix { return matrix{m.tile[i*(i+1)/2+j], m.sizes[i], m.sizes[j]} }

// matrix is a matrix that lies together, row by row.
type matrix struct {
	data       []float32
	rows, cols int
}

// multiplier runs products of small matrices in ONNX Runtime, each with one thread. Calls may overlap.
type multiplier struct {
	// product is a · bᵀ.
	product *ort.DynamicAdvancedSession
	// straight is a · b.
	straight *ort.DynamicAdvancedSession
	// weighted is (weight · a)ᵀ · b, with a weight for each row of both.
	weighted *ort.DynamicAdvancedSession
	// quadratic is aᵣᵀ · t · bᵣ for each row r of both.
	quadratic *ort.DynamicAdvancedSession
}

func newMultiplier() (_ *multiplier, err error) {
	m := &multiplier{}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	g := &onnx.Graph{Name: "product", Producer: "jobstrom-trainer"}
	g.Input("a", onnx.Float, "m", "k")
	g.Input("b", onnx.Float, "n", "k")
	g.Node("", "Gemm", "y", []string{"a", "b"}, onnx.IntAttribute("transB", 1))
	g.Output("y", onnx.Float, "m", "n")
	if m.product, err = g.Session([]string{"a", "b"}, []string{"y"}, 1); err != nil {
		return nil, err
	}
	g = &onnx.Graph{Name: "straight", Producer: "jobstrom-trainer"}
	g.Input("a", onnx.Float, "m", "k")
	g.Input("b", onnx.Float, "k", "n")
	g.Node("", "MatMul", "y", []string{"a", "b"})
	g.Output("y", onnx.Float, "m", "n")
	if m.straight, err = g.Session([]string{"a", "b"}, []string{"y"}, 1); err != nil {
		return nil, err
	}
	g = &onnx.Graph{Name: "weighted", Producer: "jobstrom-trainer"}
	g.Input("a", onnx.Float, "rows", "m")
	g.Input("weight", onnx.Float, "rows", 1)
	g.Input("b", onnx.Float, "rows", "n")
	g.Node("", "Mul", "scaled", []string{"a", "weight"})
	g.Node("", "Gemm", "y", []string{"scaled", "b"}, onnx.IntAttribute("transA", 1))
	g.Output("y", onnx.Float, "m", "n")
	if m.weighted, err = g.Session([]string{"a", "weight", "b"}, []string{"y"}, 1); err != nil {
		return nil, err
	}
	g = &onnx.Graph{Name: "quadratic", Producer: "jobstrom-trainer"}
	g.Input("a", onnx.Float, "rows", "m")
	g.Input("t", onnx.Float, "m", "n")
	g.Input("b", onnx.Float, "rows", "n")
	g.Ints("one", 1)
	g.Node("", "Gemm", "tb", []string{"b", "t"}, onnx.IntAttribute("transB", 1))
	g.Node("", "Mul", "atb", []string{"a", "tb"})
	g.Node("", "ReduceSum", "y", []string{"atb", "one"}, onnx.IntAttribute("keepdims", 1))
	g.Output("y", onnx.Float, "rows", 1)
	m.quadratic, err = g.Session([]string{"a", "t", "b"}, []string{"y"}, 1)
	return m, err
}

func (m *multiplier) close() error {
	var errs []error
	for _, s := range []*ort.DynamicAdvancedSession{m.product, m.straight, m.weighted, m.quadratic} {
		if s != nil {
			errs = append(errs, s.Destroy())
		}
	}
	return errors.Join(errs...)
}

// multiply runs a session. Its result goes to out, which is none of the inputs.
func multiply(session *ort.DynamicAdvancedSession, out matrix, in ...matrix) error {
	values := make([]ort.Value, 0, 8)
	defer func() {
		for _, v := range values {
			v.Destroy()
		}
	}()
	for _, t := range append(in, out) {
		v, err := ort.NewTensor(ort.NewShape(int64(t.rows), int64(t.cols)), t.data[:t.rows*t.cols])
		if err != nil {
			return fmt.Errorf("multiplying in ONNX Runtime: %w", err)
		}
		values = append(values, v)
	}
	if err := session.Run(values[:len(in)], values[len(in):]); err != nil {
		return fmt.Errorf("multiplying in ONNX Runtime: %w", err)
	}
	return nil
}

// spread calls do for 0 to n-1 by as many workers, who are numbered from 0, until one fails or the context ends.
func spread(ctx context.Context, workers, n int, do func(worker, i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, max(1, min(workers, n)))
	for worker := range errs {
		wg.Go(func() {
			for errs[worker] = ctx.Err(); errs[worker] == nil; errs[worker] = ctx.Err() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[worker] = do(worker, i); errs[worker] != nil {
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// invert replaces a positive definite matrix by its inverse, in place, by sweeping one row of tiles after the other
// (Goodnight 1979, "A tutorial on the SWEEP operator"). The tiles on the diagonal, which the sweeps before have reduced to
// those of a Cholesky factorisation, are inverted in float64. It takes as many multiplications as a Cholesky factorisation and
// the inverse from it, n³/2, but no room for the factor. swept, where given, is called after every sweep.
func (m *tiles) invert(ctx context.Context, x *multiplier, workers int, swept func(sweep int)) error {
	n, widest := len(m.sizes), 0
	for _, s := range m.sizes {
		widest = max(widest, s)
	}
	before, after := make([]matrix, n), make([]matrix, n) // what is in the column that is swept
	for i, s := range m.sizes {
		before[i], after[i] = matrix{data: make([]float32, s*widest), rows: s}, matrix{data: make([]float32, s*widest), rows: s}
	}
	space := make([]matrix, workers)
	for w := range space {
		space[w].data = make([]float32, widest*widest)
	}
	for k, size := range m.sizes {
		pivot := m.at(k, k)
		inverse, err := invertPivot(pivot)
		if err != nil {
			return fmt.Errorf("%w at rows %d of %d", err, k, n)
		}
		err = spread(ctx, workers, n, func(_, i int) error {
			before[i].cols, after[i].cols = size, size
			switch {
			case i > k:
				copy(before[i].data, m.at(i, k).data)
			case i < k:
				transpose(before[i], m.at(k, i))
			default:
				return nil
			}
			return multiply(x.product, after[i], before[i], inverse)
		})
		if err != nil {
			return err
		}
		err = spread(ctx, workers, len(m.tile), func(worker, at int) error {
			i, j := place(at)
			if i == k || j == k {
				return nil
			}
			change := space[worker]
			change.rows, change.cols = m.sizes[i], m.sizes[j]
			if err := multiply(x.product, change, after[i], before[j]); err != nil {
				return err
			}
			subtract(m.tile[at], change.data)
			return nil
		})
		if err != nil {
			return err
		}
		for i := range n {
			switch {
			case i > k:
				copy(m.at(i, k).data, after[i].data)
			case i < k:
				transpose(m.at(k, i), after[i])
			}
		}
		for i, v := range inverse.data {
			pivot.data[i] = -v
		}
		if swept != nil {
			swept(k)
		}
	}
	for _, t := range m.tile {
		blas32.Scal(-1, blas32.Vector{N: len(t), Inc: 1, Data: t})
	}
	return nil
}

// invertPivot returns the inverse of a tile on the diagonal.
func invertPivot(pivot matrix) (matrix, error) {
	wide := make([]float64, len(pivot.data))
	for i := range pivot.rows {
		for j := range i + 1 {
			v := (float64(pivot.data[i*pivot.cols+j]) + float64(pivot.data[j*pivot.cols+i])) / 2
			wide[i*pivot.cols+j], wide[j*pivot.cols+i] = v, v
		}
	}
	var factor mat.Cholesky
	if !factor.Factorize(mat.NewSymDense(pivot.rows, wide)) || factor.Cond() > pivotCondition {
		return matrix{}, errIndefinite
	}
	var inverse mat.SymDense
	if err := factor.InverseTo(&inverse); err != nil {
		return matrix{}, fmt.Errorf("%w: %w", errIndefinite, err)
	}
	out := matrix{make([]float32, len(wide)), pivot.rows, pivot.cols}
	for i := range pivot.rows {
		for j := range pivot.cols {
			out.data[i*pivot.cols+j] = float32(inverse.At(i, j))
		}
	}
	return out, nil
}

// place returns row and column of the tile at a position.
func place(at int) (i, j int) {
	for (i+1)*(i+2)/2 <= at {
		i++
	}
	return i, at - i*(i+1)/2
}

func subtract(from, what []float32) {
	blas32.Axpy(-1, blas32.Vector{N: len(from), Inc: 1, Data: what}, blas32.Vector{N: len(from), Inc: 1, Data: from})
}

// transpose writes fromᵀ to a matrix, in squares that the cache holds.
func transpose(to, from matrix) {
	const side = 16
	for i := 0; i < from.rows; i += side {
		for j := 0; j < from.cols; j += side {
			for r := i; r < min(i+side, from.rows); r++ {
				for c := j; c < min(j+side, from.cols); c++ {
					to.data[c*from.rows+r] = from.data[r*from.cols+c]
				}
			}
		}
	}
}
