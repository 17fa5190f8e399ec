package alarms

import (
	"errors"
	"fmt"
)

// minRows is how many rows a window needs at least: with fewer, only a catastrophe is visible.
const minRows = 10

// Options say what counts as drift.
type Options struct {
	// Alpha is the share of false alarms: of windows without drift for a single column; for several, of the columns that are said to drift. Default: 0.05.
	Alpha float64
	// Resamples is how often blocks are drawn anew at most: it ends sooner where p is plainly large. The smallest p is 1 / (Resamples + 1). Default: 9,999.
	Resamples int
	// Seed decides the draws.
	Seed uint64
	// CategoryGate is the total variation from which on a significant difference is drift: the share of rows that would have to
	// change their category. Default: 0.05.
	CategoryGate float64
	// NumberGate is the same for numbers: Wasserstein's distance over the reference's standard deviation. Default: 0.1.
	NumberGate float64
	// VectorGate is the same for embeddings: the distance of the means over the spread within the windows. Default: 0.1.
	VectorGate float64
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	if o.Alpha == 0 {
		o.Alpha = .05
	}
	if o.Resamples == 0 {
		o.Resamples = 9999
	}
	if o.CategoryGate == 0 {
		o.CategoryGate = .05
	}
	if o.NumberGate == 0 {
		o.NumberGate = .1
	}
	if o.VectorGate == 0 {
		o.VectorGate = .1
	}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(o.Alpha > 0 && o.Alpha < 1, "Alpha (%v) must be above 0 and below 1", o.Alpha)
	check(float64(o.Resamples+1)*o.Alpha >= 1, "Resamples (%d) must be >= 1 / Alpha − 1 (%v), or no p is small enough", o.Resamples, 1/o.Alpha-1)
	check(o.Resamples <= 10_000_000, "Resamples (%d) must be <= 10000000", o.Resamples)
	check(o.CategoryGate > 0 && o.CategoryGate <= 1, "CategoryGate (%v) must be above 0 and at most 1", o.CategoryGate)
	check(o.NumberGate > 0, "NumberGate (%v) must be above 0", o.NumberGate)
	check(o.VectorGate > 0, "VectorGate (%v) must be above 0", o.VectorGate)
	return errors.Join(wrong...)
}

// ensured returns the options with their defaults, validated.
func (o Options) ensured() (Options, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return o, fmt.Errorf("reading the options of alarms: %w", err)
	}
	return o, nil
}
