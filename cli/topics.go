package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"jobstrom/kafka"
	"jobstrom/models"
)

func (a *app) topicsCommand() *cobra.Command {
	var create bool
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "List the flow's topics, create them, or bring them to what is declared",
		Args:  args(cobra.NoArgs),
	}
	cmd.AddCommand(a.topicsPlanCommand(), a.topicsApplyCommand())
	a.formatFlag(cmd)
	cmd.Flags().BoolVar(&create, "create", false, "create the topics that are missing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		card, err := models.ReadEncoderCard(a.encoderDir())
		if err != nil {
			return err
		}
		if create {
			if err := kafka.EnsureTopics(cmd.Context(), client, card.ID, a.config.layout()); err != nil {
				return err
			}
		}
		details, err := kafka.ListTopics(cmd.Context(), client, card.ID)
		if err != nil {
			return err
		}
		ends, err := kadm.NewClient(client).ListEndOffsets(cmd.Context(), details.Names()...)
		if err != nil {
			return fmt.Errorf("listing offsets: %w", err)
		}
		starts, err := kadm.NewClient(client).ListStartOffsets(cmd.Context(), details.Names()...)
		if err != nil {
			return fmt.Errorf("listing offsets: %w", err)
		}
		type line struct {
			Topic      string `json:"topic"`
			Partitions int    `json:"partitions"`
			Records    int64  `json:"records"`
			Policy     string `json:"policy"`
			Key        string `json:"key"`
		}
		var lines []line
		for _, t := range kafka.Topics(card.ID) {
			l := line{Topic: t.Name, Policy: "compact", Key: t.Key, Partitions: len(details[t.Name].Partitions)}
			switch {
			case t.Retention == kafka.Forever:
				l.Policy = "kept for ever"
			case !t.Compacted:
				l.Policy = fmt.Sprintf("delete, %d days", t.Retention/(24*time.Hour))
			}
			ends.Each(func(o kadm.ListedOffset) {
				if start, ok := starts.Lookup(o.Topic, o.Partition); ok && o.Topic == t.Name {
					l.Records += o.Offset - start.Offset
				}
			})
			lines = append(lines, l)
		}
		if a.format == "json" {
			return json.NewEncoder(a.out).Encode(lines)
		}
		w := a.table("topic", "partitions", "offsets", "policy", "key")
		for _, l := range lines {
			w.AppendRow(table.Row{l.Topic, l.Partitions, l.Records, l.Policy, l.Key})
		}
		w.Render()
		return nil
	}
	return cmd
}
