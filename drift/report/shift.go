package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"jobstrom/drift"
)

// example is a vacancy near the shift of the embeddings.
type example struct{ Vacancy, Published, Category, Confidence, Projection string }

// examples returns those along the shift, or those against it, the farthest first.
func examples(c *drift.Comparison, along bool) []example {
	var all []example
	for _, e := range c.Nearest {
		if e.New != along {
			continue
		}
		shown := example{Vacancy: shown(e.VacancyID), Published: e.PublishedAt.UTC().Format("2006-01-02"), Category: "–", Confidence: "–", Projection: plusMinus(fmt.Sprintf("%+.3f", e.Projection))}
		if e.Category != "" {
			shown.Category, shown.Confidence = cut(clean(e.Category), longest), percent(float64(e.Confidence))
		}
		all = append(all, shown)
	}
	return all
}

// moved is how far the embeddings of a category moved.
type moved struct {
	Category           string
	Reference, Current int
	Euclidean, Cosine  string
}

// farthest returns the categories whose embeddings moved most; none of a category of which a window has too few.
func farthest(c *drift.Comparison, limit int) []moved {
	shifts := slices.DeleteFunc(slices.Clone(c.CategoryShifts), func(s drift.CategoryShift) bool { return s.EuclideanDistance == nil })
	slices.SortStableFunc(shifts, func(a, b drift.CategoryShift) int { return cmp.Compare(*b.EuclideanDistance, *a.EuclideanDistance) })
	var all []moved
	for _, s := range shifts[:min(limit, len(shifts))] {
		m := moved{shown(s.Category), int(s.N), int(s.M), number(*s.EuclideanDistance), "–"}
		if s.CosineDistance != nil {
			m.Cosine = number(*s.CosineDistance)
		}
		all = append(all, m)
	}
	return all
}

// validateShift says what of the vacancies near the shift and of the categories cannot be shown.
func validateShift(c *drift.Comparison) error {
	var wrong []error
	for _, e := range c.Nearest {
		if !finite(e.Projection, float64(e.Confidence)) {
			wrong = append(wrong, fmt.Errorf("vacancy %q: projection %v and confidence %v must be finite", shown(e.VacancyID), e.Projection, e.Confidence))
		}
	}
	for _, s := range c.CategoryShifts {
		for _, v := range []*float64{&s.RefShare, &s.CurShare, s.EuclideanDistance, s.CosineDistance} {
			if v != nil && !finite(*v) {
				wrong = append(wrong, fmt.Errorf("the shift of category %q (%v) must be finite", shown(s.Category), *v))
			}
		}
	}
	return errors.Join(wrong...)
}
