package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"jobstrom/telemetry/logtest"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what is written to keys is read from the terminal.
func terminal(t *testing.T) (keys, tty *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { keys.Close() })
	must(t, unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	must(t, err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { tty.Close() })
	return keys, tty
}

// On a terminal a replay asks first, and only yes is yes.
func TestDeadletterReplayAsks(t *testing.T) {
	eachLetterBroker(t, func(t *testing.T, broker []string) {
		f := func(answer string, status int, out, said string) {
			t.Helper()
			keys, tty := terminal(t)
			_, err := keys.WriteString(answer + "\n")
			must(t, err)
			var o, e logtest.Buffer
			got := run(context.Background(), append([]string{"deadletter", "replay", "--class", "malformed"}, broker...), tty, &o, &e)
			if got != status || o.String() != out || !strings.Contains(e.String(), "Send 1 dead letters again (vacancies.raw 1)? [y/N] "+said) {
				t.Errorf("%q: status %d, stdout %q, stderr %q", answer, got, &o, &e)
			}
		}
		f("", 1, "", "jobstrom: asking first: nothing was done")
		f("nej", 1, "", "jobstrom: asking first: nothing was done")
		f("Yes", 0, "replayed=1 skipped=0 (already replayed) refused=0\n", "")
	})
}
