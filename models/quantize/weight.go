package quantize

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// weight is a constant matrix, and how the file comes to it.
type weight struct {
	*onnx.Constant
	// transposed says that the rows of the matrix are the columns of the constant.
	transposed bool
	// elementType is what the graph computes with: the constant's, unless it is cast.
	elementType int
	// way are the nodes between the constant and what takes it, by their places.
	way []int
}

// maxWay bounds the nodes between a constant and what takes it: exporters write two or three.
const maxWay = 16

// weight returns the constant matrix of a name; nil where it is none.
func (r *rewriter) weight(name string) *weight {
	w := weight{}
	for len(w.way) <= maxWay {
		if c := r.source.Constants[name]; c != nil {
			w.Constant = c
			return w.matrix()
		}
		i, ok := r.maker[name]
		if !ok {
			return nil
		}
		n := r.source.Nodes[i]
		w.way = append(w.way, i)
		if n.Domain != "" || n.Op != "Constant" && len(n.Inputs) == 0 {
			return nil
		}
		switch n.Op {
		case "Constant":
			w.Constant = n.Value
			return w.matrix()
		case "Cast":
			if w.elementType == 0 { // the last cast decides
				w.elementType = int(n.Settings["to"].Int)
			}
		case "Transpose":
			if order := n.Settings["perm"].Ints; order != nil && !slices.Equal(order, []int64{1, 0}) {
				return nil
			}
			w.transposed = !w.transposed
		case "Identity":
		default:
			return nil
		}
		name = n.Inputs[0]
	}
	return nil
}

// matrix returns the weight if it has two dimensions and numbers.
func (w *weight) matrix() *weight {
	if w.Constant == nil || len(w.Dims) != 2 || w.Dims[0] <= 0 || w.Dims[1] <= 0 {
		return nil
	}
	if w.elementType == 0 {
		w.elementType = w.Type
	}
	return w
}

// size returns rows and columns.
func (w *weight) size() (rows, columns int) {
	if w.transposed {
		return w.Dims[1], w.Dims[0]
	}
	return w.Dims[0], w.Dims[1]
}

// whole says that the numbers are whole ones, with which graphs count and encoders do not compute.
func (w *weight) whole() bool {
	return slices.Contains([]int{onnx.Uint8, onnx.Int8, onnx.Int32, onnx.Int64}, w.elementType)
}

// check says why the numbers cannot be read.
func (w *weight) check() error {
	for _, t := range []int{w.Type, w.elementType} {
		if t != onnx.Float && t != onnx.Float16 {
			return fmt.Errorf("constant %.80q has the element type %d, must be %d (float) or %d (half precision): export the encoder in one of these", w.Name, t, onnx.Float, onnx.Float16)
		}
	}
	if w.Data == nil {
		return fmt.Errorf("constant %.80q has no numbers where they are expected: save the model again with onnx.save_model", w.Name)
	}
	return nil
}

// read reads so many numbers of the constant from a place on.
func (w *weight) read(into []float32, at int) {
	if w.Type == onnx.Float16 {
		for i := range into {
			into[i] = models.Float16(binary.LittleEndian.Uint16(w.Data[2*(at+i):]))
		}
		return
	}
	for i := range into {
		into[i] = math.Float32frombits(binary.LittleEndian.Uint32(w.Data[4*(at+i):]))
	}
}

// floats returns the numbers of the matrix, row by row.
func (w *weight) floats() []float32 {
	v := make([]float32, w.Dims[0]*w.Dims[1])
	w.read(v, 0)
	if w.transposed {
		v = Transpose(v, w.Dims[0], w.Dims[1])
	}
	return v
}

// finite says which number is none.
func (w *weight) finite(v []float32) error {
	for i, x := range v {
		if x-x != 0 {
			return fmt.Errorf("constant %.80q has the number %v (the %dth that was read): the encoder's files are damaged, fetch them again", w.Name, x, i+1)
		}
	}
	return nil
}

// product returns a named matrix [out, in] that is multiplied with.
func (w *weight) product(name string, size int) (Matrix, error) {
	out, in := w.size()
	if err := w.finite(w.floats()); err != nil {
		return Matrix{}, err
	}
	return Matrix{Name: name, Out: out, In: in, Range: size, Floats: w.floats}, nil
}

// blocks returns a named matrix [out, in] in blocks.
func (w *weight) blocks(name string, bits, size int) (BlockMatrix, error) {
	out, in := w.size()
	of := (in + size - 1) / size
	m := BlockMatrix{Name: name, Out: out, In: in, Bits: bits, Size: size, Scales: make([]float32, out*of)}
	v := w.floats()
	if err := w.finite(v); err != nil {
		return m, err
	}
	bytes := of * size * bits / 8
	for r := range out {
		roundBlocks(v[r*in:(r+1)*in], bits, size, nil, m.Scales[r*of:(r+1)*of])
	}
	m.Packed = func() []byte {
		v, packed, scales := w.floats(), make([]byte, out*bytes), make([]float32, of)
		for r := range out {
			roundBlocks(v[r*in:(r+1)*in], bits, size, packed[r*bytes:(r+1)*bytes], scales)
		}
		return packed
	}
	return m, nil
}
