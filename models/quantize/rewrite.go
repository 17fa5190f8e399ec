package quantize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"jobstrom/models/onnx"
)

var (
	// ErrQuantized is wrapped for graphs that compute in whole numbers already.
	ErrQuantized = errors.New("the graph is quantised already")
	// ErrNothing is wrapped for graphs without a product with a constant matrix.
	ErrNothing = errors.New("the graph has no product (MatMul, Gemm) with a constant matrix")
)

const (
	producer = "jobstrom-quantize"
	minSet   = 11 // the first version of ONNX's operators that counts axes from the end
)

// integerOps are the operators of graphs that are quantised. GatherBlockQuantized is none of them: embeddings lose nothing by another's products.
var integerOps = regexp.MustCompile(`^(QuantizeLinear|DequantizeLinear|DynamicQuantize.*|MatMulInteger.*|ConvInteger|QLinear.*|MatMulNBits|MatMulBnb4|QAttention|QGemm|QEmbedLayerNormalization|MatMulFpQ4)$`)

// counts is what became of a graph.
type counts struct {
	products, embeddings int
	left                 []string // products with constant matrices, by their names
}

// rewriter makes a quantised graph of a source.
type rewriter struct {
	source   *onnx.Source
	options  Options
	graph    *onnx.Graph
	products *Products
	prefix   string
	maker    map[string]int // which node gives a name, by its place
	floats   map[string]string
	matrices map[matrixKey]string // the names of matrices, of which layers may share one
	counts   counts
}

type matrixKey struct {
	*onnx.Constant
	transposed bool
}

// task is what becomes of a node.
type task struct {
	weight *weight
	do     func(n onnx.SourceNode, w *weight, name string) error
}

// rewrite returns the graph of the source with quantised products and embeddings. The source's constants must last as long as the graph. Nothing but the scales is computed yet: weights
// are rounded when the graph is written.
func rewrite(ctx context.Context, source *onnx.Source, o Options) (*onnx.Graph, counts, error) {
	r := &rewriter{source: source, options: o, maker: map[string]int{}, floats: map[string]string{}, matrices: map[matrixKey]string{}}
	for i, n := range source.Nodes {
		if integerOps.MatchString(n.Op) {
			return nil, counts{}, fmt.Errorf("node %.80q is %s: %w; take the encoder's graph in floating point", n.Name, n.Op, ErrQuantized)
		}
		for _, name := range n.Outputs {
			r.maker[name] = i
		}
	}
	if set := source.Set(""); set < minSet {
		return nil, counts{}, fmt.Errorf("the graph uses version %d of ONNX's operators, must be >= %d: export it again with opset_version=17", set, minSet)
	}
	tasks, err := r.plan()
	if err != nil {
		return nil, counts{}, err
	}
	dropped, constants := r.unused(tasks)
	if err := source.DropInputs(func(name string) bool { return constants[name] }); err != nil {
		return nil, counts{}, err
	}
	r.prefix = freePrefix(source)
	r.graph = source.Graph(producer)
	r.products = NewProducts(r.graph, r.prefix, source.Set(""))
	for i, n := range source.Nodes {
		if err := context.Cause(ctx); err != nil {
			return nil, counts{}, err
		}
		o.Progress("rounding weights", i, len(source.Nodes))
		t, ok := tasks[i]
		switch {
		case dropped[i]:
		case !ok:
			r.graph.Take(n)
		default:
			if err := t.do(n, t.weight, r.prefix+strconv.Itoa(i)); err != nil {
				return nil, counts{}, fmt.Errorf("node %.80q: %w", n.Name, err)
			}
		}
	}
	r.graph.TakeConstants(func(name string) bool { return !constants[name] })
	return r.graph, r.counts, nil
}

// freePrefix returns the beginning of names that no name in the source has.
func freePrefix(source *onnx.Source) string {
	prefix := "quantized/"
	for taken := true; taken; {
		taken = false
		source.Names(func(name string) { taken = taken || strings.HasPrefix(name, prefix) })
		if taken {
			prefix = "_" + prefix
		}
	}
	return prefix
}

// plan says which nodes are replaced, by their places.
func (r *rewriter) plan() (map[int]task, error) {
	keep, err := patterns(r.options.Keep)
	if err != nil {
		return nil, err
	}
	matched := make([]bool, len(keep))
	tasks := map[int]task{}
	for i, n := range r.source.Nodes {
		kept := false
		for k, p := range keep {
			if p.MatchString(n.Name) {
				kept, matched[k] = true, true
			}
		}
		if n.Domain != "" || len(n.Inputs) < 2 || len(n.Outputs) != 1 {
			continue
		}
		var t task
		switch n.Op {
		case "MatMul", "Gemm":
			t = task{r.weight(n.Inputs[1]), r.product}
			if t.weight == nil || t.weight.whole() {
				continue
			}
			if kept || !simple(n) {
				r.counts.left = append(r.counts.left, n.Name)
				continue
			}
			if n.Op == "MatMul" || n.Settings["transB"].Int == 0 {
				t.weight.transposed = !t.weight.transposed
			}
			r.counts.products++
		case "Gather":
			t = task{r.weight(n.Inputs[0]), r.embeddings}
			if kept || r.options.Embeddings == FloatEmbeddings || t.weight == nil || t.weight.transposed || t.weight.whole() ||
				n.Settings["axis"].Int != 0 || !r.isInput(n.Inputs[1]) || t.weight.Dims[1]*r.options.Embeddings%8 != 0 {
				continue
			}
			r.counts.embeddings++
		default:
			continue
		}
		if err := t.weight.check(); err != nil {
			return nil, fmt.Errorf("node %.80q: %w", n.Name, err)
		}
		tasks[i] = t
	}
	for k, ok := range matched {
		if !ok {
			return nil, fmt.Errorf("no node of the graph is named %.80q (Keep)", r.options.Keep[k])
		}
	}
	if r.counts.products == 0 {
		return nil, fmt.Errorf("%w to quantise (%d are left as they are)", ErrNothing, len(r.counts.left))
	}
	return tasks, nil
}

// patterns compiles names in which * stands for any characters.
func patterns(names []string) (all []*regexp.Regexp, err error) {
	for _, name := range names {
		p, err := regexp.Compile("^(?s:" + strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, ".*") + ")$")
		if err != nil {
			return nil, fmt.Errorf("reading Keep %.80q: %w", name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// simple says that a node computes x · W, or x · W + b, and nothing more.
func simple(n onnx.SourceNode) bool {
	if n.Op == "MatMul" {
		return len(n.Inputs) == 2
	}
	scale := func(name string) bool {
		s, there := n.Settings[name]
		return !there || s.Float == 1
	}
	return len(n.Inputs) <= 3 && n.Settings["transA"].Int == 0 && scale("alpha") && scale("beta")
}

// isInput says that a name is the graph's input_ids, cast or not.
func (r *rewriter) isInput(name string) bool {
	for range maxWay {
		i, made := r.maker[name]
		if !made {
			return name == "input_ids" && r.source.Constants[name] == nil
		}
		n := r.source.Nodes[i]
		if n.Domain != "" || n.Op != "Cast" && n.Op != "Identity" || len(n.Inputs) != 1 {
			return false
		}
		name = n.Inputs[0]
	}
	return false
}

// unused returns the nodes and constants that nothing takes any more when the tasks are done, which only led to matrices that were replaced.
func (r *rewriter) unused(tasks map[int]task) (nodes map[int]bool, constants map[string]bool) {
	uses := map[string]int{}
	for _, v := range r.source.Outputs {
		uses[v.Name]++
	}
	for i, n := range r.source.Nodes {
		for k, name := range n.Inputs {
			if _, replaced := tasks[i]; !replaced || n.Op == "Gather" && k == 1 || n.Op != "Gather" && k != 1 {
				uses[name]++
			}
		}
		for _, name := range n.Inner {
			uses[name]++
		}
	}
	nodes, constants = map[int]bool{}, map[string]bool{}
	for _, t := range tasks {
		for _, i := range t.weight.way { // from the product towards the constant
			n := r.source.Nodes[i]
			if nodes[i] {
				continue
			}
			if slices.ContainsFunc(n.Outputs, func(name string) bool { return uses[name] > 0 }) {
				break
			}
			nodes[i] = true
			for _, name := range n.Inputs {
				uses[name]--
			}
		}
	}
	for _, t := range tasks {
		if name := t.weight.Name; r.source.Constants[name] == t.weight.Constant && uses[name] == 0 {
			constants[name] = true
		}
	}
	return nodes, constants
}

// product replaces a product.
func (r *rewriter) product(n onnx.SourceNode, w *weight, name string) error {
	x, half := n.Inputs[0], w.elementType == onnx.Float16
	if half {
		x = r.float(x)
	}
	output := n.Outputs[0]
	bias := len(n.Inputs) == 3 && n.Inputs[2] != ""
	result := output
	if bias || half {
		result = name + ".product"
	}
	key := matrixKey{w.Constant, w.transposed}
	matrix := cmp.Or(r.matrices[key], name)
	r.matrices[key] = matrix
	if r.options.Kind == Int8 {
		m, err := w.product(matrix, r.options.Range)
		if err != nil {
			return err
		}
		r.products.Int8(name, result, x, m)
	} else {
		m, err := w.blocks(matrix, r.options.Kind.bits(), r.options.Block)
		if err != nil {
			return err
		}
		r.products.Blocks(result, x, m, r.options.Accuracy)
	}
	if half {
		cast := output
		if bias {
			cast = name + ".half"
		}
		result = r.graph.Node("", "Cast", cast, []string{result}, onnx.IntAttribute("to", onnx.Float16))
	}
	if bias {
		r.graph.Node("", "Add", output, []string{result, n.Inputs[2]})
	}
	return nil
}

// float widens an activation of half precision.
func (r *rewriter) float(x string) string {
	if r.floats[x] == "" {
		r.floats[x] = r.graph.Node("", "Cast", r.prefix+x+".float", []string{x}, onnx.IntAttribute("to", onnx.Float))
	}
	return r.floats[x]
}

// embeddings replaces the table of word embeddings, which is read and written by parts.
func (r *rewriter) embeddings(n onnx.SourceNode, w *weight, name string) error {
	rows, columns, bits, size := w.Dims[0], w.Dims[1], r.options.Embeddings, r.options.Block
	of, bytes := (columns+size-1)/size, columns*bits/8
	row, scales := make([]float32, columns), make([]float32, rows*of)
	for i := range rows {
		w.read(row, i*columns)
		if err := w.finite(row); err != nil {
			return err
		}
		roundBlocks(row, bits, size, nil, scales[i*of:(i+1)*of])
	}
	r.graph.Stream(name+".w.q", onnx.Uint8, int64(rows)*int64(bytes), func(to io.Writer) error {
		row, packed, scales := make([]float32, columns), make([]byte, of*size*bits/8), make([]float32, of)
		for i := range rows {
			w.read(row, i*columns)
			roundBlocks(row, bits, size, packed, scales)
			if _, err := to.Write(packed[:bytes]); err != nil {
				return err
			}
		}
		return nil
	}, rows, bytes)
	r.graph.Floats(name+".w.scale", scales, rows, of)
	half := w.elementType == onnx.Float16
	output := n.Outputs[0]
	if half {
		output = name + ".words"
	}
	r.graph.Node(onnx.Microsoft, "GatherBlockQuantized", output, []string{name + ".w.q", n.Inputs[1], name + ".w.scale"},
		onnx.IntAttribute("bits", bits), onnx.IntAttribute("block_size", size), onnx.IntAttribute("gather_axis", 0), onnx.IntAttribute("quantize_axis", 1))
	if half {
		r.graph.Node("", "Cast", n.Outputs[0], []string{output}, onnx.IntAttribute("to", onnx.Float16))
	}
	return nil
}
