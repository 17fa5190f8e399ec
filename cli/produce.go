package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/schemas"
)

func (a *app) produceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "produce FILE...",
		Short: "Publish vacancies: JSONL, CSV with a header, or JSONL from stdin (-)",
		Long: `Publish the vacancies of files to ` + kafka.Raw + `. Those with a category are labelled history: their label goes to ` + kafka.Labels + ` too.
A bad line is reported with file, line and reason, the rest is published, and the exit status is 3.`,
		Example: "  jobstrom produce samples/vacancies.jsonl\n  jobstrom produce vacancies.csv --brokers kafka-1:9092",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	a.formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		client, err := a.dialToWrite(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		publisher := producers.NewPublisher(client, schemas.Jobnet())
		bad := []*producers.BadLine{}
		start := time.Now()
		bar := a.progress("publishing", 0, a.err)
		refuse := func(b *producers.BadLine) {
			bad = append(bad, b)
			bar.log("%v", b)
		}
		var unreadable error
		for _, name := range files {
			err := a.readFile(name, producers.ReadOptions{}, func(line int, v *schemas.Vacancy) error {
				bar.add(1)
				if err := publisher.Publish(cmd.Context(), v); err != nil {
					if cmd.Context().Err() != nil || publisher.Err() != nil {
						return err
					}
					refuse(&producers.BadLine{File: name, Line: line, Err: err})
				}
				return nil
			}, refuse)
			if err != nil {
				unreadable = err
				break
			}
		}
		published, labelled, err := publisher.Close(cmd.Context())
		bar.done()
		if a.format == "json" {
			_ = json.NewEncoder(a.out).Encode(map[string]any{"published": published, "labelled": labelled, "bad": bad})
		} else {
			fmt.Fprintf(a.out, "%d published, %d labelled, %d bad lines, %.1f s\n", published, labelled, len(bad), time.Since(start).Seconds())
		}
		switch {
		case err != nil:
			return err
		case unreadable != nil:
			return unreadable
		case len(bad) > 0:
			return errPartial
		}
		return nil
	}
	return cmd
}
