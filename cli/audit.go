package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/registry"
	"jobstrom/schemas"
)

// errAudit is the outcome of an audit that found something.
var errAudit = errors.New("vacancies and outcomes do not match, see above")

func (a *app) auditCommand() *cobra.Command {
	var wait time.Duration
	var topicsOnly bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove that each vacancy has exactly one outcome, on Kafka and in ClickHouse",
		Long: `Read the raw topic, the classified topic, the dead letters and ClickHouse's views, and compare them by raw coordinates: every vacancy must be exactly
once classified or exactly once a dead letter, in the order of its raw partition, and ClickHouse must hold the same. It sees as far back as the raw
topic is kept (7 days) and may run beside a busy flow: it waits until the flow has got through what was there when it began.

The exit status is 0 only when everything matches.`,
		Example: "  jobstrom audit\n  jobstrom audit --topics-only --format json",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "`time` the flow gets to catch up")
	cmd.Flags().BoolVar(&topicsOnly, "topics-only", false, "leave ClickHouse out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		card, err := models.ReadEncoderCard(a.encoderDir())
		if err != nil {
			return err
		}
		o := consumers.AuditOptions{Kafka: a.kafkaOptions(), Encoder: card.ID, Wait: wait}
		client, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		o.Raw, err = kafka.IDOf(cmd.Context(), client, kafka.Raw)
		client.Close()
		if err != nil {
			return err
		}
		contents, err := registry.Read(cmd.Context(), a.kafkaOptions())
		if err != nil {
			return err
		}
		owners := contents.Ownership(schemas.Jobnet().ID)
		o.Owner, o.Encoder = owners.Owner, cmp.Or(owners.Live(), o.Encoder)
		o.Former = slices.DeleteFunc(owners.Encoders(), func(e string) bool { return e == o.Encoder })
		if !topicsOnly {
			if o.Warehouse, err = a.dialWarehouse(cmd.Context()); err != nil {
				return err
			}
			defer func() { _ = o.Warehouse.Close() }()
		}
		return a.audit(cmd.Context(), o)
	}
	return cmd
}

func (a *app) audit(ctx context.Context, o consumers.AuditOptions) error {
	bar := a.progress("reading", 0, a.err)
	o.Passed = func(offsets int64) { bar.add(int(offsets)) }
	r, err := consumers.Audit(ctx, o)
	bar.done()
	if err != nil {
		return err
	}
	if a.format == "json" {
		if err := json.NewEncoder(a.out).Encode(r); err != nil {
			return err
		}
	} else {
		for _, finding := range r.Findings {
			fmt.Fprintln(a.out, finding)
		}
		fmt.Fprintf(a.out, "vacancies=%d classified=%d deadletters=%d erased=%d lost=%d duplicated=%d reordered=%d rows_missing=%d rows_extra=%d\n",
			r.Vacancies, r.Classified, r.Letters, r.Erased, r.Lost, r.Duplicated, r.Reordered, r.RowsMissing, r.RowsExtra)
	}
	if !r.OK() {
		return errAudit
	}
	return nil
}
