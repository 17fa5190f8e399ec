package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// gone are what of a release is not there any more, with the release that said in CHANGELOG.md that it would go. docs/upgrades.md says when that is allowed.
var gone = map[string]string{}

// What people have written into their scripts, files and dashboards goes on working: commands, settings with their types, metrics.
func TestWhatWasReleasedStays(t *testing.T) {
	lists, err := filepath.Glob("testdata/release-*.txt")
	if err != nil || len(lists) == 0 {
		t.Fatalf("no release's list is there: %v", err)
	}
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(settings)
	documented := map[string]string{}
	doc, err := os.ReadFile("../docs/metrics.md") // which TestFlow compares with what is served
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(jobstrom_[a-z_]+)` \\| ([a-z]+) \\|").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = m[2]
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			kind, rest, _ := strings.Cut(line, " ")
			name, want, _ := strings.Cut(rest, " ")
			if gone[line] != "" || kind == "#" {
				continue
			}
			switch kind {
			case "setting":
				if f := settings.Lookup(name); f == nil || f.Value.Type() != want {
					t.Errorf("%s: the setting %s of type %s is gone or of another type", list, name, want)
				}
			case "metric":
				if documented[name] != want {
					t.Errorf("%s: the metric %s is %q, was %q", list, name, documented[name], want)
				}
			case "command":
				if c, left, err := (&app{}).root().Find(strings.Fields(rest)); err != nil || len(left) > 0 || !c.Runnable() && !c.HasSubCommands() {
					t.Errorf("%s: the command %s is gone", list, rest)
				}
			default:
				t.Errorf("%s: %q is no line of such a list", list, line)
			}
		}
	}
}
