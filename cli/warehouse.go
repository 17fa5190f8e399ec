package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"jobstrom/drift"
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
		if err := w.Migrate(cmd.Context(), a.log); err != nil {
			return err
		}
		if err := drift.Install(cmd.Context(), w); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "The database %s has the tables and views of jobstrom %s.\n", o.Database, version)
		return err
	}
	return cmd
}
