package quantize

import (
	"io"
	"math"

	"jobstrom/models/onnx"
)

// activationSteps is how many steps of an 8-bit activation lie between 0 and the largest of its token.
const activationSteps = 127

// Products adds products of an activation x, [.., in], and a constant weight matrix W, [out, in], to a graph: x · Wᵀ in whole numbers.
//
// Every product gives a token the same result alone and in any batch: nothing in it looks across tokens.
type Products struct {
	graph     *onnx.Graph
	prefix    string // before the names of what is added
	axesInput bool   // ReduceMax takes its axes as an input
	tokens    map[string]tokens
	weights   map[string]bool // that are in the graph
}

// tokens names an 8-bit activation and the largest absolute value of each of its tokens.
type tokens struct{ q, largest string }

// NewProducts prepares products in a graph of this version of ONNX's operators. The prefix stands before every name that is added, so that it is new there.
func NewProducts(g *onnx.Graph, prefix string, version int64) *Products {
	p := &Products{graph: g, prefix: prefix, axesInput: version >= 18, tokens: map[string]tokens{}, weights: map[string]bool{}}
	g.Floats(prefix+"one.step", []float32{1.0 / activationSteps})
	g.Tensor(prefix+"zero.point", onnx.Uint8, []byte{128})
	g.Floats(prefix+"smallest", []float32{1e-9})
	if p.axesInput {
		g.Ints(prefix+"last", -1)
	}
	return p
}

// Largest integers of a weight in 8 bits.
const (
	// WholeRange is all that 8 bits hold. Processors without VNNI add pairs of products in 16 bits, where such weights overflow: they are cut off, and the vectors differ from other processors'.
	WholeRange = 127
	// SafeRange overflows nowhere: 2 · 255 · 64 is below 2¹⁵.
	SafeRange = 64
)

// Matrix is a constant weight matrix, [Out, In] row by row. Floats are read when they are needed, and not kept. Two of one Name are one.
type Matrix struct {
	Name    string
	Out, In int
	// Range is the largest integer of a weight, WholeRange or SafeRange.
	Range  int
	Floats func() []float32
}

// Int8 multiplies in 8-bit integers: one weight scale for each output, one activation scale for each token. It returns output; other names begin with name.
func (p *Products) Int8(name, output, x string, w Matrix) string {
	g := p.graph
	if !p.weights[w.Name] {
		p.weights[w.Name] = true
		scales := RowScales(w.Floats(), w.Out, w.In, w.Range)
		g.Stream(w.Name+".w.q", onnx.Int8, int64(w.Out)*int64(w.In), func(to io.Writer) error {
			_, err := to.Write(Transpose(RoundRows(w.Floats(), w.In, scales), w.Out, w.In))
			return err
		}, w.In, w.Out)
		g.Floats(w.Name+".w.scale", scales, w.Out)
		g.Tensor(w.Name+".w.zero", onnx.Int8, make([]byte, w.Out), w.Out)
	}
	a := p.quantize(x)
	g.Node(onnx.Microsoft, "MatMulIntegerToFloat", name+".integer", []string{a.q, w.Name + ".w.q", p.prefix + "one.step", w.Name + ".w.scale", p.prefix + "zero.point", w.Name + ".w.zero"})
	return g.Node("", "Mul", output, []string{name + ".integer", a.largest})
}

// quantize brings every token of an activation to 8 bits by its own largest absolute value. A scale for the
// whole tensor would make a text's vector depend on the texts it is batched with.
func (p *Products) quantize(x string) tokens {
	if a, ok := p.tokens[x]; ok {
		return a
	}
	g, name := p.graph, p.prefix+x
	a := tokens{q: name + ".q8", largest: name + ".largest"}
	g.Node("", "Abs", name+".abs", []string{x})
	keep := onnx.IntAttribute("keepdims", 1)
	if p.axesInput {
		g.Node("", "ReduceMax", name+".max", []string{name + ".abs", p.prefix + "last"}, keep)
	} else {
		g.Node("", "ReduceMax", name+".max", []string{name + ".abs"}, onnx.IntsAttribute("axes", -1), keep)
	}
	g.Node("", "Max", a.largest, []string{name + ".max", p.prefix + "smallest"})
	g.Node("", "Div", name+".unit", []string{x, a.largest})
	g.Node("", "QuantizeLinear", a.q, []string{name + ".unit", p.prefix + "one.step", p.prefix + "zero.point"})
	p.tokens[x] = a
	return a
}

// BlockMatrix is a constant weight matrix, [Out, In] row by row, in blocks of Size weights of a row, the last one filled up. A weight is
// (q - 2^(Bits-1)) · scale of its block. Packed are the q, 8/Bits in a byte, the first in its lowest bits, [Out, blocks, Size·Bits/8]; Scales are [Out, blocks]. Two of one Name are one.
type BlockMatrix struct {
	Name                string
	Out, In, Bits, Size int
	Packed              func() []byte
	Scales              []float32
}

// Blocks multiplies by weights in blocks. accuracy is accuracy_level of MatMulNBits: 4 rounds activations to 8 bits by blocks of the same size, 1 leaves them. It returns output.
func (p *Products) Blocks(output, x string, w BlockMatrix, accuracy int) string {
	blocks := (w.In + w.Size - 1) / w.Size
	bytes := w.Size * w.Bits / 8
	if !p.weights[w.Name] {
		p.weights[w.Name] = true
		p.graph.Stream(w.Name+".w.q", onnx.Uint8, int64(w.Out)*int64(blocks)*int64(bytes), func(to io.Writer) error {
			_, err := to.Write(w.Packed())
			return err
		}, w.Out, blocks, bytes)
		p.graph.Floats(w.Name+".w.scale", w.Scales, w.Out, blocks)
	}
	return p.graph.Node(onnx.Microsoft, "MatMulNBits", output, []string{x, w.Name + ".w.q", w.Name + ".w.scale"},
		onnx.IntAttribute("K", w.In), onnx.IntAttribute("N", w.Out), onnx.IntAttribute("bits", w.Bits), onnx.IntAttribute("block_size", w.Size), onnx.IntAttribute("accuracy_level", accuracy))
}

// RowScales returns the scale of each row of a matrix, with which its largest absolute value becomes the integer size.
func RowScales(w []float32, rows, columns, size int) []float32 {
	scales := make([]float32, rows)
	for r := range rows {
		var largest float32
		for _, x := range w[r*columns : (r+1)*columns] {
			largest = max(largest, x, -x)
		}
		if largest == 0 {
			largest = 1 // A row of zeros has any scale.
		}
		scales[r] = max(largest/float32(size), math.SmallestNonzeroFloat32)
	}
	return scales
}

// RoundRows rounds a matrix to signed 8-bit integers by the scale of each row.
func RoundRows(w []float32, columns int, scales []float32) []byte {
	q := make([]byte, len(w))
	for r, scale := range scales {
		for i, x := range w[r*columns : (r+1)*columns] {
			q[r*columns+i] = byte(int8(math.RoundToEven(float64(x / scale))))
		}
	}
	return q
}

// roundBlocks rounds one row, by blocks of size weights, to unsigned integers of so many bits around 2^(bits-1), and packs them; the last block is filled up with zeros. Both results
// are those of the row; packed may be nil, for the scales alone. The weight of the largest absolute value becomes the lowest integer, which there is one more of.
func roundBlocks(row []float32, bits, size int, packed []byte, scales []float32) {
	middle, perByte := 1<<(bits-1), 8/bits
	clear(packed)
	for b := range scales {
		block := row[b*size : min((b+1)*size, len(row))]
		var largest float32
		for _, x := range block {
			if math.Abs(float64(x)) > math.Abs(float64(largest)) {
				largest = x
			}
		}
		scale := -largest / float32(middle)
		if scale == 0 {
			scale = 1 // A block of zeros has any scale.
		}
		if scales[b] = scale; packed == nil {
			continue
		}
		for i := range size {
			q := middle
			if i < len(block) {
				q += int(math.RoundToEven(float64(block[i] / scale)))
				q = max(0, min(q, 2*middle-1))
			}
			at := b*size + i
			packed[at/perByte] |= byte(q << (at % perByte * bits))
		}
	}
}

// Transpose turns a matrix [rows, columns] into [columns, rows], by tiles that stay in the processor's cache.
func Transpose[T any](m []T, rows, columns int) []T {
	const tile = 32
	t := make([]T, len(m))
	for top := 0; top < rows; top += tile {
		for left := 0; left < columns; left += tile {
			for r := top; r < min(top+tile, rows); r++ {
				for c := left; c < min(left+tile, columns); c++ {
					t[c*rows+r] = m[r*columns+c]
				}
			}
		}
	}
	return t
}
