package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) upCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Run everything on this machine until Ctrl-C",
		Long: `Run all stages, the sink, the watch for drift and the web page in this process. Kafka and ClickHouse are started here too, unless --brokers or --clickhouse
name others. Their data stays in --data and survives a restart.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := a.up(cmd.Context())
			if err != nil {
				return err
			}
			defer f.stop()
			fmt.Fprintln(a.out, "Ctrl-C ends it.")
			return f.wait()
		},
	}
}

// up starts the whole flow and says where its parts are.
func (a *app) up(ctx context.Context) (*flow, error) {
	if err := a.config.checkReach(); err != nil {
		return nil, err
	}
	start := time.Now()
	f, err := a.start(ctx, parts{service: "up", kafka: true, warehouse: true, pipeline: true, extracts: true, encodes: true, classifies: true})
	if err != nil {
		return nil, err
	}
	if err := f.runStages(ctx, stages, "0"); err != nil {
		f.stop()
		return nil, err
	}
	if err := f.watchDrift(); err != nil {
		f.stop()
		return nil, err
	}
	web, err := f.serve()
	if err != nil {
		f.stop()
		return nil, err
	}
	fmt.Fprintf(a.out, "up after %.1f s\n\n", time.Since(start).Seconds())
	fmt.Fprintf(a.out, "  web page    %s (%s)\n", a.config.webURL(web), a.config.reachNote())
	fmt.Fprintf(a.out, "  Kafka       %s\n", strings.Join(f.kafka.Brokers, ","))
	if f.clickHouseHTTP != "" {
		fmt.Fprintf(a.out, "  ClickHouse  http://%s/play (database %s)\n\n", f.clickHouseHTTP, a.config.Database)
	} else {
		fmt.Fprintf(a.out, "  ClickHouse  %s (database %s)\n\n", strings.Join(a.config.ClickHouse, ","), a.config.Database)
	}
	return f, nil
}

func (a *app) runCommand() *cobra.Command {
	var slot string
	cmd := &cobra.Command{
		Use:       "run STAGE",
		Short:     "Run one stage against a Kafka cluster: extract, embed, classify or sink",
		Long:      "Run the workers of one stage until SIGTERM, then finish the batches in hand. Scaling is more processes, each with a --slot of its own, and more --workers in each: partitions are shared among them all.",
		Example:   "  jobstrom run embed --brokers kafka-1:9092 --slot $HOSTNAME",
		ValidArgs: stages,
		Args:      args(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(a.config.Brokers) == 0 {
				return fmt.Errorf("run needs --brokers: the embedded Kafka lives inside jobstrom up (%w)", errUsage)
			}
			sink := slices.Contains(given, "sink")
			if sink && len(a.config.ClickHouse) == 0 {
				return fmt.Errorf("run sink needs --clickhouse: the embedded one lives inside jobstrom up (%w)", errUsage)
			}
			embed := slices.Contains(given, "embed")
			if embed && a.config.EmbedReuse && len(a.config.ClickHouse) == 0 {
				return fmt.Errorf("run embed needs --clickhouse for --embed-reuse: the embedded one lives inside jobstrom up (%w)", errUsage)
			}
			f, err := a.start(cmd.Context(), parts{service: given[0], kafka: true, warehouse: sink, pipeline: true, extracts: slices.Contains(given, "extract"), encodes: embed, classifies: slices.Contains(given, "classify")})
			if err != nil {
				return err
			}
			defer f.stop()
			if err := f.runStages(cmd.Context(), given, slot); err != nil {
				return err
			}
			return f.wait()
		},
	}
	cmd.Flags().StringVar(&slot, "slot", "0", "`name` of this process among the stage's; the same after a restart")
	return cmd
}
