package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"jobstrom/consumers"
	"jobstrom/drift"
)

func (a *app) warehouseRebuildCommand() *cobra.Command {
	var until string
	var fromStart bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Rebuild the tables from what Kafka holds",
		Long: `Read what the sink reads, and the events of the watch, from Kafka into --clickhouse-database, as the sink stores it. It has no consumer group and writes nothing to
Kafka: the flow and its sink go on. What was read is remembered in the database, so that a rebuild that was broken off goes on, and one that is run again reads
what came since; after a restore it begins where the backup ends. Rows that are there already are none the more.

Erased vacancies are erased first, by all tombstones that Kafka holds now, also with --until, which leaves out all else that was written at that time or later. What Kafka
holds no more is named: a backup has it, or nobody. Training runs are on no topic.`,
		Example: "  jobstrom warehouse rebuild --clickhouse-database jobstrom_rebuilt\n  jobstrom warehouse rebuild --clickhouse-database jobstrom_monday --until 2026-11-23T08:00:00Z",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&until, "until", "", "as of this `time`: 2h (ago), 2026-03-14 or 2026-03-14T12:00:00Z (default now)")
	cmd.Flags().BoolVar(&fromStart, "from-start", false, "read again what was read before")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.rebuild(cmd.Context(), until, fromStart) }
	return cmd
}

func (a *app) rebuild(ctx context.Context, until string, fromStart bool) error {
	o := consumers.RebuildOptions{Kafka: a.kafkaOptions(), FromStart: fromStart, Logger: a.log}
	var err error
	if o.Until, err = parseTime("until", until, time.Now()); err != nil {
		return err
	}
	if o.Encoder, err = a.encoderID(); err != nil {
		return err
	}
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	client.Close()
	options := a.warehouseOptions()
	options.CreateDatabase = true
	w, err := a.openWarehouse(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	if err := w.Migrate(ctx, a.log); err != nil {
		return err
	}
	if err := drift.Install(ctx, w); err != nil {
		return err
	}
	o.Warehouse = w
	reading, begun := &bar{plain: io.Discard}, time.Now()
	o.Start = func(n int64) { reading = a.progress("rebuilding", int(n), io.Discard) }
	o.Passed = func(n int64) { reading.add(int(n)) }
	result, err := consumers.Rebuild(ctx, o)
	reading.done()
	if err != nil {
		return err
	}
	return a.printRebuild(options.Database, result, time.Since(begun))
}

func (a *app) printRebuild(database string, r consumers.RebuildResult, took time.Duration) error {
	if a.format == "json" {
		if r.Gaps == nil {
			r.Gaps = []consumers.Gap{}
		}
		return json.NewEncoder(a.out).Encode(r)
	}
	fmt.Fprintf(a.out, "%s: %s records in %.1f s", database, humanize.Comma(int64(r.Records)), took.Seconds())
	if r.Refused > 0 {
		fmt.Fprintf(a.out, ", %s of them cannot be read, as the sink's dead letters say", humanize.Comma(int64(r.Refused)))
	}
	fmt.Fprintln(a.out)
	for _, g := range r.Gaps {
		fmt.Fprintf(a.out, "%s, partition %d: Kafka holds offsets %d to %d no more; what they held is there only if a backup had it\n", g.Topic, g.Partition, g.From, g.To-1)
	}
	return nil
}
