package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

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
				fmt.Fprintln(a.out, row(c, c.ClassifiedAt.AsTime().Sub(rawTime(r))))
			}
			seen++
			return limit == 0 || seen < limit, nil
		})
	}
	return cmd
}

// rawTime is when the vacancy reached Kafka.
func rawTime(r *kgo.Record) time.Time {
	coordinates, err := kafka.CoordinatesOf(r)
	if err != nil {
		return r.Timestamp
	}
	return coordinates.Time
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

// kafkaOptions are those of commands that talk to a flow that runs already.
func (a *app) kafkaOptions() kafka.Options {
	brokers := a.config.Brokers
	if len(brokers) == 0 {
		brokers = []string{fmt.Sprintf("127.0.0.1:%d", a.config.KafkaPort)}
	}
	return kafka.Options{Brokers: brokers, Logger: a.log}
}

// dial reaches Kafka for such a command.
func (a *app) dial(ctx context.Context) (*kgo.Client, error) {
	client, err := kafka.NewClient(a.kafkaOptions())
	if err != nil {
		return nil, err
	}
	if err := kafka.Reach(ctx, client, 5*time.Second); err != nil {
		client.Close()
		if len(a.config.Brokers) == 0 {
			err = fmt.Errorf("%w (start jobstrom up first, or name --brokers)", err)
		}
		return nil, err
	}
	return client, nil
}

// bar shows progress on a terminal and nothing elsewhere; lines logged meanwhile stand above it.
type bar struct {
	writer  progress.Writer
	tracker *progress.Tracker
	stopped chan struct{}
	plain   io.Writer
}

// progress starts a bar of a known total, or a count with 0. Without a terminal, lines go to plain.
func (a *app) progress(message string, total int, plain io.Writer) *bar {
	file, ok := a.err.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || a.format == "json" {
		return &bar{plain: plain}
	}
	w := progress.NewWriter()
	w.SetOutputWriter(file)
	w.SetAutoStop(false)
	w.SetUpdateFrequency(100 * time.Millisecond)
	w.SetStyle(progress.StyleBlocks)
	t := &progress.Tracker{Message: message, Total: int64(total)}
	w.AppendTracker(t)
	b := &bar{writer: w, tracker: t, stopped: make(chan struct{}), plain: plain}
	go func() {
		w.Render()
		close(b.stopped)
	}()
	return b
}

func (b *bar) add(n int) {
	if b.tracker != nil {
		b.tracker.Increment(int64(n))
	}
}

func (b *bar) log(format string, values ...any) {
	if b.writer != nil {
		b.writer.Log(format, values...)
		return
	}
	fmt.Fprintf(b.plain, format+"\n", values...)
}

// done ends the bar and waits until its last picture is drawn.
func (b *bar) done() {
	if b.writer == nil {
		return
	}
	b.tracker.MarkAsDone()
	b.writer.Stop()
	<-b.stopped
	b.writer = nil
}
