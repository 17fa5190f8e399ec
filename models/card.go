package models

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"jobstrom/schemas"
)

// WithoutNumbers returns what is said of a classifier: all but what it computes with. It has the classifier's identity.
func WithoutNumbers(c *schemas.Classifier) *schemas.Classifier {
	said := proto.Clone(c).(*schemas.Classifier)
	said.Weights, said.Weights8, said.Present, said.Scales, said.Bias, said.Mean, said.Owners = nil, nil, nil, nil, nil, nil, nil
	return said
}

// validateCard reports every violation of a classifier's card. What is absent is none.
func validateCard(c *schemas.Classifier) (errs []error) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	h := c.GetCard().GetHistory()
	check(h.GetFirst() == nil || h.GetFirst().IsValid(), "card.history.first is not a time")
	check(h.GetLast() == nil || h.GetLast().IsValid(), "card.history.last is not a time")
	check(h.GetSince() == nil || h.GetSince().IsValid(), "card.history.since is not a time")
	check(h.GetUntil() == nil || h.GetUntil().IsValid(), "card.history.until is not a time")
	k := c.GetCard().GetCalibration()
	check(finite(k.GetEce()), "card.calibration.ece (%v) must be finite", k.GetEce())
	for i, b := range k.GetBins() {
		check(finite(b.Confidence) && finite(b.Accuracy), "card.calibration.bins[%d] must be finite", i)
	}
	b := c.GetCard().GetBaseline()
	for _, f := range []struct {
		name   string
		values []float32
		want   uint32
		least  float32
	}{{"mean", b.GetMean(), c.Dim, -1e30}, {"variance", b.GetVariance(), c.Dim, 0}, {"shares", b.GetShares(), c.Categories, 0}} {
		check(len(f.values) == 0 || uint64(len(f.values)) == uint64(f.want), "card.baseline.%s (%d values) must have %d, or none", f.name, len(f.values), f.want)
		for i, v := range f.values {
			if !finite(float64(v)) || v < f.least {
				check(false, "card.baseline.%s[%d] (%v) must be finite and >= %v", f.name, i, v, f.least)
				break
			}
		}
	}
	return errs
}
