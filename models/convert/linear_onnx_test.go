package convert

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"jobstrom/models/onnx"
	"jobstrom/schemas"
)

// drawn is a graph of vectors of 3 numbers, x, with constants that layers of 2 categories take: w [3, 2], wt [2, 3], b, v (of 3), one, two.
func drawn(t testing.TB, output string, draw func(g *onnx.Graph)) []byte {
	t.Helper()
	g := &onnx.Graph{Name: "drawn"}
	g.Input("x", onnx.Float, "n", 3)
	g.Floats("w", []float32{1, 2, 3, 4, 5, 6}, 3, 2)
	g.Floats("wt", []float32{1, 3, 5, 2, 4, 6}, 2, 3)
	g.Floats("b", []float32{.5, -.5}, 2)
	g.Floats("v", []float32{1, 2, 0}, 3)
	g.Floats("one", []float32{1}, 1)
	g.Floats("two", []float32{2})
	g.Ints("axis", 1)
	draw(g)
	g.Output(output, onnx.Float, "n", 2)
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func inputs(names ...string) []string { return names }

// mlFloats and mlText are settings of the operators of classical models.
func mlFloats(name string, v ...float32) onnx.Attribute {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
	for _, x := range v {
		b = protowire.AppendFixed32(protowire.AppendTag(b, 7, protowire.Fixed32Type), math.Float32bits(x))
	}
	return b
}

func mlText(name, v string) onnx.Attribute {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
	return protowire.AppendString(protowire.AppendTag(b, 4, protowire.BytesType), v)
}

// TestReadGraph: graphs are read as what ONNX Runtime computes, whatever stands around the layer.
func TestReadGraph(t *testing.T) {
	o := importing(t)
	o.Dim, o.Taxonomy = 3, pairTaxonomy(t)
	f := func(name string, draw func(g *onnx.Graph)) {
		t.Helper()
		// Import compares each with ONNX Runtime.
		c, err := Import(put(t, "drawn.onnx", drawn(t, "y", draw)), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(c.Bias) < 2 || c.Weights[0] == 0 {
			t.Errorf("%s: %v", name, c)
		}
	}
	gemm := func(g *onnx.Graph, in, out string) {
		g.Node("", "Gemm", out, inputs(in, "wt", "b"), onnx.IntAttribute("transB", 1))
	}
	f("Gemm", func(g *onnx.Graph) { gemm(g, "x", "y") })
	f("Gemm without bias", func(g *onnx.Graph) { g.Node("", "Gemm", "y", inputs("x", "w")) })
	f("MatMul", func(g *onnx.Graph) { g.Node("", "MatMul", "y", inputs("x", "w")) })
	f("a turned constant", func(g *onnx.Graph) {
		g.Node("", "Transpose", "turned", inputs("wt"), onnx.IntsAttribute("perm", 1, 0))
		g.Node("", "MatMul", "y", inputs("x", "turned"))
	})
	f("the constant first", func(g *onnx.Graph) {
		g.Node("", "Add", "a", inputs("v", "x"))
		g.Node("", "Mul", "m", inputs("two", "a"))
		gemm(g, "m", "s")
		g.Node("", "Add", "y", inputs("b", "s"))
	})
	f("a component that does not count", func(g *onnx.Graph) {
		g.Node("", "Mul", "m", inputs("x", "v"))
		g.Node("", "Add", "a", inputs("m", "v"))
		g.Node("", "Sub", "s", inputs("a", "one"))
		gemm(g, "s", "y")
	})
	f("scores after temperature", func(g *onnx.Graph) {
		gemm(g, "x", "s")
		g.Node("", "Mul", "m", inputs("s", "two"))
		g.Node("", "Sub", "d", inputs("m", "b"))
		g.Node("", "Div", "e", inputs("d", "two"))
		g.Node("", "LogSoftmax", "y", inputs("e"), onnx.IntAttribute("axis", -1))
	})
	f("passed through", func(g *onnx.Graph) {
		g.Node("", "Flatten", "f", inputs("x"), onnx.IntAttribute("axis", 1))
		g.Node("", "Identity", "i", inputs("f"))
		gemm(g, "i", "s")
		g.Node("", "Softmax", "p", inputs("s"), onnx.IntAttribute("axis", 1))
		g.Node("", "Cast", "y", inputs("p"), onnx.IntAttribute("to", onnx.Float))
	})
	f("the best category beside", func(g *onnx.Graph) {
		gemm(g, "x", "y")
		g.Node("", "ArgMax", "best", inputs("y"), onnx.IntAttribute("axis", 1), onnx.IntAttribute("keepdims", 1))
		g.Output("best", onnx.Int64, "n", 1)
	})
}

// pairTaxonomy has two categories.
func pairTaxonomy(t testing.TB) *schemas.Taxonomy {
	t.Helper()
	taxonomy, err := schemas.ParseTaxonomy([]byte(`[{"index":0,"name":"a","code":"7"},{"index":1,"name":"b","code":"8"}]`))
	if err != nil {
		t.Fatal(err)
	}
	return taxonomy
}

// TestReadGraphFailure: a graph that is not linear, or damaged, is refused for what it is.
func TestReadGraphFailure(t *testing.T) {
	o := importing(t)
	o.Dim, o.Taxonomy = 3, pairTaxonomy(t)
	refused := func(name string, data []byte, sentinel error, want string) {
		t.Helper()
		l, _, err := readGraph(data, o)
		if !errors.Is(err, sentinel) || l != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	f := func(name string, sentinel error, want string, draw func(g *onnx.Graph)) {
		t.Helper()
		refused(name, drawn(t, "y", draw), sentinel, want)
	}
	node := func(op, want string, in []string, settings ...onnx.Attribute) {
		t.Helper()
		f(op, ErrNotLinear, want, func(g *onnx.Graph) { g.Node("", op, "y", in, settings...) })
	}
	node("Relu", `node 0, Relu: not a linear classifier: the operator "Relu" is none of a linear classifier's`, inputs("x"))
	node("Sigmoid", "each category against the rest", inputs("x"))
	node("Softmax", "must be of scores", inputs("x"))
	node("ArgMax", "must be of scores", inputs("x"))
	node("Concat", "must be of scores", inputs("x", "x"), onnx.IntAttribute("axis", 1))
	node("Slice", "must be of scores", inputs("x", "axis", "axis", "axis"))
	node("Transpose", "a constant matrix", inputs("x"))
	node("MatMul", "a constant of 2 dimensions", inputs("x", "v"))
	node("MatMul", "a constant of 2 dimensions", inputs("x", "x"))
	node("Gemm", "does not take the vectors", inputs("w", "w"))
	node("Gemm", "transA is set", inputs("x", "w"), onnx.IntAttribute("transA", 1))
	node("Gemm", `the constant "v" has dimensions [3], must be one number or 2`, inputs("x", "w", "v"))
	node("Mul", "vectors or scores, and a constant", inputs("w", "w"))
	node("Mul", "a constant is missing", inputs("x", "x"))
	node("Div", "vectors or scores, and a constant", inputs("two", "x"))
	node("Cast", "neither float nor double", inputs("x"), onnx.IntAttribute("to", onnx.Int64))
	node("Flatten", "axis is 0", inputs("x"), onnx.IntAttribute("axis", 0))
	node("DequantizeLinear", "constant int8 rows", inputs("w", "two"))
	node("Constant", "without a tensor", nil)
	node("Identity", `the output "y" is not made by a linear classifier`, inputs("x"))
	f("Gemm of another width", ErrUnfit, "vectors of 2 numbers, the encoder gives 3", func(g *onnx.Graph) {
		g.Node("", "Gemm", "y", inputs("x", "wt"))
	})
	f("few inputs", schemas.ErrMalformed, "it has 1 inputs", func(g *onnx.Graph) { g.Node("", "MatMul", "y", inputs("x")) })
	f("a circle", schemas.ErrMalformed, `its input "c" is not made before it: the graph is cut off, out of order or goes in circles`, func(g *onnx.Graph) {
		g.Node("", "Add", "y", inputs("c", "v"))
		g.Node("", "Add", "c", inputs("y", "v"))
	})
	f("made twice", schemas.ErrMalformed, `two values are named "y"`, func(g *onnx.Graph) {
		g.Node("", "MatMul", "y", inputs("x", "w"))
		g.Node("", "Identity", "y", inputs("x"))
	})
	f("two layers", ErrNotLinear, "several layers", func(g *onnx.Graph) {
		g.Node("", "MatMul", "s", inputs("x", "w"))
		g.Node("", "MatMul", "y", inputs("x", "w"))
	})
	f("a layer of a layer", ErrNotLinear, "only one layer", func(g *onnx.Graph) {
		g.Node("", "MatMul", "s", inputs("x", "w"))
		g.Node("", "MatMul", "y", inputs("s", "wt"))
	})
	f("softmax of softmax", ErrNotLinear, "must be of scores", func(g *onnx.Graph) {
		g.Node("", "MatMul", "s", inputs("x", "w"))
		g.Node("", "Softmax", "p", inputs("s"))
		g.Node("", "Softmax", "y", inputs("p"))
	})
	f("scaled apart", ErrNotLinear, "different or negative numbers", func(g *onnx.Graph) {
		g.Node("", "MatMul", "s", inputs("x", "w"))
		g.Node("", "Mul", "y", inputs("s", "b"))
	})
	f("another domain", ErrNotLinear, `"com.microsoft:Gemm"`, func(g *onnx.Graph) { g.Node(onnx.Microsoft, "Gemm", "y", inputs("x", "w")) })
	subgraph := protowire.AppendBytes(protowire.AppendTag(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "body"), 6, protowire.BytesType), nil)
	node("Identity", "a graph of its own", inputs("x"), subgraph)
	f("nothing made", ErrNotLinear, `the output "y" is not made`, func(g *onnx.Graph) { g.Node("", "MatMul", "s", inputs("x", "w")) })

	classifier := func(sentinel error, want string, settings ...onnx.Attribute) {
		t.Helper()
		f("LinearClassifier", sentinel, want, func(g *onnx.Graph) { g.Node(onnx.ML, "LinearClassifier", "y", inputs("x"), settings...) })
	}
	labels, six := onnx.IntsAttribute("classlabels_ints", 0, 1), mlFloats("coefficients", 1, 2, 3, 4, 5, 6)
	classifier(schemas.ErrMalformed, "6 coefficients, 0 intercepts and 0 labels", six)
	classifier(schemas.ErrMalformed, "6 coefficients, 3 intercepts and 2 labels", six, labels, mlFloats("intercepts", 1, 2, 3))
	classifier(ErrUnfit, "vectors of 2 numbers, the encoder gives 3", mlFloats("coefficients", 1, 2, 3, 4), labels, mlFloats("intercepts", 1, 2))
	classifier(ErrNotLinear, "each category against the rest", six, labels, mlFloats("intercepts", 1), mlText("post_transform", "SOFTMAX"))
	classifier(ErrNotLinear, "each category against the rest", six, labels, mlText("post_transform", "LOGISTIC"))
	classifier(ErrNotLinear, `post_transform is "PROBIT"`, six, labels, mlText("post_transform", "PROBIT"))
	classifier(ErrNotLinear, "the graph has no scores", six, labels, mlText("post_transform", "SOFTMAX"))
	f("Scaler", ErrUnfit, "it scales 2 numbers by 3, the encoder gives 3", func(g *onnx.Graph) {
		g.Node(onnx.ML, "Scaler", "y", inputs("x"), mlFloats("offset", 1, 2), mlFloats("scale", 1, 2, 3))
	})
	f("Normalizer", ErrNotLinear, "behind probabilities only", func(g *onnx.Graph) { g.Node(onnx.ML, "Normalizer", "y", inputs("x"), mlText("norm", "L2")) })
	f("ZipMap", schemas.ErrMalformed, "names 1 labels, others than the 2", func(g *onnx.Graph) {
		g.Node("", "MatMul", "s", inputs("x", "w"))
		g.Node(onnx.ML, "ZipMap", "y", inputs("s"), onnx.IntsAttribute("classlabels_int64s", 3))
	})

	input := func(want string, elementType int, dims ...any) {
		t.Helper()
		g := &onnx.Graph{Name: "input"}
		g.Input("x", elementType, dims...)
		g.Node("", "MatMul", "y", inputs("x", g.Floats("w", make([]float32, 6), 3, 2)))
		g.Output("y", onnx.Float)
		var b bytes.Buffer
		if err := g.Encode(&b); err != nil {
			t.Fatal(err)
		}
		l, _, err := readGraph(b.Bytes(), o)
		if err == nil || l != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("input %v: got %v, want %q", dims, err, want)
		}
	}
	input("must be of float or double", onnx.Int64, "n", 3)
	input("has 3 dimensions", onnx.Float, "n", 3, 1)
	input("vectors of 4 numbers, the encoder gives 3", onnx.Float, "n", 4)
	two := &onnx.Graph{Name: "inputs"}
	two.Input("x", onnx.Float, "n", 3)
	two.Input("z", onnx.Float, "n", 3)
	two.Node("", "Add", "y", inputs("x", "z"))
	var b bytes.Buffer
	if err := two.Encode(&b); err != nil {
		t.Fatal(err)
	}
	refused("two inputs", b.Bytes(), ErrNotLinear, "2 inputs")

	// Growth: a few bytes that make much.
	f("growth", ErrNotLinear, "its operators make more than", func(g *onnx.Graph) {
		last := g.Floats("big", make([]float32, 1<<20), 1<<10, 1<<10)
		for i := range 40 {
			last = g.Node("", "Transpose", "t"+string(rune('A'+i)), inputs(last))
		}
	})

	whole, err := os.ReadFile(imported("sklearn_ints.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	refused("cut off", whole[:len(whole)/2], schemas.ErrMalformed, "malformed ONNX file")
}

// TestImportChecked: what ONNX Runtime does not take, or computes otherwise, is refused.
func TestImportChecked(t *testing.T) {
	o := importing(t)
	o.Dim, o.Taxonomy = 3, pairTaxonomy(t)
	f := func(name string, data []byte, sentinel error, want string) {
		t.Helper()
		c, err := Import(put(t, "drawn.onnx", data), o)
		if !errors.Is(err, sentinel) || c != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	layer := func(g *onnx.Graph) { g.Node("", "MatMul", "y", inputs("x", "w")) }
	// A graph that says of its output what is not so.
	g := &onnx.Graph{Name: "wrong"}
	g.Input("x", onnx.Float, "n", 3)
	g.Node("", "MatMul", "y", inputs("x", g.Floats("w", make([]float32, 6), 3, 2)))
	g.Output("y", onnx.Int64, "n", 2)
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		t.Fatal(err)
	}
	f("a wrong type", b.Bytes(), schemas.ErrMalformed, "in ONNX Runtime")
	f("infinite", drawn(t, "y", func(g *onnx.Graph) {
		g.Node("", "Div", "d", inputs("x", "v")) // by zero
		g.Node("", "MatMul", "y", inputs("d", "w"))
	}), schemas.ErrMalformed, "must be finite")
	f("beyond float32", drawn(t, "y", func(g *onnx.Graph) {
		g.Floats("huge", []float32{1e20})
		g.Node("", "Mul", "a", inputs("x", "huge"))
		g.Node("", "Mul", "c", inputs("a", "huge"))
		g.Node("", "MatMul", "y", inputs("c", "w"))
	}), schemas.ErrMalformed, "must be finite")
	// A check of another classifier finds the gap.
	c, err := Import(put(t, "drawn.onnx", drawn(t, "y", layer)), o)
	if err != nil {
		t.Fatal(err)
	}
	_, check, err := readGraph(drawn(t, "y", layer), o)
	if err != nil {
		t.Fatal(err)
	}
	c.Bias[0] += 1e-3
	if err := check.compare(c, []int{0, 1}, o.Library); !errors.Is(err, ErrNotLinear) || !strings.Contains(err.Error(), "away from what was read") {
		t.Errorf("another classifier gives %v", err)
	}
}

// FuzzReadGraph: whatever the bytes, a classifier of the encoder's width or an error of the kinds that Import promises.
func FuzzReadGraph(f *testing.F) {
	files, err := filepath.Glob(imported("*.onnx"))
	if err != nil || len(files) < 8 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	o := importing(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		l, check, err := readGraph(data, o)
		if err != nil {
			if !errors.Is(err, schemas.ErrMalformed) && !errors.Is(err, ErrNotLinear) && !errors.Is(err, ErrUnfit) {
				t.Fatalf("%v wraps no sentinel", err)
			}
			return
		}
		if l.dim != importDim || len(l.columns) < 2 || check.tensor == "" {
			t.Fatalf("%+v", l)
		}
		for _, column := range l.columns {
			for _, r := range column {
				if len(r.weights) != importDim {
					t.Fatalf("a row has %d weights", len(r.weights))
				}
			}
		}
	})
}
