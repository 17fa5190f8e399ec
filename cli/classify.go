package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/models"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/producers"
	"jobstrom/schemas"
)

// fileBatch is how many vacancies of a file are classified together.
const fileBatch = 64

func (a *app) classifyCommand() *cobra.Command {
	var classifier string
	cmd := &cobra.Command{
		Use:   "classify FILE|-",
		Short: "Classify a file without Kafka: JSONL or CSV in, JSONL out",
		Long: `Classify a file of vacancies, JSONL or CSV (by its name), or JSONL from stdin (-). Each answer is a line of JSON, in the order of
the input. A line that cannot be classified is reported on stderr with file, line and reason; the exit status is then 3.`,
		Example: "  jobstrom classify samples/unseen.jsonl | head -1\n  echo '{\"text\":\"Vi søger en kok\"}' | jobstrom classify -",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			p, err := a.pipelineWith(cmd.Context(), classifier)
			if err != nil {
				return err
			}
			defer p.Close()
			names := p.Taxonomy.Names()
			return a.classifyFile(cmd.Context(), p, given[0], func(v *schemas.Vacancy, r pipeline.Result) error {
				c := pipeline.Classification(r.Extraction, r.Prediction, names, r.Model, p.Encoder.Card().ID)
				c.Truncated, c.ClassifiedAt = r.Vector.Truncated, schemas.Time(time.Now())
				line, err := schemas.Encode(schemas.JSON, c)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "%s\n", line)
				return err
			})
		},
	}
	classifierFlag(cmd, &classifier)
	return cmd
}

// classifierFlag lets a command that works without Kafka take another classifier.
func classifierFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "classifier", "", "`file` of a classifier, or id of one on Kafka (default the built-in one)")
}

// pipelineWith loads the three stages with a classifier, the built-in one where none is named.
func (a *app) pipelineWith(ctx context.Context, classifier string) (*pipeline.Pipeline, error) {
	p, err := a.pipeline(nil, parts{extracts: true, encodes: true})
	if err != nil || classifier == "" {
		return p, err
	}
	c, err := a.classifierOf(ctx, classifier, p.Encoder.Card().ID)
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	p.Live.Store(c)
	return p, nil
}

// classifyFile answers every vacancy of a file and reports those it cannot; then its error is errPartial.
func (a *app) classifyFile(ctx context.Context, p *pipeline.Pipeline, name string, f func(*schemas.Vacancy, pipeline.Result) error) error {
	return answerFile(ctx, a, name, p.Run, func(r pipeline.Result) error { return r.Err }, f)
}

// readFile reads the vacancies of a file or folder, or of stdin for "-".
func (a *app) readFile(name string, o producers.ReadOptions, f func(int, *schemas.Vacancy) error, bad func(*producers.BadLine)) error {
	if name == "-" {
		return producers.Read(a.in, name, producers.JSONL, o, f, bad)
	}
	return producers.ReadFile(name, o, f, bad)
}

// pipeline loads what is needed of the three stages: models are large. The employer key may be empty.
func (a *app) pipeline(employerKey []byte, need parts) (*pipeline.Pipeline, error) {
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return nil, err
	}
	taxonomy := schemas.Jobnet()
	p := &pipeline.Pipeline{Live: &classify.Live{}, Taxonomy: taxonomy}
	// Without a default for this encoder the flow waits for a trained one; the log says so.
	if c, err := classify.DefaultModel(card.ID); err != nil {
		a.log.Warn("no default classifier", "encoder", card.ID, "error", err)
	} else if err := a.promote(p, c); err != nil {
		return nil, err
	}
	if need.extracts {
		if p.Extractor, err = a.extractor(employerKey, false); err != nil {
			return nil, err
		}
	}
	if need.encodes {
		if p.Encoder, err = embed.New(a.config.embedOptions()); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// promote makes a classifier live in this process.
func (a *app) promote(p *pipeline.Pipeline, c *schemas.Classifier) error {
	classifier, err := classify.New(c, p.Taxonomy, a.config.classifyOptions())
	if err == nil {
		p.Live.Store(classifier)
	}
	return err
}
