package chaos

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"jobstrom/cluster"
	"jobstrom/embedded"
	"jobstrom/warehouse"
)

// The commands of docs/upgrades.md: the query is asked of migrated tables, and the targets of make are there, with the variables that they are given. What they do, make test-upgrade does.
func TestUpgradesDoc(t *testing.T) {
	text, err := os.ReadFile("../docs/upgrades.md")
	if err != nil {
		t.Fatal(err)
	}
	query := regexp.MustCompile("(?s)<!-- test: needs tables -->\n```sh\n(.*?)```").FindStringSubmatch(string(text))
	if query == nil {
		t.Fatal("the query is not there")
	}
	o := Options{}
	t.Setenv("JOBSTROM_NATIVE", os.Getenv("JOBSTROM_NATIVE")) // findParts sets it
	if err := o.findParts(); err != nil {
		t.Fatal(err)
	}
	ports, err := cluster.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	started, err := embedded.StartClickHouse(t.Context(), embedded.ClickHouseOptions{DataDir: t.TempDir(), NativePort: ports[0], HTTPPort: ports[1], Library: o.Engine})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Kill)
	w, err := warehouse.Open(t.Context(), warehouse.Options{Addr: []string{started.Addr()}, CreateDatabase: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r := &run{engine: engine{addr: started.Addr()}}
	if err := r.extend(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", query[1])
	ask.Env = append(os.Environ(), "CLICKHOUSE=http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1])))
	out, err := ask.CombinedOutput()
	for _, want := range []string{"0001_tables.sql", "false", "9999_of_a_later_release.sql", "true"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s\n%v\n%s\nlacks %q", query[1], err, out, want)
		}
	}
	lines := regexp.MustCompile(`(?m)^make [^#\n]*`).FindAllString(string(text), -1)
	if len(lines) < 3 {
		t.Errorf("the page has %d lines of make", len(lines))
	}
	for _, line := range lines {
		dry := exec.CommandContext(t.Context(), "bash", "-c", strings.Replace(line, "make", "make -n", 1))
		dry.Dir = ".."
		if out, err := dry.CombinedOutput(); err != nil || !strings.Contains(string(out), "--upgrade-from") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

// What a release's source is built by says what to do where the history lacks it, with the status that make takes for a skip.
func TestPreviousReleaseThatIsNotThere(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "./previous.sh", "0123456789012345678901234567890123456789").CombinedOutput()
	exit, _ := err.(*exec.ExitError)
	if exit == nil || exit.ExitCode() != 3 || !strings.Contains(string(out), "not in this checkout's history: fetch it") || !strings.Contains(string(out), "PREVIOUS=") {
		t.Errorf("got %v\n%s", err, out)
	}
}
