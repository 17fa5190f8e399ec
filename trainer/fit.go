package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"gonum.org/v1/gonum/floats"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/schemas"
)

// Methods of fitting.
const (
	// MethodLBFGS finds the minimum, whatever the order of the examples. It holds the examples in memory.
	MethodLBFGS = "lbfgs"
	// MethodAdamW walks over mini-batches for a number of epochs. It can stream the examples, see FitEpochs.
	MethodAdamW = "adamw"
)

// Options says how a classifier is fitted.
type Options struct {
	// Categories counts the categories, those without examples too.
	Categories int
	// Method is MethodLBFGS (default) or MethodAdamW.
	Method string
	// ClassWeights is WeightsNone (default), WeightsBalanced or WeightsEffective. It multiplies the examples' weights.
	ClassWeights string
	// L2 is the penalty of L-BFGS: half of it times the squared weights is added to the mean loss. It is scikit-learn's
	// 1/(C · number of examples). Default: 1e-4. AdamW has its own Decay.
	L2 float64
	// MaxIterations bounds the iterations of L-BFGS. Default: 500.
	MaxIterations int
	// Tolerance ends L-BFGS when no component of the gradient is larger. Default: 1e-6.
	Tolerance float64
	// AdamW sets that method.
	AdamW AdamW
	// Mean is subtracted from every vector. Default: with L-BFGS the examples' own weighted mean, with AdamW nothing.
	Mean []float32
	// Seed decides the sample of L-BFGS, and the order and the first weights of AdamW.
	Seed uint64
	// Threads bounds the cores. The result does not depend on it. Default: all cores.
	Threads int
	// Library is the file of ONNX Runtime. Default: that in the folder of native parts.
	Library string
	// Progress, where given, is called after every iteration or epoch with the loss so far.
	Progress func(iteration int, loss float64)
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	if o.Method == "" {
		o.Method = MethodLBFGS
	}
	if o.ClassWeights == "" {
		o.ClassWeights = WeightsNone
	}
	if o.L2 == 0 {
		o.L2 = 1e-4
	}
	if o.MaxIterations == 0 {
		o.MaxIterations = 500
	}
	if o.Tolerance == 0 {
		o.Tolerance = 1e-6
	}
	o.AdamW.EnsureDefaults()
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Library == "" {
		if dir, err := models.NativeDir(); err == nil {
			o.Library = filepath.Join(dir, models.LibraryONNXRuntime)
		}
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
	check(o.Method == MethodLBFGS || o.Method == MethodAdamW, "Method (%q) must be %s or %s", o.Method, MethodLBFGS, MethodAdamW)
	check(slices.Contains(classWeights, o.ClassWeights), "ClassWeights (%q) must be one of %q", o.ClassWeights, classWeights)
	check(o.L2 > 0 && !math.IsInf(o.L2, 0), "L2 (%v) must be > 0 and finite: without it separable categories have no best weights", o.L2)
	check(o.MaxIterations >= 1, "MaxIterations (%d) must be >= 1", o.MaxIterations)
	check(o.Tolerance > 0 && o.Tolerance < 1, "Tolerance (%v) must be > 0 and < 1", o.Tolerance)
	check(allFinite(o.Mean), "Mean must be finite")
	check(o.Threads >= 1, "Threads (%d) must be >= 1", o.Threads)
	check(o.Library != "", "Library is not given: %w", models.ErrNoNative)
	return errors.Join(append(errs, o.AdamW.Validate())...)
}

// Fit fits a multinomial logistic regression. The classifier has temperature 1, the weighted shares of the examples as
// prior, and neither encoder, taxonomy nor id: the caller knows those. It does not hold the examples' offsets.
// Examples that nothing can be learned from give an error that wraps ErrExamples.
func Fit(ctx context.Context, e Examples, o Options) (*schemas.Classifier, error) {
	c, _, err := fitCurve(ctx, e, o)
	return c, err
}

// fitCurve is Fit, and says how it went.
func fitCurve(ctx context.Context, e Examples, o Options) (*schemas.Classifier, Curve, error) {
	o.EnsureDefaults()
	if o.Method == MethodAdamW {
		return FitEpochs(ctx, e.Epochs(o.Seed), o)
	}
	f, err := NewFitter(e, o)
	if err != nil {
		return nil, Curve{}, err
	}
	defer f.Close()
	return f.Fit(ctx, o.L2)
}

// Fitter fits the same examples with several penalties by L-BFGS, each from the weights of the one before. It serves one
// call at a time.
type Fitter struct {
	options   Options
	objective *objective
	curvature *curvature
	prior     []float64
	x         []float64 // where the last fit ended
}

// NewFitter checks the examples and prepares them. Close frees what it holds.
func NewFitter(e Examples, o Options) (_ *Fitter, err error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("fitting: %w", err)
	}
	if err := e.validate(o.Categories); err != nil {
		return nil, fmt.Errorf("fitting: %w", err)
	}
	e.Weights = weigh(e, o.ClassWeights, o.Categories)
	if o.Mean == nil {
		o.Mean = e.mean()
	}
	if len(o.Mean) != len(e.Vectors[0]) {
		return nil, fmt.Errorf("fitting: Mean has %d values, the vectors have %d", len(o.Mean), len(e.Vectors[0]))
	}
	if err := onnx.Open(o.Library); err != nil {
		return nil, fmt.Errorf("fitting: %w", err)
	}
	f := &Fitter{options: o, prior: e.prior(o.Categories)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("fitting: %w", err), f.Close())
		}
	}()
	if f.objective, err = newObjective(e, o.Categories, o.Mean, o.L2, o.Threads, make([]lane, lanesFor(e.Len()))); err != nil {
		return nil, err
	}
	f.curvature, err = newCurvature(f.objective, o.Seed)
	return f, err
}

// Close frees what the fitter holds.
func (f *Fitter) Close() error {
	var errs []error
	if f.curvature != nil {
		errs = append(errs, f.curvature.close())
	}
	if f.objective != nil {
		errs = append(errs, f.objective.close())
	}
	return errors.Join(append(errs, onnx.Close())...)
}

// Fit fits with a penalty, see Options.L2.
func (f *Fitter) Fit(ctx context.Context, l2 float64) (*schemas.Classifier, Curve, error) {
	o := f.options
	o.L2 = l2
	if err := o.Validate(); err != nil {
		return nil, Curve{}, fmt.Errorf("fitting: %w", err)
	}
	f.objective.l2, f.curvature.objective.l2 = l2, l2
	f.objective.evaluations = 0
	var curve Curve
	x, err := f.start(ctx)
	if err == nil {
		m := lbfgs{objective: f.objective, curvature: f.curvature, maxIterations: o.MaxIterations, tolerance: o.Tolerance, record: func(p Point) {
			curve.Points = append(curve.Points, p)
			curve.Gradients.Add(p.Gradient)
			if o.Progress != nil && p.Step > 0 {
				o.Progress(p.Step, p.Loss)
			}
		}}
		curve.Stopped, err = m.minimize(ctx, x)
	}
	if ctx.Err() != nil {
		return nil, Curve{}, fmt.Errorf("fitting %d examples: %w", f.objective.examples.Len(), ctx.Err())
	}
	if err != nil {
		return nil, Curve{}, fmt.Errorf("fitting %d examples: %w", f.objective.examples.Len(), err)
	}
	f.x = slices.Clone(x)
	c := linear(x, o.Mean, f.prior)
	c.Training = map[string]string{
		"examples": strconv.Itoa(f.objective.examples.Len()), "method": MethodLBFGS, "class_weights": o.ClassWeights, "l2": strconv.FormatFloat(l2, 'g', -1, 64),
		"iterations": strconv.Itoa(len(curve.Points) - 1), "stopped": curve.Stopped,
	}
	return c, curve, nil
}

// start returns the parameters to begin with: those of the last fit, else those that suit the sample.
func (f *Fitter) start(ctx context.Context) ([]float64, error) {
	if f.x != nil {
		return slices.Clone(f.x), nil
	}
	x := make([]float64, f.objective.parameters())
	for c, share := range f.prior {
		// A category without examples has no best bias. This one gives it no vacancy, and no gradient.
		x[len(x)-len(f.prior)+c] = math.Log(math.Max(share, 1e-9))
	}
	if len(f.curvature.objective.examples.Vectors) == f.objective.examples.Len() {
		return x, nil
	}
	m := lbfgs{objective: f.curvature.objective, curvature: f.curvature, maxIterations: f.options.MaxIterations, tolerance: math.Max(f.options.Tolerance, 1e-4)}
	_, err := m.minimize(ctx, x)
	return x, err
}

// linear makes a classifier of parameters.
func linear(x []float64, mean []float32, prior []float64) *schemas.Classifier {
	categories := len(prior)
	weights, bias := x[:categories*len(mean)], x[categories*len(mean):]
	// Only differences of biases matter; with sum 0 the same fit always has the same ones.
	floats.AddConst(-floats.Sum(bias)/float64(categories), bias)
	return &schemas.Classifier{
		Dim: uint32(len(mean)), Categories: uint32(categories), Weights: narrow(weights), Bias: narrow(bias), Mean: slices.Clone(mean),
		Temperature: 1, Prior: narrow(prior),
	}
}

// mean returns the weighted mean of the vectors.
func (e Examples) mean() []float32 {
	const lanes = 32
	sums := make([][]float64, lanes)
	totals := make([]float64, lanes)
	each := (e.Len() + lanes - 1) / lanes
	var wg sync.WaitGroup
	for l := range lanes {
		wg.Go(func() {
			sums[l] = make([]float64, len(e.Vectors[0]))
			for i := l * each; i < min(e.Len(), (l+1)*each); i++ {
				w := e.weight(i)
				totals[l] += w
				for j, x := range e.Vectors[i] {
					sums[l][j] += w * float64(x)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range sums[1:] {
		floats.Add(sums[0], s)
	}
	floats.Scale(1/floats.Sum(totals), sums[0])
	return narrow(sums[0])
}

// prior returns the weighted shares of the categories, those of the targets where given.
func (e Examples) prior(categories int) []float64 {
	shares := make([]float64, categories)
	for i := range e.Len() {
		if e.Targets == nil {
			shares[e.Categories[i]] += e.weight(i)
			continue
		}
		for c, p := range e.Targets[i] {
			shares[c] += e.weight(i) * float64(p)
		}
	}
	floats.Scale(1/floats.Sum(shares), shares)
	return shares
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
