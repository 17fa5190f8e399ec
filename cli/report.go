package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/mlflow"
	"jobstrom/registry"
	"jobstrom/schemas"
	"jobstrom/trainer"
	"jobstrom/trainer/report"
)

// reporting is what jobstrom train does beside training: variants, and the report of them.
type reporting struct {
	dir, variant string
	compress     trainer.CompressOptions
}

func (r *reporting) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.dir, "report", "", "write a page, its numbers and the classifier as ONNX into this `folder`")
	cmd.Flags().StringVar(&r.variant, "variant", trainer.Plain, "what to write and promote: plain, int8 (a quarter of the size), pruned or both")
	cmd.Flags().Float64Var(&r.compress.Prune, "prune", .2, "`share` of the weights that pruned and both leave out")
	cmd.Flags().BoolVar(&r.compress.PerTensor, "int8-per-tensor", false, "give the bytes of int8 and both one scale, not one for each category")
}

func (r *reporting) validate() error {
	if !slices.Contains(trainer.Kinds, r.variant) {
		return fmt.Errorf("--variant is %q: use one of %v (%w)", r.variant, trainer.Kinds, errUsage)
	}
	if !(r.compress.Prune > 0 && r.compress.Prune < 1) {
		return fmt.Errorf("--prune is %v: use a share above 0 and below 1 (%w)", r.compress.Prune, errUsage)
	}
	return nil
}

// report tells of a result and its variants, and sets it beside the live model: the one that it was compared with when it was published, in a dry
// run the one that Kafka names.
func (a *app) report(ctx context.Context, result *trainer.Result, variants []trainer.Variant, published publication, seed uint64, started time.Time) (report.Report, error) {
	taxonomy := schemas.Jobnet()
	o := report.Options{
		Taxonomy: taxonomy, Version: version, Started: started, Finished: time.Now(), Variants: variants, Seed: seed,
		Champion: published.Former, Comparison: published.Comparison,
	}
	if published.Alias == "" {
		if champion := a.champion(ctx, result.Classifier); champion != nil {
			comparison, err := trainer.CompareWith(champion, taxonomy, result.TestPart)
			if err != nil {
				return report.Report{}, err
			}
			o.Champion, o.Comparison = champion.Id, &comparison
		}
	}
	return report.New(result, o), nil
}

// championWithin bounds how long a training waits for Kafka to say what is live.
const championWithin = 10 * time.Second

// champion returns the live model, or nil: a training that cannot be compared is as good.
func (a *app) champion(ctx context.Context, c *schemas.Classifier) *schemas.Classifier {
	ctx, cancel := context.WithTimeout(ctx, championWithin)
	defer cancel()
	champion, err := registry.Find(ctx, a.kafkaOptions(), registry.ScopeOf(c), "")
	if errors.Is(err, registry.ErrUnknown) {
		return builtIn(registry.ScopeOf(c))
	}
	if err != nil {
		a.log.Warn("the live model is not compared", "error", err)
	}
	return champion
}

// files writes the report where it is wanted, and logs it to MLflow where that is set. file is the classifier's.
func (a *app) files(ctx context.Context, r report.Report, dir, file string) ([]string, error) {
	var written []string
	if dir != "" {
		var err error
		if written, err = r.Write(dir); err != nil {
			return nil, err
		}
	}
	if o := mlflow.FromEnvironment(); o.URI != "" {
		if err := a.logRun(ctx, o, r, written, file); err != nil {
			a.log.Warn("the training is not in MLflow", "error", err) // it is in ClickHouse, and the classifier is as good
		}
	}
	return written, nil
}

func (a *app) logRun(ctx context.Context, o mlflow.Options, r report.Report, written []string, file string) error {
	if written == nil {
		dir, err := os.MkdirTemp("", "jobstrom-report-")
		if err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		defer os.RemoveAll(dir)
		if written, err = r.Write(dir); err != nil {
			return err
		}
	}
	params := maps.Clone(r.Settings)
	params["encoder"], params["taxonomy"] = r.Encoder, r.Taxonomy
	run := mlflow.Run{
		Name: "jobstrom " + r.Model[:12], Started: r.Started, Finished: r.Finished, Params: params, Metrics: r.Metrics(), Curves: map[string][]mlflow.Point{},
		Tags: map[string]string{"model": r.Model, "jobstrom.version": r.Version}, Files: append(slices.Clone(written), file),
	}
	for _, p := range r.Trials[0].Curve.Points {
		run.Curves["loss"] = append(run.Curves["loss"], mlflow.Point{Step: p.Step, Value: p.Loss})
		run.Curves["gradient"] = append(run.Curves["gradient"], mlflow.Point{Step: p.Step, Value: p.Gradient})
	}
	id, err := mlflow.Log(ctx, o, run)
	if err != nil {
		return err
	}
	a.log.Info("logged to MLflow", "run", id)
	return nil
}

// writePage writes a report's page alone.
func writePage(path string, r report.Report) error {
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := writeWhole(path, page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// outcome is what became of a training, as jobstrom train prints it for programs.
type outcome struct {
	report.Report
	File     string   `json:"file"`
	Split    string   `json:"split"`
	Written  []string `json:"written"`
	Promoted bool     `json:"promoted"`
	// Publication is empty in a dry run.
	Publication publication `json:"publication"`
	text        string      // the same for people
}
