package convert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"jobstrom/models/onnx"
	"jobstrom/schemas"
)

// What a name of the graph can stand for, beside *onnx.Tensor, a constant.
type (
	// features are the vectors, component by component scaled and shifted: scale · x + shift.
	features struct{ scale, shift []float64 }
	// answers are the categories' scores, or what was made of them.
	answers struct {
		columns     [][]row
		temperature float64
		labels      []string
		stage       stage
		// tensor is the name of the numbers of this stage.
		tensor string
		// apart says that the scores were made one category against the rest, so that softmax of them means nothing.
		apart bool
	}
	// category is the number or name of the best answer, which says nothing that the answers do not.
	category struct{ of *answers }
)

// stage is how far answers are.
type stage string

const (
	asScores        stage = "scores"
	asLogs          stage = "logarithms of probabilities"
	asProbabilities stage = "probabilities"
)

// reader follows a graph from its input on and keeps what each name stands for. It knows the operators of linear classifiers.
type reader struct {
	dim     int
	values  map[string]any
	layers  int
	numbers int // that operators made so far
	// mean is what is subtracted from the vectors.
	mean []float64
}

// readGraph reads a linear classifier of an ONNX file, and what it takes to compare it with the file. Errors wrap schemas.ErrMalformed, ErrNotLinear or
// ErrUnfit.
func readGraph(data []byte, o ImportOptions) (*linear, *graphCheck, error) {
	m, err := onnx.Read(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w: a classifier is imported from ONNX, or from a state_dict that torch.save wrote", schemas.ErrMalformed, err)
	}
	if len(m.Inputs) != 1 {
		return nil, nil, fmt.Errorf("%w: the graph has %d inputs, must have one, the vectors", ErrNotLinear, len(m.Inputs))
	}
	in := m.Inputs[0]
	if in.Type != onnx.Float && in.Type != onnx.Double {
		return nil, nil, fmt.Errorf("%w: the input %.60q must be of float or double", ErrNotLinear, in.Name)
	}
	if n := len(in.Dims); n != 0 && n != 2 {
		return nil, nil, fmt.Errorf("%w: the input %.60q has %d dimensions, must have 2: vectors and their components", ErrNotLinear, in.Name, n)
	} else if n == 2 && in.Dims[1] > 0 && in.Dims[1] != int64(o.Dim) {
		return nil, nil, fmt.Errorf("%w: it takes vectors of %d numbers, the encoder gives %d: name the folder of its encoder with --encoder", ErrUnfit, in.Dims[1], o.Dim)
	}
	r := &reader{dim: o.Dim, values: map[string]any{}}
	for name, t := range m.Tensors {
		r.values[name] = t
	}
	r.values[in.Name] = features{scale: repeated(1, r.dim), shift: make([]float64, r.dim)}
	for i, n := range m.Nodes {
		if err := r.node(n); err != nil {
			return nil, nil, fmt.Errorf("node %d, %.60s: %w", i, n.Op, err)
		}
	}
	a, err := r.result(m.Outputs)
	if err != nil {
		return nil, nil, err
	}
	l := &linear{format: "ONNX", dim: r.dim, columns: a.columns, temperature: a.temperature, labels: a.labels, mean: r.mean}
	if m.Producer != "" {
		l.format += " of " + m.Producer
	}
	if m.Producer == "jobstrom" {
		l.encoder, l.taxonomy = m.Metadata["encoder"], m.Metadata["taxonomy"]
	}
	given := slices.ContainsFunc(m.Outputs, func(v onnx.Value) bool { return v.Name == a.tensor })
	return l, &graphCheck{file: data, input: in, tensor: a.tensor, stage: a.stage, given: given}, nil
}

// result finds the answers among the graph's outputs; the probabilities where there are several.
func (r *reader) result(outputs []onnx.Value) (*answers, error) {
	var best *answers
	for _, out := range outputs {
		a, ok := r.values[out.Name].(*answers)
		if c, is := r.values[out.Name].(category); is {
			a, ok = c.of, true
		}
		if !ok {
			return nil, fmt.Errorf("%w: the output %.60q is not made by a linear classifier", ErrNotLinear, out.Name)
		}
		if best == nil || a.stage == asProbabilities || a.stage == asLogs && best.stage == asScores {
			best = a
		}
	}
	if best == nil || best.tensor == "" {
		return nil, fmt.Errorf("%w: the graph has no scores", ErrNotLinear)
	}
	if best.apart && best.stage == asScores {
		return nil, fmt.Errorf("%w: %s", ErrNotLinear, oneAgainstRest)
	}
	if rows := countRows(best.columns); rows > maxRows || len(best.columns) < 2 {
		return nil, fmt.Errorf("%w: %d categories of %d rows, must be 2 or more categories, and at most %d rows", ErrNotLinear, len(best.columns), rows, maxRows)
	}
	return best, nil
}

// maxNumbers bounds what the operators of a graph make, which may be far more than what it holds.
const maxNumbers = 1 << 25

const oneAgainstRest = "it asks for each category against the rest, so that its probabilities are not softmax's: train it as multinomial (scikit-learn's LogisticRegression with more than 2 categories, not within OneVsRestClassifier)"

// node works out what a node's outputs stand for.
func (r *reader) node(n onnx.Node) error {
	if len(n.Outputs) == 0 || len(n.Outputs) > 2 {
		return fmt.Errorf("%w: it has %d outputs", ErrNotLinear, len(n.Outputs))
	}
	inputs := make([]any, len(n.Inputs))
	for i, name := range n.Inputs {
		v, known := r.values[name]
		if !known && name != "" {
			return fmt.Errorf("%w: its input %.60q is not made before it: the graph is cut off, out of order or goes in circles", schemas.ErrMalformed, name)
		}
		inputs[i] = v
	}
	for _, s := range n.Settings {
		if s.Unknown {
			return fmt.Errorf("%w: it holds a graph of its own", ErrNotLinear)
		}
	}
	v, err := r.operator(n, inputs)
	if err != nil {
		return err
	}
	if r.numbers += sizeOf(v); r.numbers > maxNumbers && n.Op != "Constant" && n.Op != "Identity" {
		return fmt.Errorf("%w: its operators make more than %d numbers", ErrNotLinear, maxNumbers)
	}
	made := []any{v}
	if n.Op == "LinearClassifier" {
		made = []any{category{v.(*answers)}, v}
	}
	for i, name := range n.Outputs {
		if name == "" {
			continue
		}
		if _, twice := r.values[name]; twice {
			return fmt.Errorf("%w: two values are named %.60q", schemas.ErrMalformed, name)
		}
		if i >= len(made) {
			return fmt.Errorf("%w: its second output is not read", ErrNotLinear)
		}
		if a, ok := made[i].(*answers); ok && n.Op != "ZipMap" {
			a.tensor = name
		}
		r.values[name] = made[i]
	}
	return nil
}

// operator works out what an operator makes.
func (r *reader) operator(n onnx.Node, in []any) (any, error) {
	least := map[string]int{"Constant": 0, "MatMul": 2, "Gemm": 2, "Add": 2, "Sub": 2, "Mul": 2, "Div": 2, "DequantizeLinear": 2, "Slice": 3}
	if want, listed := least[n.Op]; len(in) < want || !listed && len(in) < 1 {
		return nil, fmt.Errorf("%w: it has %d inputs", schemas.ErrMalformed, len(in))
	}
	switch name := strings.TrimPrefix(n.Domain+":"+n.Op, ":"); name {
	case "Constant":
		return constantOf(n)
	case "Identity", "Cast", "Flatten":
		return r.pass(n, in[0])
	case "Transpose":
		return transposed(n, in[0])
	case "DequantizeLinear":
		return dequantized(n, in)
	case "Add", "Sub", "Mul", "Div":
		return r.arithmetic(n.Op, in)
	case onnx.ML + ":Scaler":
		return r.scaler(n, in[0])
	case "MatMul", "Gemm":
		return r.layer(n, in)
	case onnx.ML + ":LinearClassifier":
		return r.linearClassifier(n, in[0])
	case "Softmax", "LogSoftmax":
		return softmaxed(n, in[0])
	case onnx.ML + ":Normalizer":
		if a, ok := in[0].(*answers); ok && a.stage == asProbabilities && n.Settings["norm"].Text == "L1" {
			return a.clone(), nil // they sum to 1 already
		}
		return nil, fmt.Errorf("%w: Normalizer is read behind probabilities only, with the norm L1", ErrNotLinear)
	case onnx.ML + ":ZipMap":
		return zipped(n, in[0])
	case "ArgMax":
		if a, ok := in[0].(*answers); ok && (n.Settings["axis"].Int == 1 || n.Settings["axis"].Int == -1) {
			return category{a}, nil
		}
		return nil, fmt.Errorf("%w: it must be of scores, over axis 1", ErrNotLinear)
	case "Slice", "ReduceLogSumExp", "Concat":
		return columns(n, in)
	case "Sigmoid":
		return nil, fmt.Errorf("%w: %s", ErrNotLinear, oneAgainstRest)
	default:
		return nil, fmt.Errorf("%w: the operator %.80q is none of a linear classifier's", ErrNotLinear, name)
	}
}

// sizeOf counts what a value takes in memory, in numbers.
func sizeOf(v any) int {
	switch v := v.(type) {
	case features:
		return 2 * len(v.scale)
	case *onnx.Tensor:
		return len(v.Floats)
	case *answers:
		return 8 * countRows(v.columns) // their weights are shared
	}
	return 0
}

func countRows(columns [][]row) (rows int) {
	for _, c := range columns {
		rows += len(c)
	}
	return rows
}

// clone copies answers for another name.
func (a *answers) clone() *answers {
	c := *a
	return &c
}

// pass reads the operators that change no number.
func (r *reader) pass(n onnx.Node, in any) (any, error) {
	to := n.Settings["to"].Int
	axis, given := n.Settings["axis"]
	if n.Op == "Flatten" && given && axis.Int != 1 {
		return nil, fmt.Errorf("%w: axis is %d, must be 1", ErrNotLinear, axis.Int)
	}
	switch in := in.(type) {
	case category:
		return in, nil
	case *answers:
		if n.Op != "Cast" || to == onnx.Float || to == onnx.Double {
			return in.clone(), nil
		}
	case features:
		if n.Op != "Cast" || to == onnx.Float || to == onnx.Double {
			return in, nil
		}
	case *onnx.Tensor:
		if n.Op == "Identity" {
			return in, nil
		}
	}
	return nil, fmt.Errorf("%w: it changes the type of numbers to one that is neither float nor double, or another thing", ErrNotLinear)
}

// linearClassifier reads the operator that scikit-learn's converter writes.
func (r *reader) linearClassifier(n onnx.Node, in any) (*answers, error) {
	var labels []string
	for _, v := range n.Settings["classlabels_ints"].Ints {
		labels = append(labels, strconv.FormatInt(v, 10))
	}
	labels = append(labels, n.Settings["classlabels_strings"].Texts...)
	rows, weights, bias := len(labels), wide(n.Settings["coefficients"].Floats), wide(n.Settings["intercepts"].Floats)
	if rows == 0 || len(bias) == 0 && len(weights)%rows != 0 || len(bias) > 0 && len(bias) != rows && len(bias) != 1 {
		return nil, fmt.Errorf("%w: %d coefficients, %d intercepts and %d labels do not go together", schemas.ErrMalformed, len(weights), len(bias), rows)
	}
	post := n.Settings["post_transform"].Text
	if post == "LOGISTIC" || rows == 2 && len(bias) == 1 {
		return nil, fmt.Errorf("%w: %s", ErrNotLinear, oneAgainstRest)
	}
	if post != "" && post != "NONE" && post != "SOFTMAX" {
		return nil, fmt.Errorf("%w: post_transform is %.40q, must be SOFTMAX or NONE", ErrNotLinear, post)
	}
	if len(bias) == 0 {
		bias = make([]float64, rows)
	}
	if len(bias) != rows || len(weights)%rows != 0 {
		return nil, fmt.Errorf("%w: %d coefficients, %d intercepts and %d labels do not go together", schemas.ErrMalformed, len(weights), len(bias), rows)
	}
	a, err := r.score(in, weights, len(weights)/rows, bias)
	if err != nil {
		return nil, err
	}
	a.labels, a.apart = labels, n.Settings["multi_class"].Int == 0
	if post == "SOFTMAX" {
		a.stage = asProbabilities
	}
	return a, nil
}

// zipped reads ZipMap, which puts labels beside probabilities.
func zipped(n onnx.Node, in any) (any, error) {
	a, ok := in.(*answers)
	if !ok {
		return nil, fmt.Errorf("%w: it does not take probabilities", ErrNotLinear)
	}
	labels := slices.Clone(n.Settings["classlabels_strings"].Texts)
	for _, v := range n.Settings["classlabels_int64s"].Ints {
		labels = append(labels, strconv.FormatInt(v, 10))
	}
	if a.labels != nil && !slices.Equal(a.labels, labels) || len(labels) != len(a.columns) {
		return nil, fmt.Errorf("%w: it names %d labels, others than the %d before it", schemas.ErrMalformed, len(labels), len(a.columns))
	}
	zip := *a
	zip.labels = labels
	return &zip, nil
}

func wide(v []float32) []float64 {
	w := make([]float64, len(v))
	for i := range v {
		w[i] = float64(v[i])
	}
	return w
}

func repeated(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }
