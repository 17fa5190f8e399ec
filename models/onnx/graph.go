package onnx

import (
	"encoding/binary"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Element types of ONNX tensors (TensorProto.DataType).
const (
	Float   = 1
	Uint8   = 2
	Int8    = 3
	Int32   = 6
	Int64   = 7
	Float16 = 10
	Double  = 11
)

// Microsoft is the operator domain of ONNX Runtime's own operators.
const Microsoft = "com.microsoft"

// Graph collects a graph and writes it as an ONNX model. Numbers below are the field numbers of onnx.proto.
type Graph struct {
	// Name is the graph's, Producer that of the recipe that made it.
	Name, Producer string
	// Metadata says what a reader of the file may want to know.
	Metadata map[string]string

	nodes           [][]byte
	inputs, outputs [][]byte
	tensors         []constant
	source          *Source // which the model goes back to, nil for one of its own
}

// constant is a constant of the graph. header are its fields but its elements, which write writes: little-endian, row by row. Without write, header is all of it.
type constant struct {
	header []byte
	size   int64
	write  func(io.Writer) error
}

// bytes is how many the constant has inside the model, without its own tag and length.
func (c constant) bytes() int64 {
	if c.write == nil {
		return int64(len(c.header))
	}
	return int64(len(c.header)+protowire.SizeTag(9)+protowire.SizeVarint(uint64(c.size))) + c.size
}

// Attribute is one named setting of an operator, encoded.
type Attribute []byte

// IntAttribute is a setting that is a whole number.
func IntAttribute(name string, v int) Attribute {
	b := appendString(nil, 1, name)
	b = appendInt(b, 3, int64(v))
	return appendInt(b, 20, 2)
}

// IntsAttribute is a setting that is a list of whole numbers.
func IntsAttribute(name string, values ...int) Attribute {
	b := appendString(nil, 1, name)
	for _, v := range values {
		b = appendInt(b, 8, int64(v))
	}
	return appendInt(b, 20, 7)
}

// FloatAttribute is a setting that is a number.
func FloatAttribute(name string, v float32) Attribute {
	b := appendString(nil, 1, name)
	b = protowire.AppendTag(b, 2, protowire.Fixed32Type)
	b = protowire.AppendFixed32(b, math.Float32bits(v))
	return appendInt(b, 20, 1)
}

// Node adds an operator with one output and returns the output's name. The domain is empty for ONNX's own
// operators.
func (g *Graph) Node(domain, op, output string, inputs []string, attributes ...Attribute) string {
	var b []byte
	for _, in := range inputs {
		b = appendString(b, 1, in)
	}
	b = appendString(b, 2, output)
	b = appendString(b, 3, output)
	b = appendString(b, 4, op)
	for _, a := range attributes {
		b = appendBytes(b, 5, a)
	}
	if domain != "" {
		b = appendString(b, 7, domain)
	}
	g.nodes = append(g.nodes, b)
	return output
}

// Tensor adds a constant of little-endian elements, row by row, and returns its name.
func (g *Graph) Tensor(name string, elementType int, data []byte, dims ...int) string {
	return g.Stream(name, elementType, int64(len(data)), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}, dims...)
}

// Stream adds a constant as Tensor does, whose size bytes are written when the model is: only then they need memory.
func (g *Graph) Stream(name string, elementType int, size int64, write func(io.Writer) error, dims ...int) string {
	var b []byte
	for _, d := range dims {
		b = appendInt(b, 1, int64(d))
	}
	b = appendInt(b, 2, int64(elementType))
	b = appendString(b, 8, name)
	g.tensors = append(g.tensors, constant{header: b, size: size, write: write})
	return name
}

// Floats adds a constant of 32-bit floats and returns its name.
func (g *Graph) Floats(name string, v []float32, dims ...int) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return g.Tensor(name, Float, b, dims...)
}

// Ints adds a list of 64-bit integers and returns its name.
func (g *Graph) Ints(name string, v ...int64) string {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	return g.Tensor(name, Int64, b, len(v))
}

// Input adds an input; a dimension is a number (int) or a name (string).
func (g *Graph) Input(name string, elementType int, dims ...any) {
	g.inputs = append(g.inputs, valueInfo(name, elementType, dims...))
}

// Output says that a node's output, which has this type and these dimensions, is one of the graph.
func (g *Graph) Output(name string, elementType int, dims ...any) {
	g.outputs = append(g.outputs, valueInfo(name, elementType, dims...))
}

// valueInfo describes an input or output.
func valueInfo(name string, elementType int, dims ...any) []byte {
	var shape []byte
	for _, d := range dims {
		var dim []byte
		switch d := d.(type) {
		case int:
			dim = appendInt(nil, 1, int64(d))
		case string:
			dim = appendString(nil, 2, d)
		}
		shape = appendBytes(shape, 1, dim)
	}
	tensor := appendInt(nil, 1, int64(elementType))
	tensor = appendBytes(tensor, 2, shape)
	return appendBytes(appendString(nil, 1, name), 2, appendBytes(nil, 1, tensor))
}

func appendInt(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

func appendString(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}
