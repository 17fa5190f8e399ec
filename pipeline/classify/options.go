package classify

import (
	"errors"
	"fmt"
	"math"

	"jobstrom/schemas"
)

// Class priors.
const (
	PriorTrained = "trained" // as common as in training
	PriorUniform = "uniform" // every category equally common
	PriorGiven   = "given"   // as Options.Shares says
)

// Options says how a classifier is used.
type Options struct {
	// Prior says how common each category is taken to be before a vacancy is read: "trained", "uniform" or
	// "given". The more common a category, the higher its probability when the text leaves doubt.
	// Default: "given" with Shares, else "trained".
	Prior string
	// Shares are the categories' shares for "given", one each; they need not sum to 1. A category with
	// share 0 is never predicted.
	Shares []float32
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	switch {
	case o.Prior != "":
	case len(o.Shares) > 0:
		o.Prior = PriorGiven
	default:
		o.Prior = PriorTrained
	}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var errs []error
	switch o.Prior {
	case PriorTrained, PriorUniform:
		if len(o.Shares) > 0 {
			errs = append(errs, fmt.Errorf("option Shares (%d values) must be empty with Prior %q", len(o.Shares), o.Prior))
		}
	case PriorGiven:
		var sum float64
		for i, s := range o.Shares {
			if !(s >= 0) || math.IsInf(float64(s), 0) {
				errs = append(errs, fmt.Errorf("option Shares[%d] (%v) must be >= 0 and finite", i, s))
			}
			sum += float64(s)
		}
		if !(sum > 0) {
			errs = append(errs, fmt.Errorf("option Shares must have a positive sum, not %v", sum))
		}
	default:
		errs = append(errs, fmt.Errorf("option Prior (%q) must be %q, %q or %q", o.Prior, PriorTrained, PriorUniform, PriorGiven))
	}
	return errors.Join(errs...)
}

// rarest is the lowest share that counts as known: a category never seen in training has no share to divide by.
const rarest = 1e-6

// shift returns what each log-score grows by: log(wanted share ÷ trained share), by Bayes' rule.
func (o Options) shift(c *schemas.Classifier) ([]float64, error) {
	n := int(c.Categories)
	shift := make([]float64, n)
	if o.Prior == PriorTrained {
		return shift, nil
	}
	if len(c.Prior) == 0 {
		return nil, fmt.Errorf("prior (%q) needs the shares in training, which this classifier does not carry: train it again", o.Prior)
	}
	wanted := func(int) float64 { return 1 / float64(n) }
	if o.Prior == PriorGiven {
		if len(o.Shares) != n {
			return nil, fmt.Errorf("option Shares (%d values) must have one for each of %d categories", len(o.Shares), n)
		}
		var sum float64
		for _, s := range o.Shares {
			sum += float64(s)
		}
		wanted = func(i int) float64 { return float64(o.Shares[i]) / sum }
	}
	for i := range shift {
		shift[i] = math.Log(wanted(i)) - math.Log(max(float64(c.Prior[i]), rarest))
	}
	return shift, nil
}
