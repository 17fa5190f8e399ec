package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"jobstrom/producers"
)

func (a *app) deadletterReplayCommand() *cobra.Command {
	var flags letterFlags
	var yes bool
	options := producers.ReplayOptions{}
	cmd := &cobra.Command{
		Use:   "replay [PARTITION/OFFSET]...",
		Short: "Send dead letters again to where they were refused",
		Long: `Send the chosen dead letters that wait again, each to the topic and partition it was refused in, with its key, value and headers. Without a choice,
all of them. A letter is sent exactly once, also when a replay is killed or two run at once: the second stops the first, and goes on where it was.

Vacancies keep their identity; a record comes at the end of its partition, so behind what was published meanwhile. A record that was replayed
--max-replays times and refused each time is refused (the loop guard), and so is what was erased. The exit status is then 3.`,
		Example: `  jobstrom deadletter replay 0/17 2/5
  jobstrom deadletter replay --stage classify --class other_encoder --dry-run
  jobstrom deadletter replay --model 3f9a --since 2026-03-14 --yes`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.formatFlag(cmd)
	flags.add(cmd)
	cmd.Flags().BoolVar(&options.DryRun, "dry-run", false, "only say what would be sent")
	cmd.Flags().IntVar(&options.MaxReplays, "max-replays", 3, "refuse records that were replayed this `often`")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, places []string) error {
		filter, err := flags.filter(time.Now(), places)
		if err != nil {
			return err
		}
		if options.MaxReplays < 1 {
			return fmt.Errorf("--max-replays is %d: it must be 1 or more (%w)", options.MaxReplays, errUsage)
		}
		client, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		client.Close()
		options.Kafka, options.Filter, options.Logger = a.kafkaOptions(), filter, a.log
		if !yes && !options.DryRun {
			dry := options
			dry.DryRun = true
			plan, err := producers.Replay(cmd.Context(), dry)
			if err != nil {
				return err
			}
			if plan.Replayed > 0 {
				if err := a.confirm(fmt.Sprintf("Send %d dead letters again (%s)?", plan.Replayed, counts(plan.Topics))); err != nil {
					return err
				}
			}
		}
		var bar *bar
		done := 0
		options.Progress = func(now, total int) {
			if bar == nil {
				bar = a.progress("replaying", total, a.err)
			}
			bar.add(now - done)
			done = now
		}
		result, err := producers.Replay(cmd.Context(), options)
		if bar != nil {
			bar.done()
		}
		a.reportReplay(result, options.DryRun)
		if err == nil && len(result.Refused) > 0 {
			return errPartial
		}
		return err
	}
	return cmd
}

// confirm asks on a terminal. Where there is none, nobody has agreed.
func (a *app) confirm(question string) error {
	file, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return fmt.Errorf("%s Nobody can be asked without a terminal: say --yes (%w)", question, errUsage)
	}
	fmt.Fprint(a.err, question+" [y/N] ")
	answer, _ := bufio.NewReader(file).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return fmt.Errorf("asking first: nothing was done, because the answer was not y")
	}
	return nil
}

// refusedLines bounds how many refused letters are named one by one.
const refusedLines = 20

func (a *app) reportReplay(r producers.ReplayResult, dry bool) {
	reasons := map[string]int{}
	for i, l := range r.Refused {
		reasons[l.Why]++
		if i < refusedLines {
			fmt.Fprintf(a.err, "letter %v refused: %s\n", l.Place, l.Why)
		}
	}
	if more := len(r.Refused) - refusedLines; more > 0 {
		fmt.Fprintf(a.err, "and %d more\n", more)
	}
	if a.format == "json" {
		_ = json.NewEncoder(a.out).Encode(map[string]any{"replayed": r.Replayed, "topics": r.Topics, "skipped": r.Skipped, "refused": len(r.Refused), "reasons": reasons, "dry_run": dry})
		return
	}
	refused := ""
	if len(reasons) > 0 {
		refused = " (" + counts(reasons) + ")"
	}
	prefix := ""
	if dry {
		prefix = "dry run: "
	}
	fmt.Fprintf(a.out, "%sreplayed=%d skipped=%d (already replayed) refused=%d%s\n", prefix, r.Replayed, r.Skipped, len(r.Refused), refused)
}

// counts names what was counted, in the order of the names.
func counts(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(parts, ", ")
}
