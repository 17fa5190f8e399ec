package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What is committed is what the commands and settings of now make.
func TestReferenceIsCurrent(t *testing.T) {
	const folder = "../docs/reference"
	pages, err := reference((&app{}).root())
	must(t, err)
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/reference/%s is not current: run make generate (%v)", name, err)
		}
	}
	written, err := filepath.Glob(folder + "/commands/*.md")
	must(t, err)
	for _, path := range written {
		if pages["commands/"+filepath.Base(path)] == nil {
			t.Errorf("%s describes no command: run make generate", path)
		}
	}
}

// Every command that help lists has its heading, its flags and its examples on a page.
func TestReferenceHasEveryCommand(t *testing.T) {
	root := (&app{}).root()
	pages, err := reference(root)
	must(t, err)
	commands, flags := 0, 0
	eachCommand(root, func(c *cobra.Command) {
		if !c.HasParent() {
			return
		}
		commands++
		page := string(pages["commands/"+strings.Fields(commandName(c))[0]+".md"])
		if !strings.Contains(page, "# "+commandName(c)+"\n") {
			t.Errorf("%s has no heading", commandName(c))
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if flags++; f.Name != "help" && !strings.Contains(page, "--"+f.Name) {
				t.Errorf("%s: --%s is not on its page", commandName(c), f.Name)
			}
		})
		for line := range strings.Lines(c.Example) {
			if line = strings.TrimSpace(line); !strings.Contains(page, line) {
				t.Errorf("%s: its page lacks the example %s", commandName(c), line)
			}
		}
	})
	if commands < 40 || flags < 60 {
		t.Errorf("%d commands with %d flags were looked at", commands, flags)
	}
	if pages["commands/reference.md"] != nil || pages["commands/completion.md"] != nil {
		t.Error("a hidden command, or one of cobra's own, has a page")
	}
}

// Every setting stands on the page once, and each chapter's patterns choose something or are of settings to come.
func TestReferenceHasEverySetting(t *testing.T) {
	page, err := settingsPage()
	must(t, err)
	declared := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(declared)
	settings := 0
	declared.VisitAll(func(f *pflag.Flag) {
		settings++
		if n := strings.Count(string(page), "| `--"+f.Name+"`"); n != 1 {
			t.Errorf("--%s stands %d times on the page", f.Name, n)
		}
	})
	if settings < 90 {
		t.Errorf("%d settings were looked at", settings)
	}
	if readersOf("a-new-setting") != nil {
		t.Error("a setting that no pattern names has readers")
	}
}

// Pages of commands that are gone go; what somebody wrote beside them stays.
func TestReferenceRemovesPages(t *testing.T) {
	folder := t.TempDir()
	must(t, writeReference(folder, map[string][]byte{"commands/a.md": []byte(referenceMade + "\n"), "commands/b.md": []byte(referenceMade + "\n")}))
	must(t, os.WriteFile(filepath.Join(folder, "commands", "own.md"), []byte("# Own\n"), 0o644))
	must(t, writeReference(folder, map[string][]byte{"commands/b.md": []byte(referenceMade + "\n")}))
	entries, err := os.ReadDir(filepath.Join(folder, "commands"))
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"b.md", "own.md"}; !slices.Equal(names, want) {
		t.Errorf("left are %v, want %v", names, want)
	}
}

func TestHelpAsMarkdown(t *testing.T) {
	f := func(help, want string) {
		t.Helper()
		if got := prose(help); got != want {
			t.Errorf("%q became\n%s\nwant\n%s", help, got, want)
		}
	}
	f("One line.", "One line.")
	f("A list:\n\n  one  x\n  two  y\n\nMore.", "A list:\n\n```\none  x\ntwo  y\n```\n\nMore.")
	f("A list:\n  one\n\n  two", "A list:\n\n```\none\n\ntwo\n```")
	f("Set --a-b or JOBSTROM_A_B, <c> and *d*.", "Set `--a-b` or `JOBSTROM_A_B`, &lt;c> and \\*d\\*.")
}
