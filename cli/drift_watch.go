package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/drift/watch"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// errAlarm says that jobstrom drift watch --once left alarms open.
var errAlarm = fmt.Errorf("alarms are open, see above: %w", errDrift)

func (a *app) driftWatchCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Compare a sliding window again and again, and raise an alarm when it drifts",
		Long: `Compare the window --drift-current with --drift-reference every --drift-every, as jobstrom drift report does. jobstrom up does this too, unless --drift-every is 0.

A column's alarm is raised when its verdict has been drift for --drift-raise-after, and cleared when it has been none for --drift-clear-after: one shift is one alarm.
Each event is written to ClickHouse's drift_events, published to ` + kafka.DriftEvents + ` and posted to --drift-webhook, where its ` + watch.HeaderEvent + ` tells repetitions and
` + watch.HeaderSignature + ` holds sha256= and the HMAC of the body with --drift-webhook-key. With --drift-retrain an alarm trains a classifier on the whole history, and the trainer's gate
decides whether it becomes the champion; each step is an event.

--once evaluates a single time, for a scheduler of yours, and looks at earlier windows for how long a verdict has held. The status is 4 while an alarm is open.`,
		Example: `  jobstrom drift watch --drift-current "last 3d" --drift-reference 2026-01..2026-06
  jobstrom drift watch --once --format json | jq .open
  jobstrom drift watch --brokers kafka-1:9092 --clickhouse clickhouse-1:9000 --metrics-address 0.0.0.0:9400 --drift-retrain`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "evaluate once and end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		f, err := a.start(ctx, parts{service: "drift-watch"})
		if err != nil {
			return err
		}
		defer f.stop()
		if f.warehouse, err = a.dialWarehouse(ctx); err != nil {
			return err
		}
		defer f.warehouse.Close()
		f.kafka = a.kafkaOptions()
		if f.kafka.Frames, err = a.frames(ctx); err != nil {
			return err
		}
		card, err := models.ReadEncoderCard(a.encoderDir())
		if err != nil {
			return err
		}
		if err := a.requireForWatch(ctx); err != nil {
			return err
		}
		if err := f.ensureTopics(ctx, card.ID); err != nil {
			return err
		}
		o, stop, err := f.watchOptions()
		if err != nil {
			return err
		}
		defer stop()
		if once {
			return a.watchOnce(ctx, o)
		}
		f.board.Clear(starting)
		fmt.Fprintf(a.err, "comparing %s every %v, Ctrl-C ends it\n", o.Name(), o.Every)
		f.actors.Go(func() error { return watch.Run(f.work, o) })
		return f.wait()
	}
	return cmd
}

// requireForWatch says what the watch may not do on Kafka before the first alarm has to be told.
func (a *app) requireForWatch(ctx context.Context) error {
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	rights := []kafka.Right{kafka.WriteTopic(kafka.DriftEvents)}
	if a.config.DriftRetrain {
		rights = kafka.RightsOf("drift watch", "")
	}
	return kafka.Require(ctx, client, rights...)
}

// watchDrift adds the watch to the flow, unless it is not wanted.
func (f *flow) watchDrift() error {
	if f.config.DriftEvery == 0 {
		return nil
	}
	o, stop, err := f.watchOptions()
	if err != nil {
		return err
	}
	f.actors.Go(func() error {
		defer stop()
		return watch.Run(f.work, o)
	})
	return nil
}

// watchOptions joins the watch with Kafka and the trainer. stop closes what it publishes with.
func (f *flow) watchOptions() (o watch.Options, stop func(), err error) {
	client, err := kafka.NewClient(f.kafka)
	if err != nil {
		return o, nil, err
	}
	o = f.config.watchOptions()
	o.Warehouse, o.Board, o.Logger, o.Registerer = f.warehouse, f.board, f.log, f.metrics
	o.Publish = func(ctx context.Context, e *schemas.DriftEvent) error {
		ctx, cancel := context.WithTimeout(ctx, publishWithin)
		defer cancel()
		return producers.PublishDriftEvent(ctx, client, e)
	}
	if f.config.DriftRetrain {
		o.Retrain = f.retrain
	}
	return o, client.Close, nil
}

// publishWithin bounds how long an event waits for Kafka before the watch goes on; it is published later.
const publishWithin = 30 * time.Second

// retrain trains as jobstrom train does when nothing is asked for, on half of the cores.
func (f *flow) retrain(ctx context.Context, reason string) (watch.Training, error) {
	var t training
	var r reporting
	defaults := &cobra.Command{}
	t.flags(defaults)
	r.flags(defaults)
	t.cause, t.run.Threads = reason, max(1, runtime.NumCPU()/2)
	if err := t.resolve(); err != nil {
		return watch.Training{}, err
	}
	// This process's Kafka, where it has started one, and no bars.
	trainer := *f.app
	trainer.config.Brokers, trainer.out, trainer.err = f.kafka.Brokers, io.Discard, io.Discard
	done, err := trainer.trainAndRegister(ctx, f.warehouse, t, r)
	if err != nil {
		return watch.Training{}, err
	}
	return watch.Training{Model: done.Model, Promoted: done.Promoted, Why: done.Publication.Why}, nil
}

// watchOnce evaluates once and prints what was found.
func (a *app) watchOnce(ctx context.Context, o watch.Options) error {
	e, err := watch.Once(ctx, o)
	if err != nil {
		return err
	}
	if err := a.printEvaluation(o.Name(), e); err != nil {
		return err
	}
	switch {
	case e.Undelivered:
		return errors.New("not every event was delivered, see the log: the next evaluation tries again")
	case len(e.Open) > 0:
		return errAlarm
	}
	return nil
}
