package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed is wrapped by Read for bytes that are not an ONNX model, and for what no honest model has.
var ErrMalformed = errors.New("malformed ONNX file")

// maxEntries bounds the nodes, constants, inputs, outputs and settings, each of which takes far more memory than it has bytes.
const maxEntries = 1 << 12

// ML is the operator domain of classical models, such as scikit-learn's.
const ML = "ai.onnx.ml"

// Model is a model that was read: what its graph computes, in the order of the file, and no names of types.
type Model struct {
	Producer string
	Metadata map[string]string
	// Graph is the graph's name.
	Graph   string
	Nodes   []Node
	Tensors map[string]*Tensor
	// Inputs and Outputs are the graph's. Inputs that have a constant as default are among the tensors only.
	Inputs, Outputs []Value
}

// Node is an operator; Domain is empty for ONNX's own.
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Settings         map[string]Setting
}

// Setting is a named setting of an operator. The fields that it does not have are zero.
type Setting struct {
	Int     int64
	Float   float32
	Text    string
	Ints    []int64
	Floats  []float32
	Texts   []string
	Tensor  *Tensor
	Unknown bool // it holds a graph, or what this package does not read
}

// Value is an input or output. A dimension that is not fixed is -1; Dims is nil where nothing is said of them.
type Value struct {
	Name string
	Type int
	Dims []int64
}

// Tensor is a constant. Its numbers are as many as its dimensions say; those of a type for which there is no name above are not read.
type Tensor struct {
	Name string
	Type int
	Dims []int
	// Floats are the numbers of floating point, Ints whole numbers, row by row; nil where the type is another.
	Floats []float64
	Ints   []int64
}

// Read reads a model, of which every constant lies in the file itself. The bytes may come from anyone: memory is bounded by a
// small multiple of their number. Every error wraps ErrMalformed.
func Read(data []byte) (*Model, error) {
	m := &Model{Metadata: map[string]string{}, Tensors: map[string]*Tensor{}}
	if err := m.read(data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(m.Nodes) == 0 {
		return nil, fmt.Errorf("%w: there is no graph with operators", ErrMalformed)
	}
	m.Inputs = slices.DeleteFunc(m.Inputs, func(v Value) bool { return m.Tensors[v.Name] != nil })
	return m, nil
}

// field is one of a Protobuf message. A number is in n, whatever its width; bytes are in b.
type field struct {
	number protowire.Number
	wire   protowire.Type
	n      uint64
	b      []byte
}

// each calls with every field of a message. Numbers below are the field numbers of onnx.proto.
func each(data []byte, call func(f field) error) error {
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("a field's tag is damaged (%w)", protowire.ParseError(n))
		}
		data = data[n:]
		f := field{number: number, wire: wire}
		switch wire {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data)
			f.n = uint64(v)
		case protowire.Fixed64Type:
			f.n, n = protowire.ConsumeFixed64(data)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(data)
		default:
			return fmt.Errorf("field %d is of wire type %d, which ONNX does not use", number, wire)
		}
		if n < 0 {
			return fmt.Errorf("field %d is damaged or cut off (%w)", number, protowire.ParseError(n))
		}
		data = data[n:]
		if err := call(f); err != nil {
			return err
		}
	}
	return nil
}

// room says whether one entry more is too many.
func room(entries int) error {
	if entries >= maxEntries {
		return fmt.Errorf("more than %d nodes, constants, inputs, outputs or settings", maxEntries)
	}
	return nil
}

// entry reads a key and its value.
func entry(data []byte) (key, value string, err error) {
	err = each(data, func(f field) error {
		switch f.number {
		case 1:
			key = string(f.b)
		case 2:
			value = string(f.b)
		}
		return nil
	})
	return key, value, err
}

func (m *Model) read(data []byte) error {
	return each(data, func(f field) error {
		switch f.number {
		case 2:
			m.Producer = string(f.b)
		case 7:
			return m.graph(f.b) // a second one continues the first
		case 14:
			key, value, err := entry(f.b)
			m.Metadata[key] = value
			return errors.Join(err, room(len(m.Metadata)))
		case 25:
			return errors.New("it brings operators of its own (functions), which are not read")
		}
		return nil
	})
}

func (m *Model) graph(data []byte) error {
	return each(data, func(f field) error {
		switch f.number {
		case 1:
			n, err := readNode(f.b, readTensor)
			m.Nodes = append(m.Nodes, n)
			return errors.Join(err, room(len(m.Nodes)))
		case 2:
			m.Graph = string(f.b)
		case 5:
			t, err := readTensor(f.b)
			if err != nil {
				return err
			}
			if m.Tensors[t.Name] != nil {
				return fmt.Errorf("two constants are named %.80q", t.Name)
			}
			m.Tensors[t.Name] = t
			return room(len(m.Tensors))
		case 11, 12:
			v, err := readValue(f.b)
			if f.number == 11 {
				m.Inputs = append(m.Inputs, v)
			} else {
				m.Outputs = append(m.Outputs, v)
			}
			return errors.Join(err, room(len(m.Inputs)+len(m.Outputs)))
		case 15:
			return errors.New("it has sparse constants, which are not read")
		}
		return nil
	})
}

// readNode reads a node, and constants among its settings as tensor does.
func readNode(data []byte, tensor func([]byte) (*Tensor, error)) (Node, error) {
	n := Node{Settings: map[string]Setting{}}
	err := each(data, func(f field) error {
		switch f.number {
		case 1:
			n.Inputs = append(n.Inputs, string(f.b))
		case 2:
			n.Outputs = append(n.Outputs, string(f.b))
		case 3:
			n.Name = string(f.b)
		case 4:
			n.Op = string(f.b)
		case 5:
			name, s, err := readSetting(f.b, tensor)
			n.Settings[name] = s
			return errors.Join(err, room(len(n.Settings)))
		case 7:
			if n.Domain = string(f.b); n.Domain == "ai.onnx" {
				n.Domain = ""
			}
		}
		return nil
	})
	if err == nil && n.Op == "" {
		err = errors.New("a node has no operator")
	}
	return n, err
}

func readSetting(data []byte, tensor func([]byte) (*Tensor, error)) (name string, s Setting, err error) {
	err = each(data, func(f field) error {
		switch f.number {
		case 1:
			name = string(f.b)
		case 2:
			s.Float = math.Float32frombits(uint32(f.n))
		case 3:
			s.Int = int64(f.n)
		case 4:
			s.Text = string(f.b)
		case 5:
			s.Tensor, err = tensor(f.b)
			return err
		case 7:
			return numbers(f, protowire.Fixed32Type, func(v uint64) { s.Floats = append(s.Floats, math.Float32frombits(uint32(v))) })
		case 8:
			return numbers(f, protowire.VarintType, func(v uint64) { s.Ints = append(s.Ints, int64(v)) })
		case 9:
			s.Texts = append(s.Texts, string(f.b))
		case 6, 10, 11, 14, 15, 22, 23:
			s.Unknown = true
		}
		return nil
	})
	return name, s, err
}

// numbers reads a repeated number, which may stand alone or packed.
func numbers(f field, wire protowire.Type, add func(uint64)) error {
	if f.wire == wire {
		add(f.n)
		return nil
	}
	if f.wire != protowire.BytesType {
		return fmt.Errorf("field %d is of wire type %d, must be %d", f.number, f.wire, wire)
	}
	for b := f.b; len(b) > 0; {
		var v uint64
		var n int
		switch wire {
		case protowire.Fixed32Type:
			var narrow uint32
			narrow, n = protowire.ConsumeFixed32(b)
			v = uint64(narrow)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		default:
			v, n = protowire.ConsumeVarint(b)
		}
		if n < 0 {
			return fmt.Errorf("the numbers of field %d are cut off (%w)", f.number, protowire.ParseError(n))
		}
		add(v)
		b = b[n:]
	}
	return nil
}

func readValue(data []byte) (v Value, err error) {
	err = each(data, func(f field) error {
		switch f.number {
		case 1:
			v.Name = string(f.b)
		case 2: // type
			return each(f.b, func(f field) error {
				if f.number != 1 { // none but tensors have a type here
					return nil
				}
				return each(f.b, func(f field) error {
					switch f.number {
					case 1:
						v.Type = int(f.n)
					case 2:
						return each(f.b, func(f field) error {
							size := int64(-1)
							err := each(f.b, func(f field) error {
								if f.number == 1 {
									size = int64(f.n)
								}
								return nil
							})
							v.Dims = append(v.Dims, size)
							return err
						})
					}
					return nil
				})
			})
		}
		return nil
	})
	return v, err
}

// readTensor reads a constant, whose numbers lie in raw bytes or in the field of their type.
func readTensor(data []byte) (*Tensor, error) {
	t := &Tensor{Dims: []int{}}
	var raw []byte
	var wide []float64
	var whole []int64
	elements, outside := int64(1), false
	err := each(data, func(f field) (err error) {
		switch f.number {
		case 1:
			return numbers(f, protowire.VarintType, func(v uint64) {
				if t.Dims = append(t.Dims, int(v)); v > uint64(len(data)) || elements > int64(len(data)) {
					elements = math.MaxInt64 // more than a byte each
					return
				}
				elements *= int64(v)
			})
		case 2:
			t.Type = int(f.n)
		case 4:
			return numbers(f, protowire.Fixed32Type, func(v uint64) { wide = append(wide, float64(math.Float32frombits(uint32(v)))) })
		case 5, 7:
			return numbers(f, protowire.VarintType, func(v uint64) { whole = append(whole, int64(v)) })
		case 8:
			t.Name = string(f.b)
		case 9:
			raw = f.b
		case 10:
			return numbers(f, protowire.Fixed64Type, func(v uint64) { wide = append(wide, math.Float64frombits(v)) })
		case 13:
			outside = true
		case 14:
			outside = outside || f.n == 1
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("constant %.80q: %w", t.Name, err)
	}
	if outside {
		return nil, fmt.Errorf("constant %.80q lies in another file, which is not read: save the model with its numbers inside (onnx.save_model(…, save_as_external_data=False))", t.Name)
	}
	width := map[int]int{Float: 4, Double: 8, Int64: 8, Int32: 4, Int8: 1, Uint8: 1}[t.Type]
	if width == 0 {
		return t, nil
	}
	if raw != nil {
		wide, whole = decode(raw, t.Type, width)
	}
	floating := t.Type == Float || t.Type == Double
	held := len(whole)
	if floating {
		held = len(wide)
	}
	if int64(held) != elements || raw != nil && len(raw)%width != 0 {
		return nil, fmt.Errorf("constant %.80q holds %d numbers, its dimensions say %.60s", t.Name, held, fmt.Sprint(t.Dims))
	}
	if floating {
		t.Floats = append([]float64{}, wide...)
	} else {
		t.Ints = append([]int64{}, whole...)
	}
	return t, nil
}

// decode reads little-endian elements.
func decode(raw []byte, elementType, width int) (wide []float64, whole []int64) {
	for b := raw; len(b) >= width; b = b[width:] {
		switch elementType {
		case Float:
			wide = append(wide, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		case Double:
			wide = append(wide, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		case Int64:
			whole = append(whole, int64(binary.LittleEndian.Uint64(b)))
		case Int32:
			whole = append(whole, int64(int32(binary.LittleEndian.Uint32(b))))
		case Int8:
			whole = append(whole, int64(int8(b[0])))
		case Uint8:
			whole = append(whole, int64(b[0]))
		}
	}
	return wide, whole
}
