package onnx

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

// message puts fields together, each a number of the field and its value.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		number := protowire.Number(fields[i].(int))
		switch v := fields[i+1].(type) {
		case int:
			b = appendInt(b, number, int64(v))
		case string:
			b = appendString(b, number, v)
		case []byte:
			b = appendBytes(b, number, v)
		}
	}
	return b
}

// model is a model of one node and these fields of the graph.
func model(fields ...any) []byte {
	node := message(1, "x", 2, "y", 4, "Identity")
	return message(1, 8, 7, append(message(1, node), message(fields...)...))
}

// TestReadWritten: what Graph writes is read back.
func TestReadWritten(t *testing.T) {
	g := &Graph{Name: "all", Producer: "test", Metadata: map[string]string{"a": "1", "b": ""}}
	g.Input("x", Float, "n", 2)
	g.Output("y", Double, "n", 3)
	g.Floats("floats", []float32{1.5, -2}, 2, 1)
	g.Ints("ints", -7, 1<<40)
	g.Tensor("bytes", Int8, []byte{1, 255}, 2)
	g.Tensor("unsigned", Uint8, []byte{1, 255}, 2)
	g.Tensor("none", Float, nil, 0)
	g.Node(Microsoft, "Op", "y", []string{"x", "floats", ""}, IntAttribute("i", -3), IntsAttribute("is", 4, 5), FloatAttribute("f", .25))
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		t.Fatal(err)
	}
	want := &Model{
		Producer: "test", Graph: "all", Metadata: g.Metadata,
		Nodes: []Node{{Name: "y", Op: "Op", Domain: Microsoft, Inputs: []string{"x", "floats", ""}, Outputs: []string{"y"}, Settings: map[string]Setting{
			"i": {Int: -3}, "is": {Ints: []int64{4, 5}}, "f": {Float: .25},
		}}},
		Tensors: map[string]*Tensor{
			"floats":   {Name: "floats", Type: Float, Dims: []int{2, 1}, Floats: []float64{1.5, -2}},
			"ints":     {Name: "ints", Type: Int64, Dims: []int{2}, Ints: []int64{-7, 1 << 40}},
			"bytes":    {Name: "bytes", Type: Int8, Dims: []int{2}, Ints: []int64{1, -1}},
			"unsigned": {Name: "unsigned", Type: Uint8, Dims: []int{2}, Ints: []int64{1, 255}},
			"none":     {Name: "none", Type: Float, Dims: []int{0}, Floats: []float64{}},
		},
		Inputs: []Value{{Name: "x", Type: Float, Dims: []int64{-1, 2}}}, Outputs: []Value{{Name: "y", Type: Double, Dims: []int64{-1, 3}}},
	}
	got, err := Read(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}

// TestReadForms: numbers are the same whether they stand in raw bytes, packed or each alone.
func TestReadForms(t *testing.T) {
	one, half := math.Float32bits(1), math.Float64bits(.5)
	alone := protowire.AppendFixed32(protowire.AppendTag(nil, 4, protowire.Fixed32Type), one)
	f := func(name string, tensor []byte, want *Tensor) {
		t.Helper()
		want.Name = "c"
		m, err := Read(model(5, tensor))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if diff := cmp.Diff(want, m.Tensors["c"]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f("floats alone", append(message(1, 1, 2, Float, 8, "c"), alone...), &Tensor{Type: Float, Dims: []int{1}, Floats: []float64{1}})
	f("packed floats", message(1, []byte{1, 2}, 2, Float, 8, "c", 4, protowire.AppendFixed32(protowire.AppendFixed32(nil, one), one)), &Tensor{Type: Float, Dims: []int{1, 2}, Floats: []float64{1, 1}})
	f("packed doubles", message(2, Double, 8, "c", 10, protowire.AppendFixed64(nil, half)), &Tensor{Type: Double, Dims: []int{}, Floats: []float64{.5}})
	f("raw doubles", message(2, Double, 8, "c", 9, protowire.AppendFixed64(nil, half)), &Tensor{Type: Double, Dims: []int{}, Floats: []float64{.5}})
	f("whole numbers alone", message(1, 2, 2, Int32, 8, "c", 5, 3, 5, -4), &Tensor{Type: Int32, Dims: []int{2}, Ints: []int64{3, -4}})
	f("raw whole numbers", message(1, 1, 2, Int32, 8, "c", 9, []byte{0xfe, 0xff, 0xff, 0xff}), &Tensor{Type: Int32, Dims: []int{1}, Ints: []int64{-2}})
	f("texts", message(1, 1, 2, 8, 8, "c", 6, "a"), &Tensor{Type: 8, Dims: []int{1}})
}

func TestReadFailure(t *testing.T) {
	whole := model()
	f := func(name string, data []byte, want string) {
		t.Helper()
		m, err := Read(data)
		if !errors.Is(err, ErrMalformed) || m != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	tensor := func(name, want string, fields ...any) {
		t.Helper()
		f(name, model(5, message(fields...)), want)
	}
	f("nothing", nil, "no graph with operators")
	f("text", []byte("ir_version: 8\n"), "")
	f("cut off", whole[:len(whole)-3], "cut off")
	f("a cut tag", append(bytes.Clone(whole), 0xff), "a field's tag is damaged")
	f("a group", append(bytes.Clone(whole), 0x0b), "wire type 3")
	f("no operator", message(7, message(1, message(1, "x"))), "a node has no operator")
	f("functions", append(bytes.Clone(whole), message(25, "f")...), "operators of its own")
	f("sparse", model(15, "s"), "sparse constants")
	f("twice", model(5, message(2, Int64, 8, "c", 7, 1), 5, message(2, Int64, 8, "c", 7, 1)), `two constants are named "c"`)
	tensor("in another file", "lies in another file", 1, 1, 2, Float, 8, "c", 13, message(1, "location", 2, "/etc/passwd"), 14, 1)
	tensor("said to be in another file", "save_as_external_data=False", 1, 1, 2, Float, 8, "c", 14, 1)
	tensor("few", `constant "c" holds 1 numbers, its dimensions say [2]`, 1, 2, 2, Float, 8, "c", 9, []byte{0, 0, 0, 0})
	tensor("half a number", "holds 1 numbers", 1, 1, 2, Float, 8, "c", 9, []byte{0, 0, 0, 0, 0})
	tensor("a gigabyte", "holds 1 numbers, its dimensions say [1073741824]", 1, 1<<30, 2, Float, 8, "c", 9, []byte{0, 0, 0, 0})
	tensor("beyond 64 bits", "its dimensions say", 1, 1<<62, 1, 1<<62, 1, 4, 2, Float, 8, "c")
	tensor("negative", "its dimensions say [-1]", 1, -1, 2, Float, 8, "c", 9, []byte{0, 0, 0, 0})
	tensor("packed numbers cut off", "are cut off", 1, 1, 2, Float, 8, "c", 4, []byte{1, 2})
	tensor("another wire type", "wire type 0, must be 5", 1, 1, 2, Float, 8, "c", 4, 1)
	f("many nodes", message(7, bytes.Repeat(message(1, message(4, "X")), maxEntries)), "more than 4096 nodes")
	f("many inputs", append(model(), message(7, bytes.Repeat(message(11, ""), maxEntries))...), "more than 4096")
}

// FuzzRead: whatever the bytes, a model or an error.
func FuzzRead(f *testing.F) {
	g := &Graph{Name: "seed", Metadata: map[string]string{"a": "1"}}
	g.Input("x", Float, "n", 2)
	g.Output("y", Float, "n", 3)
	g.Tensor("bytes", Int8, []byte{1, 255}, 2)
	g.Node("", "Gemm", "y", []string{"x", g.Floats("w", make([]float32, 6), 2, 3)}, IntAttribute("transB", 0), FloatAttribute("alpha", 1), IntsAttribute("axes", 1))
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(model(5, message(1, []byte{1, 2}, 2, Float, 8, "c", 4, make([]byte, 8))))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Read(data)
		if (m == nil) != errors.Is(err, ErrMalformed) {
			t.Fatalf("%v and %v", m, err)
		}
		if err != nil {
			return
		}
		for _, c := range m.Tensors {
			elements := 1
			for _, d := range c.Dims {
				elements *= d
			}
			if held := len(c.Floats) + len(c.Ints); held != elements && (c.Floats != nil || c.Ints != nil) {
				t.Fatalf("%d numbers of dimensions %v", held, c.Dims)
			}
		}
	})
}
