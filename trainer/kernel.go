package trainer

import (
	"fmt"
	"sync"
	"sync/atomic"

	ort "github.com/yalue/onnxruntime_go"

	"jobstrom/models/onnx"
)

const (
	// blockRows are multiplied at once: 256 rows of 1,024 components are 1 MiB, which a core's cache holds, so that
	// scores and gradient read a row from memory once.
	blockRows = 256
	// maxLanes bounds the sums that are built beside each other. It is no function of the cores, because the order of
	// additions must not be.
	maxLanes = 32
)

// real is the precision in which a kernel multiplies.
type real interface{ float32 | float64 }

// kernel runs a graph over blocks of rows in ONNX Runtime. Its graph has inputs x (a block's vectors), w (a weight for
// each category and component), b (one for each category) and the kernel's own, in this order, and outputs
// [rows, categories] that end with the residuals, then their products with x.
type kernel[T real] struct {
	session         *ort.DynamicAdvancedSession
	dim, categories int
	tables          int // outputs of [rows, categories]
	inputs          []string
	parameters      []T // of the pass
	// blocks belong to a pass's workers, one each. They stay, because what is allocated anew in every pass is a multiple
	// of the examples' own memory by the time the collector comes.
	blocks []block[T]
}

// gradientKernel computes log probabilities and the gradient of the weighted loss, by
// p = softmax(w · (x − mean) + b + offset), residual = weight · (p − target), gradient = residualᵀ · (x − mean).
func gradientKernel[T real](mean []float32, categories int) (*kernel[T], error) {
	dim := len(mean)
	g := &onnx.Graph{Name: "gradient", Producer: "jobstrom-trainer"}
	t, x := onnx.Float, "x"
	g.Input("x", onnx.Float, "rows", dim)
	if _, wide := any(T(0)).(float64); wide {
		t = onnx.Double
		g.Floats("mean.single", mean, dim)
		x = g.Node("", "Cast", "x.wide", []string{x}, onnx.IntAttribute("to", t))
		g.Node("", "Cast", "mean", []string{"mean.single"}, onnx.IntAttribute("to", t))
	} else {
		g.Floats("mean", mean, dim)
	}
	g.Input("w", t, categories, dim)
	g.Input("b", t, categories)
	g.Input("target", t, "rows", categories)
	g.Input("weight", t, "rows", 1)
	g.Input("offset", t, "rows", categories)
	g.Node("", "Sub", "centred", []string{x, "mean"})
	g.Node("", "Gemm", "product", []string{"centred", "w", "b"}, onnx.IntAttribute("transB", 1))
	g.Node("", "Add", "scores", []string{"product", "offset"})
	g.Node("", "LogSoftmax", "logs", []string{"scores"}, onnx.IntAttribute("axis", -1))
	g.Node("", "Exp", "p", []string{"logs"})
	g.Node("", "Sub", "error", []string{"p", "target"})
	g.Node("", "Mul", "residual", []string{"error", "weight"})
	g.Node("", "Gemm", "gradient", []string{"residual", "centred"}, onnx.IntAttribute("transA", 1))
	g.Output("logs", t, "rows", categories)
	g.Output("residual", t, "rows", categories)
	g.Output("gradient", t, categories, dim)
	return newKernel[T](g, dim, categories, []string{"x", "w", "b", "target", "weight", "offset"}, []string{"logs", "residual", "gradient"})
}

// curvatureKernel multiplies the loss's matrix of second derivatives by a direction (w, b):
// a = w · x + b, residual = weight · p · (a − Σ p a), product = residualᵀ · x.
func curvatureKernel(dim, categories int) (*kernel[float32], error) {
	g := &onnx.Graph{Name: "curvature", Producer: "jobstrom-trainer"}
	g.Input("x", onnx.Float, "rows", dim)
	g.Input("w", onnx.Float, categories, dim)
	g.Input("b", onnx.Float, categories)
	g.Input("p", onnx.Float, "rows", categories)
	g.Input("weight", onnx.Float, "rows", 1)
	g.Ints("one", 1)
	g.Node("", "Gemm", "a", []string{"x", "w", "b"}, onnx.IntAttribute("transB", 1))
	g.Node("", "Mul", "pa", []string{"p", "a"})
	g.Node("", "ReduceSum", "mean", []string{"pa", "one"}, onnx.IntAttribute("keepdims", 1))
	g.Node("", "Sub", "difference", []string{"a", "mean"})
	g.Node("", "Mul", "change", []string{"p", "difference"})
	g.Node("", "Mul", "residual", []string{"change", "weight"})
	g.Node("", "Gemm", "product", []string{"residual", "x"}, onnx.IntAttribute("transA", 1))
	g.Output("residual", onnx.Float, "rows", categories)
	g.Output("product", onnx.Float, categories, dim)
	return newKernel[float32](g, dim, categories, []string{"x", "w", "b", "p", "weight"}, []string{"residual", "product"})
}

func newKernel[T real](g *onnx.Graph, dim, categories int, inputs, outputs []string) (*kernel[T], error) {
	session, err := g.Session(inputs, outputs, 1)
	if err != nil {
		return nil, err
	}
	return &kernel[T]{session: session, dim: dim, categories: categories, tables: len(outputs) - 1, inputs: inputs[3:]}, nil
}

func (k *kernel[T]) close() error { return k.session.Destroy() }

// block is what a kernel has of some rows: its inputs and outputs.
type block[T real] struct {
	rows   int
	space  []float32 // for vectors that do not lie side by side
	inputs map[string][]T
	tables [][]T // the last one holds the residuals
	sums   []T
}

// run multiplies one block. fill gives the inputs of [rows, ·] their values.
func (k *kernel[T]) run(b *block[T], vectors [][]float32, w, bias []T, fill func(*block[T])) (err error) {
	b.rows = len(vectors)
	rows := int64(b.rows)
	if b.inputs == nil {
		b.inputs = map[string][]T{}
		b.sums = make([]T, k.categories*k.dim)
		for range k.tables {
			b.tables = append(b.tables, make([]T, blockRows*k.categories))
		}
		for _, name := range k.inputs {
			b.inputs[name] = make([]T, blockRows*k.width(name))
		}
	}
	var values []ort.Value
	defer func() {
		for _, v := range values {
			v.Destroy()
		}
	}()
	x, err := ort.NewTensor(ort.NewShape(rows, int64(k.dim)), b.flat(vectors, k.dim))
	if err != nil {
		return err
	}
	values = append(values, x)
	add := func(data []T, shape ...int64) {
		if err != nil {
			return
		}
		var v *ort.Tensor[T]
		if v, err = ort.NewTensor(ort.NewShape(shape...), data); err == nil {
			values = append(values, v)
		}
	}
	fill(b)
	add(w, int64(k.categories), int64(k.dim))
	add(bias, int64(k.categories))
	for _, name := range k.inputs {
		add(b.inputs[name][:b.rows*k.width(name)], rows, int64(k.width(name)))
	}
	inputs := len(values)
	for _, t := range b.tables {
		add(t[:b.rows*k.categories], rows, int64(k.categories))
	}
	add(b.sums, int64(k.categories), int64(k.dim))
	if err != nil {
		return err
	}
	return k.session.Run(values[:inputs], values[inputs:])
}

func (k *kernel[T]) width(input string) int {
	if input == "weight" {
		return 1
	}
	return k.categories
}

// flat returns the vectors one after the other: where they lie, if they lie so, else in a copy.
func (b *block[T]) flat(vectors [][]float32, dim int) []float32 {
	if n := len(vectors) * dim; cap(vectors[0]) >= n {
		all := vectors[0][:n]
		apart := false
		for i, v := range vectors {
			apart = apart || &all[i*dim] != &v[0]
		}
		if !apart {
			return all
		}
	}
	if b.space == nil {
		b.space = make([]float32, blockRows*dim)
	}
	for i, v := range vectors {
		copy(b.space[i*dim:], v)
	}
	return b.space[:len(vectors)*dim]
}

// lane is one of the sums of a pass. Lanes are added in their order.
type lane struct {
	loss float64
	sums []float64 // categories × dim of the products, then the sums of the residuals
}

// pass runs a kernel with parameters x over all vectors and adds losses, products and residuals into the first lane. fill and loss are
// called with the position of a block's first vector, by several goroutines.
func (k *kernel[T]) pass(vectors [][]float32, x []float64, threads int, lanes []lane, fill func(b *block[T], from int), loss func(b *block[T], from int) float64) error {
	blocks := (len(vectors) + blockRows - 1) / blockRows
	each := (blocks + len(lanes) - 1) / len(lanes)
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, max(1, min(threads, len(lanes))))
	if len(k.blocks) < len(errs) {
		k.blocks = make([]block[T], len(errs))
	}
	k.parameters = k.parameters[:0]
	for _, v := range x {
		k.parameters = append(k.parameters, T(v))
	}
	w, bias := k.parameters[:k.categories*k.dim], k.parameters[k.categories*k.dim:]
	for worker := range errs {
		wg.Go(func() {
			for errs[worker] == nil {
				l := int(next.Add(1)) - 1
				if l >= len(lanes) {
					return
				}
				errs[worker] = k.lane(&lanes[l], &k.blocks[worker], vectors, l*each, min(blocks, (l+1)*each), w, bias, fill, loss)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("multiplying in ONNX Runtime: %w", err)
		}
	}
	for _, l := range lanes[1:] {
		lanes[0].loss += l.loss
		for i, s := range l.sums {
			lanes[0].sums[i] += s
		}
	}
	return nil
}

// lane adds up the blocks from first to before end.
func (k *kernel[T]) lane(l *lane, b *block[T], vectors [][]float32, first, end int, w, bias []T, fill func(b *block[T], from int), loss func(b *block[T], from int) float64) error {
	size := k.categories * k.dim
	if l.sums == nil {
		l.sums = make([]float64, size+k.categories)
	}
	l.loss = 0
	clear(l.sums)
	for n := first; n < end; n++ {
		from := n * blockRows
		if err := k.run(b, vectors[from:min(from+blockRows, len(vectors))], w, bias, func(b *block[T]) { fill(b, from) }); err != nil {
			return err
		}
		l.loss += loss(b, from)
		for i, s := range b.sums {
			l.sums[i] += float64(s)
		}
		residuals := b.tables[len(b.tables)-1][:b.rows*k.categories]
		for r := 0; r < len(residuals); r += k.categories {
			for c, v := range residuals[r : r+k.categories] {
				l.sums[size+c] += float64(v)
			}
		}
	}
	return nil
}

// lanesFor says how many lanes so many vectors need.
func lanesFor(vectors int) int { return min(maxLanes, (vectors+blockRows-1)/blockRows) }
