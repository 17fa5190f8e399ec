package trainer

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
)

// objective is the loss of a multinomial logistic regression with L2:
//
//	Σ weightᵢ · −log softmax(W (xᵢ − mean) + b + offsetᵢ)[categoryᵢ] ÷ Σ weightᵢ + l2/2 · ‖W‖²
//
// The loss is a mean, so an l2 means the same for any number of examples; b is not penalised. This is what
// scikit-learn's LogisticRegression minimises, with l2 = 1/(C · Σ weightᵢ). Parameters are W row by row, then b.
// Blocks are multiplied in float32, or in float64 on demand, and added up in float64 in an order that depends on the
// number of examples alone.
type objective struct {
	examples   Examples
	categories int
	mean       []float32
	l2         float64
	threads    int
	total      float64 // of the weights

	single      *kernel[float32]
	double      *kernel[float64] // once it was asked for
	lanes       []lane
	evaluations int
}

func newObjective(e Examples, categories int, mean []float32, l2 float64, threads int, lanes []lane) (*objective, error) {
	o := &objective{examples: e, categories: categories, mean: mean, l2: l2, threads: threads, lanes: lanes}
	for i := range e.Len() {
		o.total += e.weight(i)
	}
	var err error
	o.single, err = gradientKernel[float32](mean, categories)
	return o, err
}

func (o *objective) close() error {
	var errs []error
	if o.single != nil {
		errs = append(errs, o.single.close())
	}
	if o.double != nil {
		errs = append(errs, o.double.close())
	}
	return errors.Join(errs...)
}

// parameters counts them.
func (o *objective) parameters() int { return o.categories * (len(o.mean) + 1) }

// evaluate computes loss and gradient together: the scores serve both. probabilities, where given, gets those of every
// example.
func (o *objective) evaluate(x, gradient []float64, precise bool, probabilities []float32) (loss float64, err error) {
	o.evaluations++
	if precise {
		if o.double == nil {
			if o.double, err = gradientKernel[float64](o.mean, o.categories); err != nil {
				return 0, err
			}
		}
		err = evaluate(o, o.double, x, probabilities)
	} else {
		err = evaluate(o, o.single, x, probabilities)
	}
	if err != nil {
		return 0, err
	}
	size := o.categories * len(o.mean)
	weights := blas64.Vector{N: size, Inc: 1, Data: x[:size]}
	copy(gradient, o.lanes[0].sums)
	blas64.Axpy(o.l2, weights, blas64.Vector{N: size, Inc: 1, Data: gradient[:size]})
	return o.lanes[0].loss + o.l2/2*blas64.Dot(weights, weights), nil
}

// evaluate leaves loss and gradient without the penalty in the first lane.
func evaluate[T real](o *objective, k *kernel[T], x []float64, probabilities []float32) error {
	e := o.examples
	fill := func(b *block[T], from int) {
		for r := range b.rows {
			fillTarget(b, r, o.categories, e, from+r)
			b.inputs["weight"][r] = T(e.weight(from+r) / o.total)
		}
	}
	loss := func(b *block[T], from int) float64 {
		logs := b.tables[0][:b.rows*o.categories]
		if probabilities != nil {
			for i, l := range logs {
				probabilities[from*o.categories+i] = float32(math.Exp(float64(l)))
			}
		}
		return crossEntropy(b, o.categories, func(r int) float64 { return e.weight(from+r) / o.total })
	}
	return k.pass(e.Vectors, x, o.threads, o.lanes, fill, loss)
}

// fillTarget writes what example i is to become, and its offset, into row r of a block.
func fillTarget[T real](b *block[T], r, categories int, e Examples, i int) {
	target := b.inputs["target"][r*categories : (r+1)*categories]
	if e.Targets != nil {
		for c, p := range e.Targets[i] {
			target[c] = T(p)
		}
	} else {
		clear(target)
		target[e.Categories[i]] = 1
	}
	if e.Offsets != nil {
		for c, s := range e.Offsets[i] {
			b.inputs["offset"][r*categories+c] = T(s)
		}
	}
}

// crossEntropy returns Σ weight · −target · log p of a block that ran.
func crossEntropy[T real](b *block[T], categories int, weight func(r int) float64) (loss float64) {
	logs, targets := b.tables[0], b.inputs["target"]
	for r := range b.rows {
		var row float64
		for i := r * categories; i < (r+1)*categories; i++ {
			if targets[i] != 0 {
				row -= float64(targets[i]) * float64(logs[i])
			}
		}
		loss += weight(r) * row
	}
	return loss
}
