package consumers

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Pauses between tries: each doubles the one before.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
)

// pause waits before try number n, from 1. It returns false when ctx ended.
func pause(ctx context.Context, n int) bool {
	timer := time.NewTimer(min(firstPause<<min(n-1, 10), longestPause))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// answer has the stage answer a batch. What is temporary is tried until it passes or ctx ends; what is not, Attempts times, and then in
// ever smaller parts, so that a poisoned record goes alone. An error leaves the whole batch unanswered: ctx ended, or nothing helped.
func (w *worker) answer(ctx context.Context, in []*kgo.Record) ([]Answer, error) {
	for failures, suspicions := 0, 0; ; {
		answers, err := w.call(ctx, in)
		if err == nil {
			return answers, nil
		}
		failures++
		switch w.failed(err) {
		case Fatal:
			return nil, err
		case Suspect:
			if suspicions++; suspicions >= w.options.Attempts {
				return w.bisect(ctx, in, err)
			}
		}
		w.log.Warn("batch failed, trying again", "records", len(in), "failures", failures, "error", err)
		if !pause(ctx, failures) {
			return nil, ctx.Err()
		}
	}
}

// bisect answers a batch that failed as a whole, in halves of halves, down to the single record, which then is refused.
func (w *worker) bisect(ctx context.Context, in []*kgo.Record, reason error) ([]Answer, error) {
	if len(in) == 1 {
		return []Answer{{Err: reason, attempts: w.options.Attempts}}, nil
	}
	answers := make([]Answer, 0, len(in))
	for _, half := range [][]*kgo.Record{in[:len(in)/2], in[len(in)/2:]} {
		part, err := w.call(ctx, half)
		if err != nil {
			if Judge(err) != Suspect {
				return nil, err
			}
			if part, err = w.bisect(ctx, half, err); err != nil && !errors.Is(err, errSystemic) {
				return nil, err
			}
		}
		answers = append(answers, part...)
	}
	for _, a := range answers {
		if a.attempts == 0 {
			return answers, nil
		}
	}
	// The halves of a larger batch may still hold good records, so the answers go up with the error.
	return answers, fmt.Errorf("%w: %w", errSystemic, reason)
}

// call has the stage answer once. A panic is an error like any other: it must not take the worker along.
func (w *worker) call(ctx context.Context, in []*kgo.Record) (answers []Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("BUG: the stage panicked", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			answers, err = nil, errors.New("BUG: the stage panicked; its log has the stack")
		}
	}()
	// The batch in hand is finished even when ctx ends: a drain loses no work and no time.
	answers, err = w.stage.Answer(context.WithoutCancel(ctx), in)
	if err != nil {
		return nil, err
	}
	if len(answers) != len(in) {
		return nil, fmt.Errorf("BUG: %d answers for %d records", len(answers), len(in))
	}
	for _, a := range answers {
		if a.Err != nil && Class(a.Err) == "internal" && Judge(a.Err) == Retry {
			return nil, a.Err // no record's own fault, whatever the stage thought
		}
	}
	return answers, nil
}
