package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/trainer"
	"jobstrom/warehouse"
)

// gatePairs bounds how many labelled vacancies a gate compares on, the newest: both models' probabilities are held in memory.
const gatePairs = 200_000

// gateResult is what a gate says of one challenger.
type gateResult struct {
	Challenger string              `json:"challenger"`
	Passed     bool                `json:"passed"`
	Checks     []trainer.GateCheck `json:"checks"`
	N          int                 `json:"n"`
	Champion   map[string]float64  `json:"champion_metrics"`
	Metrics    map[string]float64  `json:"challenger_metrics"`
	McNemar    trainer.McNemarTest `json:"mcnemar"`

	model *schemas.Classifier
	worse bool
}

func (a *app) modelsGateCommand() *cobra.Command {
	var o trainer.GateOptions
	var auto bool
	var since string
	cmd := &cobra.Command{
		Use:   "gate [MODEL]",
		Short: "Compare challengers with the champion on labelled traffic; --auto promotes the best that passes",
		Long: `Compare challengers, or one, with the champion on the labelled vacancies that both answered in the stream and that came after what they were trained on. A
challenger passes when it is right more often and not by chance (McNemar's test, whose level challengers share), and macro F1, calibration and no category
suffer. With --auto the best that passes becomes the champion, and challengers that are worse, and not by chance, are withdrawn.

The exit status is 0 when one passes, and with --auto is promoted, and 3 when none does.`,
		Example: `  jobstrom models gate
  jobstrom models gate 3fa9 --min-labels 1000 --since 168h
  jobstrom models gate --auto --format json`,
		Args: args(cobra.MaximumNArgs(1)), ValidArgsFunction: a.completeModels(1),
	}
	a.formatFlag(cmd)
	o.EnsureDefaults()
	cmd.Flags().BoolVar(&auto, "auto", false, "promote the best challenger that passes")
	cmd.Flags().StringVar(&since, "since", "", "vacancies that were received at this `time` or later: 168h (ago), 2026-03-14 or 2026-03-14T12:00:00Z (default all)")
	cmd.Flags().IntVar(&o.MinLabels, "min-labels", o.MinLabels, "least `number` of labelled vacancies")
	cmd.Flags().BoolVar(&o.NotWorse, "not-worse", false, "a challenger passes that is right as often, too")
	cmd.Flags().Float64Var(&o.Alpha, "alpha", o.Alpha, "`probability` of chance below which a difference counts")
	cmd.Flags().Float64Var(&o.MaxF1Loss, "max-f1-loss", o.MaxF1Loss, "how `much` macro F1 may fall")
	cmd.Flags().Float64Var(&o.MaxECEGain, "max-ece-gain", o.MaxECEGain, "how `much` the calibration error may rise")
	cmd.Flags().Float64Var(&o.MaxRecallLoss, "max-recall-loss", o.MaxRecallLoss, "how `much` recall a category may lose")
	cmd.Flags().IntVar(&o.MinSupport, "min-category", o.MinSupport, "`labels` from which on a category counts")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if err := o.Validate(); err != nil {
			return fmt.Errorf("%w (%w)", err, errUsage)
		}
		from, err := parseTime("since", since, time.Now())
		if err != nil {
			return err
		}
		name := ""
		if len(given) == 1 {
			name = given[0]
		}
		return a.gate(cmd.Context(), name, o, from, auto)
	}
	return cmd
}

func (a *app) gate(ctx context.Context, name string, o trainer.GateOptions, since time.Time, auto bool) error {
	contents, err := a.readModels(ctx)
	if err != nil {
		return err
	}
	scope, err := a.scope(contents)
	if err != nil {
		return err
	}
	expect := contents.Champions[scope]
	champion := contents.Models[expect]
	if champion == nil {
		champion = builtIn(scope)
	}
	if champion == nil {
		return fmt.Errorf("opening the gate: encoder %.12s has no champion: jobstrom models promote makes one", scope.Encoder)
	}
	var challengers []*schemas.Classifier
	for _, id := range contents.Challengers[scope] {
		if m := contents.Models[id]; m != nil {
			challengers = append(challengers, m)
		}
	}
	if name != "" {
		m, err := a.model(contents, name)
		if err != nil {
			return err
		}
		if contents.Alias(m) != registry.Challenger {
			return fmt.Errorf("opening the gate for %.12s: it is no challenger: jobstrom models challenge makes it one, whose answers can be compared after a while", m.Id)
		}
		challengers = []*schemas.Classifier{m}
	}
	w, err := a.dialWarehouse(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	var results []gateResult
	var best *gateResult
	for _, m := range challengers {
		r, err := compareOnTraffic(ctx, w, champion, m, since, o, len(challengers))
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	for i := range results {
		if r := &results[i]; r.Passed && (best == nil || r.Metrics["top1"] > best.Metrics["top1"]) {
			best = r
		}
	}
	promoted, withdrawn := "", []string{}
	if auto {
		if best != nil {
			reason := "gate: " + best.Checks[1].Said
			if _, err := a.writer().Promote(ctx, registry.Promotion{Classifier: best.model, Expect: &expect, BuiltIns: builtIns(), Reason: reason}); err != nil {
				return err
			}
			promoted = best.Challenger
		}
		for _, r := range results {
			if r.worse && r.N >= o.MinLabels {
				if _, err := a.writer().Withdraw(ctx, r.model, "gate: "+r.Checks[1].Said); err != nil {
					return err
				}
				withdrawn = append(withdrawn, r.Challenger)
			}
		}
	}
	if a.format == "json" {
		if results == nil {
			results = []gateResult{}
		}
		if err := json.NewEncoder(a.out).Encode(map[string]any{"champion": champion.Id, "results": results, "promoted": promoted, "withdrawn": withdrawn}); err != nil {
			return err
		}
	} else {
		a.printGate(champion.Id, results, promoted, withdrawn)
	}
	if best == nil {
		return errRefused
	}
	return nil
}

// compareOnTraffic compares on what neither model was trained on.
func compareOnTraffic(ctx context.Context, w *warehouse.Warehouse, champion, challenger *schemas.Classifier, since time.Time, o trainer.GateOptions, others int) (gateResult, error) {
	for _, m := range []*schemas.Classifier{champion, challenger} {
		if last := m.GetCard().GetHistory().GetLast(); last != nil && last.AsTime().After(since) {
			since = last.AsTime()
		}
	}
	k := int(challenger.Categories)
	var first, second [][]float32
	var truth []int
	err := w.ReadPairs(ctx, warehouse.PairFilter{Champion: champion.Id, Challenger: challenger.Id, Since: since, Limit: gatePairs}, func(p warehouse.Pair) error {
		if int(p.Truth) < k && len(p.Champion) == k && len(p.Challenger) == k {
			first, second, truth = append(first, p.Champion), append(second, p.Challenger), append(truth, int(p.Truth))
		}
		return nil
	})
	if err != nil {
		return gateResult{}, err
	}
	c := trainer.Compare(first, second, truth, k)
	r := gateResult{
		Challenger: challenger.Id, N: len(truth), Champion: c.Champion.Metrics(), Metrics: c.Challenger.Metrics(), McNemar: c.McNemar, model: challenger, worse: c.Worse(),
	}
	r.Passed, r.Checks = c.Gate(o, others, schemas.Jobnet().Names())
	return r, nil
}

func (a *app) printGate(champion string, results []gateResult, promoted string, withdrawn []string) {
	if len(results) == 0 {
		fmt.Fprintln(a.out, "no challengers: jobstrom train makes them, or jobstrom models challenge")
	}
	for _, r := range results {
		fmt.Fprintf(a.out, "challenger %.12s against champion %.12s on %d labelled vacancies\n", r.Challenger, champion, r.N)
		t := a.table("", "champion", "challenger")
		for _, name := range []string{"top1", "top3", "macro_f1", "log_loss", "brier", "ece"} {
			t.AppendRow(table.Row{name, fmt.Sprintf("%.4f", r.Champion[name]), fmt.Sprintf("%.4f", r.Metrics[name])})
		}
		t.Render()
		for _, c := range r.Checks {
			verdict := "ok     "
			if !c.Passed {
				verdict = "REFUSED"
			}
			fmt.Fprintf(a.out, "%s  %s: %s\n", verdict, c.Name, c.Said)
		}
		if r.Passed {
			fmt.Fprintf(a.out, "%.12s passes\n\n", r.Challenger)
		} else {
			fmt.Fprintf(a.out, "%.12s does not pass\n\n", r.Challenger)
		}
	}
	if promoted != "" {
		fmt.Fprintf(a.out, "%.12s is the champion\n", promoted)
	}
	for _, id := range withdrawn {
		fmt.Fprintf(a.out, "%.12s is no challenger any more\n", id)
	}
}
