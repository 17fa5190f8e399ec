package trainer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"jobstrom/schemas"
)

// Phases of leaving each example out.
const (
	PhaseHessian = "building the Hessian"
	PhaseInverse = "inverting the Hessian"
	PhaseLeave   = "leaving out each example"
	PhaseCorrect = "correcting the longest steps"
)

// LeaveOneOutOptions says how examples are left out.
type LeaveOneOutOptions struct {
	// Fit says how the classifier of all examples is fitted, by MethodLBFGS. Its Tolerance is 1e-8 by default: what one example
	// changes is small.
	Fit Options
	// Memory bounds what is needed beside the examples and the fit, in bytes. Default: 2 GiB.
	Memory int64
	// Accuracy is how near to those of an exact refit the probabilities are to be. Examples that the formula may miss by more are
	// corrected, see LeaveOneOut. Default: 1e-3. 1 leaves everything to the formula.
	Accuracy float64
	// Progress, where given, is called as work is done, with the phase and the multiplications done and to do in all phases.
	// The fit, which has a Progress of its own, does not count. Each round of corrections adds to the total.
	Progress func(phase string, done, total int64)
}

// EnsureDefaults fills the zero fields.
func (o *LeaveOneOutOptions) EnsureDefaults() {
	if o.Fit.Tolerance == 0 {
		o.Fit.Tolerance = 1e-8
	}
	o.Fit.EnsureDefaults()
	if o.Memory == 0 {
		o.Memory = 2 << 30
	}
	if o.Accuracy == 0 {
		o.Accuracy = 1e-3
	}
}

// Validate reports every violation at once.
func (o LeaveOneOutOptions) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Fit.Method == MethodLBFGS, "Fit.Method (%q) must be %s: other methods end where no formula knows what an example changes", o.Fit.Method, MethodLBFGS)
	check(o.Memory > 0, "Memory (%d) must be > 0", o.Memory)
	check(o.Accuracy > 0 && o.Accuracy <= 1, "Accuracy (%v) must be > 0 and <= 1", o.Accuracy)
	return errors.Join(append(errs, o.Fit.Validate())...)
}

// LeftOut is what is predicted for each example without it.
type LeftOut struct {
	// Scores holds a score for each category of each example, offsets included.
	Scores [][]float64
	// Corrected counts the examples for which one step was not enough, Refitted those that took a fit of their own.
	Corrected, Refitted int
	// Correction is the largest change of a probability among the last that were corrected: others are off by about so much or less. It
	// is more than a quarter of the accuracy only where corrections would have cost more than all the rest.
	Correction float64
}

// LeaveOneOut returns each example's scores, its offsets included, by a classifier that was fitted to all others. One fit
// and its whole Hessian stand for all those fits (Rad and Maleki 2020, "A scalable estimate of the out-of-sample prediction
// error via approximate leave-one-out cross-validation"): without example i the scores are
//
//	zᵢ + Aᵢ (I − Wᵢ Aᵢ)⁻¹ gᵢ,  Aᵢ = (I ⊗ xᵢ)ᵀ H⁻¹ (I ⊗ xᵢ),  gᵢ = wᵢ (pᵢ − yᵢ),  Wᵢ = wᵢ (diag pᵢ − pᵢ pᵢᵀ),
//
// with xᵢ around the mean and a 1 for the bias, and weights wᵢ of sum 1. That is one Newton step from the fit of all to the fit
// without i. Where the step is long and others are few, as in rare categories, it ends beside that fit; those examples are
// corrected by further steps with the same Hessian, the longest first, until corrections are no longer worth it.
// An example that is the only one of its category is left out by a real fit.
//
// The class weights, the mean and the penalty's absolute size, L2 · Σ wᵢ, stay those of all examples. So do other examples of
// the same group: where an employer's vacancies resemble each other, the scores flatter, and CrossValidate with groups does not.
// The result does not depend on the threads. Examples that nothing can be learned from give an error that wraps ErrExamples.
func LeaveOneOut(ctx context.Context, e Examples, o LeaveOneOutOptions) (*LeftOut, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("leaving one out: %w", err)
	}
	left, err := leaveOneOut(ctx, e, o)
	if err != nil {
		return nil, fmt.Errorf("leaving one out: %w", err)
	}
	return left, nil
}

func leaveOneOut(ctx context.Context, e Examples, o LeaveOneOutOptions) (_ *LeftOut, err error) {
	f, err := NewFitter(e, o.Fit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	e.Weights = f.objective.examples.Weights
	l := &leaver{examples: e, options: o, mean: f.options.Mean, total: f.objective.total, dim: len(f.options.Mean), prior: f.prior, present: presentOf(f.prior), left: &LeftOut{}}
	l.k = len(l.present) - 1
	if need := l.bytes(); need > o.Memory {
		return nil, fmt.Errorf("%d categories × %s components and %s examples need %.1f GiB for the Hessian and the scores, the budget is %.1f GiB: raise Memory (--memory)",
			len(l.present), thousands(l.dim), thousands(e.Len()), float64(need)/(1<<30), float64(o.Memory)/(1<<30))
	}
	c, _, err := f.Fit(ctx, o.Fit.L2)
	if err != nil {
		return nil, err
	}
	// What the fit allocated is garbage now, and the Hessian would come on top of it.
	debug.FreeOSMemory()
	if l.multiplier, err = newMultiplier(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.multiplier.close()) }()
	if err := l.run(ctx, c); err != nil {
		return nil, err
	}
	if err := l.refitLone(ctx); err != nil {
		return nil, err
	}
	l.left.Scores = l.scores
	return l.left, nil
}

// presentOf lists the categories that have examples. Another has no best bias and hardly a probability: its scores stay.
func presentOf(prior []float64) (present []int) {
	for c, share := range prior {
		if share > 0 {
			present = append(present, c)
		}
	}
	return present
}

// refitLone leaves out, by a real fit, the examples without which a category has none: that fit is no Newton step away, because
// nothing is left to hold the category's bias.
func (l *leaver) refitLone(ctx context.Context) error {
	for i := range l.examples.Len() {
		if !l.lone(i) {
			continue
		}
		others := make([]int, 0, l.examples.Len()-1)
		for j := range l.examples.Len() {
			if j != i {
				others = append(others, j)
			}
		}
		o := l.options.Fit
		o.ClassWeights, o.Mean, o.L2, o.Progress = WeightsNone, l.mean, o.L2*l.total/(l.total-l.examples.weight(i)), nil
		c, err := Fit(ctx, l.examples.Select(others), o)
		if err != nil {
			return fmt.Errorf("without example %d, the only one of its category: %w", i, err)
		}
		copy(l.scores[i], l.scoresOf(c, i, i+1)[0])
		l.left.Refitted++
	}
	return nil
}

// lone says whether a category has no examples without example i.
func (l *leaver) lone(i int) bool {
	share := l.examples.weight(i) / l.total
	if l.examples.Targets == nil {
		return share > 0 && l.prior[l.examples.Categories[i]]-share <= 1e-12
	}
	for c, p := range l.examples.Targets[i] {
		if p > 0 && share > 0 && l.prior[c]-share*float64(p) <= 1e-12 {
			return true
		}
	}
	return false
}

// scoresOf scores the examples from first to before end, with their offsets.
func (l *leaver) scoresOf(c *schemas.Classifier, first, end int) [][]float64 {
	scores := Scores(c, l.examples.Vectors[first:end])
	if l.examples.Offsets != nil {
		for r, row := range scores {
			for k := range row {
				row[k] += l.examples.Offsets[first+r][k]
			}
		}
	}
	return scores
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
