package cli

import (
	"encoding/json"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/warehouse"
)

// warehouseCommand is the group of what operators do to ClickHouse.
func (a *app) warehouseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "warehouse",
		Short: "Look after the tables in ClickHouse",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.warehousePlanCommand(),
		a.warehouseMigrateCommand(),
		a.warehouseBackupCommand(),
		a.warehouseRestoreCommand(),
		a.warehouseRebuildCommand(),
		a.warehouseErasuresCommand(),
	)
	return cmd
}

func (a *app) warehouseMigrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring tables, views and retention to what this binary needs",
		Args:  args(cobra.NoArgs),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := a.warehouseOptions()
		o.CreateDatabase = true
		w, err := a.openWarehouse(cmd.Context(), o)
		if err != nil {
			return err
		}
		defer func() { _ = w.Close() }()
		if err := migrate(cmd.Context(), w, a.log); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "The database %s has the tables and views of jobstrom %s.\n", o.Database, version)
		return err
	}
	return cmd
}

func (a *app) warehousePlanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what warehouse migrate would change",
		Long: `plan compares ClickHouse with what this binary and the settings want: migrations, retention, and on which servers and volumes the tables lie. It changes
nothing. The exit status is 0 when there is nothing to do, 5 when changes are pending, and 3 when something differs that migrate refuses.`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		plan, err := warehouse.PlanMigration(cmd.Context(), a.warehouseOptions())
		if err != nil {
			return err
		}
		if a.format == "json" {
			err = json.NewEncoder(a.out).Encode(plan)
		} else {
			err = a.showWarehousePlan(plan)
		}
		switch {
		case err != nil:
			return err
		case plan.Has(warehouse.StepRefused):
			return errPartial
		case plan.Has(warehouse.StepMigrate, warehouse.StepRetention):
			return errPending
		}
		return nil
	}
	return cmd
}

func (a *app) showWarehousePlan(plan warehouse.Plan) error {
	if _, err := fmt.Fprintln(a.out, "Layout:", plan.Layout); err != nil {
		return err
	}
	if len(plan.Tables) > 0 {
		w := a.table("table", "engine", "policy", "rows here", "bytes")
		for _, t := range plan.Tables {
			w.AppendRow(table.Row{t.Name, t.Engine, t.StoragePolicy, t.Rows, humanize.IBytes(t.Bytes)})
		}
		w.Render()
	}
	if len(plan.Steps) == 0 {
		_, err := fmt.Fprintln(a.out, "Nothing to do: the tables are as this binary wants them.")
		return err
	}
	w := a.table("", "what", "is", "becomes", "")
	for _, s := range plan.Steps {
		w.AppendRow(table.Row{s.Kind, s.What, s.From, s.To, s.Note})
	}
	w.Render()
	return nil
}
