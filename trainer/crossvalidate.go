package trainer

import (
	"context"
	"fmt"

	"jobstrom/schemas"
)

// OutOfFold scores every vector by a classifier that was fitted without its fold. fit gets the positions
// to train on and returns a classifier; folds are as Folds gives them.
func OutOfFold(ctx context.Context, vectors [][]float32, folds []int, fit func(ctx context.Context, train []int) (*schemas.Classifier, error)) ([][]float64, error) {
	k := 0
	for _, f := range folds {
		k = max(k, f+1)
	}
	scores := make([][]float64, len(vectors))
	for fold := range k {
		var train, held []int
		for i, f := range folds {
			if f == fold {
				held = append(held, i)
			} else {
				train = append(train, i)
			}
		}
		c, err := fit(ctx, train)
		if err != nil {
			return nil, fmt.Errorf("fold %d of %d: %w", fold+1, k, err)
		}
		for i, row := range Scores(c, pick(vectors, held)) {
			scores[held[i]] = row
		}
	}
	return scores, nil
}

// CrossValidate returns out-of-fold scores by k folds that are stratified and divide no group.
func CrossValidate(ctx context.Context, e Examples, k int, seed uint64, o Options) ([][]float64, error) {
	folds, err := Folds(e.Categories, e.Groups, k, seed)
	if err != nil {
		return nil, fmt.Errorf("cross-validating: %w", err)
	}
	scores, err := OutOfFold(ctx, e.Vectors, folds, func(ctx context.Context, train []int) (*schemas.Classifier, error) {
		return Fit(ctx, e.Select(train), o)
	})
	if err != nil {
		return nil, fmt.Errorf("cross-validating: %w", err)
	}
	return scores, nil
}
