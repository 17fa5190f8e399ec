package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/schemas"
)

func (a *app) extractCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "extract FILE|-",
		Short: "Extract occupations, skills and tasks from a file without Kafka, free of personal data",
		Long: `Extract a file of vacancies, JSONL or CSV (by its name), or JSONL from stdin (-), with what --extractor names: the rules, a GLiNER2 model or both. Each extraction is
a line of JSON, in the order of the input, with its entities: what they are, where they stand, who found them and how sure. Offsets count code points of the cleaned title,
two line feeds and the cleaned text. A line that cannot be extracted is reported on stderr with file, line and reason; the exit status is then 3.`,
		Example: `  jobstrom extract samples/unseen.jsonl | jq -c '.entities[] | [.label, .text]'
  jobstrom extract view samples/unseen.jsonl --out page.html
  jobstrom extract evaluate annotated.jsonl --extractor gliner2 --gliner2 var/gliner2`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			x, err := a.extractor(nil, false)
			if err != nil {
				return err
			}
			defer x.Close()
			return a.extractFile(cmd.Context(), x, given[0], func(_ *schemas.Vacancy, r extract.Result) error {
				line, err := schemas.Encode(schemas.JSON, r.Extraction)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "%s\n", line)
				return err
			})
		},
	}
	cmd.AddCommand(a.extractEvaluateCommand(), a.extractViewCommand(), a.extractClassifyCommand())
	return cmd
}

// extractFile extracts every vacancy of a file and reports those it cannot; then its error is errPartial.
func (a *app) extractFile(ctx context.Context, x *extract.Extractor, name string, f func(*schemas.Vacancy, extract.Result) error) error {
	return answerFile(ctx, a, name, x.Extract, func(r extract.Result) error { return r.Err }, f)
}

// answerFile hands the vacancies of a file to answer, and each with its answer to f, or reports why it has none; then its error is errPartial.
func answerFile[R any](ctx context.Context, a *app, name string, answer func(context.Context, []*schemas.Vacancy) ([]R, error), refusal func(R) error, f func(*schemas.Vacancy, R) error) error {
	return a.inBatches(ctx, name, func(batch []*schemas.Vacancy, bad func(i int, err error)) error {
		results, err := answer(ctx, batch)
		if err != nil {
			return err
		}
		for i, r := range results {
			if err := refusal(r); err != nil {
				bad(i, err)
			} else if err := f(batch[i], r); err != nil {
				return err
			}
		}
		return nil
	})
}

// inBatches hands the vacancies of a file to f, fileBatch at a time. What cannot be read, and what f says is bad of its batch, is reported; then the error is
// errPartial.
func (a *app) inBatches(ctx context.Context, name string, f func(batch []*schemas.Vacancy, bad func(i int, err error)) error) error {
	refused := 0
	report := func(b *producers.BadLine) {
		refused++
		fmt.Fprintln(a.err, b)
	}
	var batch []*schemas.Vacancy
	var lines []int
	flush := func() error {
		err := f(batch, func(i int, err error) { report(&producers.BadLine{File: name, Line: lines[i], Err: err}) })
		batch, lines = batch[:0], lines[:0]
		return err
	}
	err := a.readFile(name, producers.ReadOptions{}, func(line int, v *schemas.Vacancy) error {
		batch, lines = append(batch, v), append(lines, line)
		if len(batch) < fileBatch {
			return ctx.Err()
		}
		return flush()
	}, report)
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	if err == nil && refused > 0 {
		err = errPartial
	}
	return err
}

func (a *app) extractClassifyCommand() *cobra.Command {
	var labels []string
	cmd := &cobra.Command{
		Use:   "classify FILE|-",
		Short: "Classify vacancies into categories that nothing was trained on",
		Long: `Ask a GLiNER2 model (--gliner2) which of some labels each vacancy is, without any training: for a new taxonomy that has no history yet. Without --labels these are
the names of the 22 categories. Each answer is a line of JSON with the probability of each label, in the order of the input; the probabilities sum to 1.`,
		Example: `  jobstrom extract classify vacancies.jsonl --gliner2 var/gliner2
  jobstrom extract classify vacancies.jsonl --gliner2 var/gliner2 --labels fuldtid,deltid`,
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringSliceVar(&labels, "labels", nil, "`names` of at least two labels, by comma (default the 22 categories)")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if !cmd.Flags().Changed("labels") {
			labels = schemas.Jobnet().Names()
		}
		seen := map[string]bool{}
		for i, label := range labels {
			labels[i] = strings.TrimSpace(label)
			if labels[i] == "" || seen[labels[i]] {
				return fmt.Errorf("--labels holds %q, which is empty or there twice (%w)", label, errUsage)
			}
			seen[labels[i]] = true
		}
		if len(labels) < 2 {
			return fmt.Errorf("--labels must hold at least two labels (%w)", errUsage)
		}
		if a.config.GLiNER2 == "" {
			return fmt.Errorf("extract classify needs --gliner2, the folder of a model: jobstrom models pull makes one (%w)", errUsage)
		}
		x, err := a.extractor(nil, true)
		if err != nil {
			return err
		}
		defer x.Close()
		out := json.NewEncoder(a.out)
		out.SetEscapeHTML(false)
		return a.inBatches(cmd.Context(), given[0], func(batch []*schemas.Vacancy, _ func(int, error)) error {
			probabilities, err := x.Classify(cmd.Context(), batch, labels)
			if err != nil {
				return err
			}
			for i, v := range batch {
				if err := out.Encode(newZeroShot(v.Id, labels, probabilities[i])); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// zeroShot is what a model says of labels that it was not trained on.
type zeroShot struct {
	ID            string             `json:"id"`
	Label         string             `json:"label"`
	Confidence    float32            `json:"confidence"`
	Probabilities map[string]float32 `json:"probabilities"`
}

func newZeroShot(id string, labels []string, probabilities []float32) zeroShot {
	z := zeroShot{ID: id, Probabilities: map[string]float32{}}
	for i, p := range probabilities {
		if z.Probabilities[labels[i]] = p; p > z.Confidence {
			z.Label, z.Confidence = labels[i], p
		}
	}
	return z
}
