package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// referenceMade is the first line of each page that reference makes. A page with it that is made no more is removed.
const referenceMade = "<!-- Made by make generate from the commands and settings in cli/: change them there. -->"

func (a *app) referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "reference FOLDER",
		Short:  "Write the reference of commands and settings as Markdown",
		Long:   "Write the reference of commands and settings as Markdown: settings.md, commands.md, and commands/ with a page for each command and what stands below it. Pages of commands that are gone are removed.",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			pages, err := reference(cmd.Root())
			if err != nil {
				return err
			}
			return writeReference(given[0], pages)
		},
	}
}

// writeReference writes pages below a folder, and removes those it once wrote that are not among them.
func writeReference(folder string, pages map[string][]byte) error {
	for name, page := range pages {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the reference's folder: %w", err)
		}
		if err := os.WriteFile(path, page, 0o644); err != nil {
			return fmt.Errorf("writing the reference: %w", err)
		}
	}
	old, err := filepath.Glob(filepath.Join(folder, "commands", "*.md"))
	if err != nil {
		return fmt.Errorf("looking for pages of before in %s: %w", folder, err)
	}
	for _, path := range old {
		if _, kept := pages["commands/"+filepath.Base(path)]; kept {
			continue
		}
		page, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading a page of before: %w", err)
		}
		if !bytes.HasPrefix(page, []byte(referenceMade)) {
			continue // somebody wrote it
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing the page of a command that is gone: %w", err)
		}
	}
	return nil
}

// reference returns the pages by their path: settings, the list of commands, and one for each of these with all that stands below it.
func reference(root *cobra.Command) (map[string][]byte, error) {
	settings, err := settingsPage()
	if err != nil {
		return nil, err
	}
	pages := map[string][]byte{"settings.md": settings, "commands.md": commandsPage(root)}
	for _, c := range belowOf(root) {
		pages["commands/"+c.Name()+".md"] = commandPage(c)
	}
	return pages, nil
}

// belowOf returns the commands below one that a reader is told of. Cobra adds its completion and its help when a command line runs.
func belowOf(c *cobra.Command) (told []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" && sub.Name() != "help" {
			told = append(told, sub)
		}
	}
	return told
}

// commandsPage lists every command that does something by its line of help.
func commandsPage(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n# Commands\n\n", referenceMade)
	b.WriteString("`jobstrom --help` says the same, `jobstrom COMMAND --help` more. Every command takes the [settings](settings.md) as well, as flags, from the environment and from the file;\n" +
		"`jobstrom completion SHELL` completes them all.\n\n| command | |\n|---|---|\n")
	for _, c := range belowOf(root) {
		eachCommand(c, func(c *cobra.Command) {
			if !onlyGroups(c) {
				fmt.Fprintf(&b, "| [`%s`](commands/%s) | %s |\n", commandName(c), anchor(c), cell(c.Short))
			}
		})
	}
	b.WriteString("\nThe exit status is 0 when all was done, 1 when it failed, 2 when the command line or a setting is wrong, 3 when some of the input was refused or no model passed the gate, and 4 while there is drift\n" +
		"(`drift report --fail-on`, `drift watch --once`).\n")
	return b.Bytes()
}

// commandPage describes a command, then those below it.
func commandPage(c *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n", referenceMade)
	eachCommand(c, func(c *cobra.Command) { describeCommand(&b, c) })
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}

func describeCommand(b *bytes.Buffer, c *cobra.Command) {
	level := "#"
	if c.Parent().HasParent() {
		level = "##"
	}
	fmt.Fprintf(b, "%s %s\n\n%s.\n\n", level, commandName(c), strings.TrimSuffix(c.Short, "."))
	usage := strings.TrimSuffix(strings.TrimPrefix(c.UseLine(), "jobstrom "), " [flags]")
	if c.HasAvailableSubCommands() && onlyGroups(c) {
		usage = commandName(c) + " COMMAND"
	}
	fmt.Fprintf(b, "```\njobstrom %s [FLAG…]\n```\n\n", usage)
	if c.Long != "" {
		fmt.Fprintf(b, "%s\n\n", prose(c.Long))
	}
	flagTable(b, c.LocalNonPersistentFlags())
	if c.HasExample() {
		fmt.Fprintf(b, "```\n%s\n```\n\n", unindent(c.Example))
	}
}

// flagTable writes a command's own flags as a table.
func flagTable(b *bytes.Buffer, own *pflag.FlagSet) {
	first := true
	own.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if first {
			b.WriteString("| flag | default | |\n|---|---|---|\n")
			first = false
		}
		kind, usage := pflag.UnquoteUsage(f)
		flag := "`--" + f.Name
		if f.Shorthand != "" {
			flag = "`-" + f.Shorthand + "`, " + flag
		}
		if kind != "" {
			flag += " " + strings.ToUpper(kind)
		}
		fmt.Fprintf(b, "| %s` | %s | %s |\n", flag, defaultOf(f), cell(usage))
	})
	if !first {
		b.WriteString("\n")
	}
}

// defaultOf returns a flag's default as a cell, empty where that is nothing.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "[]", "false":
		return ""
	}
	if f.Value.Type() == "stringSlice" {
		return "`" + strings.Trim(f.DefValue, "[]") + "`"
	}
	if f.Value.Type() == "duration" {
		return "`" + shortDuration(f.DefValue) + "`"
	}
	return "`" + f.DefValue + "`"
}

// shortDuration shortens 1h0m0s to 1h.
func shortDuration(s string) string {
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}

// prose returns a help text as Markdown: what is indented in it stands as it is.
func prose(help string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(strings.TrimRight(help, "\n")) {
		line = strings.TrimRight(line, "\n")
		indented := strings.HasPrefix(line, "  ")
		if indented != inside && (indented || line != "") {
			if indented && b.Len() > 0 && !strings.HasSuffix(b.String(), "\n\n") {
				b.WriteString("\n")
			}
			b.WriteString("```\n")
			if inside = indented; !inside {
				b.WriteString("\n")
			}
		}
		if inside {
			line = strings.TrimPrefix(line, "  ")
		} else {
			line = plainText(line)
		}
		b.WriteString(line + "\n")
	}
	text := strings.ReplaceAll(b.String(), "\n\n```\n\n", "\n```\n\n") // an empty line before the end of what was indented
	if inside {
		text += "```\n"
	}
	return strings.TrimRight(text, "\n")
}

func unindent(example string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(example, "\n")) {
		b.WriteString(strings.TrimPrefix(line, "  "))
	}
	return b.String()
}

// eachCommand calls f with a command and then with those below it, in the order in which help shows them.
func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range belowOf(c) {
		eachCommand(sub, f)
	}
}

// onlyGroups says whether a command only shows what stands below it: it takes no arguments of its own.
func onlyGroups(c *cobra.Command) bool {
	return c.HasAvailableSubCommands() && !strings.Contains(c.Use, " ")
}

func commandName(c *cobra.Command) string { return strings.TrimPrefix(c.CommandPath(), "jobstrom ") }

// anchor is where a command stands, seen from the list of commands.
func anchor(c *cobra.Command) string {
	path := strings.Fields(commandName(c))
	if len(path) == 1 {
		return path[0] + ".md"
	}
	return path[0] + ".md#" + strings.Join(path, "-")
}

// cell returns text as a cell of a table.
func cell(s string) string { return strings.ReplaceAll(plainText(s), "|", `\|`) }

// inText is what of a help text is set as code.
var inText = regexp.MustCompile(`--[a-z][a-z0-9-]*[a-z0-9]|JOBSTROM_[A-Z_]*[A-Z]`)

// plainText keeps Markdown from reading what help writes plainly, and sets flags and variables as code.
func plainText(s string) string {
	s = strings.NewReplacer(`\`, `\\`, "<", "&lt;", "*", `\*`, "[", `\[`, "]", `\]`, "`", "\\`").Replace(s)
	return inText.ReplaceAllString(s, "`$0`")
}
