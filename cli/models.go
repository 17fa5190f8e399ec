package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/registry"
	"jobstrom/schemas"
)

func (a *app) modelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "models",
		Short: "See which models there are and which is live, compare them, change that",
		Long: `Models lie on ` + kafka.Models + `. For each encoder one is the champion; consumers read the answers of the live encoder's; challengers are scored beside it, for
comparison alone. What was done to models, and when, lies on ` + kafka.ModelHistory + ` for ever.

A model is named by its id or the beginning of it, by a file that jobstrom train wrote, by champion, or by challenger, which is the newest one.`,
		Example: `  jobstrom models list
  jobstrom models diff champion 3fa9
  jobstrom models promote 3fa9 --reason "fewer teachers among the managers"
  jobstrom models rollback`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.modelsListCommand(), a.modelsShowCommand(), a.modelsDiffCommand(), a.modelsHistoryCommand(), a.modelsPromoteCommand(), a.modelsRollbackCommand(),
		a.modelsChallengeCommand(), a.modelsRetireCommand(), a.modelsGateCommand(), a.modelsImportCommand(), a.modelsPullCommand(), a.modelsExportGLiNER2Command(), a.modelsQuantizeCommand(), a.modelsCompareCommand(),
		a.modelsEncodersCommand(), a.modelsSwitchCommand(), a.modelsBackupCommand(), a.modelsRestoreCommand())
	return cmd
}

// readModels reads the registry of a flow that runs already.
func (a *app) readModels(ctx context.Context) (*registry.Contents, error) {
	client, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	client.Close()
	return registry.Read(ctx, a.kafkaOptions())
}

// scope is the encoder, and its categories, that commands mean: the registry's only one, else --encoder's.
func (a *app) scope(c *registry.Contents) (registry.Scope, error) {
	scopes := map[registry.Scope]bool{}
	for _, m := range c.Models {
		scopes[registry.ScopeOf(m)] = true
	}
	if len(scopes) == 1 {
		return slices.Collect(maps.Keys(scopes))[0], nil
	}
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return registry.Scope{}, fmt.Errorf("choosing among the models of %d encoders: name the folder of one with --encoder: %w", len(scopes), err)
	}
	return registry.Scope{Taxonomy: schemas.Jobnet().ID, Encoder: card.ID}, nil
}

// model returns what a name means.
func (a *app) model(c *registry.Contents, name string) (*schemas.Classifier, error) {
	if name == registry.Champion || name == registry.Challenger {
		scope, err := a.scope(c)
		if err != nil {
			return nil, err
		}
		if name == registry.Challenger {
			for _, id := range slices.Backward(c.Challengers[scope]) {
				if m := c.Models[id]; m != nil {
					return m, nil
				}
			}
			return nil, fmt.Errorf("finding the newest challenger: there is none: jobstrom models challenge MODEL makes one")
		}
		if m := c.Models[c.Champions[scope]]; m != nil {
			return m, nil
		}
		if m := builtIn(scope); m != nil {
			return m, nil
		}
		return nil, fmt.Errorf("finding the champion: there is none: jobstrom train makes one")
	}
	if strings.ContainsAny(name, "./") {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the model: %w", err)
		}
		m, err := models.DecodeClassifier(data)
		if err != nil {
			return nil, fmt.Errorf("reading the model of %s: %w", name, err)
		}
		return m, nil
	}
	return c.Find(name)
}

// completeModels completes ids, and says what each model is.
func (a *app) completeModels(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		config, err := loadConfig(cmd.Flags())
		if err != nil || len(given) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		a.config, a.log = config, config.logger(a.err)
		ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
		defer cancel()
		contents, err := a.readModels(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		completions := []cobra.Completion{cobra.CompletionWithDesc(registry.Champion, "the live model")}
		for _, line := range modelLines(contents) {
			completions = append(completions, cobra.CompletionWithDesc(line.Model[:12], strings.TrimSpace(line.Alias+" trained "+when(line.TrainedAt))))
		}
		return slices.DeleteFunc(completions, func(c cobra.Completion) bool { return !strings.HasPrefix(c, begun) }), cobra.ShellCompDirectiveDefault
	}
}

// modelLine is a model for machines.
type modelLine struct {
	Model     string             `json:"model"`
	Alias     string             `json:"alias"`
	LiveSince *time.Time         `json:"live_since"`
	TrainedAt *time.Time         `json:"trained_at"`
	Rows      uint64             `json:"rows"`
	Metrics   map[string]float64 `json:"metrics"`
	Bytes     int                `json:"bytes"`
	Encoder   string             `json:"encoder"`
	Taxonomy  string             `json:"taxonomy"`
}

func lineOfModel(c *registry.Contents, m *schemas.Classifier) modelLine {
	line := modelLine{Model: m.Id, Alias: c.Alias(m), Rows: m.GetCard().GetHistory().GetRows(), Metrics: m.Metrics, Encoder: m.Encoder, Taxonomy: m.Taxonomy}
	if data, err := models.EncodeClassifier(m); err == nil {
		line.Bytes = len(data)
	}
	if m.TrainedAt != nil {
		at := m.TrainedAt.AsTime()
		line.TrainedAt = &at
	}
	if line.Alias == registry.Champion {
		for _, e := range c.History {
			if at := e.At.AsTime(); e.Model == m.Id && (e.Action == registry.Promoted || e.Action == registry.RolledBack) {
				line.LiveSince = &at
			}
		}
	}
	return line
}

// modelLines lists champions, challengers, then the others, each newest first.
func modelLines(c *registry.Contents) []modelLine {
	var lines []modelLine
	for _, m := range c.Models {
		lines = append(lines, lineOfModel(c, m))
	}
	rank := map[string]int{registry.Champion: 0, registry.Challenger: 1, "": 2}
	slices.SortFunc(lines, func(a, b modelLine) int {
		if d := rank[a.Alias] - rank[b.Alias]; d != 0 {
			return d
		}
		if d := strings.Compare(when(b.TrainedAt), when(a.TrainedAt)); d != 0 {
			return d
		}
		return strings.Compare(a.Model, b.Model)
	})
	return lines
}

// when shows a time in UTC, or nothing.
func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}

func (a *app) modelsListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List models: champions first, then challengers, then the others",
		Example: "  jobstrom models list\n  jobstrom models list --format json | jq -r 'select(.alias == \"challenger\").model'",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		for _, key := range contents.Unreadable {
			fmt.Fprintf(a.err, "not the registry's, or damaged: %s\n", key)
		}
		lines := modelLines(contents)
		if a.format == "json" {
			return a.encodeLines(len(lines), func(i int) any { return lines[i] })
		}
		if len(lines) == 0 {
			fmt.Fprintln(a.out, "no models: the classifier that comes with jobstrom serves until jobstrom train promotes another")
			return nil
		}
		t := a.table("model", "alias", "live since (UTC)", "trained (UTC)", "rows", "top-1", "macro F1", "ECE", "bytes", "encoder")
		for _, l := range lines {
			figure := func(name string) string {
				if v, ok := l.Metrics[name]; ok {
					return fmt.Sprintf("%.3f", v)
				}
				return ""
			}
			t.AppendRow(table.Row{l.Model[:12], l.Alias, when(l.LiveSince), when(l.TrainedAt), l.Rows, figure("top1"), figure("macro_f1"), figure("ece"), l.Bytes, fmt.Sprintf("%.12s", l.Encoder)})
		}
		t.Render()
		return nil
	}
	return cmd
}

// encodeLines writes n values as JSON, one a line.
func (a *app) encodeLines(n int, value func(i int) any) error {
	lines := json.NewEncoder(a.out)
	lines.SetEscapeHTML(false)
	for i := range n {
		if err := lines.Encode(value(i)); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) modelsHistoryCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history [MODEL]",
		Short: "Tell what was done to models, and who was live when",
		Example: `  jobstrom models history
  jobstrom models history 3fa9 --format json`,
		Args: args(cobra.MaximumNArgs(1)), ValidArgsFunction: a.completeModels(1),
	}
	a.formatFlag(cmd)
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "show the newest, this `many`; 0 shows all")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		events := contents.History
		if len(given) == 1 {
			id := strings.ToLower(given[0])
			if m, err := a.model(contents, given[0]); err == nil {
				id = m.Id
			} else if !errors.Is(err, registry.ErrUnknown) { // a retired model still has a history
				return err
			}
			events = slices.DeleteFunc(slices.Clone(events), func(e *schemas.ModelEvent) bool {
				return !strings.HasPrefix(e.Model, id) && !strings.HasPrefix(e.Previous, id)
			})
		}
		if limit < 0 {
			return fmt.Errorf("--limit is %d: it must be 0 or more (%w)", limit, errUsage)
		}
		if older := len(events) - limit; limit > 0 && older > 0 {
			events = events[older:]
			fmt.Fprintf(a.err, "%d older lines are not shown (--limit 0 shows all)\n", older)
		}
		if a.format == "json" {
			return a.encodeLines(len(events), func(i int) any {
				e := events[i]
				return map[string]any{
					"at": e.At.AsTime(), "action": e.Action, "model": e.Model, "previous": e.Previous, "reason": e.Reason, "version": e.Version, "encoder": e.Encoder, "taxonomy": e.Taxonomy,
				}
			})
		}
		if len(events) == 0 {
			fmt.Fprintln(a.out, "no history")
			return nil
		}
		t := a.table("when (UTC)", "action", "model", "in place of", "reason", "version")
		for _, e := range events {
			at := e.At.AsTime()
			t.AppendRow(table.Row{when(&at), e.Action, fmt.Sprintf("%.12s", e.Model), fmt.Sprintf("%.12s", e.Previous), e.Reason, e.Version})
		}
		t.Render()
		return nil
	}
	return cmd
}
