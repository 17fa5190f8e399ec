package cli

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/pipeline/extract"
	"jobstrom/pipeline/extract/view"
	"jobstrom/schemas"
)

func (a *app) extractViewCommand() *cobra.Command {
	var out string
	var most int
	cmd := &cobra.Command{
		Use:   "view FILE|-",
		Short: "Write a page of vacancies with what was found marked in them",
		Long: `Write an HTML page of vacancies with their entities marked: by label, by what found them, with the score where the pointer rests. Where personal data stood, the page says of
what kind it was, never what it was. The page needs nothing but itself.`,
		Example: `  jobstrom extract view samples/unseen.jsonl
  jobstrom extract view vacancies.csv --count 10 --extractor both --gliner2 var/gliner2 --out both.html`,
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&out, "out", "entities.html", "`file` of the page")
	cmd.Flags().IntVarP(&most, "count", "n", 50, "how many vacancies to show, the first ones")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if most < 1 || most > 10_000 {
			return fmt.Errorf("--count is %d: it must be 1 to 10000 (%w)", most, errUsage)
		}
		x, err := a.extractor(nil, false)
		if err != nil {
			return err
		}
		defer x.Close()
		page := &view.Page{Extractor: x.Identity(), Version: version, Made: time.Now()}
		scrubber, shown := extract.NewScrubber(), 0
		err = a.inBatches(cmd.Context(), given[0], func(batch []*schemas.Vacancy, _ func(int, error)) error {
			wanted := batch[:min(len(batch), most-shown)]
			page.More += len(batch) - len(wanted)
			shown += len(wanted)
			results, err := x.Extract(cmd.Context(), wanted)
			if err != nil {
				return err
			}
			for i, r := range results {
				page.Add(wanted[i], r, scrubber)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errPartial) {
			return err
		}
		var text bytes.Buffer
		if err := page.HTML(&text); err != nil {
			return err
		}
		if err := writeWhole(out, text.Bytes(), 0o644); err != nil {
			return fmt.Errorf("writing the page: %w", err)
		}
		fmt.Fprintf(a.out, "The page is %s\n", out)
		return err
	}
	return cmd
}
