package api

import (
	"context"
	"fmt"

	"jobstrom/schemas"
)

// mostNeighbours bounds an answer.
const mostNeighbours = 100

// SimilarTo returns the stored vacancies whose meaning is nearest to a text's, the nearest first. q's vector is made from the text.
func (s *Service) SimilarTo(ctx context.Context, text string, q SimilarQuery) ([]Neighbour, error) {
	if s.Similar == nil {
		return nil, noWarehouse("similar vacancies are not known")
	}
	switch {
	case q.Most < 1 || q.Most > mostNeighbours:
		return nil, invalid("most is %d, must be 1 to %d", q.Most, mostNeighbours)
	case q.Category < -1 || q.Category >= len(s.Taxonomy.Categories):
		return nil, invalid("category %d is not one of %d", q.Category, len(s.Taxonomy.Categories))
	case !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until):
		return nil, invalid("since must be before until")
	}
	outcomes, _, err := s.classify(ctx, []*schemas.Vacancy{{Text: text}})
	if err == nil {
		err = outcomes[0].Err
	}
	if err != nil {
		return nil, err
	}
	q.Vector = outcomes[0].Vector
	found, err := s.Similar(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("finding similar vacancies: %w", err)
	}
	return found, nil
}
