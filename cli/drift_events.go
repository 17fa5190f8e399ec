package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"jobstrom/drift/alarms"
	"jobstrom/drift/watch"
	"jobstrom/schemas"
	"jobstrom/warehouse"
)

func (a *app) driftEventsCommand() *cobra.Command {
	var since string
	var open bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show the alarms that the watch raised and cleared, and what it did",
		Example: `  jobstrom drift events --since 720h
  jobstrom drift events --open --format json`,
		Args: args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&since, "since", "", "from this `time` on: 2h (ago), 2026-03-14 or 2026-03-14T12:00:00Z; dates are UTC (default all)")
	cmd.Flags().BoolVar(&open, "open", false, "only those of alarms that are not cleared")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := parseTime("since", since, time.Now())
		if err != nil {
			return err
		}
		w, err := a.dialWarehouse(cmd.Context())
		if err != nil {
			return err
		}
		defer w.Close()
		events, err := w.ReadDriftEvents(cmd.Context(), warehouse.DriftEventFilter{Since: from, Open: open})
		if err != nil {
			return err
		}
		if a.format == "json" {
			messages, err := encodedEvents(events)
			for _, m := range messages {
				fmt.Fprintf(a.out, "%s\n", m)
			}
			return err
		}
		if len(events) == 0 {
			fmt.Fprintln(a.out, "no events: the watch (jobstrom up, jobstrom drift watch) has raised no alarm")
			return nil
		}
		t := a.table("at (UTC)", "event", "column", "windows", "what")
		for _, e := range events {
			t.AppendRow([]any{e.At.UTC().Format("2006-01-02 15:04"), e.Kind, e.Column, e.Watch, e.Reason})
		}
		t.Render()
		return nil
	}
	return cmd
}

// encodedEvents returns events as they travel on Kafka.
func encodedEvents(events []warehouse.DriftEventRow) ([]json.RawMessage, error) {
	messages := []json.RawMessage{} // not null in JSON
	for _, e := range events {
		m, err := schemas.Encode(schemas.JSON, watch.Message(e))
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// evaluationJSON is what jobstrom drift watch --once prints for programs.
type evaluationJSON struct {
	Watch   string            `json:"watch"`
	Nothing string            `json:"nothing,omitempty"` // why there was nothing to compare
	Verdict alarms.Verdict    `json:"verdict"`
	Columns []evaluatedColumn `json:"columns"`
	Open    []json.RawMessage `json:"open"`
}

type evaluatedColumn struct {
	Name       string         `json:"name"`
	Verdict    alarms.Verdict `json:"verdict"`
	Effect     float64        `json:"effect"`
	EffectName string         `json:"effect_name"`
	Gate       float64        `json:"gate"`
	Q          float64        `json:"q"`
	Reason     string         `json:"reason,omitempty"`
}

func (a *app) printEvaluation(name string, e *watch.Evaluation) error {
	open, err := encodedEvents(e.Open)
	if err != nil {
		return err
	}
	all := evaluationJSON{Watch: name, Nothing: e.Nothing, Verdict: alarms.Unknown, Columns: []evaluatedColumn{}, Open: open}
	raised := map[string]time.Time{}
	for _, alarm := range e.Open {
		raised[alarm.Column] = alarm.At
	}
	if e.Comparison != nil {
		all.Verdict = e.Comparison.Verdict
		for _, c := range e.Comparison.Columns {
			all.Columns = append(all.Columns, evaluatedColumn{c.Name, c.Verdict, c.Effect, c.EffectName, c.Gate, c.Q, c.Reason})
		}
	}
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(all)
	}
	fmt.Fprintf(a.out, "%s: %s\n", name, all.Verdict)
	if e.Nothing != "" {
		fmt.Fprintln(a.out, e.Nothing)
		return nil
	}
	t := a.table("column", "verdict", "effect", "drift from", "by chance", "alarm since (UTC)")
	for _, c := range all.Columns {
		since := ""
		if at, open := raised[c.Name]; open {
			since = at.UTC().Format("2006-01-02 15:04")
		}
		if c.Verdict == alarms.Unknown {
			t.AppendRow([]any{c.Name, c.Verdict, c.Reason, "", "", since})
			continue
		}
		t.AppendRow([]any{c.Name, c.Verdict, fmt.Sprintf("%.3g (%s)", c.Effect, c.EffectName), fmt.Sprintf("%.3g", c.Gate), fmt.Sprintf("%.2g", c.Q), since})
	}
	t.Render()
	return nil
}
