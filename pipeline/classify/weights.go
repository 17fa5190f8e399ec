package classify

// ISO C keeps a product and a sum from being rounded as one, which not every processor does.

// #cgo CFLAGS: -O3 -std=c11
// #include "kernel.h"
import "C"

import (
	"math"
	"slices"
	"unsafe"

	"jobstrom/models"
	"jobstrom/schemas"
)

// weights are the rows of a classifier in the form that is computed with.
type weights interface {
	// multiply writes the product of each vector, less the mean, with each row, vector by vector. It returns
	// the position of a vector that is not finite, or -1. What the work space held before makes no difference.
	multiply(out []float64, vectors [][]float32, mean []float32, s *space) int
	// bytes is the memory they take.
	bytes() int
}

// sparseFrom is the share of zeros from which it is faster to leave them out: at 22 rows and 384 or 1,024 components,
// 10 % is slower and 25 % faster. Bytes are never left out: at 22 rows their integers are faster at every share.
const sparseFrom = .2

// newWeights chooses the form for a valid classifier.
func newWeights(c *schemas.Classifier) weights {
	rows, dim := models.Rows(c), int(c.Dim)
	if bytes := models.Weights8(c); bytes != nil {
		w := &byteWeights{dim: dim, scales: slices.Clone(c.Scales), weights: slices.Clone(bytes)}
		// A sum of that many products stays within 32 bits.
		w.steps = float32(min(math.MaxInt16, math.MaxInt32/(127*dim)))
		return w
	}
	all := models.Weights(c)
	zeros := 0
	for _, w := range all {
		if w == 0 {
			zeros++
		}
	}
	if float64(zeros) < sparseFrom*float64(len(all)) {
		return &denseWeights{rows: rows, dim: dim, weights: slices.Clone(all)}
	}
	return sparse(c)
}

// sparse leaves out the weights that are 0.
func sparse(c *schemas.Classifier) *sparseWeights {
	s, dim, all := &sparseWeights{from: []int32{0}}, int(c.Dim), models.Weights(c)
	for r := range models.Rows(c) {
		for j, w := range all[r*dim : (r+1)*dim] {
			if w != 0 {
				s.weights, s.at = append(s.weights, w), append(s.at, uint16(j))
			}
		}
		s.from = append(s.from, int32(len(s.weights)))
	}
	return s
}

// denseWeights are rows × dim numbers.
type denseWeights struct {
	rows, dim int
	weights   []float32
}

func (w *denseWeights) bytes() int { return 4 * len(w.weights) }

func (w *denseWeights) multiply(out []float64, vectors [][]float32, mean []float32, s *space) int {
	return eachBlock(out, vectors, mean, w.rows, s, func(x, products *C.float) {
		C.multiply(floats(w.weights), x, products, C.long(w.rows), C.long(w.dim))
	})
}

// sparseWeights are the numbers that are not 0, row by row: those of row r are from[r] to from[r+1]-1, at a component each.
type sparseWeights struct {
	weights []float32
	at      []uint16
	from    []int32
}

func (w *sparseWeights) bytes() int { return 4*len(w.weights) + 2*len(w.at) + 4*len(w.from) }

func (w *sparseWeights) multiply(out []float64, vectors [][]float32, mean []float32, s *space) int {
	rows := len(w.from) - 1
	return eachBlock(out, vectors, mean, rows, s, func(x, products *C.float) {
		C.multiply_sparse(floats(w.weights), (*C.uint16_t)(unsafe.SliceData(w.at)), (*C.int32_t)(unsafe.SliceData(w.from)), x, products, C.long(rows))
	})
}

// byteWeights are rows × dim signed bytes, in steps of the row's scale. They are multiplied in integers: every vector is
// rounded to 16 bits by its own largest component.
type byteWeights struct {
	dim     int
	weights []byte
	scales  []float32
	steps   float32
}

func (w *byteWeights) bytes() int { return len(w.weights) + 4*len(w.scales) }

func (w *byteWeights) multiply(out []float64, vectors [][]float32, mean []float32, s *space) int {
	rows, n := len(w.scales), min(len(vectors), vectorsAtOnce)
	side, x, row := sized(&s.side, n*w.dim), sized(&s.rounded, n*w.dim), sized(&s.row, w.dim)
	products, scales := sized(&s.sums, n*rows), sized(&s.scales, n)
	for first := 0; first < len(vectors); first += vectorsAtOnce {
		part := vectors[first:min(first+vectorsAtOnce, len(vectors))]
		for v, vector := range part {
			copy(side[v*w.dim:], vector)
		}
		if largest := C.quantize(floats(side), C.long(len(part)), floats(mean), (*C.int16_t)(&x[0]), C.long(w.dim), C.float(w.steps), floats(scales)); !finiteBits(largest) {
			return first + notFinite(part, mean)
		}
		C.multiply8((*C.int8_t)(unsafe.Pointer(unsafe.SliceData(w.weights))), (*C.int16_t)(&x[0]), (*C.int16_t)(&row[0]), (*C.int32_t)(&products[0]), C.long(rows), C.long(len(part)), C.long(w.dim))
		for v := range part {
			to := out[(first+v)*rows:][:rows]
			for r, p := range products[v*rows:][:rows] {
				to[r] = float64(p) * float64(w.scales[r]) * float64(scales[v])
			}
		}
	}
	return -1
}

// eachBlock multiplies the vectors in blocks; the last one is filled up with zeros.
func eachBlock(out []float64, vectors [][]float32, mean []float32, rows int, s *space, multiply func(x, products *C.float)) int {
	dim := len(mean)
	stride := dim + 16 // at a power of two, a component of all vectors would meet in one line of the cache
	side, x, products := sized(&s.side, C.BLOCK*stride), sized(&s.x, C.BLOCK*dim), sized(&s.block, C.BLOCK*rows)
	for first := 0; first < len(vectors); first += C.BLOCK {
		part := vectors[first:min(first+C.BLOCK, len(vectors))]
		for v, vector := range part {
			copy(side[v*stride:], vector)
		}
		clear(side[len(part)*stride:]) // what is left there may not be finite
		if largest := C.interleave(floats(side), C.long(stride), floats(mean), floats(x), C.long(dim)); !finiteBits(largest) {
			return first + notFinite(part, mean)
		}
		multiply(floats(x), floats(products))
		for v := range part {
			to := out[(first+v)*rows:][:rows]
			for r := range to {
				to[r] = float64(products[r*C.BLOCK+v])
			}
		}
	}
	return -1
}

// notFinite returns the position of the vector that is not finite.
func notFinite(vectors [][]float32, mean []float32) int {
	return slices.IndexFunc(vectors, func(vector []float32) bool {
		for j := range vector {
			if d := float64(vector[j] - mean[j]); math.IsNaN(d) || math.IsInf(d, 0) {
				return true
			}
		}
		return false
	})
}

// finiteBits says whether bits without the sign are those of a finite number.
func finiteBits(bits C.int32_t) bool { return bits < 0x7f800000 }

func floats(v []float32) *C.float { return (*C.float)(unsafe.SliceData(v)) }
