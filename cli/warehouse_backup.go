package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"jobstrom/consumers"
	"jobstrom/models"
	"jobstrom/warehouse"
)

// placeSetting names where a backup lies; an address with a key does not belong on a command line.
const placeSetting = "JOBSTROM_BACKUP_PLACE"

// place reads a backup's place, the argument or, where that is "-", the environment's.
func (a *app) place(given string) (warehouse.Destination, error) {
	if given == "-" {
		given = os.Getenv(placeSetting)
		if given == "" {
			return warehouse.Destination{}, fmt.Errorf("reading the backup's place: - stands for %s, which is not set (%w)", placeSetting, errUsage)
		}
	}
	d, err := warehouse.ParseDestination(given)
	if err != nil {
		return d, fmt.Errorf("reading the backup's place: %w (%w)", err, errUsage)
	}
	return d, nil
}

func (a *app) warehouseBackupCommand() *cobra.Command {
	var base string
	var alone bool
	cmd := &cobra.Command{
		Use:   "backup PLACE",
		Short: "Back up the tables in ClickHouse",
		Long: `Back up the tables in ClickHouse, by its own BACKUP, while everything goes on. PLACE is a name, which becomes a folder of the server's backups (of the
embedded ClickHouse: below --data, backups), or what BACKUP takes: File('x.tar'), Disk('backups', 'x'), S3('https://…', 'KEY', 'SECRET'), S3(collection, 'x'),
AzureBlobStorage(…). What holds a key comes by ` + placeSetting + `, with - for PLACE. The server writes it, so its operator must allow the place (docs/backup.md).

The backup holds a manifest: versions, rows and checksum of each table, and how far the sink had read. With --base only what an earlier backup lacks is written.`,
		Example: "  jobstrom warehouse backup 2026-11-28\n  jobstrom warehouse backup 2026-11-29 --base 2026-11-28\n  jobstrom warehouse backup \"S3(offsite, '2026-11-28')\"",
		Args:    args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&base, "base", "", "`place` of an earlier backup; it is needed as long as this one is")
	cmd.Flags().BoolVar(&alone, "without-kafka", false, "do not ask Kafka how far the sink has read: a rebuild after a restore then reads the topics from their beginning")
	cmd.RunE = func(cmd *cobra.Command, given []string) error { return a.backUp(cmd.Context(), given[0], base, alone) }
	return cmd
}

func (a *app) backUp(ctx context.Context, place, base string, alone bool) error {
	o := warehouse.BackupOptions{Version: version}
	var err error
	if o.To, err = a.place(place); err != nil {
		return err
	}
	if base != "" {
		if o.Base, err = a.place(base); err != nil {
			return err
		}
	}
	if !alone {
		encoder, err := a.encoderID()
		if err != nil {
			return err
		}
		client, err := a.dial(ctx)
		if err != nil {
			return fmt.Errorf("%w (or --without-kafka)", err)
		}
		client.Close()
		if o.Offsets, err = consumers.SinkOffsets(ctx, a.kafkaOptions(), encoder); err != nil {
			return fmt.Errorf("asking how far the sink has read: %w", err)
		}
	}
	w, err := a.dialWarehouse(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	bars := a.phases()
	o.Progress = bars.show
	m, err := w.Backup(ctx, o)
	bars.done()
	if err != nil {
		return err
	}
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(m)
	}
	_, err = fmt.Fprintf(a.out, "%s holds %s rows of %d tables of %s, as of %s\n", o.To, humanize.Comma(int64(m.Rows())), len(m.Tables), m.Database, m.At.Format(verificationTime))
	return err
}

// encoderID is that of --encoder, "" where its folder is not here: then the topics say which encoders there are.
func (a *app) encoderID() (string, error) {
	card, err := models.ReadEncoderCard(a.encoderDir())
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return card.ID, err
}

func (a *app) warehouseErasuresCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "erasures",
		Short: "Write the tombstones of erased vacancies to stdout, to keep beside backups",
		Long: `Write the tombstones of all erased vacancies to stdout, JSON line by line, ended by a seal. It is small and quick: keep one that is newer than the backup, elsewhere.
A restore takes it with --erasures, so that what was erased after the backup stays erased also when ClickHouse and Kafka have forgotten it. It holds ids of vacancies and no content.`,
		Example: "  jobstrom warehouse erasures > erasures.jsonl",
		Args:    args(cobra.NoArgs),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w, err := a.dialWarehouse(cmd.Context())
		if err != nil {
			return err
		}
		defer func() { _ = w.Close() }()
		_, err = w.ExportErasures(cmd.Context(), a.out)
		return err
	}
	return cmd
}

// readErasures reads exports; "-" is stdin.
func (a *app) readErasures(files []string) ([]warehouse.Erasure, error) {
	var all []warehouse.Erasure
	for _, name := range files {
		var from io.ReadCloser = io.NopCloser(a.in)
		if name != "-" {
			file, err := os.Open(name)
			if err != nil {
				return nil, fmt.Errorf("reading erasures: %w", err)
			}
			from = file
		}
		some, err := warehouse.ImportErasures(from)
		_ = from.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}
