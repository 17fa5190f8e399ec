package deploytest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"jobstrom/deploy/deploytest"
)

const (
	rulesFile = "../prometheus/jobstrom.rules.yaml"
	testFiles = "../prometheus/*.test.yaml"
	runbook   = "../../docs/runbook"
)

// promtool judges the rules, and runs the tests beside them.
func TestRules(t *testing.T) {
	tool := deploytest.Tool(t, "promtool")
	files, err := filepath.Glob(testFiles)
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, args := range [][]string{{"check", "rules", rulesFile}, append([]string{"test", "rules"}, files...)} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// alertTest is a moment at which a test says what an alert does.
type alertTest struct {
	Alertname string    `yaml:"alertname"`
	Expected  []expects `yaml:"exp_alerts"`
}

type expects struct {
	Labels map[string]string `yaml:"exp_labels"`
}

// Each alert has a test in which it fires, one in which it does not and, after it fired, one in which it is over; a page of the runbook; and words that say what is wrong.
func TestEveryAlertIsTestedAndExplained(t *testing.T) {
	var alerts []string
	severities := map[string]map[string]bool{}
	for _, r := range deploytest.Rules(t, rulesFile) {
		if r.Alert == "" {
			continue
		}
		alerts = append(alerts, r.Alert)
		if severities[r.Alert] == nil {
			severities[r.Alert] = map[string]bool{}
		}
		severities[r.Alert][r.Labels["severity"]] = false
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has severity %q", r.Alert, r.Labels["severity"])
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook"] != "docs/runbook/"+r.Alert+".md" {
			t.Errorf("%s says %v", r.Alert, r.Annotations)
		}
	}
	slices.Sort(alerts)
	alerts = slices.Compact(alerts)

	silent, resolved := map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob(testFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tests struct {
			Tests []struct {
				Alerts []alertTest `yaml:"alert_rule_test"`
			}
		}
		if err := yaml.Unmarshal(text, &tests); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		for _, test := range tests.Tests {
			fired := map[string]bool{}
			for _, a := range test.Alerts {
				switch {
				case severities[a.Alertname] == nil:
					t.Errorf("%s tests %s, which is no alert", file, a.Alertname)
				case len(a.Expected) == 0 && fired[a.Alertname]:
					resolved[a.Alertname] = true
				case len(a.Expected) == 0:
					silent[a.Alertname] = true
				}
				for _, e := range a.Expected {
					fired[a.Alertname] = true
					if severities[a.Alertname] != nil {
						severities[a.Alertname][e.Labels["severity"]] = true
					}
				}
			}
		}
	}
	for _, alert := range alerts {
		for severity, fires := range severities[alert] {
			if !fires {
				t.Errorf("no test lets %s of severity %s fire", alert, severity)
			}
		}
		if !silent[alert] || !resolved[alert] {
			t.Errorf("of %s a test shows that it is silent (%v) and that it resolves (%v)", alert, silent[alert], resolved[alert])
		}
	}

	index, err := os.ReadFile(filepath.Join(runbook, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(runbook, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "README" {
			continue
		}
		explained = append(explained, name)
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		headings := regexp.MustCompile(`(?m)^#.*`).FindAllString(string(text), -1)
		if want := []string{"# " + name, "## What it means", "## What to look at", "## What to do", "## When it is over"}; !slices.Equal(headings, want) {
			t.Errorf("%s has the headings %q, want %q", page, headings, want)
		}
		if !strings.Contains(string(index), "]("+name+".md)") {
			t.Errorf("the index of the runbook lacks %s", name)
		}
	}
	if !slices.Equal(alerts, explained) {
		t.Errorf("there are alerts %v and pages on %v", alerts, explained)
	}
}
