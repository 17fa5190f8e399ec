package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"jobstrom/registry"
)

func (a *app) modelsBackupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up all models, which is live, and the history",
		Long: `Write what the registry's topics hold into a file, or to stdout (-): every classifier, champions and challengers, which encoder is live, and the history. The file
ends with a seal, so that one that is cut off is noticed.`,
		Example: "  jobstrom models backup models.jsonl",
		Args:    args(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, given []string) error { return a.backUpModels(cmd.Context(), given[0]) },
	}
}

func (a *app) backUpModels(ctx context.Context, file string) error {
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	client.Close()
	b, err := registry.ReadBackup(ctx, a.kafkaOptions(), version)
	if err != nil {
		return err
	}
	if file == "-" {
		return b.Write(a.out)
	}
	var data bytes.Buffer
	if err := b.Write(&data); err != nil {
		return err
	}
	if err := writeWhole(file, data.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the registry's backup: %w", err)
	}
	c := b.Contents()
	_, err = fmt.Fprintf(a.out, "%s holds %d models, %d champions and %d lines of history\n", file, len(c.Models), len(c.Champions), len(c.History))
	return err
}

func (a *app) modelsRestoreCommand() *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore models from a backup",
		Long: `Write what the registry lacks of a backup, or of stdin (-), in one transaction: classifiers, champions, challengers and history; workers take the champions over as
after a promotion. Where another champion is live nothing is written, unless --replace puts the backup's in its place. What the registry has besides stays.
Into a new Kafka restore before anything else is promoted there, so that the history keeps its order.`,
		Example: "  jobstrom models restore models.jsonl",
		Args:    args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	cmd.Flags().BoolVar(&replace, "replace", false, "put the backup's champions in the place of others")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		return a.restoreModels(cmd.Context(), given[0], replace)
	}
	return cmd
}

func (a *app) restoreModels(ctx context.Context, file string, replace bool) error {
	from := a.in
	if file != "-" {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading the registry's backup: %w", err)
		}
		from = bytes.NewReader(data)
	}
	b, err := registry.OpenBackup(from)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	client.Close()
	done, err := registry.Writer{Kafka: a.kafkaOptions(), Version: version}.Restore(ctx, b, replace)
	if err != nil {
		return err
	}
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(done)
	}
	fmt.Fprintf(a.out, "%d models, %d champions and %d lines of history restored; the rest was there\n", done.Models, done.Champions, done.Events)
	for _, kept := range done.Kept {
		fmt.Fprintf(a.out, "left as it is: %s\n", kept)
	}
	return nil
}
