package trainer

import (
	"errors"
	"fmt"
	"math"
)

// ErrExamples is wrapped by every refusal of examples that nothing can be learned from.
var ErrExamples = errors.New("unusable examples")

// Examples are labelled vectors. Every slice that is given has one entry for each vector.
type Examples struct {
	// Vectors have one width.
	Vectors [][]float32
	// Categories are the true categories' indices.
	Categories []int
	// Targets, where given, are what to learn instead of Categories: a probability for each category.
	Targets [][]float32
	// Offsets, where given, are scores for each category that exist already: what is fitted is added to them.
	Offsets [][]float64
	// Weights say how much an example counts, >= 0. None: 1 each.
	Weights []float64
	// Groups keep examples together in a split, for example by employer. An empty group is a group of its
	// own. None: every example alone.
	Groups []string
}

// Len returns the number of examples.
func (e Examples) Len() int { return len(e.Vectors) }

// Select returns the examples at these positions. The vectors are shared.
func (e Examples) Select(positions []int) Examples {
	return Examples{
		Vectors: pick(e.Vectors, positions), Categories: pick(e.Categories, positions), Targets: pick(e.Targets, positions),
		Offsets: pick(e.Offsets, positions), Weights: pick(e.Weights, positions), Groups: pick(e.Groups, positions),
	}
}

func pick[T any](from []T, positions []int) []T {
	if from == nil {
		return nil
	}
	picked := make([]T, len(positions))
	for i, p := range positions {
		picked[i] = from[p]
	}
	return picked
}

// weight returns the weight of an example.
func (e Examples) weight(i int) float64 {
	if e.Weights == nil {
		return 1
	}
	return e.Weights[i]
}

// append adds the examples from first to before end of others, which have the same fields.
func (e *Examples) append(others Examples, first, end int) {
	e.Vectors = append(e.Vectors, others.Vectors[first:end]...)
	e.Categories = append(e.Categories, others.Categories[first:end]...)
	if others.Targets != nil {
		e.Targets = append(e.Targets, others.Targets[first:end]...)
	}
	if others.Offsets != nil {
		e.Offsets = append(e.Offsets, others.Offsets[first:end]...)
	}
	if others.Weights != nil {
		e.Weights = append(e.Weights, others.Weights[first:end]...)
	}
}

// validate reports every kind of violation, with the first example that shows it.
func (e Examples) validate(categories int) error {
	if e.Len() == 0 {
		return fmt.Errorf("%w: there are none", ErrExamples)
	}
	if err := e.validateBlock(categories, len(e.Vectors[0])); err != nil {
		return err
	}
	weights := make([]float64, categories)
	for i, c := range e.Categories {
		weights[c] += e.weight(i)
	}
	return enough(weights)
}

// enough refuses examples that have one category only.
func enough(weights []float64) error {
	seen := 0
	for _, w := range weights {
		if w > 0 {
			seen++
		}
	}
	if seen < 2 {
		return fmt.Errorf("%w: %d categories have examples with weight, at least 2 are needed", ErrExamples, seen)
	}
	return nil
}

// validateBlock is validate for some of the examples, which have dim components.
func (e Examples) validateBlock(categories, dim int) error {
	n := e.Len()
	var errs []error
	for _, f := range []struct {
		name     string
		len      int
		optional bool
	}{{"categories", len(e.Categories), false}, {"targets", len(e.Targets), true}, {"offsets", len(e.Offsets), true}, {"weights", len(e.Weights), true}, {"groups", len(e.Groups), true}} {
		if f.len != n && !(f.optional && f.len == 0) {
			errs = append(errs, fmt.Errorf("%w: %d vectors and %d %s", ErrExamples, n, f.len, f.name))
		}
	}
	if dim == 0 {
		errs = append(errs, fmt.Errorf("%w: vectors without components", ErrExamples))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	first := func(what string, bad func(i int) bool) {
		count, at := 0, 0
		for i := range n {
			if bad(i) {
				if count == 0 {
					at = i
				}
				count++
			}
		}
		if count > 0 {
			errs = append(errs, fmt.Errorf("%w: %d of %d have %s, the first is example %d", ErrExamples, count, n, what, at))
		}
	}
	first(fmt.Sprintf("another width than %d", dim), func(i int) bool { return len(e.Vectors[i]) != dim })
	first("components that are not finite", func(i int) bool { return !allFinite(e.Vectors[i]) })
	first(fmt.Sprintf("a category outside 0 to %d", categories-1), func(i int) bool { return e.Categories[i] < 0 || e.Categories[i] >= categories })
	if e.Weights != nil {
		first("a weight that is negative or not finite", func(i int) bool { return !(e.Weights[i] >= 0) || math.IsInf(e.Weights[i], 0) })
	}
	if e.Targets != nil {
		first(fmt.Sprintf("targets that are not %d probabilities", categories), func(i int) bool {
			var sum float64
			for _, p := range e.Targets[i] {
				if !(p >= 0) {
					return true
				}
				sum += float64(p)
			}
			return len(e.Targets[i]) != categories || !(math.Abs(sum-1) < 1e-3)
		})
	}
	if e.Offsets != nil {
		first(fmt.Sprintf("offsets that are not %d finite scores", categories), func(i int) bool {
			for _, s := range e.Offsets[i] {
				if math.IsNaN(s) || math.IsInf(s, 0) {
					return true
				}
			}
			return len(e.Offsets[i]) != categories
		})
	}
	return errors.Join(errs...)
}

func allFinite(v []float32) bool {
	const exponent = 0x7f800000 // All its bits are set in infinities and NaNs alone.
	for _, x := range v {
		if math.Float32bits(x)&exponent == exponent {
			return false
		}
	}
	return true
}
