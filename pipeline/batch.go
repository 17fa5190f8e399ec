package pipeline

import (
	"context"
	"errors"

	"jobstrom/schemas"
)

// ErrOverloaded is returned by Batcher.Do when its queue is full. The caller may try again later.
var ErrOverloaded = errors.New("overloaded: the queue is full")

// Batcher joins the vacancies of concurrent callers in batches. A batch forms while the one before it is worked on, so a lone caller never waits.
type Batcher struct {
	run   func(context.Context, []*schemas.Vacancy) ([]Result, error)
	queue chan job
	most  int
}

type job struct {
	ctx       context.Context
	vacancies []*schemas.Vacancy
	done      chan outcome
}

type outcome struct {
	results []Result
	err     error
}

// NewBatcher makes a batcher of at most most vacancies a batch and queue waiting callers. It works until ctx ends.
func NewBatcher(ctx context.Context, run func(context.Context, []*schemas.Vacancy) ([]Result, error), most, queue int) *Batcher {
	b := &Batcher{run: run, queue: make(chan job, queue), most: most}
	go b.work(ctx)
	return b
}

// Do answers a caller's vacancies, in order.
func (b *Batcher) Do(ctx context.Context, vacancies []*schemas.Vacancy) ([]Result, error) {
	j := job{ctx, vacancies, make(chan outcome, 1)}
	select {
	case b.queue <- j:
	default:
		return nil, ErrOverloaded
	}
	select {
	case o := <-j.done:
		return o.results, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *Batcher) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-b.queue:
			b.answer(ctx, b.gather(j))
		}
	}
}

// gather adds what waits, as long as it fits.
func (b *Batcher) gather(first job) []job {
	jobs, size := []job{first}, len(first.vacancies)
	for size < b.most {
		select {
		case j := <-b.queue:
			jobs, size = append(jobs, j), size+len(j.vacancies)
		default:
			return jobs
		}
	}
	return jobs
}

func (b *Batcher) answer(ctx context.Context, jobs []job) {
	var all []*schemas.Vacancy
	kept := jobs[:0]
	for _, j := range jobs {
		if j.ctx.Err() == nil { // a caller that is gone costs no work
			kept, all = append(kept, j), append(all, j.vacancies...)
		}
	}
	if len(all) == 0 {
		return
	}
	results, err := b.run(ctx, all)
	for _, j := range kept {
		if err != nil {
			j.done <- outcome{err: err}
			continue
		}
		j.done <- outcome{results: results[:len(j.vacancies)]}
		results = results[len(j.vacancies):]
	}
}
