package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/consumers"
	"jobstrom/kafka"
	"jobstrom/models"
)

// lagLine is what jobstrom lag says of a partition.
type lagLine struct {
	Stage     string `json:"stage"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// State is idle (nothing unread), moving, standing (nothing was committed between two looks), stuck (for 30 s), or nobody (no worker has it).
	State     string  `json:"state"`
	Records   int64   `json:"records"`
	Hidden    int64   `json:"hidden"`
	Age       float64 `json:"oldest_seconds"`
	Standing  float64 `json:"standing_seconds"`
	Committed int64   `json:"committed"`
	End       int64   `json:"end"`
	Worker    string  `json:"worker"`
}

func (a *app) lagCommand() *cobra.Command {
	var watch bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "lag",
		Short: "Show what each stage has still to read, and which partitions stand",
		Long: `Show for each stage and partition how many records are unread, how old the oldest is and which worker has it. Where something is unread it looks
a second time, after --wait: a partition whose committed offset did not move is standing, after 30 s of that it is stuck. The exit status is 1 when one is stuck.

Records are counted by offsets: 0 is exact, more is an upper bound, because the ends of transactions take offsets too.`,
		Example: "  jobstrom lag\n  jobstrom lag --wait 30s --format json\n  jobstrom lag --watch",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until Ctrl-C")
	cmd.Flags().DurationVar(&wait, "wait", 3*time.Second, "`time` between two looks")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if wait < 100*time.Millisecond {
			return fmt.Errorf("--wait is %s: give at least 100ms (%w)", wait, errUsage)
		}
		client, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		client.Close()
		card, err := models.ReadEncoderCard(a.encoderDir())
		if err != nil {
			return err
		}
		reader, err := kafka.NewLagReader(a.kafkaOptions())
		if err != nil {
			return err
		}
		defer reader.Close()
		standing := consumers.Standing{}
		for looks := 1; ; looks++ {
			lines, err := lagLines(cmd.Context(), reader, card.ID, standing)
			if err != nil {
				return err
			}
			unread, stuck := false, 0
			for _, l := range lines {
				unread = unread || l.State != "idle"
				if l.State == "stuck" {
					stuck++
				}
			}
			if watch || looks == 2 || !unread {
				if err := a.printLag(lines); err != nil {
					return err
				}
			}
			switch {
			case !watch && stuck > 0:
				return fmt.Errorf("%d partitions are stuck", stuck)
			case !watch && (looks == 2 || !unread):
				return nil
			}
			select {
			case <-cmd.Context().Done():
				return nil
			case <-time.After(wait):
			}
		}
	}
	return cmd
}

// lagLines takes a look at every partition.
func lagLines(ctx context.Context, reader *kafka.LagReader, encoder string, standing consumers.Standing) ([]lagLine, error) {
	var lines []lagLine
	for _, r := range kafka.Readers(encoder) {
		lags, err := reader.Read(ctx, r)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		for _, l := range lags {
			stands := standing.Look(l, now)
			line := lagLine{
				Stage: l.Stage, Topic: l.Topic, Partition: l.Partition, State: "moving", Records: l.Records, Hidden: l.Hidden,
				Age: l.Age(now).Seconds(), Standing: stands.Seconds(), Committed: l.Committed, End: l.End, Worker: l.Worker,
			}
			switch {
			case l.Records == 0 && l.Hidden == 0:
				line.State = "idle"
			case stands >= consumers.StuckAfter:
				line.State = "stuck"
			case l.Worker == "":
				line.State = "nobody"
			case stands > 0:
				line.State = "standing"
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func (a *app) printLag(lines []lagLine) error {
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(lines)
	}
	writeLag(a.out, lines)
	return nil
}

func writeLag(out io.Writer, lines []lagLine) {
	w := newTable(out, "stage", "topic", "partition", "state", "unread", "oldest", "next offset", "end", "worker")
	seconds := func(s float64) string {
		if s == 0 {
			return ""
		}
		return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
	}
	for len(lines) > 0 {
		l := lines[0]
		if n := idle(lines); n > 1 {
			w.AppendRow(table.Row{l.Stage, l.Topic, fmt.Sprintf("%d to %d", l.Partition, lines[n-1].Partition), l.State, 0})
			lines = lines[n:]
			continue
		}
		lines = lines[1:]
		state := l.State
		if l.Standing > 0 {
			state += " for " + seconds(l.Standing)
		}
		unread := fmt.Sprint(l.Records)
		if l.Hidden > 0 {
			unread += fmt.Sprintf(" + %d in open transactions", l.Hidden)
		}
		w.AppendRow(table.Row{l.Stage, l.Topic, l.Partition, state, unread, seconds(l.Age), l.Committed, l.End, l.Worker})
	}
	w.Render()
}

// idle returns how many lines, from the first on, are partitions of one topic that have a worker and nothing to read.
func idle(lines []lagLine) (n int) {
	for _, l := range lines {
		if l.Stage != lines[0].Stage || l.Topic != lines[0].Topic || l.State != "idle" || l.Worker == "" {
			break
		}
		n++
	}
	return n
}
