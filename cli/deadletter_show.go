package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"jobstrom/kafka"
	"jobstrom/schemas"
)

func (a *app) deadletterShowCommand() *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:   "show PARTITION/OFFSET",
		Short: "Show a dead letter with its content",
		Long: `Show a dead letter with all it holds: the refused record's key, headers and value may hold personal data.
The value is printed as JSON where it is JSON, otherwise with what is no text escaped. --raw writes its bytes as they are.`,
		Example: `  jobstrom deadletter show 0/17
  jobstrom deadletter show 0/17 --raw > vacancy.json`,
		Args:              args(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.formatFlag(cmd)
	cmd.Flags().BoolVar(&raw, "raw", false, "write the value's bytes and nothing else")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		place, err := kafka.ParsePlace(given[0])
		if err != nil {
			return fmt.Errorf("%w (%w)", err, errUsage)
		}
		letters, err := a.letters(cmd)
		if err != nil {
			return err
		}
		for _, l := range letters.All {
			if l.Place != place {
				continue
			}
			return kafka.ReadContent(cmd.Context(), a.kafkaOptions(), []*kafka.Letter{l}, func(l *kafka.Letter) error {
				switch {
				case raw:
					_, err = a.out.Write(l.Message.Value)
				case a.format == "json":
					var line []byte
					if line, err = schemas.Encode(schemas.JSON, l.Message); err == nil {
						_, err = fmt.Fprintf(a.out, "%s\n", line)
					}
				default:
					_, err = fmt.Fprint(a.out, describe(l))
				}
				return err
			})
		}
		return fmt.Errorf("showing letter %v: there is none: it has expired, or that is not its place (see jobstrom deadletter list)", place)
	}
	return cmd
}

// describe shows a letter to people.
func describe(l *kafka.Letter) string {
	m := l.Message
	var b strings.Builder
	line := func(name, format string, values ...any) {
		fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, values...)...)
	}
	line("letter", "%v", l.Place)
	state := string(l.State)
	if !l.ReplayedAt.IsZero() {
		state += " at " + l.ReplayedAt.UTC().Format(time.RFC3339)
	}
	line("state", "%s", state)
	line("refused by", "%s, jobstrom %s, after %d attempts", m.Stage, m.Version, m.Attempts)
	line("refused at", "%s", m.FailedAt.AsTime().Format(time.RFC3339))
	line("class", "%s", m.Class)
	line("reason", "%s", m.Reason)
	if m.Model != "" {
		line("model", "%s", m.Model)
	}
	line("replays", "%d", m.Replays)
	line("record", "%s, partition %d, offset %d", m.Topic, m.Partition, m.Offset)
	if m.ReceivedAt != nil {
		line("received at", "%s", m.ReceivedAt.AsTime().Format(time.RFC3339))
	}
	line("key", "%s", readable(m.Key))
	for _, h := range kafka.Original(m).Headers {
		line("header", "%s: %s", readable([]byte(h.Key)), readable(h.Value))
	}
	switch {
	case m.LeftOut > 0:
		line("value", "left out: %d bytes were too large for a letter", m.LeftOut)
	case json.Valid(m.Value):
		var pretty bytes.Buffer
		_ = json.Indent(&pretty, m.Value, "", "  ") // valid
		line("value", "%d bytes\n%s", len(m.Value), escape(pretty.Bytes()))
	default:
		line("value", "%d bytes\n%s", len(m.Value), readable(m.Value))
	}
	return b.String()
}

// readable tells null from empty and shows what is no text as escapes.
func readable(b []byte) string {
	switch {
	case b == nil:
		return "(null)"
	case len(b) == 0:
		return "(empty)"
	}
	return escape(b)
}

// escape shows bytes on a terminal, which must not obey them: what is neither printable nor a line break becomes an escape like \x1b.
func escape(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && size == 1, r < utf8.RuneSelf && r != '\n' && !unicode.IsPrint(r):
			fmt.Fprintf(&out, `\x%02x`, b[0])
		case r != '\n' && !unicode.IsPrint(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.Write(b[:size])
		}
		b = b[size:]
	}
	return out.String()
}
