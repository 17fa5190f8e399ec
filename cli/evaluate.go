package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"jobstrom/pipeline"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

func (a *app) evaluateCommand() *cobra.Command {
	var classifier string
	cmd := &cobra.Command{
		Use:     "evaluate FILE|-",
		Short:   "Measure the classifier on labelled vacancies",
		Long:    "Classify labelled vacancies and compare: top-1, top-3, macro F1, figures for each category, confusion matrix. A vacancy without a known category is refused.",
		Example: "  jobstrom evaluate samples/unseen.jsonl\n  jobstrom evaluate samples/unseen.jsonl --format json | jq .top1\n  jobstrom evaluate samples/unseen.jsonl --classifier var/models/3f….bin",
		Args:    args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	classifierFlag(cmd, &classifier)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		p, err := a.pipelineWith(cmd.Context(), classifier)
		if err != nil {
			return err
		}
		defer p.Close()
		var probabilities [][]float32
		var truth []int
		unlabelled := 0
		err = a.classifyFile(cmd.Context(), p, given[0], func(v *schemas.Vacancy, r pipeline.Result) error {
			category, err := p.Taxonomy.Find(v.Category)
			if err != nil {
				unlabelled++
				fmt.Fprintf(a.err, "%s: vacancy %s: %v\n", given[0], v.Id, err)
				return nil
			}
			probabilities, truth = append(probabilities, r.Prediction.Probabilities), append(truth, category.Index)
			return nil
		})
		if err != nil && err != errPartial {
			return err
		}
		if len(truth) == 0 {
			return fmt.Errorf("evaluating %s: no labelled vacancies: give each a category", given[0])
		}
		evaluation := trainer.Evaluate(probabilities, truth, len(p.Taxonomy.Categories))
		if a.format == "json" {
			if err := json.NewEncoder(a.out).Encode(evaluation); err != nil {
				return err
			}
		} else {
			fmt.Fprintln(a.out, evaluation.Text(p.Taxonomy.Names()))
		}
		if unlabelled > 0 {
			return errPartial
		}
		return err
	}
	return cmd
}
