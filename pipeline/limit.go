package pipeline

import (
	"context"
	"errors"

	"golang.org/x/sync/semaphore"

	"jobstrom/schemas"
)

// ErrOverloaded is returned by Limit.Do while too many vacancies are under way. The caller may try again later.
var ErrOverloaded = errors.New("overloaded: too many vacancies are under way")

// Limit bounds the vacancies that concurrent callers have under way. The encoder joins the texts of all of them in its sub-batches.
type Limit struct {
	run   func(context.Context, []*schemas.Vacancy) ([]Result, error)
	slots *semaphore.Weighted
}

// NewLimit returns a limit of so many vacancies.
func NewLimit(run func(context.Context, []*schemas.Vacancy) ([]Result, error), most int) *Limit {
	return &Limit{run, semaphore.NewWeighted(int64(most))}
}

// Do answers a caller's vacancies, in order, or says at once that it cannot.
func (l *Limit) Do(ctx context.Context, vacancies []*schemas.Vacancy) ([]Result, error) {
	n := int64(len(vacancies))
	if !l.slots.TryAcquire(n) {
		return nil, ErrOverloaded
	}
	defer l.slots.Release(n)
	return l.run(ctx, vacancies)
}
