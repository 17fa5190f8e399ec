package trainer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/gonum/floats"

	"jobstrom/models/onnx"
	"jobstrom/schemas"
)

// AdamW sets the method of that name (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"). The defaults
// are those of the usual recipe for a linear layer in PyTorch.
type AdamW struct {
	// LearningRate is the length of a step. Default: 1e-3.
	LearningRate float64
	// Batch counts the examples of a step. Default: 512.
	Batch int
	// Epochs counts the passes over the examples. Default: 15.
	Epochs int
	// Decay shrinks every parameter by LearningRate · Decay a step. Default: 0.01; below 0: none.
	Decay float64
}

// The decay rates of the moments, and what keeps a division from 0, as in PyTorch.
const (
	adamBeta1   = .9
	adamBeta2   = .999
	adamEpsilon = 1e-8
)

// EnsureDefaults fills the zero fields.
func (a *AdamW) EnsureDefaults() {
	if a.LearningRate == 0 {
		a.LearningRate = 1e-3
	}
	if a.Batch == 0 {
		a.Batch = 512
	}
	if a.Epochs == 0 {
		a.Epochs = 15
	}
	if a.Decay == 0 {
		a.Decay = .01
	}
}

// Validate reports every violation at once.
func (a AdamW) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(a.LearningRate > 0 && a.LearningRate <= 1, "AdamW.LearningRate (%v) must be > 0 and <= 1", a.LearningRate)
	check(a.Batch >= 1, "AdamW.Batch (%d) must be >= 1", a.Batch)
	check(a.Epochs >= 1, "AdamW.Epochs (%d) must be >= 1", a.Epochs)
	check(a.LearningRate*a.Decay < 1, "AdamW.Decay (%v) must be < 1/LearningRate", a.Decay)
	return errors.Join(errs...)
}

// Epochs streams examples in blocks, anew for each epoch. Epoch 0 comes first and is for counting: it has the same
// examples as the others, in any order. From epoch 1 on the order of the blocks should be another each time; the order
// within a block is shuffled by FitEpochs. A stream leaves a block alone once it gave it, and ends
// after its first error.
type Epochs func(ctx context.Context, epoch int) iter.Seq2[Examples, error]

// streamBlock is how many examples Examples.Epochs gives at once, streamRun how many of them lie beside each other: vectors that are read from a disk are
// read in pieces of some size.
const (
	streamBlock = 8192
	streamRun   = 32
)

// Epochs streams the examples in an order that is random and another in each epoch.
func (e Examples) Epochs(seed uint64) Epochs {
	return func(ctx context.Context, epoch int) iter.Seq2[Examples, error] {
		return func(yield func(Examples, error) bool) {
			runs := rand.New(rand.NewPCG(seed, uint64(epoch))).Perm((e.Len() + streamRun - 1) / streamRun)
			for block := range slices.Chunk(runs, streamBlock/streamRun) {
				positions := make([]int, 0, streamBlock)
				for _, run := range block {
					for i := run * streamRun; i < min((run+1)*streamRun, e.Len()); i++ {
						positions = append(positions, i)
					}
				}
				if !yield(e.Select(positions), nil) {
					return
				}
			}
			if e.Len() == 0 {
				yield(e, nil)
			}
		}
	}
}

// FitEpochs fits by AdamW from a stream, in memory that does not grow with the number of examples. The classifier is like
// Fit's. The cross-entropy of a batch is divided by the batch's weight, as PyTorch does.
func FitEpochs(ctx context.Context, epochs Epochs, o Options) (*schemas.Classifier, Curve, error) {
	o.Method = MethodAdamW
	o.EnsureDefaults()
	c, curve, err := fitEpochs(ctx, epochs, o)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, Curve{}, fmt.Errorf("fitting by AdamW: %w", err)
	}
	return c, curve, nil
}

func fitEpochs(ctx context.Context, epochs Epochs, o Options) (_ *schemas.Classifier, curve Curve, err error) {
	if err := o.Validate(); err != nil {
		return nil, Curve{}, err
	}
	count, err := countExamples(ctx, epochs, o.Categories)
	if err != nil {
		return nil, Curve{}, err
	}
	if o.Mean == nil {
		o.Mean = make([]float32, count.dim)
	}
	if len(o.Mean) != count.dim {
		return nil, Curve{}, fmt.Errorf("the Mean has %d values, the vectors have %d", len(o.Mean), count.dim)
	}
	if err := onnx.Open(o.Library); err != nil {
		return nil, Curve{}, err
	}
	defer func() { err = errors.Join(err, onnx.Close()) }()
	k, err := gradientKernel[float32](o.Mean, o.Categories)
	if err != nil {
		return nil, Curve{}, err
	}
	defer func() { err = errors.Join(err, k.close()) }()

	w := newWalk(k, o, categoryWeights(o.ClassWeights, count.weights))
	started := time.Now()
	for epoch := 1; epoch <= o.AdamW.Epochs; epoch++ {
		w.loss, w.norm, w.batches = 0, 0, 0
		random := rand.New(rand.NewPCG(o.Seed, 1<<32+uint64(epoch)))
		examples := 0
		for b, err := range epochs(ctx, epoch) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = b.validateBlock(o.Categories, count.dim)
			}
			if err == nil {
				examples += b.Len()
				err = w.learn(b, random, &curve.Gradients)
			}
			if err != nil {
				return nil, Curve{}, fmt.Errorf("epoch %d: %w", epoch, err)
			}
		}
		if err := w.flush(&curve.Gradients); err != nil {
			return nil, Curve{}, fmt.Errorf("epoch %d: %w", epoch, err)
		}
		if examples != count.examples {
			return nil, Curve{}, fmt.Errorf("epoch %d streamed %d examples, the first pass %d: the history changed meanwhile; bound it in time", epoch, examples, count.examples)
		}
		n := float64(w.batches)
		curve.Points = append(curve.Points, Point{Step: epoch, Loss: w.loss / n, Gradient: w.norm / n, Seconds: time.Since(started).Seconds(), Evaluations: epoch})
		if o.Progress != nil {
			o.Progress(epoch, w.loss/n)
		}
	}
	curve.Stopped = "epochs"
	c := linear(w.x, o.Mean, count.prior(w.classWeights))
	c.Training = map[string]string{
		"examples": strconv.Itoa(count.examples), "method": MethodAdamW, "class_weights": o.ClassWeights,
		"learning_rate": strconv.FormatFloat(o.AdamW.LearningRate, 'g', -1, 64), "batch": strconv.Itoa(o.AdamW.Batch),
		"epochs": strconv.Itoa(o.AdamW.Epochs), "decay": strconv.FormatFloat(o.AdamW.Decay, 'g', -1, 64), "stopped": curve.Stopped,
	}
	return c, curve, nil
}

// walk is AdamW on its way.
type walk struct {
	kernel       *kernel[float32]
	options      Options
	classWeights []float64

	x, gradient   []float64
	first, second []float64 // moments of the gradient
	step          int
	lanes         []lane
	rest          Examples // too few for a batch, from the last block

	loss, norm float64 // summed over the batches of the epoch
	batches    int
}

// newWalk starts where PyTorch's linear layer does: all parameters uniform within ± 1/√dim.
func newWalk(k *kernel[float32], o Options, classWeights []float64) *walk {
	n := o.Categories * (k.dim + 1)
	w := &walk{kernel: k, options: o, classWeights: classWeights, x: make([]float64, n), gradient: make([]float64, n), first: make([]float64, n), second: make([]float64, n), lanes: make([]lane, lanesFor(o.AdamW.Batch))}
	random := rand.New(rand.NewPCG(o.Seed, 3))
	bound := 1 / math.Sqrt(float64(k.dim))
	for i := range w.x {
		w.x[i] = bound * (2*random.Float64() - 1)
	}
	return w
}

// learn takes the batches of a block, in random order.
func (w *walk) learn(b Examples, random *rand.Rand, norms *Histogram) error {
	b = b.Select(random.Perm(b.Len()))
	for from := 0; from < b.Len(); {
		take := min(w.options.AdamW.Batch-w.rest.Len(), b.Len()-from)
		w.rest.append(b, from, from+take)
		from += take
		if w.rest.Len() == w.options.AdamW.Batch {
			if err := w.flush(norms); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush takes a step with what waits for one.
func (w *walk) flush(norms *Histogram) error {
	e := w.rest
	w.rest = Examples{}
	if e.Len() == 0 {
		return nil
	}
	weight := func(i int) float64 { return e.weight(i) * w.classWeights[e.Categories[i]] }
	var total float64
	for i := range e.Len() {
		total += weight(i)
	}
	if total == 0 {
		return nil
	}
	fill := func(b *block[float32], from int) {
		for r := range b.rows {
			fillTarget(b, r, w.options.Categories, e, from+r)
			b.inputs["weight"][r] = float32(weight(from+r) / total)
		}
	}
	loss := func(b *block[float32], from int) float64 {
		return crossEntropy(b, w.options.Categories, func(r int) float64 { return weight(from+r) / total })
	}
	lanes := w.lanes[:lanesFor(e.Len())]
	if err := w.kernel.pass(e.Vectors, w.x, w.options.Threads, lanes, fill, loss); err != nil {
		return err
	}
	g := lanes[0].sums
	norm := floats.Norm(g, 2)
	if math.IsNaN(norm + lanes[0].loss) {
		return fmt.Errorf("the loss is not finite after %d steps; try a smaller LearningRate", w.step)
	}
	norms.Add(norm)
	w.loss, w.norm, w.batches = w.loss+lanes[0].loss, w.norm+norm, w.batches+1
	w.update(g)
	return nil
}

// update is algorithm 2 of the paper, as PyTorch computes it.
func (w *walk) update(g []float64) {
	w.step++
	a := w.options.AdamW
	keep := 1 - a.LearningRate*math.Max(0, a.Decay)
	rate := a.LearningRate / (1 - math.Pow(adamBeta1, float64(w.step)))
	root := math.Sqrt(1 - math.Pow(adamBeta2, float64(w.step)))
	for i, d := range g {
		w.first[i] += (1 - adamBeta1) * (d - w.first[i])
		w.second[i] = adamBeta2*w.second[i] + (1-adamBeta2)*d*d
		w.x[i] = keep*w.x[i] - rate*w.first[i]/(math.Sqrt(w.second[i])/root+adamEpsilon)
	}
}

// counts are what a first pass over a stream finds.
type counts struct {
	dim, examples int
	weights       []float64 // of the categories
}

func countExamples(ctx context.Context, epochs Epochs, categories int) (counts, error) {
	c := counts{weights: make([]float64, categories)}
	for b, err := range epochs(ctx, 0) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && b.Len() > 0 {
			if c.dim == 0 {
				c.dim = len(b.Vectors[0])
			}
			err = b.validateBlock(categories, c.dim)
		}
		if err != nil {
			return counts{}, fmt.Errorf("counting, after %d examples: %w", c.examples, err)
		}
		c.examples += b.Len()
		for i, category := range b.Categories {
			c.weights[category] += b.weight(i)
		}
	}
	if c.examples == 0 {
		return counts{}, fmt.Errorf("%w: there are none", ErrExamples)
	}
	return c, enough(c.weights)
}

// prior returns the shares of the categories under their weights.
func (c counts) prior(classWeights []float64) []float64 {
	prior := make([]float64, len(c.weights))
	floats.MulTo(prior, c.weights, classWeights)
	floats.Scale(1/floats.Sum(prior), prior)
	return prior
}
