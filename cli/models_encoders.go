package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/kafka"
	"jobstrom/registry"
	"jobstrom/schemas"
)

// encoderLine is an encoder for machines.
type encoderLine struct {
	// Encoder is its id; of one without a champion the beginning of it, which its topic has.
	Encoder string `json:"encoder"`
	Name    string `json:"name"`
	// State is live, becoming live (a switch is pending), former (it answers what it still owns), standby or no champion.
	State    string     `json:"state"`
	Since    *time.Time `json:"live_since"`
	Champion string     `json:"champion"`
	Topic    string     `json:"topic"`
}

// encoderLines lists the live encoder, then the others.
func encoderLines(c *registry.Contents, taxonomy string, topics []string) []encoderLine {
	now := c.Ownership(taxonomy)
	lines := map[string]encoderLine{}
	for scope, champion := range c.Champions {
		if scope.Taxonomy == taxonomy {
			lines[scope.Encoder] = encoderLine{Encoder: scope.Encoder, Name: c.Models[champion].GetCard().GetEncoderName(), State: "standby", Champion: champion}
		}
	}
	for _, e := range now.Encoders() { // the default's classifier may answer without being a champion
		line := lines[e]
		line.Encoder, line.State = e, "former"
		if e == now.Live() {
			line.State = "live"
			if at := now.Since(); !at.IsZero() {
				line.Since = &at
			}
		}
		lines[e] = line
	}
	if pending := now.Pending(); pending != "" {
		line := lines[pending]
		line.State = "becoming live"
		lines[pending] = line
	}
	var all []encoderLine
	for _, line := range lines {
		line.Topic = kafka.Embedded(line.Encoder)
		all = append(all, line)
	}
	for _, topic := range topics {
		if !slices.ContainsFunc(all, func(l encoderLine) bool { return l.Topic == topic }) {
			all = append(all, encoderLine{Encoder: strings.TrimPrefix(topic, kafka.Embedded("")), State: "no champion", Topic: topic})
		}
	}
	rank := []string{"live", "becoming live", "former", "standby", "no champion"}
	slices.SortFunc(all, func(a, b encoderLine) int {
		return cmp.Or(slices.Index(rank, a.State)-slices.Index(rank, b.State), strings.Compare(a.Encoder, b.Encoder))
	})
	return all
}

// embeddedTopics lists the topics of every encoder's vectors.
func (a *app) embeddedTopics(ctx context.Context) ([]string, error) {
	client, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return kafka.EmbeddedTopics(ctx, client)
}

func (a *app) modelsEncodersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "encoders",
		Short: "List encoders: the live one first",
		Long: `List the encoders whose vectors flow or whose classifiers are promoted. Of several that work side by side one is live: its champion answers on
` + kafka.Classified + `, the others' champions on ` + kafka.Shadow + `, for comparison. An encoder without a champion waits. jobstrom models switch makes another one live.`,
		Example: "  jobstrom models encoders\n  jobstrom models encoders --format json | jq -r 'select(.state == \"live\").encoder'",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		topics, err := a.embeddedTopics(cmd.Context())
		if err != nil {
			return err
		}
		lines := encoderLines(contents, schemas.Jobnet().ID, topics)
		if a.format == "json" {
			return a.encodeLines(len(lines), func(i int) any { return lines[i] })
		}
		if len(lines) == 0 {
			fmt.Fprintln(a.out, "no encoders: nothing was embedded and no model promoted here")
			return nil
		}
		t := a.table("encoder", "name", "state", "live since (UTC)", "champion", "topic")
		for _, l := range lines {
			t.AppendRow(table.Row{kafka.Short(l.Encoder), l.Name, l.State, when(l.Since), fmt.Sprintf("%.12s", l.Champion), l.Topic})
		}
		t.Render()
		return nil
	}
	return cmd
}

func (a *app) modelsSwitchCommand() *cobra.Command {
	var reason, expect string
	cmd := &cobra.Command{
		Use:   "switch ENCODER",
		Short: "Make another encoder live: its champion answers from now on",
		Long: `Make another encoder live. Its champion classifies what is published from now on; what was published before stays with the encoder that was live, also where
that has still to be done, so each vacancy is classified exactly once. Both encoders' stages must run; keep those of the former one until jobstrom lag shows that they have
read everything, then stop them. Switching back is the same command. ENCODER is the beginning of an id of jobstrom models encoders, which needs a champion.

The switch waits for nobody, and classify workers stand still for the moment it takes. If it breaks off they stand until it is run again, with the same encoder, or with the
live one to take it back. docs/encoders.md tells the whole way.`,
		Example: `  jobstrom models switch 3fa9 --reason "the larger encoder is right more often"
  jobstrom models switch 3fa9 --expect 6724`,
		Args: args(cobra.ExactArgs(1)), ValidArgsFunction: a.completeEncoders,
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the history")
	cmd.Flags().StringVar(&expect, "expect", "", "only in place of this `encoder`")
	_ = cmd.RegisterFlagCompletionFunc("expect", a.completeEncoders)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		taxonomy := schemas.Jobnet().ID
		encoder, err := contents.FindEncoder(taxonomy, given[0])
		if err != nil {
			return err
		}
		before := contents.Ownership(taxonomy).Live()
		if expect != "" {
			if before, err = contents.FindEncoder(taxonomy, expect); err != nil {
				return err
			}
		}
		e, err := a.writer().Switch(cmd.Context(), registry.Switch{
			Scope: registry.Scope{Taxonomy: taxonomy, Encoder: encoder}, Expect: &before, Reason: reason, BuiltIns: builtIns(),
		})
		if err != nil {
			return err
		}
		if a.format == "json" {
			return a.encodeLines(1, func(int) any {
				return map[string]any{"encoder": encoder, "changed": e != nil, "action": e.GetAction(), "champion": e.GetModel()}
			})
		}
		said := map[string]string{
			"": "is live already", registry.BecameLive: "is live, from the beginning", registry.Switched: "is live, for what is published from now on", registry.Stayed: "stays live",
		}[e.GetAction()]
		fmt.Fprintf(a.out, "encoder %s %s\n", kafka.Short(encoder), said)
		return nil
	}
	return cmd
}

// completeEncoders completes encoders with a champion.
func (a *app) completeEncoders(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	config, err := loadConfig(cmd.Flags())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	a.config, a.log = config, config.logger(a.err)
	ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
	defer cancel()
	contents, err := a.readModels(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var completions []cobra.Completion
	for _, l := range encoderLines(contents, schemas.Jobnet().ID, nil) {
		if strings.HasPrefix(l.Encoder, begun) {
			completions = append(completions, cobra.CompletionWithDesc(kafka.Short(l.Encoder), strings.TrimSpace(l.State+" "+l.Name)))
		}
	}
	return completions, cobra.ShellCompDirectiveNoFileComp
}
