package gliner2

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"jobstrom/models"
	"jobstrom/models/onnx"
)

// linear is a layer x·W + b, W row by row [in, out].
type linear struct {
	weight, bias []float32
	in, out      int
}

// spanLayers are what span_rep computes, gliner's SpanMarkerV0: of the vectors h of a span's first and last word
//
//	out(relu(start(h of the first), end(h of the last)))
//
// where start, end and out are two linear layers with a ReLU between them.
type spanLayers struct {
	start, end, out [2]linear
}

// readSpanLayers recognises them in the file of a span_rep. It returns an error that wraps errShape where the graph computes something else.
func readSpanLayers(path string) (spanLayers, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return spanLayers{}, err
	}
	source, err := onnx.ReadSource(data, func(location string) ([]byte, error) {
		return os.ReadFile(filepath.Join(filepath.Dir(path), filepath.FromSlash(location)))
	})
	if err != nil {
		return spanLayers{}, fmt.Errorf("reading %s: %w", path, err)
	}
	m := matcher{source: source, makers: map[string]onnx.SourceNode{}}
	for _, n := range source.Nodes {
		for _, out := range n.Outputs {
			m.makers[out] = n
		}
	}
	return m.layers()
}

// matcher walks a graph from its output to its inputs.
type matcher struct {
	source *onnx.Source
	makers map[string]onnx.SourceNode
}

func (m matcher) layers() (spanLayers, error) {
	var s spanLayers
	if len(m.source.Outputs) != 1 {
		return s, fmt.Errorf("%w: it has %d outputs", errShape, len(m.source.Outputs))
	}
	joined, err := m.perceptron(m.source.Outputs[0].Name, &s.out)
	if err != nil {
		return s, err
	}
	if joined, err = m.input("Relu", joined); err != nil {
		return s, err
	}
	concat, err := m.node("Concat", joined)
	if err != nil {
		return s, err
	}
	if len(concat.Inputs) != 2 {
		return s, fmt.Errorf("%w: it joins %d vectors", errShape, len(concat.Inputs))
	}
	for i, side := range []struct {
		index  string
		layers *[2]linear
	}{{"span_start_idx", &s.start}, {"span_end_idx", &s.end}} {
		gather, err := m.node("GatherElements", concat.Inputs[i])
		if err != nil {
			return s, err
		}
		if from := m.index(gather.Inputs[1]); from != side.index {
			return s, fmt.Errorf("%w: vector %d is chosen by %.80q", errShape, i+1, from)
		}
		words, err := m.perceptron(gather.Inputs[0], side.layers)
		if err != nil {
			return s, err
		}
		if words = m.through(words); words != "hidden_states" {
			return s, fmt.Errorf("%w: vector %d is made of %.80q", errShape, i+1, words)
		}
	}
	h := s.start[0].in
	if s.end[0].in != h || s.start[1].out != h || s.end[1].out != h || s.out[0].in != 2*h || s.out[1].out != h {
		return s, fmt.Errorf("%w: its layers have other sizes", errShape)
	}
	return s, nil
}

// through passes over what changes no number but its precision.
func (m matcher) through(name string) string {
	for range len(m.makers) {
		n, made := m.makers[name]
		if !made || n.Op != "Identity" && n.Op != "Cast" || len(n.Inputs) != 1 {
			break
		}
		name = n.Inputs[0]
	}
	return name
}

// index passes over what repeats an index for each component, and returns where it comes from.
func (m matcher) index(name string) string {
	for range len(m.makers) {
		n, made := m.makers[m.through(name)]
		if !made || !slices.Contains([]string{"Unsqueeze", "Expand"}, n.Op) || len(n.Inputs) == 0 {
			break
		}
		name = n.Inputs[0]
	}
	return m.through(name)
}

// node returns the node that makes a tensor, which must be of this operator.
func (m matcher) node(op, name string) (onnx.SourceNode, error) {
	n, made := m.makers[m.through(name)]
	if !made || n.Op != op || n.Domain != "" {
		return n, fmt.Errorf("%w: %.80q is made by %.40q, not %s", errShape, name, n.Op, op)
	}
	if len(n.Inputs) == 0 || op != "Relu" && len(n.Inputs) != 2 {
		return n, fmt.Errorf("%w: %s takes %d tensors", errShape, op, len(n.Inputs))
	}
	return n, nil
}

// input returns what an operator of one input takes.
func (m matcher) input(op, name string) (string, error) {
	n, err := m.node(op, name)
	if err != nil {
		return "", err
	}
	return n.Inputs[0], nil
}

// perceptron reads linear, ReLU, linear and returns what the first takes.
func (m matcher) perceptron(name string, layers *[2]linear) (string, error) {
	between, err := m.linear(name, &layers[1])
	if err != nil {
		return "", err
	}
	if between, err = m.input("Relu", between); err != nil {
		return "", err
	}
	from, err := m.linear(between, &layers[0])
	if err == nil && layers[0].out != layers[1].in {
		err = fmt.Errorf("%w: a layer of %d components is behind one of %d", errShape, layers[1].in, layers[0].out)
	}
	return from, err
}

// linear reads MatMul and Add and returns what the product takes.
func (m matcher) linear(name string, l *linear) (string, error) {
	add, err := m.node("Add", name)
	if err != nil {
		return "", err
	}
	product, bias := add.Inputs[0], add.Inputs[1]
	if _, made := m.makers[m.through(product)]; !made || m.constant(product) != nil {
		product, bias = bias, product
	}
	n, err := m.node("MatMul", product)
	if err != nil {
		return "", err
	}
	w, b := m.constant(n.Inputs[1]), m.constant(bias)
	if w == nil || b == nil || len(w.Dims) != 2 || len(b.Dims) != 1 || b.Dims[0] != w.Dims[1] {
		return "", fmt.Errorf("%w: the layer that gives %.80q is no matrix and its bias", errShape, name)
	}
	l.in, l.out = w.Dims[0], w.Dims[1]
	if l.weight, err = wide(w); err == nil {
		l.bias, err = wide(b)
	}
	return n.Inputs[0], err
}

// constant returns a constant of the graph, nil where there is none of this name.
func (m matcher) constant(name string) *onnx.Constant {
	name = m.through(name)
	if n, made := m.makers[name]; made {
		return n.Value
	}
	return m.source.Constants[name]
}

// wide reads a constant's numbers in 32 bits.
func wide(c *onnx.Constant) ([]float32, error) {
	var out []float32
	switch {
	case c.Data != nil && c.Type == onnx.Float:
		out = make([]float32, len(c.Data)/4)
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(c.Data[4*i:]))
		}
	case c.Data != nil && c.Type == onnx.Float16:
		out = make([]float32, len(c.Data)/2)
		for i := range out {
			out[i] = models.Float16(binary.LittleEndian.Uint16(c.Data[2*i:]))
		}
	default:
		return nil, fmt.Errorf("%w: %.80q has the element type %d", errShape, c.Name, c.Type)
	}
	return out, nil
}

// graph builds what gives the logits of a batch's spans without computing what spans share more than once. Inputs are the vectors of words, [rows, words, hidden], and the labels' from
// count_embed, [rows, labels, hidden]; the output, [rows, width, words, labels], has the logit of the span from a word on that has one word more than width says; spans that
// reach beyond the last word have some number.
//
// A span's vector is W2·relu(W1·(s, e) + b1) + b2, of halves s and e that depend on its first and last word alone, and its logit for a label is the product with t. So W1's two halves
// are applied to words, not spans, and W2 to labels:
//
//	logit = relu(W1ₛ·s + b1 + W1ₑ·e) · (W2ᵀ·t) + b2·t
//
// which leaves an addition, a ReLU and a product with as many rows as there are labels for each span: of 14 million operations at 768 components about 25,000.
func (s spanLayers) graph(width int) *onnx.Graph {
	h, wide := s.start[0].in, s.out[0].out
	g := &onnx.Graph{Name: "spans", Producer: "jobstrom"}
	g.Input("words", onnx.Float, "rows", "words", h)
	g.Input("labels", onnx.Float, "rows", "labels", h)
	g.Output("logits", onnx.Float, "rows", width, "words", "labels")

	dense := func(name, x string, l linear) string {
		g.Node("", "MatMul", name+".product", []string{x, g.Floats(name+".w", l.weight, l.in, l.out)})
		return g.Node("", "Add", name, []string{name + ".product", g.Floats(name+".b", l.bias, l.out)})
	}
	half := func(name string, layers [2]linear, weight []float32) string {
		x := g.Node("", "Relu", name+".relu1", []string{dense(name+".1", "words", layers[0])})
		x = g.Node("", "Relu", name+".relu2", []string{dense(name+".2", x, layers[1])})
		return g.Node("", "MatMul", name+".half", []string{x, g.Floats(name+".half.w", weight, h, wide)})
	}
	first := s.out[0].weight
	start := g.Node("", "Add", "start.biased", []string{half("start", s.start, first[:h*wide]), g.Floats("bias", s.out[0].bias, wide)})
	end := g.Node("", "Pad", "end.padded", []string{half("end", s.end, first[h*wide:]), g.Ints("pads", 0, 0, 0, 0, int64(width-1), 0)})

	// W2 is [wide, h] here: transposed it takes labels there.
	g.Floats("out.w", transpose(s.out[1].weight, wide, h), h, wide)
	g.Floats("out.b", s.out[1].bias, h, 1)
	g.Node("", "MatMul", "labels.product", []string{"labels", "out.w"})
	g.Node("", "Transpose", "folded", []string{"labels.product"}, onnx.IntsAttribute("perm", 0, 2, 1))
	g.Node("", "MatMul", "labels.bias", []string{"labels", "out.b"})
	g.Node("", "Transpose", "folded.bias", []string{"labels.bias"}, onnx.IntsAttribute("perm", 0, 2, 1))

	g.Ints("one", 1)
	all := make([]string, width)
	for j := range width {
		n := fmt.Sprintf("width%d", j)
		to := int64(j - (width - 1))
		if to == 0 {
			to = math.MaxInt64
		}
		g.Node("", "Slice", n+".end", []string{end, g.Ints(n+".from", int64(j)), g.Ints(n+".to", to), "one"})
		g.Node("", "Add", n+".sum", []string{start, n + ".end"})
		g.Node("", "Relu", n+".relu", []string{n + ".sum"})
		g.Node("", "MatMul", n+".product", []string{n + ".relu", "folded"})
		g.Node("", "Add", n+".logits", []string{n + ".product", "folded.bias"})
		all[j] = g.Node("", "Unsqueeze", n, []string{n + ".logits", "one"})
	}
	g.Node("", "Concat", "logits", all, onnx.IntAttribute("axis", 1))
	return g
}

func transpose(m []float32, rows, columns int) []float32 {
	out := make([]float32, len(m))
	for r := range rows {
		for c := range columns {
			out[c*rows+r] = m[r*columns+c]
		}
	}
	return out
}
