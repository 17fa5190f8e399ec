package main

import (
	"context"
	"errors"
	"time"

	"jobstrom/bench/figures"
)

const targetBare = .9

// compareBare compares with the bare loop, which reads no request, extracts nothing and knows all texts beforehand.
func (b *bench) compareBare(ctx context.Context) (err error) {
	s, err := b.ours(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := b.loop.Do(b.texts[:min(warming, len(b.texts))]); err != nil {
		return err
	}
	var ratios []float64
	for i := range b.rounds {
		began := time.Now()
		if _, err := b.loop.Do(b.texts); err != nil {
			return err
		}
		bare := float64(len(b.texts)) / time.Since(began).Seconds()
		got, err := b.together(ctx, s, len(b.texts))
		if err != nil {
			return err
		}
		figures.Note("round %d: bare %.1f/s; ours %.1f/s, median %.0f ms, 99 %%: %.0f ms", i+1, bare, got.throughput(), 1e3*figures.Median(got.answers), 1e3*figures.Quantile(got.answers, .99))
		ratios = append(ratios, got.throughput()/bare)
	}
	figures.AtLeast("ours / bare batched loop, throughput", figures.Median(ratios), targetBare)
	return nil
}
