package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/health"
	"jobstrom/kafka"
)

// ownersWait bounds how long one question who owns records may take, before the board hears of it.
const ownersWait = 5 * time.Second

// disown finds out which of a batch's records another encoder answers, and keeps what is said of them from consumers and dead letters. It waits for as long as that is not
// known. What bears no coordinates is no vacancy's of ours: whoever reads it refuses it.
func (w *worker) disown(ctx context.Context, in []*kgo.Record, answers []Answer) error {
	matters := w.stage.Unowned != nil
	for i, a := range answers {
		matters = matters || a.Err != nil || w.oversized[placeOf(in[i])] > 0
	}
	if w.stage.Owns == nil || !matters {
		return nil
	}
	owns, err := w.owners(ctx)
	if err != nil {
		return err
	}
	for i, r := range in {
		c, err := kafka.CoordinatesOf(r)
		if err != nil {
			continue
		}
		c.Offset = kafka.RawPlace(r, c)
		if owns(c) {
			continue
		}
		if w.stage.Unowned != nil {
			answers[i] = w.stage.Unowned(answers[i])
		}
		answers[i].others = true
	}
	return nil
}

// owners asks until it gets an answer or ctx ends.
func (w *worker) owners(ctx context.Context) (func(kafka.Coordinates) bool, error) {
	for failures := 1; ; failures++ {
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), ownersWait)
		owns, err := w.stage.Owns(work)
		cancel()
		if err == nil {
			return owns, nil
		}
		if Judge(err) != Fatal {
			err = fmt.Errorf("%w: %w", ErrTemporary, err)
		}
		if w.failed(err) == Fatal {
			return nil, err
		}
		w.log.Warn("waiting to know which encoder answers", "failures", failures, "error", err)
		if !pause(ctx, 1) {
			return nil, ctx.Err()
		}
	}
}

// takeOver goes on where a version before encoders had groups of their own has stopped. It tries until it gets an answer or ctx ends.
func takeOver(ctx context.Context, stage Stage, o RunnerOptions) error {
	if stage.Encoder == "" {
		return nil
	}
	o.Kafka.Registerer = nil // two stages of one process do this at once, and metrics tell clients apart by their ids
	client, err := kafka.NewClient(o.Kafka)
	if err != nil {
		return fmt.Errorf("running stage %s: %w", stage.Name, err)
	}
	defer client.Close()
	at := health.Place{Part: "start", Stage: stage.Name}
	defer o.Board.Clear(at)
	for failures := 1; ; failures++ {
		work, cancel := context.WithTimeout(ctx, 2*ownersWait)
		err := kafka.TakeOver(work, client, stage.Name, stage.Encoder, stage.From, stage.To)
		cancel()
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if Judge(err) == Fatal {
			return fmt.Errorf("running stage %s: %w", stage.Name, err)
		}
		remedy := "it tries again by itself"
		if errors.Is(err, kafka.ErrFormerGroup) {
			remedy = "stop the processes of the version before: what both read would be answered twice"
		}
		o.Board.Report(health.Problem{Place: at, Reason: err.Error(), Remedy: remedy}, workerGrace)
		o.Logger.Warn("waiting to take over from a version before", "stage", stage.Name, "failures", failures, "error", err)
		if !pause(ctx, failures) {
			return nil
		}
	}
}
