package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/optimize"

	"jobstrom/schemas"
)

// Options says how a classifier is fitted.
type Options struct {
	// Categories counts the categories, those without examples too.
	Categories int
	// L2 is the penalty: half of it times the squared weights is added to the mean loss. Default: 1e-4.
	L2 float64
	// MaxIterations bounds the iterations of L-BFGS. Default: 500.
	MaxIterations int
	// Tolerance ends the fit when no component of the gradient is larger. Default: 1e-6.
	Tolerance float64
	// Mean is subtracted from every vector. Default: the examples' own weighted mean.
	Mean []float32
	// Progress, where given, is called after every iteration with the loss so far.
	Progress func(iteration int, loss float64)
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	if o.L2 == 0 {
		o.L2 = 1e-4
	}
	if o.MaxIterations == 0 {
		o.MaxIterations = 500
	}
	if o.Tolerance == 0 {
		o.Tolerance = 1e-6
	}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Categories >= 2, "Categories (%d) must be >= 2", o.Categories)
	check(o.L2 > 0 && !math.IsInf(o.L2, 0), "L2 (%v) must be > 0 and finite: without it separable categories have no best weights", o.L2)
	check(o.MaxIterations >= 1, "MaxIterations (%d) must be >= 1", o.MaxIterations)
	check(o.Tolerance > 0 && o.Tolerance < 1, "Tolerance (%v) must be > 0 and < 1", o.Tolerance)
	check(allFinite(o.Mean), "Mean must be finite")
	return errors.Join(errs...)
}

// Fit fits a multinomial logistic regression with L2 by L-BFGS. The classifier has temperature 1, the
// weighted shares of the examples as prior, and neither encoder, taxonomy nor id: the caller knows those.
// It does not hold the examples' offsets.
// Examples that nothing can be learned from give an error that wraps ErrExamples.
func Fit(ctx context.Context, e Examples, o Options) (*schemas.Classifier, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("fitting: %w", err)
	}
	if err := e.validate(o.Categories); err != nil {
		return nil, fmt.Errorf("fitting: %w", err)
	}
	dim := len(e.Vectors[0])
	if o.Mean == nil {
		o.Mean = e.mean()
	}
	if len(o.Mean) != dim {
		return nil, fmt.Errorf("fitting: Mean has %d values, the vectors have %d", len(o.Mean), dim)
	}
	objective := newObjective(e, o.Categories, widen(o.Mean), o.L2)
	x, status, iterations, err := minimize(ctx, objective, o)
	if err != nil {
		return nil, fmt.Errorf("fitting %d examples: %w", e.Len(), err)
	}
	size := o.Categories * dim
	// Only differences of biases matter; with sum 0 the same fit always has the same ones.
	var shift float64
	for _, b := range x[size:] {
		shift += b / float64(o.Categories)
	}
	for i := size; i < len(x); i++ {
		x[i] -= shift
	}
	return &schemas.Classifier{
		Dim: uint32(dim), Categories: uint32(o.Categories), Weights: narrow(x[:size]), Bias: narrow(x[size:]), Mean: slices.Clone(o.Mean),
		Temperature: 1, Prior: e.prior(o.Categories),
		Training: map[string]string{
			"examples": strconv.Itoa(e.Len()), "l2": strconv.FormatFloat(o.L2, 'g', -1, 64),
			"iterations": strconv.Itoa(iterations), "stopped": status.String(),
		},
	}, nil
}

// minimize runs L-BFGS from zero.
func minimize(ctx context.Context, objective *objective, o Options) (x []float64, status optimize.Status, iterations int, err error) {
	at := func(x []float64) {
		if !slices.Equal(x, objective.at) {
			objective.evaluate(x)
		}
	}
	problem := optimize.Problem{
		Func: func(x []float64) float64 { at(x); return objective.loss },
		Grad: func(gradient, x []float64) { at(x); copy(gradient, objective.gradient) },
		Status: func() (optimize.Status, error) {
			if err := ctx.Err(); err != nil {
				return optimize.Failure, err
			}
			return optimize.NotTerminated, nil
		},
	}
	settings := &optimize.Settings{GradientThreshold: o.Tolerance, MajorIterations: o.MaxIterations, Converger: optimize.NeverTerminate{}, Recorder: progress(o.Progress)}
	result, err := optimize.Minimize(problem, make([]float64, len(objective.gradient)), settings, &optimize.LBFGS{})
	if ctx.Err() != nil {
		return nil, 0, 0, ctx.Err()
	}
	if result == nil {
		return nil, 0, 0, err
	}
	// Near the optimum the loss differs in its last bits only and the line search finds no better point.
	// The point it stands on is as good as rounding allows, if its gradient says so.
	if err != nil && !(largest(result.Gradient) <= max(1e-5, 100*o.Tolerance)) {
		return nil, 0, 0, fmt.Errorf("L-BFGS stopped after %d iterations with gradient %.2g: %w; a larger L2 or Tolerance may help", result.MajorIterations, largest(result.Gradient), err)
	}
	return result.X, result.Status, result.MajorIterations, nil
}

// progress reports iterations to a function; nil reports nothing.
type progress func(iteration int, loss float64)

func (progress) Init() error { return nil }

func (p progress) Record(l *optimize.Location, op optimize.Operation, s *optimize.Stats) error {
	if p != nil && op == optimize.MajorIteration {
		p(s.MajorIterations, l.F)
	}
	return nil
}

// mean returns the weighted mean of the vectors.
func (e Examples) mean() []float32 {
	sum := make([]float64, len(e.Vectors[0]))
	var total float64
	for i, v := range e.Vectors {
		w := e.weight(i)
		total += w
		for j := range v {
			sum[j] += w * float64(v[j])
		}
	}
	blas64.Scal(1/total, blas64.Vector{N: len(sum), Inc: 1, Data: sum})
	return narrow(sum)
}

// prior returns the weighted shares of the categories, those of the targets where given.
func (e Examples) prior(categories int) []float32 {
	shares := make([]float64, categories)
	var total float64
	for i := range e.Len() {
		w := e.weight(i)
		total += w
		if e.Targets == nil {
			shares[e.Categories[i]] += w
			continue
		}
		for c, p := range e.Targets[i] {
			shares[c] += w * float64(p)
		}
	}
	blas64.Scal(1/total, blas64.Vector{N: categories, Inc: 1, Data: shares})
	return narrow(shares)
}

func largest(v []float64) float64 {
	var m float64
	for _, x := range v {
		m = math.Max(m, math.Abs(x))
	}
	return m
}

func widen(v []float32) []float64 {
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}

func narrow(v []float64) []float32 {
	n := make([]float32, len(v))
	for i, x := range v {
		n[i] = float32(x)
	}
	return n
}
