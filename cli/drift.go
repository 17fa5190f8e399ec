package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
	"jobstrom/drift/report"
	"jobstrom/warehouse"
)

// errDrift says that drift was found where --fail-on asked for it.
var errDrift = errors.New("drift was found, see above")

func (a *app) driftCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drift",
		Short: "Compare the vacancies of now with those of before",
		Long: `Compare two windows of the time at which vacancies were published: the reference and the current one. A window is ` + drift.Windows + `.
Any ClickHouse client can ask for the same figures in SQL, by the views whose names begin with drift_.`,
		Args: args(cobra.NoArgs),
	}
	cmd.AddCommand(a.driftReportCommand(), a.driftWatchCommand(), a.driftEventsCommand())
	return cmd
}

// failures are the verdicts that end jobstrom drift report with status 4, by the value of --fail-on.
var failures = map[string][]alarms.Verdict{"never": nil, "drift": {alarms.Drift}, "possible": {alarms.Drift, alarms.Possible}}

func (a *app) driftReportCommand() *cobra.Command {
	var o drift.Options
	var reference, current, out, failOn, origin string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Compare two windows, column by column, and write a page about it",
		Long: `Compare what was published in two windows: categories, labels, confidence, lengths, counts, attributes and embeddings. Each column gets a verdict:
none (chance explains the difference), possible (it does not, but the difference is small) or drift, beside the size of the difference.

A window is ` + drift.Windows + `. The reference can also be ` + drift.References + `.

What chance does is found from the windows themselves: what one employer publishes on one day is drawn as a whole, because it is not independent.
Of several columns no more than --alpha of those that are said to differ do so by chance. The preset evidently applies that tool's rules instead.

What the API answered is left out unless --origin asks for it: api compares its answers alone, all those of the stream and of the API together. The embeddings then get a
verdict, but no map, statistics or examples, and a reference that is a model's is still the time of the stream that it was trained on.`,
		Example: `  jobstrom drift report --reference 2022 --current 2024
  jobstrom drift report --reference model --current "last 7d" --fail-on drift
  jobstrom drift report --reference 2024-01..2024-06 --current 2024-07 --format json | jq '.columns[] | {name, verdict, effect}'`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&reference, "reference", "model", "`window` of before")
	f.StringVar(&current, "current", "last 7d", "`window` of now")
	f.StringVar(&o.Encoder, "encoder", "", "`identity` of the encoder whose embeddings are compared (default the one with most vacancies in the current window)")
	f.StringVar(&o.Model, "model", "", "compare predictions of this `model` alone (default the newest prediction of each vacancy)")
	originFlag(cmd, &origin, "compare what `origin` answered: stream, api or all")
	f.StringVar(&o.Preset, "preset", drift.Calibrated, "rule for the verdicts: calibrated or evidently")
	f.Float64Var(&o.Alarms.Alpha, "alpha", .05, "`share` of false alarms that is accepted")
	f.Uint64Var(&o.Alarms.Seed, "seed", 1, "decides what is drawn")
	f.StringVar(&out, "out", "drift.html", "`file` of the page; empty for none")
	f.StringVar(&failOn, "fail-on", "never", "end with status 4 `when` this is found: drift, possible (or drift) or never")
	for flag, values := range map[string][]string{"preset": drift.Presets, "fail-on": {"never", "drift", "possible"}} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, known := failures[failOn]; !known {
			return fmt.Errorf("--fail-on is %q: use drift, possible or never (%w)", failOn, errUsage)
		}
		var err error
		if o.Origin, err = parseOrigin(origin); err != nil {
			return err
		}
		if o.Current, err = drift.ParseWindow(current, time.Now()); err != nil {
			return fmt.Errorf("--current: %w (%w)", err, errUsage)
		}
		given, err := drift.ParseReference(reference, time.Now())
		if err != nil {
			return fmt.Errorf("--reference: %w (%w)", err, errUsage)
		}
		var known bool
		if o.Reference, known = given.Window(); known {
			whole := o
			whole.EnsureDefaults()
			if err := whole.Validate(); err != nil {
				return fmt.Errorf("%w (%w)", err, errUsage)
			}
		}
		w, err := a.dialWarehouse(cmd.Context())
		if err != nil {
			return err
		}
		defer w.Close()
		if o.Reference, err = given.Resolve(cmd.Context(), w, o.Current); err != nil {
			return err
		}
		comparison, err := a.compareWindows(cmd.Context(), w, o)
		if err != nil {
			return err
		}
		if err := a.writeDriftReport(report.Options{Comparison: comparison, Version: version, Made: time.Now()}, out); err != nil {
			return err
		}
		if slices.Contains(failures[failOn], comparison.Verdict) {
			return errDrift
		}
		return nil
	}
	return cmd
}

// originFlag asks whose answers a command takes.
func originFlag(cmd *cobra.Command, origin *string, help string) {
	cmd.Flags().StringVar(origin, "origin", string(warehouse.OriginStream), help)
	var values []string
	for _, o := range warehouse.Origins() {
		values = append(values, string(o))
	}
	_ = cmd.RegisterFlagCompletionFunc("origin", cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func parseOrigin(text string) (warehouse.Origin, error) {
	origin := warehouse.Origin(text)
	if !slices.Contains(warehouse.Origins(), origin) {
		return "", fmt.Errorf("--origin is %q: use stream, api or all (%w)", text, errUsage)
	}
	return origin, nil
}

// compareWindows compares, with bars that say what is being done.
func (a *app) compareWindows(ctx context.Context, w *warehouse.Warehouse, o drift.Options) (*drift.Comparison, error) {
	phases := a.phases()
	defer phases.done()
	o.Progress = func(step string) { phases.show(step, 0, 0) }
	return drift.Compare(ctx, w, o)
}

// writeDriftReport writes the page to a file and the figures to the output.
func (a *app) writeDriftReport(r report.Options, file string) error {
	if file != "" {
		var page bytes.Buffer
		if err := r.HTML(&page); err != nil {
			return err
		}
		if err := writeWhole(file, page.Bytes(), 0o644); err != nil {
			return fmt.Errorf("writing the page: %w", err)
		}
	}
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(r.Comparison)
	}
	if err := r.Text(a.out); err != nil {
		return err
	}
	if file != "" {
		fmt.Fprintf(a.out, "\nThe page is %s\n", file)
	}
	return nil
}
