package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/schemas"
)

// A second encoder's way from its first vectors to being live, and back, by the commands of docs/encoders.md.
func TestModelsSwitch(t *testing.T) {
	eachModelBroker(t, func(t *testing.T, o kafka.Options, flags []string, a, _, _ *schemas.Classifier) {
		line := func(args ...string) []string { return append(append([]string{"models"}, args...), flags...) }
		other := trained(t, 4, noon)
		other.Encoder, other.Id = strings.Repeat("f", 64), ""
		must(t, models.SealClassifier(other))
		data, err := models.EncodeClassifier(other)
		must(t, err)
		file := filepath.Join(t.TempDir(), "other.bin")
		must(t, os.WriteFile(file, data, 0o600))
		states := func(want string) {
			t.Helper()
			got := ""
			for l := range strings.Lines(has(t, 0, nil, nil, line("encoders", "--format", "json")...)) {
				var e encoderLine
				must(t, json.Unmarshal([]byte(l), &e))
				got += " " + e.Encoder[:1] + ":" + e.State
				if (e.Champion == "") != (e.State == "no champion") || e.Topic != kafka.Embedded(e.Encoder) {
					t.Errorf("the list says %s", l)
				}
			}
			if got != want {
				t.Errorf("listed%s, want%s", got, want)
			}
		}
		states(" e:live")
		client, err := kafka.NewClient(o)
		must(t, err)
		defer client.Close()
		must(t, kafka.EnsureTopics(t.Context(), client, other.Encoder, kafka.Layout{Partitions: 2, Replication: 1}))
		states(" e:live f:no champion")
		has(t, 1, nil, []string{"the encoder has no champion", "jobstrom train"}, line("switch", "f")...)
		has(t, 0, []string{"is the champion"}, []string{"encoder ffffffffffff is not live", "jobstrom models switch ffffffffffff"}, line("promote", file)...)
		states(" e:live f:standby")
		has(t, 0, []string{"ffffffffffff", "small", "standby", other.Id[:12]}, nil, line("encoders")...)
		has(t, 1, nil, []string{"the live encoder has changed meanwhile", `expected "ffffffffffff"`}, line("switch", "e", "--expect", "f")...)
		has(t, 0, []string{"encoder eeeeeeeeeeee is live already"}, nil, line("switch", "e")...)
		has(t, 0, []string{"encoder ffffffffffff is live, for what is published from now on"}, nil, line("switch", "f", "--expect", "eeee", "--reason", "it is better")...)
		states(" f:live e:former")
		has(t, 0, []string{"switch", "it is better", other.Id[:12], a.Id[:12]}, nil, line("history")...)
		has(t, 0, []string{`"action":"switch"`, `"changed":true`}, nil, line("switch", "e", "--format", "json")...)
		states(" e:live f:former")
	})
}

// The commands that docs/encoders.md shows exist, with these flags.
func TestDocumentedEncoderCommands(t *testing.T) {
	text, err := os.ReadFile("../docs/encoders.md")
	must(t, err)
	commands := regexp.MustCompile(`(?m)^jobstrom (.+)$`).FindAllStringSubmatch(string(text), -1)
	if len(commands) < 8 {
		t.Fatalf("found %d commands", len(commands))
	}
	for _, c := range commands {
		command := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(c[1], "quoted")
		found, rest, err := (&app{}).root().Find(strings.Fields(command))
		if err != nil || found.Name() == "jobstrom" {
			t.Errorf("jobstrom %s: %v", command, err)
			continue
		}
		if err := found.ParseFlags(rest); err != nil {
			t.Errorf("jobstrom %s: %v", command, err)
		} else if err := found.ValidateArgs(found.Flags().Args()); err != nil {
			t.Errorf("jobstrom %s: %v", command, err)
		}
	}
}
