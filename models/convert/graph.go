package convert

import (
	"fmt"

	"jobstrom/models/onnx"
	"jobstrom/models/quantize"
)

// outputName is the graph's output: the pooled, normalised vector of each row.
const outputName = "sentence_embedding"

// encoderGraph builds the encoder as a graph from token ids and mask, [rows, tokens], to vectors, [rows, hidden].
//
// Every kind gives a text the same vector alone and in any batch, as far as the provider's kernels do: nothing but attention looks across
// tokens, and attention does not see padding. Embeddings stay in their 4-bit blocks, which loses nothing.
type encoderGraph struct {
	onnx.Graph
	file *e5File
	kind Kind
	err  error // the first tensor that was missing or misshapen

	products *quantize.Products
	static   static
}

func newGraph(f *e5File, kind Kind) *encoderGraph {
	g := &encoderGraph{file: f, kind: kind, static: static{weights: map[string][]float32{}}}
	g.Name, g.Producer = encoderName, recipeName
	return g
}

func (g *encoderGraph) build() (*onnx.Graph, error) {
	f := g.file
	g.Input("input_ids", onnx.Int64, "rows", "tokens")
	g.Input("attention_mask", onnx.Int64, "rows", "tokens")
	g.Output(outputName, onnx.Float, "rows", f.hidden)

	layer := g.layer
	if g.kind != Static {
		g.products = quantize.NewProducts(&g.Graph, "", 17)
	}
	g.Node("", "Cast", "mask.float", []string{"attention_mask"}, onnx.IntAttribute("to", onnx.Float))
	if g.kind == Static {
		layer = g.staticLayer
		g.staticConstants()
	} else {
		g.Node("", "Cast", "mask.int", []string{"attention_mask"}, onnx.IntAttribute("to", onnx.Int32))
	}

	x := g.embeddings()
	for l := 0; l < f.layers && g.err == nil; l++ {
		x = layer(fmt.Sprintf("l%d", l), x)
	}
	if g.err != nil {
		return nil, g.err
	}
	g.pool(x)
	return &g.Graph, nil
}

// embeddings adds word, position and type embeddings and normalises them.
func (g *encoderGraph) embeddings() string {
	f := g.file
	words, err := f.blocks("emb.word", f.vocabulary, f.hidden)
	g.fail(err)
	if g.kind == Static {
		g.staticEmbeddings(words)
	} else {
		g.Tensor("emb.word.q", onnx.Uint8, words.packed(), f.vocabulary, f.hidden/2)
		g.Floats("emb.word.scale", words.scales(), f.vocabulary, f.hidden/blockWeights)
		g.Node(onnx.Microsoft, "GatherBlockQuantized", "emb.words", []string{"emb.word.q", "input_ids", "emb.word.scale"},
			onnx.IntAttribute("bits", 4), onnx.IntAttribute("block_size", blockWeights), onnx.IntAttribute("gather_axis", 0), onnx.IntAttribute("quantize_axis", 1))
	}

	// All tokens are of type 0, so its embedding is added to the positions here.
	positions, types := g.read("emb.pos", f.positions*f.hidden), g.read("emb.type", f.types*f.hidden)
	if g.err != nil {
		return ""
	}
	for i := range positions {
		positions[i] += types[i%f.hidden]
	}
	g.Floats("emb.position", positions, f.positions, f.hidden)
	g.Ints("zero", 0)
	g.Node("", "Shape", "length", []string{"input_ids"}, onnx.IntAttribute("start", 1), onnx.IntAttribute("end", 2))
	g.Node("", "Slice", "emb.positions", []string{"emb.position", "zero", "length", "zero"})
	return g.normalize("emb.ln", g.Node("", "Add", "emb.sum", []string{"emb.words", "emb.positions"}))
}

// layer adds one transformer layer: attention and feed-forward, each added to its input and normalised.
func (g *encoderGraph) layer(p, x string) string {
	h := g.file.hidden
	inputs := make([]string, 3, 5)
	var bias []float32
	for i, part := range []string{".q", ".k", ".v"} {
		inputs[i] = g.linear(p+part, x, h, h)
		bias = append(bias, g.read(p+part+".b", h)...)
	}
	inputs = append(inputs, g.Floats(p+".qkv.b", bias, 3*h), "mask.int")
	context := g.Node(onnx.Microsoft, "MultiHeadAttention", p+".context", inputs, onnx.IntAttribute("num_heads", g.file.heads))
	y := g.addBias(p+".ao", g.linear(p+".ao", context, h, h), h)
	x = g.normalize(p+".aln", g.Node("", "Add", p+".attended", []string{y, x}))

	y = g.linear(p+".fi", x, g.file.ffn, h)
	y = g.Node(onnx.Microsoft, "BiasGelu", p+".gelu", []string{y, g.Floats(p+".fi.b", g.read(p+".fi.b", g.file.ffn), g.file.ffn)})
	y = g.addBias(p+".fo", g.linear(p+".fo", y, h, g.file.ffn), h)
	return g.normalize(p+".oln", g.Node("", "Add", p+".fed", []string{y, x}))
}

// pool adds the mean over the tokens that are not padding, and brings it to length 1.
func (g *encoderGraph) pool(x string) {
	g.Ints("one", 1)
	g.Ints("two", 2)
	g.Node("", "Unsqueeze", "mask.column", []string{"mask.float", "two"})
	g.Node("", "Mul", "pool.masked", []string{x, "mask.column"})
	g.Node("", "ReduceSum", "pool.sum", []string{"pool.masked", "one"}, onnx.IntAttribute("keepdims", 0))
	g.Node("", "ReduceSum", "pool.count", []string{"mask.float", "one"}, onnx.IntAttribute("keepdims", 1))
	g.Node("", "Div", "pool.mean", []string{"pool.sum", "pool.count"})
	g.Node("", "LpNormalization", outputName, []string{"pool.mean"}, onnx.IntAttribute("axis", -1), onnx.IntAttribute("p", 2))
}

// linear adds x · Wᵀ for a weight matrix [out, in]. The bias is the caller's.
func (g *encoderGraph) linear(p, x string, out, in int) string {
	w, err := g.file.blocks(p+".w", out, in)
	if err != nil {
		g.fail(err)
		return x
	}
	switch g.kind {
	case Int8:
		return g.products.Int8(p, p+".product", x, quantize.Matrix{Name: p, Out: w.rows, In: w.columns, Range: quantize.WholeRange, Floats: w.floats})
	case Q8:
		// Shifting by 120 moves the zero point from 8 to the 128 that 8-bit blocks have; nothing is lost.
		shifted := func() []byte {
			q := w.weights()
			for i := range q {
				q[i] += 120
			}
			return q
		}
		return g.products.Blocks(p+".product", x, quantize.BlockMatrix{Name: p, Out: out, In: in, Bits: 8, Size: blockWeights, Packed: shifted, Scales: w.scales()}, 4)
	default:
		g.Floats(p+".w", quantize.Transpose(w.floats(), out, in), in, out)
		return g.Node("", "MatMul", p+".product", []string{x, p + ".w"})
	}
}

func (g *encoderGraph) addBias(p, x string, n int) string {
	return g.Node("", "Add", p+".out", []string{x, g.Floats(p+".b", g.read(p+".b", n), n)})
}

// normalize adds a layer normalisation. An Add before it is faster here than the fused SkipLayerNormalization.
func (g *encoderGraph) normalize(p, x string) string {
	h := g.file.hidden
	inputs := []string{x, g.Floats(p+".w", g.read(p+".w", h), h), g.Floats(p+".b", g.read(p+".b", h), h)}
	return g.Node("", "LayerNormalization", p+".out", inputs, onnx.IntAttribute("axis", -1), onnx.FloatAttribute("epsilon", g.file.epsilon))
}

// read returns an fp32 tensor; a bad one is remembered and comes back empty.
func (g *encoderGraph) read(name string, n int) []float32 {
	v, err := g.file.floats(name, n)
	g.fail(err)
	return v
}

func (g *encoderGraph) fail(err error) {
	if g.err == nil {
		g.err = err
	}
}
