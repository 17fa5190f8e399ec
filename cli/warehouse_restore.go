package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"jobstrom/consumers"
	"jobstrom/drift"
	"jobstrom/warehouse"
)

// restoring holds the flags of the command.
type restoring struct {
	add, alone bool
	erasures   []string
	erasuresOf []string
}

func (a *app) warehouseRestoreCommand() *cobra.Command {
	var f restoring
	cmd := &cobra.Command{
		Use:   "restore PLACE",
		Short: "Restore a backup of the tables, without what was erased since",
		Long: `Restore a backup into --clickhouse-database, which is made, or must hold no rows. The backup is read into a database of its own, compared with its manifest, brought to
this version's tables, and cleaned of all vacancies that were erased after it was made, before anybody can read a row: by the tombstones of the topics, of
this database and --erasures-of, and of exports (--erasures). Until then nothing is changed, and it can be repeated.

What came after the backup is on Kafka: jobstrom warehouse rebuild brings it.`,
		Example: "  jobstrom warehouse restore 2026-11-28\n  jobstrom warehouse restore 2026-11-28 --clickhouse-database jobstrom_restored --erasures-of jobstrom --erasures erasures.jsonl",
		Args:    args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	cmd.Flags().BoolVar(&f.add, "add", false, "add the backup's rows to those that the database holds; of rows with the same key the one written last counts")
	cmd.Flags().BoolVar(&f.alone, "without-kafka", false, "do not ask Kafka for tombstones: what was erased since comes back unless --erasures or --erasures-of knows it")
	cmd.Flags().StringSliceVar(&f.erasures, "erasures", nil, "`files` that jobstrom warehouse erasures wrote; - is stdin")
	cmd.Flags().StringSliceVar(&f.erasuresOf, "erasures-of", nil, "other `databases` on this server whose tombstones count, too")
	cmd.RunE = func(cmd *cobra.Command, given []string) error { return a.restore(cmd.Context(), given[0], f) }
	return cmd
}

func (a *app) restore(ctx context.Context, place string, f restoring) error {
	o := warehouse.RestoreOptions{Add: f.add, ErasuresOf: f.erasuresOf, Logger: a.log}
	var err error
	if o.From, err = a.place(place); err != nil {
		return err
	}
	if o.Erasures, err = a.readErasures(f.erasures); err != nil {
		return err
	}
	if !f.alone {
		client, err := a.dial(ctx)
		if err != nil {
			return fmt.Errorf("%w (or --without-kafka, which knows nothing of what was erased since the backup)", err)
		}
		client.Close()
		tombstones, err := consumers.Tombstones(ctx, a.kafkaOptions())
		if err != nil {
			return err
		}
		o.Erasures = append(o.Erasures, tombstones...)
	}
	options := a.warehouseOptions()
	options.CreateDatabase = true
	w, err := a.openWarehouse(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	bars := a.phases()
	o.Progress = bars.show
	r, err := w.Restore(ctx, o)
	bars.done()
	if err != nil {
		return err
	}
	if err := drift.Install(ctx, w); err != nil {
		return err
	}
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(r)
	}
	m := r.Manifest
	_, err = fmt.Fprintf(a.out, `%s holds the %s rows that %s had at %s, without %s of vacancies that were erased since (%s tombstones)
What came after that: jobstrom warehouse rebuild --clickhouse-database %[1]s
`, options.Database, humanize.Comma(int64(m.Rows())), m.Database, m.At.Format(verificationTime), humanize.Comma(int64(r.Erased)), humanize.Comma(int64(r.Tombstones)))
	return err
}
