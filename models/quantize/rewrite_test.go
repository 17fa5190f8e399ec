package quantize

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// form is a graph y = f(x), x [rows, 48], with products as exporters write them.
type form struct {
	name     string
	products int
	left     int
	matrices int                              // constants of weights afterwards
	build    func(g *onnx.Graph, w []float32) // w are 48 · 48 numbers; the last node gives y
}

func halves(w []float32) []byte {
	var b []byte
	for _, x := range w { // the weights are whole eighths, which half precision holds
		bits := math.Float32bits(x)
		half := uint16(bits >> 16 & 0x8000)
		if x != 0 {
			half |= uint16(int(bits>>23&255)-127+15)<<10 | uint16(bits>>13&1023)
		}
		b = append(b, byte(half), byte(half>>8))
	}
	return b
}

var forms = []form{
	{"MatMul", 1, 0, 1, func(g *onnx.Graph, w []float32) {
		g.Node("", "MatMul", "y", []string{"x", g.Floats("w", w, 48, 48)})
	}},
	{"transposed", 1, 0, 1, func(g *onnx.Graph, w []float32) {
		g.Node("", "Transpose", "t", []string{g.Floats("w", w, 48, 48)}, onnx.IntsAttribute("perm", 1, 0))
		g.Node("", "Identity", "i", []string{"t"})
		g.Node("", "MatMul", "y", []string{"x", "i"})
	}},
	{"half precision, cast", 1, 0, 1, func(g *onnx.Graph, w []float32) {
		g.Node("", "Cast", "c", []string{g.Tensor("w", onnx.Float16, halves(w), 48, 48)}, onnx.IntAttribute("to", onnx.Float))
		g.Node("", "MatMul", "y", []string{"x", "c"})
	}},
	{"half precision", 2, 0, 2, func(g *onnx.Graph, w []float32) {
		g.Node("", "Cast", "c", []string{"x"}, onnx.IntAttribute("to", onnx.Float16))
		g.Node("", "MatMul", "a", []string{"c", g.Tensor("w", onnx.Float16, halves(w), 48, 48)})
		g.Node("", "Gemm", "b", []string{"c", g.Tensor("v", onnx.Float16, halves(w), 48, 48), g.Tensor("bias", onnx.Float16, halves(w[:48]), 48)})
		g.Node("", "Add", "s", []string{"a", "b"})
		g.Node("", "Cast", "y", []string{"s"}, onnx.IntAttribute("to", onnx.Float))
	}},
	{"Gemm", 2, 0, 2, func(g *onnx.Graph, w []float32) {
		g.Node("", "Gemm", "a", []string{"x", g.Floats("w", w, 48, 48), g.Floats("bias", w[:48], 48)}, onnx.IntAttribute("transB", 1))
		g.Node("", "Gemm", "y", []string{"a", g.Floats("v", w, 48, 48)}, onnx.FloatAttribute("alpha", 1))
	}},
	{"one matrix in two layers, and as it is", 2, 1, 1, func(g *onnx.Graph, w []float32) {
		g.Floats("w", w, 48, 48)
		g.Node("", "MatMul", "a", []string{"x", "w"})
		g.Node("", "MatMul", "b", []string{"a", "w"})
		g.Node("", "Gemm", "c", []string{"b", "w"}, onnx.FloatAttribute("alpha", .125))
		g.Node("", "ReduceSum", "s", []string{"w", g.Ints("zero", 0)}, onnx.IntAttribute("keepdims", 0))
		g.Node("", "Add", "y", []string{"c", "s"})
	}},
	{"no product of two activations", 1, 0, 1, func(g *onnx.Graph, w []float32) {
		g.Node("", "MatMul", "a", []string{"x", g.Floats("w", w, 48, 48)})
		g.Node("", "Transpose", "t", []string{"a"})
		g.Node("", "MatMul", "s", []string{"x", "t"})
		g.Node("", "MatMul", "y", []string{"s", "x"})
	}},
	{"names that would be the new ones", 1, 0, 1, func(g *onnx.Graph, w []float32) {
		g.Node("", "Identity", "quantized/x.abs", []string{"x"})
		g.Node("", "MatMul", "y", []string{"quantized/x.abs", g.Floats("quantized/1.w.q", w, 48, 48)})
	}},
}

// model builds a form.
func (f form) model(t testing.TB) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	w := make([]float32, 48*48)
	for i := range w {
		w[i] = float32(random.IntN(33)-16) / 8
	}
	g := &onnx.Graph{Name: f.name}
	g.Input("x", onnx.Float, "rows", 48)
	f.build(g, w)
	g.Output("y", onnx.Float, "rows", 48)
	var b bytes.Buffer
	if err := g.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// answer runs a model on so many rows, the first of which are always the same.
func answer(t *testing.T, name string, model []byte, rows int) []float32 {
	t.Helper()
	s, err := onnx.SessionOf(name, model, []string{"x"}, []string{"y"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Destroy()
	random := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, 48*rows)
	for i := range x {
		x[i] = float32(random.NormFloat64() * math.Exp2(float64(i/48))) // each row of another size
	}
	in, err := ort.NewTensor(ort.NewShape(int64(rows), 48), x)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Destroy()
	out := []ort.Value{nil}
	if err := s.Run([]ort.Value{in}, out); err != nil {
		t.Fatal(err)
	}
	defer out[0].Destroy()
	return slices.Clone(out[0].(*ort.Tensor[float32]).GetData())
}

// TestForms: products are found in every form that exporters write, in both versions of ReduceMax, and what leads to a matrix goes with it.
func TestForms(t *testing.T) {
	native, err := models.NativeDir()
	must(t, err)
	must(t, onnx.Open(filepath.Join(native, models.LibraryONNXRuntime)))
	t.Cleanup(func() { must(t, onnx.Close()) })
	for _, f := range forms {
		for _, set := range []byte{17, 18} {
			model := withSet(f.model(t), 17, set)
			for kind, near := range map[Kind]float64{Int8: .999, Q8: .999, Q4: .98} {
				source, err := onnx.ReadSource(model, nil)
				must(t, err)
				g, c, err := rewrite(t.Context(), source, defaults(Options{Kind: kind}))
				must(t, err)
				var b bytes.Buffer
				must(t, g.Encode(&b))
				if int64(b.Len()) != g.Size() {
					t.Errorf("%s: %d bytes, %d were said", f.name, b.Len(), g.Size())
				}
				if c.products != f.products || len(c.left) != f.left {
					t.Errorf("%s: %+v", f.name, c)
				}
				after, err := onnx.ReadSource(b.Bytes(), nil)
				must(t, err)
				matrices := 0
				for name, constant := range after.Constants {
					if strings.HasSuffix(name, ".w.q") && constant.Type != onnx.Float && constant.Type != onnx.Float16 {
						matrices++
					}
				}
				if _, there := after.Constants["w"]; matrices != f.matrices || there != (f.left > 0) {
					t.Errorf("%s: %d matrices, the original is there: %v", f.name, matrices, there)
				}
				was, is := answer(t, f.name, model, 5), answer(t, f.name, b.Bytes(), 5)
				for row := range 5 {
					if got := lowest([][]float32{was[48*row : 48*row+48]}, [][]float32{is[48*row : 48*row+48]}); got < near {
						t.Errorf("%s %s of operators %d: row %d has the cosine %g", f.name, kind, set, row, got)
					}
				}
			}
		}
	}
}

func defaults(o Options) Options {
	o.EnsureDefaults()
	return o
}

// TestRewriteFailures: what cannot be read is said by its name.
func TestRewriteFailures(t *testing.T) {
	f := func(want string, o Options, build func(g *onnx.Graph)) {
		t.Helper()
		g := &onnx.Graph{}
		g.Input("x", onnx.Float, "rows", 2)
		build(g)
		g.Output("y", onnx.Float, "rows", 2)
		var b bytes.Buffer
		must(t, g.Encode(&b))
		source, err := onnx.ReadSource(b.Bytes(), nil)
		must(t, err)
		if _, _, err = rewrite(t.Context(), source, defaults(o)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	product := func(w []float32) func(g *onnx.Graph) {
		return func(g *onnx.Graph) { g.Node("", "MatMul", "y", []string{"x", g.Floats("w", w, 2, 2)}) }
	}
	fine := product([]float32{1, 2, 3, 4})
	for _, kind := range Kinds() {
		f(`constant "w" has the number NaN (the 2th`, Options{Kind: kind}, product([]float32{1, 3, float32(math.NaN()), 4}))
		f(`constant "w" has the number +Inf`, Options{Kind: kind}, product([]float32{float32(math.Inf(1)), 2, 3, 4}))
	}
	f(`no node of the graph is named "lay*" (Keep)`, Options{Keep: []string{"y", "lay*"}}, fine)
	f("1 are left as they are", Options{Keep: []string{"*"}}, fine)
	f("has the element type 16, must be 1 (float) or 10", Options{}, func(g *onnx.Graph) {
		g.Node("", "MatMul", "y", []string{"x", g.Tensor("w", 16, make([]byte, 8), 2, 2)})
	})
	f("has the element type 11", Options{}, func(g *onnx.Graph) {
		g.Node("", "MatMul", "y", []string{"x", g.Tensor("w", onnx.Double, make([]byte, 32), 2, 2)})
	})
	f("is DequantizeLinear: the graph is quantised already", Options{}, func(g *onnx.Graph) {
		g.Tensor("w", onnx.Int8, make([]byte, 4), 2, 2)
		g.Node("", "DequantizeLinear", "d", []string{"w", g.Floats("s", []float32{1})})
		g.Node("", "MatMul", "y", []string{"x", "d"})
	})
	f("no product", Options{}, func(g *onnx.Graph) { // a transposition for ever
		g.Node("", "Identity", "a", []string{"b"})
		g.Node("", "Identity", "b", []string{"a"})
		g.Node("", "MatMul", "y", []string{"x", "a"})
	})
}

// TestRoundBlocks: a block keeps its largest weight exactly, and no weight is further off than half a step, but for the highest.
func TestRoundBlocks(t *testing.T) {
	row := []float32{-2, 1, .5, 0, 3, -3, 1.5, .25, 7}
	for _, bits := range []int{4, 8} {
		const size = 4
		packed, scales := make([]byte, 3*size*bits/8), make([]float32, 3)
		roundBlocks(row, bits, size, packed, scales)
		for i := range 12 {
			q := int(packed[i*bits/8]>>(i*bits%8)) & (1<<bits - 1)
			got := float32(q-1<<(bits-1)) * scales[i/size]
			want := float32(0)
			if i < len(row) {
				want = row[i]
			}
			limit := float64(scales[i/size]) / 2
			if q == 1<<bits-1 {
				limit *= 2 // there is no integer for minus the largest
			}
			if d := math.Abs(float64(got - want)); d > math.Abs(limit)+1e-6 {
				t.Errorf("%d bits: weight %d is %g, want %g", bits, i, got, want)
			}
		}
	}
}

// FuzzRewrite: any graph that can be read is rewritten, or refused with a reason, and what comes out can be read.
func FuzzRewrite(f *testing.F) {
	for _, architecture := range []string{"bert", "mpnet", "xlm-roberta"} {
		model, err := os.ReadFile(filepath.Join(goldens, architecture, "base", "onnx", "model.onnx"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(model, byte(0))
	}
	for i, form := range forms {
		f.Add(form.model(f), byte(i))
	}
	f.Fuzz(func(t *testing.T, model []byte, kind byte) {
		source, err := onnx.ReadSource(model, func(string) ([]byte, error) { return model, nil })
		if err != nil {
			return
		}
		o := defaults(Options{Kind: Kinds()[int(kind)%3], Block: 16 << (kind % 5), Embeddings: []int{4, 8, FloatEmbeddings}[kind%3]})
		g, _, err := rewrite(t.Context(), source, o)
		if err != nil {
			return
		}
		if g.Size() > 1<<22 { // a few bytes may promise much
			return
		}
		var b bytes.Buffer
		if err := g.Encode(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := onnx.ReadSource(b.Bytes(), nil); err != nil {
			t.Errorf("what was written: %v", err)
		}
		if err := g.EncodeBeside(io.Discard, io.Discard, "data"); err != nil {
			t.Error(err)
		}
	})
}
