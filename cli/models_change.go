package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"jobstrom/kafka"
	"jobstrom/registry"
	"jobstrom/schemas"
)

// reportEvent says what a command did to a model; nothing when all was so already.
func (a *app) reportEvent(e *schemas.ModelEvent, model, already string) error {
	if a.format == "json" {
		return a.encodeLines(1, func(int) any {
			return map[string]any{"model": model, "changed": e != nil, "action": e.GetAction(), "previous": e.GetPrevious()}
		})
	}
	said := already
	if e != nil {
		said = map[string]string{
			registry.Promoted: "is the champion", registry.RolledBack: "is the champion again", registry.Challenged: "is a challenger", registry.Withdrawn: "is no challenger any more",
			registry.Retired: "is retired",
		}[e.Action]
		if e.Previous != "" {
			said += fmt.Sprintf(", in place of %.12s", e.Previous)
		}
	}
	fmt.Fprintf(a.out, "%.12s %s\n", model, said)
	return nil
}

func (a *app) modelsPromoteCommand() *cobra.Command {
	var reason, expect string
	cmd := &cobra.Command{
		Use:   "promote MODEL",
		Short: "Make a model the champion",
		Long: `Make a model the champion of its encoder: running workers take it over between two batches, within two seconds. The model may be a file, which is
registered first. If the champion has changed since this command looked, or is not --expect, nothing is changed and the exit status is 1.`,
		Example: `  jobstrom models promote 3fa9
  jobstrom models promote var/models/3fa9….bin --reason "trained on the new labels"
  jobstrom models promote 3fa9 --expect 81c0`,
		Args: args(cobra.ExactArgs(1)), ValidArgsFunction: a.completeModels(1),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the history")
	cmd.Flags().StringVar(&expect, "expect", "", "only in place of this `model`")
	_ = cmd.RegisterFlagCompletionFunc("expect", a.completeModels(2))
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		m, err := a.model(contents, given[0])
		if err != nil {
			return err
		}
		scope := registry.ScopeOf(m)
		champion := contents.Champions[scope]
		if expect != "" {
			expected, err := a.model(contents, expect)
			if err != nil {
				return err
			}
			if served := builtIn(scope); champion != "" || served.GetId() != expected.Id { // where there is no champion yet, what serves may be expected
				champion = expected.Id
			}
		}
		e, err := a.writer().Promote(cmd.Context(), registry.Promotion{Classifier: m, Expect: &champion, BuiltIns: builtIns(), Reason: reason})
		if err != nil {
			return err
		}
		if err := a.reportEvent(e, m.Id, "is the champion already"); err != nil {
			return err
		}
		return a.remindOfLive(cmd.Context(), scope)
	}
	return cmd
}

// remindOfLive says so when a champion's encoder is not the live one.
func (a *app) remindOfLive(ctx context.Context, scope registry.Scope) error {
	contents, err := registry.Read(ctx, a.kafkaOptions())
	if err != nil {
		return err
	}
	if now := contents.Ownership(scope.Taxonomy); now.Live() != scope.Encoder {
		fmt.Fprintf(a.err, "encoder %s is not live: its champion answers for comparison, on %s, until jobstrom models switch %[1]s\n", kafka.Short(scope.Encoder), kafka.Shadow)
	}
	return nil
}

func (a *app) modelsRollbackCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Make the champion of before champion again",
		Long: `Make the champion of before champion again; twice goes back two champions. Retired models are passed over. If the champion has changed since this
command looked, nothing is changed.`,
		Example: "  jobstrom models rollback --reason \"too many managers\"",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the history")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		scope, err := a.scope(contents)
		if err != nil {
			return err
		}
		champion := contents.Champions[scope]
		e, err := a.writer().Rollback(cmd.Context(), scope, &champion, reason)
		if err != nil {
			return err
		}
		return a.reportEvent(e, e.Model, "")
	}
	return cmd
}

func (a *app) modelsChallengeCommand() *cobra.Command {
	var reason string
	var stop bool
	cmd := &cobra.Command{
		Use:   "challenge MODEL",
		Short: "Score a model beside the champion, or end that",
		Long: fmt.Sprintf(`Score a model beside the champion, on the same vacancies: its answers lie in ClickHouse's shadow_predictions, consumers never see them. Each challenger
costs the classify stage as much as the champion; of more than %d the oldest makes room.`, registry.MaxChallengers),
		Example: "  jobstrom models challenge 3fa9\n  jobstrom models challenge 3fa9 --stop",
		Args:    args(cobra.ExactArgs(1)), ValidArgsFunction: a.completeModels(1),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the history")
	cmd.Flags().BoolVar(&stop, "stop", false, "end the model's challenge")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		m, err := a.model(contents, given[0])
		if err != nil {
			return err
		}
		if stop {
			e, err := a.writer().Withdraw(cmd.Context(), m, reason)
			if err != nil {
				return err
			}
			return a.reportEvent(e, m.Id, "is no challenger")
		}
		e, err := a.writer().Challenge(cmd.Context(), m, reason)
		if err != nil {
			return err
		}
		return a.reportEvent(e, m.Id, "is a challenger already")
	}
	return cmd
}

func (a *app) modelsRetireCommand() *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "retire MODEL",
		Short: "Remove a model that is neither champion nor challenger",
		Long: `Remove a model that is neither champion nor challenger. It cannot be promoted again, unless its file is still there. Its card and its history
stay.`,
		Example: "  jobstrom models retire 3fa9 --yes",
		Args:    args(cobra.ExactArgs(1)), ValidArgsFunction: a.completeModels(1),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the history")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		contents, err := a.readModels(cmd.Context())
		if err != nil {
			return err
		}
		m, err := contents.Find(given[0])
		if err != nil {
			return err
		}
		if !yes && contents.Alias(m) == "" {
			if err := a.confirm(fmt.Sprintf("Remove model %.12s?", m.Id)); err != nil {
				return err
			}
		}
		e, err := a.writer().Retire(cmd.Context(), m, reason)
		if err != nil {
			return err
		}
		return a.reportEvent(e, m.Id, "")
	}
	return cmd
}
