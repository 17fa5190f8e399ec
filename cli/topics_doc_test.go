package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jobstrom/cluster/clustertest"
	"jobstrom/embedded/clickhousetest"
)

// docLine is how a line of a document begins, the status that it ends with and what it says.
type docLine struct {
	command string
	status  int
	says    string
}

// The commands of docs/topics-and-tables.md work as they stand there, one after the other, on brokers and a ClickHouse that have nothing yet; where changes are
// pending a plan ends with 5, as the document says.
func TestTopicsAndTablesDoc(t *testing.T) {
	const document = "../docs/topics-and-tables.md"
	blocks := shellBlocks(t, document)
	text, err := os.ReadFile(document)
	must(t, err)
	declared := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if len(blocks) != 2 || declared == nil {
		t.Fatalf("the document has %d blocks of commands, want one of topics and one of tables, and a file of topics: %q", len(blocks), declared)
	}
	run := func(t *testing.T, dir string, replaced *strings.Replacer, command string, status int, says string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", replaced.Replace(command))
		c.Dir = dir
		out, err := c.CombinedOutput()
		if c.ProcessState.ExitCode() != status || !strings.Contains(string(out), says) {
			t.Fatalf("%s: %v, want status %d and %q:\n%s", command, err, status, says, out)
		}
	}
	// follow runs the lines of a block, which are these and no others.
	follow := func(t *testing.T, dir string, replaced *strings.Replacer, block string, lines ...docLine) {
		t.Helper()
		commands := strings.Split(strings.TrimSpace(block), "\n")
		if len(commands) != len(lines) {
			t.Fatalf("%d commands, want %d:\n%s", len(commands), len(lines), block)
		}
		for i, want := range lines {
			if !strings.HasPrefix(commands[i], want.command) {
				t.Fatalf("%s: want %s", commands[i], want.command)
			}
			run(t, dir, replaced, commands[i], want.status, want.says)
		}
	}
	place := func(t *testing.T) string {
		t.Helper()
		dir := t.TempDir()
		clone(t, dir)
		t.Setenv("PATH", filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
		return dir
	}
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		dir := place(t)
		replaced := strings.NewReplacer("kafka-1:9092", strings.Join(addrs, ","))
		follow(t, dir, replaced, blocks[0],
			docLine{"jobstrom topics plan", exitPending, "create"},
			docLine{"jobstrom topics plan --print > topics.yaml", 0, ""},
			docLine{"jobstrom topics plan", exitPending, "create"},
			docLine{"jobstrom topics apply", 0, "create"})
		again := "jobstrom topics plan --brokers kafka-1:9092 --file topics.yaml"
		run(t, dir, replaced, again, 0, "Nothing to do")
		// The document's file is one; a single broker cannot hold three replicas.
		must(t, os.WriteFile(filepath.Join(dir, "topics.yaml"), declared[1], 0o644))
		run(t, dir, replaced, again, exitPending, "the cluster has 1 brokers")
		run(t, dir, replaced, "jobstrom topics apply --brokers kafka-1:9092 --file topics.yaml", exitPartial, "1209600000")
		run(t, dir, replaced, again, exitPartial, "the cluster has 1 brokers")
	})
	dir, replaced := place(t), strings.NewReplacer("ch-1:9000", clickhousetest.Start(t, nil).Addr())
	follow(t, dir, replaced, blocks[1], docLine{"jobstrom warehouse plan", exitPending, ""}, docLine{"jobstrom warehouse migrate", 0, "has the tables and views"})
	run(t, dir, replaced, "jobstrom warehouse plan --clickhouse ch-1:9000", 0, "")
}
