package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/consumers"
	"jobstrom/kafka"
)

func (a *app) deadletterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletter",
		Short: "See what could not be processed, and send it again",
		Long: `A record that a stage refuses lies whole on ` + kafka.DeadLetter + `, with stage, class and reason, for 7 days. A letter is
named by its place there, PARTITION/OFFSET. When what was wrong is mended, replay sends the record again to where it was refused.`,
		Example: `  jobstrom deadletter list --since 24h
  jobstrom deadletter show 0/17
  jobstrom deadletter replay --stage classify --class other_encoder`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.deadletterListCommand(), a.deadletterShowCommand(), a.deadletterReplayCommand())
	return cmd
}

// letterFlags are the filters of dead letters as a command line gives them.
type letterFlags struct {
	stages, classes, states []string
	since, until, model     string
}

func (f *letterFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.stages, "stage", nil, "`stages` that refused the record: extract, embed, classify, sink")
	cmd.Flags().StringSliceVar(&f.classes, "class", nil, "`classes` of error, see docs/architecture.md")
	cmd.Flags().StringVar(&f.since, "since", "", "refused at this `time` or later: 2h (ago), 2026-03-14 or 2026-03-14T12:00:00Z; dates are UTC")
	cmd.Flags().StringVar(&f.until, "until", "", "refused before this `time`")
	cmd.Flags().StringVar(&f.model, "model", "", "`begin` of the id of the classifier or encoder that was at work")
	_ = cmd.RegisterFlagCompletionFunc("stage", cobra.FixedCompletions(stages, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("class", cobra.FixedCompletions(consumers.Classes, cobra.ShellCompDirectiveNoFileComp))
}

// filter reads the flags and the letters' places.
func (f *letterFlags) filter(now time.Time, places []string) (kafka.LetterFilter, error) {
	filter := kafka.LetterFilter{Stages: f.stages, Classes: f.classes, Model: f.model}
	known := func(name string, given, all []string) error {
		for _, g := range given {
			if !slices.Contains(all, g) {
				return fmt.Errorf("--%s is %q: use one of %v (%w)", name, g, all, errUsage)
			}
		}
		return nil
	}
	if err := known("stage", f.stages, stages); err != nil {
		return filter, err
	}
	if err := known("class", f.classes, consumers.Classes); err != nil {
		return filter, err
	}
	var states []string
	for _, s := range kafka.States {
		states = append(states, string(s))
	}
	if err := known("state", f.states, states); err != nil {
		return filter, err
	}
	for _, s := range f.states {
		filter.States = append(filter.States, kafka.State(s))
	}
	var err error
	if filter.Since, err = parseTime("since", f.since, now); err != nil {
		return filter, err
	}
	if filter.Until, err = parseTime("until", f.until, now); err != nil {
		return filter, err
	}
	if !filter.Until.IsZero() && !filter.Since.Before(filter.Until) {
		return filter, fmt.Errorf("--since (%s) must be before --until (%s) (%w)", f.since, f.until, errUsage)
	}
	for _, p := range places {
		place, err := kafka.ParsePlace(p)
		if err != nil {
			return filter, fmt.Errorf("%w (%w)", err, errUsage)
		}
		filter.Places = append(filter.Places, place)
	}
	return filter, nil
}

// parseTime reads a time, a date or how long ago.
func parseTime(name, value string, now time.Time) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(value); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s is %q: use how long ago (2h), a date (2026-03-14) or a time (2026-03-14T12:00:00Z) (%w)", name, value, errUsage)
}

// letterLine is a letter for machines.
type letterLine struct {
	Letter     string     `json:"letter"`
	State      string     `json:"state"`
	FailedAt   time.Time  `json:"failed_at"`
	ReceivedAt *time.Time `json:"received_at,omitempty"`
	ReplayedAt *time.Time `json:"replayed_at,omitempty"`
	Stage      string     `json:"stage"`
	Class      string     `json:"class"`
	Reason     string     `json:"reason"`
	Topic      string     `json:"topic"`
	Partition  int32      `json:"partition"`
	Offset     int64      `json:"offset"`
	Attempts   uint32     `json:"attempts"`
	Model      string     `json:"model"`
	Version    string     `json:"version"`
	Replays    uint32     `json:"replays"`
	Bytes      int        `json:"bytes"`
}

func lineOf(l *kafka.Letter) letterLine {
	m := l.Message
	line := letterLine{
		Letter: l.Place.String(), State: string(l.State), FailedAt: m.FailedAt.AsTime(), Stage: m.Stage, Class: m.Class, Reason: m.Reason, Topic: m.Topic,
		Partition: m.Partition, Offset: m.Offset, Attempts: m.Attempts, Model: m.Model, Version: m.Version, Replays: m.Replays, Bytes: l.Size,
	}
	if m.ReceivedAt != nil {
		received := m.ReceivedAt.AsTime()
		line.ReceivedAt = &received
	}
	if !l.ReplayedAt.IsZero() {
		line.ReplayedAt = &l.ReplayedAt
	}
	return line
}

func (a *app) deadletterListCommand() *cobra.Command {
	var flags letterFlags
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, newest last",
		Long: `List dead letters, newest last. A letter is waiting, replayed, erased (its vacancy was erased) or a copy (of a later letter about
the same refusal). A record that is refused again after a replay has another letter, with a higher count of replays.`,
		Example: `  jobstrom deadletter list
  jobstrom deadletter list --state waiting --stage extract,embed --since 24h
  jobstrom deadletter list --limit 0 --format json | jq -r .reason | sort | uniq -c`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	flags.add(cmd)
	cmd.Flags().StringSliceVar(&flags.states, "state", nil, "`states`: waiting, replayed, erased, copy")
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "list the newest, this `many`; 0 lists all")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"waiting", "replayed", "erased", "copy"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter, err := flags.filter(time.Now(), nil)
		if err != nil {
			return err
		}
		if limit < 0 {
			return fmt.Errorf("--limit is %d: it must be 0 or more (%w)", limit, errUsage)
		}
		letters, err := a.letters(cmd)
		if err != nil {
			return err
		}
		chosen := slices.DeleteFunc(letters.All, func(l *kafka.Letter) bool { return !filter.Match(l) })
		older := 0
		if limit > 0 && len(chosen) > limit {
			older = len(chosen) - limit
			chosen = chosen[older:]
		}
		if a.format == "json" {
			lines := json.NewEncoder(a.out)
			lines.SetEscapeHTML(false)
			for _, l := range chosen {
				if err := lines.Encode(lineOf(l)); err != nil {
					return err
				}
			}
		} else {
			a.letterTable(chosen)
		}
		if older > 0 {
			fmt.Fprintf(a.err, "%d older letters are not shown (--limit 0 shows all)\n", older)
		}
		if n := len(letters.Unreadable); n > 0 {
			fmt.Fprintf(a.err, "%d records of %s are no dead letters, the first at %v\n", n, kafka.DeadLetter, letters.Unreadable[0])
		}
		return nil
	}
	return cmd
}

func (a *app) letterTable(letters []*kafka.Letter) {
	if len(letters) == 0 {
		fmt.Fprintln(a.out, "no dead letters")
		return
	}
	w := a.table("letter", "when (UTC)", "stage", "class", "refused at", "attempts", "model", "replays", "state")
	for _, l := range letters {
		m := l.Message
		w.AppendRow(table.Row{
			l.Place, m.FailedAt.AsTime().Format(time.DateTime), m.Stage, m.Class, fmt.Sprintf("%s/%d/%d", m.Topic, m.Partition, m.Offset), m.Attempts,
			fmt.Sprintf("%.12s", m.Model), m.Replays, l.State,
		})
	}
	w.Render()
}

// letters reads the dead letters of a flow that runs already.
func (a *app) letters(cmd *cobra.Command) (*kafka.Letters, error) {
	client, err := a.dial(cmd.Context())
	if err != nil {
		return nil, err
	}
	client.Close()
	return kafka.ReadLetters(cmd.Context(), a.kafkaOptions(), false)
}
