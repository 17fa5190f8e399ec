package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
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
	var t training
	var reporting reporting
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a classifier on labelled history, and make it live when it is not worse",
		Long: `Read the labelled history (embeddings with their newest label) from ClickHouse, train a classifier, evaluate it on vacancies it has not seen,
write it to a file and register it on ` + kafka.Models + `. When it is right on at least as many of those vacancies as the champion, it becomes the champion:
running workers take it over between two batches. Otherwise it becomes a challenger: workers score it beside the champion, and
jobstrom models gate compares them on labelled traffic.

What the API answered is left out unless --origin asks for it: api trains on the feedback that people gave on its answers, all on that and on the stream's labels, where
a vacancy that both answered counts once.

Beside the classifier lies its split (.split.csv.gz): which vacancy was in which part. --split-from FILE trains on exactly that again.
A history that --memory does not hold lies in a file in the data folder while it is trained on.

--sweep FILE tries every combination of a grid like this one, and what was tried is not tried again when the sweep is interrupted:

  method: [lbfgs, adamw]
  class_weights: [none, balanced]
  l2: [1e-3, 1e-4, 1e-5]          # lbfgs alone
  learning_rate: [1e-2, 1e-3]     # adamw alone, like batch, epochs and decay`,
		Example: `  jobstrom train --dry-run --report report
  jobstrom train --since 2026-01-01 --split time --variant int8 --format json
  jobstrom train --sweep grid.yaml --rank macro_f1 --dry-run
  jobstrom train --method adamw --class-weights none --learning-rate 1e-3 --batch 512 --epochs 15 --promote never`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	t.flags(cmd)
	reporting.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := errors.Join(t.resolve(), reporting.validate()); err != nil {
			return err
		}
		stop, err := startProfile(t.profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		w, err := a.dialWarehouse(cmd.Context())
		if err != nil {
			return err
		}
		defer w.Close()
		done, err := a.trainAndRegister(cmd.Context(), w, t, reporting)
		if err != nil {
			return err
		}
		if a.format == "json" {
			return json.NewEncoder(a.out).Encode(done)
		}
		fmt.Fprintln(a.out, done.text)
		fmt.Fprintf(a.out, "\n%s\n\n", trainer.VariantTable(done.Variants))
		for _, path := range append([]string{done.File, done.Split}, done.Written...) {
			fmt.Fprintf(a.out, "written to %s\n", path)
		}
		if !t.dry {
			fmt.Fprintln(a.out, done.Publication)
		}
		return nil
	}
	return cmd
}

// trainAndRegister trains on the history, writes the classifier and its report, registers it and notes the run.
func (a *app) trainAndRegister(ctx context.Context, w *warehouse.Warehouse, t training, r reporting) (done outcome, err error) {
	started, taxonomy := time.Now(), schemas.Jobnet()
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return done, err
	}
	if !t.dry { // what would fail after the training fails before it
		if _, err := registry.Read(ctx, a.kafkaOptions()); err != nil {
			return done, err
		}
	}
	result, err := a.train(ctx, w, card, t)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	variants, err := trainer.Variants(ctx, result.Classifier, taxonomy, result.TestPart.Examples, r.compress)
	if err != nil {
		return done, err
	}
	result.Take(variants[slices.Index(trainer.Kinds, r.variant)])
	done.File = t.out
	if done.File == "" {
		done.File = filepath.Join(a.config.Data, "models", result.Classifier.Id+".bin")
	}
	if err := writeClassifier(done.File, result.Classifier); err != nil {
		return done, err
	}
	if done.Split, err = writeParts(done.File, result.Parts); err != nil {
		return done, err
	}
	if !t.dry {
		if done.Publication, err = a.publish(ctx, result, t); err != nil {
			return done, err
		}
	}
	done.Promoted = done.Publication.Alias == registry.Champion
	if done.Report, err = a.report(ctx, result, variants, done.Publication, t.seed, started); err != nil {
		return done, err
	}
	if err := w.InsertTrainingRun(ctx, trainingRun(result, done.Report, t.seed, done.Promoted)); err != nil {
		return done, err
	}
	if page, ok := a.config.modelPage(result.Classifier.Id); ok { // where the API and the web page look for it
		if err := writePage(page, done.Report); err != nil {
			return done, err
		}
	}
	done.text = result.Text(taxonomy.Names())
	done.Written, err = a.files(ctx, done.Report, r.dir, done.File)
	return done, err
}

// train reads the history that is asked for and trains on it.
func (a *app) train(ctx context.Context, w *warehouse.Warehouse, card models.EncoderCard, t training) (*trainer.Result, error) {
	o, filter := t.run, t.filter
	filter.Encoder = card.ID
	rows, err := w.CountHistory(ctx, filter)
	if err != nil {
		return nil, err
	}
	if rows == 0 {
		return nil, noHistory(ctx, w, filter)
	}
	if o.Dir, err = a.config.dataFolder("tmp"); err == nil {
		err = os.MkdirAll(o.Dir, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("making a folder for what memory does not hold: %w", err)
	}
	// Garbage is collected more often before the history takes more than it may.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), o.Memory+programMemory)))
	o.Card = &schemas.Card{EncoderName: card.Name, Version: version, History: &schemas.TrainingHistory{Source: filter.Source}}
	if filter.Origin != warehouse.OriginStream {
		o.Card.History.Origin = string(filter.Origin)
	}
	if !filter.Since.IsZero() {
		o.Card.History.Since = schemas.Time(filter.Since)
	}
	if !filter.Until.IsZero() {
		o.Card.History.Until = schemas.Time(filter.Until)
	}
	o.Encoder, o.Library, o.Rows = card.ID, a.config.embedOptions().Library, int(rows)
	if o.Journal, err = t.openJournal(); err != nil {
		return nil, err
	}
	if o.Journal != nil {
		defer o.Journal.Close()
	}
	o.Logger = a.log
	phases := a.phases()
	defer phases.done()
	o.Progress = phases.show
	result, err := trainer.Run(ctx, history(ctx, w, filter), o)
	if err == nil && o.Repeat != nil {
		phases.done()
		fmt.Fprintf(a.err, "of the split's %d vacancies %d are gone; %d others of the history are left out\n", len(o.Repeat), result.Gone, result.LeftOut)
	}
	return result, err
}

// programMemory is what the program takes beside a history.
const programMemory = 300 << 20

// noHistory says why there is nothing to train on.
func noHistory(ctx context.Context, w *warehouse.Warehouse, filter warehouse.HistoryFilter) error {
	counts, err := w.CountHistoryByEncoder(ctx, filter.Origin)
	if err != nil {
		return err
	}
	own := counts[filter.Encoder]
	delete(counts, filter.Encoder)
	var others uint64
	for _, n := range counts {
		others += n
	}
	switch {
	case own > 0:
		return fmt.Errorf("training: none of the %d labelled vacancies was received between --since and --until, from --source", own)
	case others > 0:
		return fmt.Errorf("training: the history holds %d labelled vacancies of %d other encoders, and none of %.12s: name theirs with --encoder, or embed them anew with jobstrom reprocess", others, len(counts), filter.Encoder)
	}
	if filter.Origin == warehouse.OriginAPI {
		return errors.New("training: nothing that the API answered is labelled: give feedback on its answers, or leave out --origin")
	}
	return errors.New("training: the history holds no labelled vacancies: publish some with a category, or labels on " + kafka.Labels)
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

// writeClassifier writes a classifier, into a folder that is made where it is absent.
func writeClassifier(path string, c *schemas.Classifier) error {
	data, err := models.EncodeClassifier(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing the classifier: %w", err)
	}
	if err := writeWhole(path, data, 0o644); err != nil {
		return fmt.Errorf("writing the classifier: %w", err)
	}
	return nil
}

// writeWhole writes a file whole or not at all, through to the disk.
func writeWhole(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".part"))
	}
	return os.Rename(path+".part", path)
}

// writeParts writes the split of a training beside its classifier.
func writeParts(classifier string, parts trainer.Parts) (path string, err error) {
	path = strings.TrimSuffix(classifier, filepath.Ext(classifier)) + ".split.csv.gz"
	var data bytes.Buffer
	if err := parts.Write(&data); err != nil {
		return "", err
	}
	if err := writeWhole(path, data.Bytes(), 0o644); err != nil {
		return "", fmt.Errorf("writing the split: %w", err)
	}
	return path, nil
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
