package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/trainer"
	"jobstrom/trainer/report"
	"jobstrom/warehouse"
)

func (a *app) trainCommand() *cobra.Command {
	var out, since, profile, promote string
	var seed uint64
	o := trainer.RunOptions{}
	var dry bool
	var reporting reporting
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a classifier on labelled history, and make it live when it is not worse",
		Long: `Read the labelled history (embeddings with their newest label) from ClickHouse, train a classifier, evaluate it on vacancies it has not seen,
write it to a file and register it on ` + kafka.Models + `. When it is right on at least as many of those vacancies as the champion, it becomes the champion:
running workers take it over between two batches. Otherwise it becomes a challenger: workers score it beside the champion, and
jobstrom models gate compares them on labelled traffic.`,
		Example: "  jobstrom train --dry-run --report report\n  jobstrom train --since 2026-01-01 --seed 7 --variant int8 --format json\n  jobstrom train --promote never",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&out, "out", "", "`file` of the classifier (default models/<id>.bin in the data folder)")
	cmd.Flags().StringVar(&since, "since", "", "first `day` of the history, like 2026-01-31 (default all)")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "decides the split and every other draw")
	cmd.Flags().StringVar(&o.Method, "method", trainer.MethodLBFGS, "lbfgs finds the best weights, adamw walks over mini-batches")
	cmd.Flags().StringVar(&o.ClassWeights, "class-weights", trainer.WeightsNone, "none, balanced or effective: how much more a rare category counts")
	cmd.Flags().StringVar(&profile, "profile", "", "write pprof files of processor and memory into this `folder`")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "train and evaluate, but register nothing")
	cmd.Flags().StringVar(&promote, "promote", promoteBetter, "make it the champion `when`: better (it is not worse than the champion on the same test vacancies), always or never; else it is a challenger")
	_ = cmd.RegisterFlagCompletionFunc("promote", cobra.FixedCompletions([]string{promoteBetter, promoteAlways, promoteNever}, cobra.ShellCompDirectiveNoFileComp))
	reporting.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := reporting.validate(); err != nil {
			return err
		}
		stop, err := startProfile(profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		ctx, started, taxonomy := cmd.Context(), time.Now(), schemas.Jobnet()
		if !slices.Contains([]string{promoteBetter, promoteAlways, promoteNever}, promote) {
			return fmt.Errorf("--promote is %q: use better, always or never (%w)", promote, errUsage)
		}
		filter := warehouse.HistoryFilter{}
		if since != "" {
			day, err := time.Parse(time.DateOnly, since)
			if err != nil {
				return fmt.Errorf("--since is %q: use a day like 2026-01-31 (%w)", since, errUsage)
			}
			filter.Since = day
		}
		card, err := models.ReadEncoderCard(a.encoderDir())
		if err != nil {
			return err
		}
		filter.Encoder = card.ID
		w, err := a.dialWarehouse(ctx)
		if err != nil {
			return err
		}
		defer w.Close()
		if !dry { // what would fail after the training fails before it
			if _, err := registry.Read(ctx, a.kafkaOptions()); err != nil {
				return err
			}
		}
		o.Card = &schemas.Card{EncoderName: card.Name, Version: version, History: &schemas.TrainingHistory{Source: filter.Source}}
		if !filter.Since.IsZero() {
			o.Card.History.Since = schemas.Time(filter.Since)
		}
		progress := a.progress("training", 0, a.err)
		o.Encoder, o.Taxonomy, o.Seed, o.Library = card.ID, taxonomy, seed, a.config.Library
		o.Progress = func(_, _, _ int, _ float64) { progress.add(1) }
		result, err := trainer.Run(ctx, history(ctx, w, filter), o)
		progress.done()
		if err != nil {
			return err
		}
		variants, err := trainer.Variants(ctx, result.Classifier, taxonomy, result.TestPart.Examples, reporting.compress)
		if err != nil {
			return err
		}
		result.Take(variants[slices.Index(trainer.Kinds, reporting.variant)])
		if out == "" {
			out = filepath.Join(a.config.Data, "models", result.Classifier.Id+".bin")
		}
		if err := writeClassifier(out, result.Classifier); err != nil {
			return err
		}
		outcome := publication{}
		if !dry {
			if outcome, err = a.publish(ctx, result, promote); err != nil {
				return err
			}
		}
		told, err := a.report(ctx, result, variants, outcome, seed, started)
		if err != nil {
			return err
		}
		if err := w.InsertTrainingRun(ctx, trainingRun(result, told, seed, outcome.Alias == registry.Champion)); err != nil {
			return err
		}
		written, err := a.files(ctx, told, reporting.dir, out)
		if err != nil {
			return err
		}
		if a.format == "json" {
			return json.NewEncoder(a.out).Encode(trainedJSON{Report: told, File: out, Written: written, Promoted: outcome.Alias == registry.Champion, Publication: outcome})
		}
		fmt.Fprintln(a.out, result.Text(taxonomy.Names()))
		fmt.Fprintf(a.out, "\n%s\n\nwritten to %s\n", trainer.VariantTable(told.Variants), out)
		for _, path := range written {
			fmt.Fprintf(a.out, "written to %s\n", path)
		}
		if !dry {
			fmt.Fprintln(a.out, outcome)
		}
		return nil
	}
	return cmd
}

// history streams the labelled history out of ClickHouse.
func history(ctx context.Context, w *warehouse.Warehouse, filter warehouse.HistoryFilter) trainer.History {
	return func(yield func(trainer.Row, error) bool) {
		stopped := false
		err := w.ReadHistory(ctx, filter, func(r warehouse.HistoryRow) error {
			row := trainer.Row{Vector: r.Vector, Category: int(r.CategoryIndex), Group: r.EmployerHash, ID: r.VacancyID, Source: r.Source, ReceivedAt: r.ReceivedAt}
			if !yield(row, nil) {
				stopped = true
				return context.Canceled
			}
			return nil
		})
		if err != nil && !stopped {
			yield(trainer.Row{}, err)
		}
	}
}

// writeClassifier writes a file whole or not at all.
func writeClassifier(path string, c *schemas.Classifier) error {
	data, err := models.EncodeClassifier(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing the classifier: %w", err)
	}
	if err := os.WriteFile(path+".part", data, 0o644); err != nil {
		return fmt.Errorf("writing the classifier: %w", err)
	}
	return os.Rename(path+".part", path)
}

func trainingRun(r *trainer.Result, told report.Report, seed uint64, published bool) warehouse.TrainingRun {
	confusion := make([][]uint32, len(r.Evaluation.Confusion))
	for i, row := range r.Evaluation.Confusion {
		for _, n := range row {
			confusion[i] = append(confusion[i], uint32(n))
		}
	}
	return warehouse.TrainingRun{
		RunID: uuid.NewString(), StartedAt: told.Started, FinishedAt: told.Finished, Encoder: r.Classifier.Encoder, Taxonomy: r.Classifier.Taxonomy, Model: r.Classifier.Id,
		Rows: uint64(r.Train + r.Validation + r.Test), Seed: seed, Settings: r.Classifier.Training, Metrics: told.Metrics(), Confusion: confusion, Published: published,
	}
}
