package convert

import (
	"fmt"
	"math"
	"slices"

	"jobstrom/models/onnx"
)

// layer reads Gemm and MatMul of the vectors and constants.
func (r *reader) layer(n onnx.Node, in []any) (*answers, error) {
	w, ok := in[1].(*onnx.Tensor)
	if !ok || len(w.Dims) != 2 {
		return nil, fmt.Errorf("%w: its second input must be a constant of 2 dimensions", ErrNotLinear)
	}
	alpha, beta, rows := 1.0, 1.0, w.Dims[1]
	rowwise := false
	if n.Op == "Gemm" {
		if n.Settings["transA"].Int != 0 {
			return nil, fmt.Errorf("%w: transA is set", ErrNotLinear)
		}
		if s, given := n.Settings["alpha"]; given {
			alpha = float64(s.Float)
		}
		if s, given := n.Settings["beta"]; given {
			beta = float64(s.Float)
		}
		if rowwise = n.Settings["transB"].Int != 0; rowwise {
			rows = w.Dims[0]
		}
	}
	weights := w.Floats
	if weights == nil {
		return nil, fmt.Errorf("%w: its second input must be of float or double", ErrNotLinear)
	}
	width := w.Dims[0] + w.Dims[1] - rows
	bias := make([]float64, rows)
	if len(in) > 2 && in[2] != nil {
		b, err := along(in[2], rows)
		if err != nil {
			return nil, err
		}
		for i := range bias {
			bias[i] = beta * b[i]
		}
	}
	turned := make([]float64, len(weights))
	for row := range rows {
		for j := range width {
			at := j*rows + row
			if rowwise {
				at = row*width + j
			}
			turned[row*width+j] = alpha * weights[at]
		}
	}
	return r.score(in[0], turned, width, bias)
}

// score multiplies the vectors with weights, row by row of this width. What was done to the vectors goes into weights and mean.
func (r *reader) score(in any, weights []float64, width int, bias []float64) (*answers, error) {
	x, ok := in.(features)
	if !ok {
		return nil, fmt.Errorf("%w: it does not take the vectors: only one layer is read", ErrNotLinear)
	}
	if r.layers++; r.layers > 1 {
		return nil, fmt.Errorf("%w: the graph has several layers, must have one", ErrNotLinear)
	}
	if width != r.dim {
		return nil, fmt.Errorf("%w: it takes vectors of %d numbers, the encoder gives %d: name the folder of its encoder with --encoder", ErrUnfit, width, r.dim)
	}
	if len(bias) < 1 || len(bias) > maxRows {
		return nil, fmt.Errorf("%w: %d rows, must be 1 to %d", ErrNotLinear, len(bias), maxRows)
	}
	// scale · x + shift = scale · (x - mean). Where scale is 0 the shift goes into the bias.
	mean := make([]float64, r.dim)
	for j := range mean {
		if x.scale[j] != 0 {
			mean[j] = -x.shift[j] / x.scale[j]
		}
	}
	a := &answers{temperature: 1, stage: asScores}
	for i, b := range bias {
		w := slices.Clone(weights[i*width : (i+1)*width])
		for j := range w {
			if x.scale[j] == 0 {
				b += w[j] * x.shift[j]
			}
			w[j] *= x.scale[j]
		}
		a.columns = append(a.columns, []row{{weights: w, bias: b}})
	}
	if slices.ContainsFunc(mean, func(v float64) bool { return v != 0 }) {
		r.mean = mean
	}
	return a, nil
}

// scaler reads scikit-learn's StandardScaler: (x - offset) · scale.
func (r *reader) scaler(n onnx.Node, in any) (any, error) {
	x, ok := in.(features)
	offset, scale := wide(n.Settings["offset"].Floats), wide(n.Settings["scale"].Floats)
	for _, v := range []*[]float64{&offset, &scale} {
		if len(*v) == 1 {
			*v = repeated((*v)[0], r.dim)
		}
	}
	if !ok || len(offset) != r.dim || len(scale) != r.dim {
		return nil, fmt.Errorf("%w: it scales %d numbers by %d, the encoder gives %d: name the folder of its encoder with --encoder", ErrUnfit, len(offset), len(scale), r.dim)
	}
	y := features{scale: make([]float64, r.dim), shift: make([]float64, r.dim)}
	for j := range scale {
		y.scale[j], y.shift[j] = x.scale[j]*scale[j], (x.shift[j]-offset[j])*scale[j]
	}
	return y, nil
}

// arithmetic reads +, -, · and / of vectors or scores and a constant.
func (r *reader) arithmetic(op string, in []any) (any, error) {
	if _, constant := in[0].(*onnx.Tensor); constant && (op == "Add" || op == "Mul") {
		in = []any{in[1], in[0]}
	}
	switch x := in[0].(type) {
	case features:
		c, err := along(in[1], r.dim)
		if err != nil {
			return nil, err
		}
		y := features{scale: slices.Clone(x.scale), shift: slices.Clone(x.shift)}
		for j, v := range c {
			switch op {
			case "Add":
				y.shift[j] += v
			case "Sub":
				y.shift[j] -= v
			case "Mul":
				y.scale[j], y.shift[j] = y.scale[j]*v, y.shift[j]*v
			case "Div":
				y.scale[j], y.shift[j] = y.scale[j]/v, y.shift[j]/v
			}
		}
		return y, nil
	case *answers:
		if x.stage != asScores {
			break
		}
		c, err := along(in[1], len(x.columns))
		if err != nil {
			return nil, err
		}
		a := x.clone()
		if op == "Mul" || op == "Div" {
			if !(c[0] > 0) || slices.ContainsFunc(c, func(v float64) bool { return v != c[0] }) {
				return nil, fmt.Errorf("%w: scores are scaled by different or negative numbers, must be one that is > 0", ErrNotLinear)
			}
			if op == "Div" {
				a.temperature *= c[0]
			} else {
				a.temperature /= c[0]
			}
			return a, nil
		}
		a.columns = make([][]row, len(x.columns))
		for i, column := range x.columns {
			v := c[i] * x.temperature
			if op == "Sub" {
				v = -v
			}
			for _, w := range column {
				a.columns[i] = append(a.columns[i], row{weights: w.weights, bias: w.bias + v})
			}
		}
		return a, nil
	}
	return nil, fmt.Errorf("%w: it must be of vectors or scores, and a constant", ErrNotLinear)
}

// along returns n numbers of a constant that lies along the last dimension, or is one number.
func along(v any, n int) ([]float64, error) {
	t, ok := v.(*onnx.Tensor)
	if !ok {
		return nil, fmt.Errorf("%w: a constant is missing", ErrNotLinear)
	}
	numbers := t.Floats
	if numbers == nil {
		return nil, fmt.Errorf("%w: the constant %.60q must be of float or double", ErrNotLinear, t.Name)
	}
	d := t.Dims
	for len(d) > 0 && d[0] == 1 {
		d = d[1:]
	}
	if len(d) == 0 && len(t.Dims) <= 2 {
		return repeated(numbers[0], n), nil
	}
	if len(d) == 1 && d[0] == n && len(t.Dims) <= 2 {
		return numbers, nil
	}
	return nil, fmt.Errorf("%w: the constant %.60q has dimensions %.60s, must be one number or %d of them", ErrNotLinear, t.Name, fmt.Sprint(t.Dims), n)
}

// softmaxed reads Softmax and LogSoftmax over the categories.
func softmaxed(n onnx.Node, in any) (any, error) {
	a, ok := in.(*answers)
	if axis, given := n.Settings["axis"]; !ok || a.stage != asScores || given && axis.Int != 1 && axis.Int != -1 {
		return nil, fmt.Errorf("%w: it must be of scores, over axis 1", ErrNotLinear)
	}
	a = a.clone()
	if a.stage = asProbabilities; n.Op == "LogSoftmax" {
		a.stage = asLogs
	}
	return a, nil
}

// columns reads what WriteClassifier writes for categories of several rows: slices of scores, log Σ exp of them, and those beside each other.
func columns(n onnx.Node, in []any) (any, error) {
	var parts []*answers
	for _, v := range in {
		if a, ok := v.(*answers); ok && a.stage == asScores && a.labels == nil {
			parts = append(parts, a)
		}
	}
	wrong := fmt.Errorf("%w: it must be of scores, category by category", ErrNotLinear)
	if len(parts) == 0 || n.Op == "Concat" && len(parts) != len(in) {
		return nil, wrong
	}
	a := parts[0].clone()
	switch axis := n.Settings["axis"].Int; n.Op {
	case "Slice":
		from, to := wholes(in[1], 1), wholes(in[2], 1)
		if from == nil || to == nil || len(in) < 4 || len(in) > 5 || !slices.Contains([]int64{1, -1}, first(wholes(in[3], 1))) || len(in) == 5 && first(wholes(in[4], 1)) != 1 {
			return nil, wrong
		}
		end := min(to[0], int64(len(a.columns)))
		if from[0] < 0 || from[0] >= end {
			return nil, wrong
		}
		a.columns = a.columns[from[0]:end]
	case "ReduceLogSumExp":
		axes := n.Settings["axes"].Ints
		if len(in) > 1 {
			axes = wholes(in[1], 1)
		}
		if keep, given := n.Settings["keepdims"]; len(axes) != 1 || axes[0] != 1 && axes[0] != -1 || given && keep.Int != 1 || a.temperature != 1 {
			return nil, wrong
		}
		a.columns = [][]row{slices.Concat(a.columns...)}
	case "Concat":
		if axis != 1 && axis != -1 {
			return nil, wrong
		}
		a.columns = nil
		for _, p := range parts {
			if a.columns = append(a.columns, p.columns...); p.temperature != a.temperature || p.apart != a.apart {
				return nil, wrong
			}
		}
	}
	if rows := countRows(a.columns); rows > maxRows {
		return nil, fmt.Errorf("%w: %d rows, at most %d are read", ErrNotLinear, rows, maxRows)
	}
	return a, nil
}

// wholes returns the n whole numbers of a constant, or nil.
func wholes(v any, n int) []int64 {
	t, ok := v.(*onnx.Tensor)
	if !ok {
		return nil
	}
	if len(t.Ints) != n {
		return nil
	}
	return t.Ints
}

func first(v []int64) int64 {
	if len(v) == 0 {
		return math.MinInt64
	}
	return v[0]
}

// constantOf reads a constant that is a node.
func constantOf(n onnx.Node) (any, error) {
	if t := n.Settings["value"].Tensor; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: a constant without a tensor is not read", ErrNotLinear)
}

// transposed turns a constant matrix.
func transposed(n onnx.Node, in any) (any, error) {
	t, ok := in.(*onnx.Tensor)
	if perm := n.Settings["perm"].Ints; !ok || len(t.Dims) != 2 || t.Floats == nil || perm != nil && !slices.Equal(perm, []int64{1, 0}) {
		return nil, fmt.Errorf("%w: it must turn a constant matrix of float or double", ErrNotLinear)
	}
	rows, width := t.Dims[0], t.Dims[1]
	turned := &onnx.Tensor{Type: t.Type, Dims: []int{width, rows}, Floats: make([]float64, len(t.Floats))}
	for i, v := range t.Floats {
		turned.Floats[i%width*rows+i/width] = v
	}
	return turned, nil
}

// dequantized multiplies constant bytes with their rows' scales, as WriteClassifier writes them.
func dequantized(n onnx.Node, in []any) (any, error) {
	bytes, ok := in[0].(*onnx.Tensor)
	if axis, given := n.Settings["axis"]; !ok || len(in) > 2 || len(bytes.Dims) != 2 || bytes.Type != onnx.Int8 || !given || axis.Int != 0 {
		return nil, fmt.Errorf("%w: it must be of constant int8 rows, each with a scale, around zero", ErrNotLinear)
	}
	scales, err := along(in[1], bytes.Dims[0])
	if err != nil {
		return nil, err
	}
	t := &onnx.Tensor{Type: onnx.Float, Dims: bytes.Dims, Floats: make([]float64, len(bytes.Ints))}
	for i, v := range bytes.Ints {
		t.Floats[i] = float64(v) * scales[i/bytes.Dims[1]]
	}
	return t, nil
}
