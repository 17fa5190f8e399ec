package main

import (
	"context"
	"errors"
	"fmt"

	"jobstrom/bench/figures"
)

const (
	// tooMuch is the load over the capacity.
	tooMuch = 3
	// overloads are two, as the first one shows what a full queue takes, and the second whether memory grows.
	overloads = 2

	targetRefused = 1. / 3 // half of what is too much: the rest waits
	targetUseful  = .9
	targetWait    = 1.2
	targetNormal  = .9
	growthBytes   = 10e6
)

// overloaded asks more than can be answered, and then as much as before.
func (b *bench) overloaded(ctx context.Context) (err error) {
	s, err := b.ours(ctx, fmt.Sprintf("--under-way=%d", b.underWay), fmt.Sprintf("--max-texts=%d", b.underWay))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	before, err := b.together(ctx, s, len(b.texts))
	if err != nil {
		return err
	}
	capacity := before.throughput()
	warm, err := s.resident()
	if err != nil {
		return err
	}
	figures.Note("capacity with %d clients %.1f/s; %d vacancies may wait, which takes %.1f s; %.0f MB resident", b.clients, capacity, b.underWay, float64(b.underWay)/capacity, warm/1e6)
	var refused, hints, asked int
	var waits, useful, resident []float64
	for i := range overloads {
		got, err := b.attack(ctx, s, poisson(tooMuch*capacity, b.overload), unbounded)
		if err != nil {
			return err
		}
		bytes, err := s.resident()
		if err != nil {
			return err
		}
		refused, hints, asked = refused+got.refused, hints+got.hints, asked+got.refused+len(got.answers)
		// By Little's law a full queue is answered in its length over the answers a second.
		waits = append(waits, figures.Quantile(got.answers, .99)*got.throughput()/float64(b.underWay))
		useful, resident = append(useful, got.throughput()/capacity), append(resident, bytes)
		figures.Note("overload %d: %.1f/s for %s: %d answered, median %.0f ms, 99 %%: %.0f ms; %d refused; %.1f answers/s; %.0f MB resident", i+1, tooMuch*capacity, b.overload, len(got.answers),
			1e3*figures.Median(got.answers), 1e3*figures.Quantile(got.answers, .99), got.refused, got.throughput(), bytes/1e6)
	}
	after, err := b.together(ctx, s, len(b.texts))
	if err != nil {
		return err
	}
	figures.AtLeast(fmt.Sprintf("at %d × capacity: share of 429s", tooMuch), float64(refused)/float64(asked), targetRefused)
	figures.AtMost("429s without Retry-After", float64(refused-hints), 0)
	figures.AtLeast("answers a second / capacity", figures.Median(useful), targetUseful)
	figures.AtMost("99th percentile of answers / time that a full queue takes", figures.Median(waits), targetWait)
	figures.AtMost("growth of resident memory from the first overload to the second / 10 MB", (resident[1]-resident[0])/growthBytes, 1)
	figures.AtLeast("after / before, throughput", after.throughput()/capacity, targetNormal)
	return nil
}
