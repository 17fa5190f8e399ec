package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/schemas"
)

func (a *app) followCommand() *cobra.Command {
	var options consumers.FollowOptions
	var limit int
	cmd := &cobra.Command{
		Use:     "follow",
		Short:   "Watch what arrives on the classified topic",
		Example: "  jobstrom follow --from-start -n 10\n  jobstrom follow --format json | jq .category",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().BoolVar(&options.FromStart, "from-start", false, "begin with what is there already")
	cmd.Flags().IntVarP(&limit, "count", "n", 0, "end after this `many`; 0 follows until Ctrl-C")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		client.Close()
		options.Kafka = a.kafkaOptions()
		seen := 0
		return consumers.Follow(cmd.Context(), options, func(r *kgo.Record) (bool, error) {
			c, err := consumers.DecodeClassification(r)
			if errors.Is(err, consumers.ErrErasure) {
				if a.format == "json" {
					return true, json.NewEncoder(a.out).Encode(map[string]any{"id": string(r.Key), "erased": true})
				}
				return true, nil
			}
			if err != nil {
				return false, err
			}
			if a.format == "json" {
				line, err := schemas.Encode(schemas.JSON, c)
				if err != nil {
					return false, err
				}
				fmt.Fprintf(a.out, "%s\n", line)
			} else {
				fmt.Fprintln(a.out, row(c, c.ClassifiedAt.AsTime().Sub(kafka.RawTime(r))))
			}
			seen++
			return limit == 0 || seen < limit, nil
		})
	}
	return cmd
}

// row shows a classification: vacancy, category, confidence, time from publish to classified.
func row(c *schemas.Classification, took time.Duration) string {
	what := c.Id
	if len(c.Occupations) > 0 {
		what = c.Occupations[0]
	}
	return fmt.Sprintf("%s  %s  %5.1f %%  %7d ms", cut(what, 40), cut(c.Category, 50), 100*c.Confidence, took.Milliseconds())
}

// cut pads or shortens to a width, in code points.
func cut(s string, width int) string {
	n := utf8.RuneCountInString(s)
	if n > width {
		return string([]rune(s)[:width-1]) + "…"
	}
	return s + strings.Repeat(" ", width-n)
}
