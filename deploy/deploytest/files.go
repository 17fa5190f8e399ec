package deploytest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// RulesFile is where the rules lie, from a package's folder at the repository's first level, such as cli.
const RulesFile = "../deploy/prometheus/jobstrom.rules.yaml"

// Rule is a recording or an alerting rule.
type Rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

// Rules returns all rules of a file, RulesFile as seen from the test's folder.
func Rules(t *testing.T, file string) (rules []Rule) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var groups struct {
		Groups []struct {
			Rules []Rule
		}
	}
	if err := yaml.Unmarshal(text, &groups); err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) == 0 {
		t.Fatalf("%s holds no rules", file)
	}
	return rules
}

// Query is a query of a dashboard, with Grafana's variables filled in as for a reader who has chosen all.
type Query struct {
	// Dashboard, and Panel or annotation, say where it stands.
	Dashboard, Panel string
	Expr             string
	// Annotation is true for what marks times, which mostly has no answer.
	Annotation bool
}

// dashboard is what of Grafana's JSON holds queries.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Templating struct {
		List []struct {
			Type, Name string
			Query      string
		}
	}
}

// Variable is a variable of a dashboard whose values Prometheus knows.
type Variable struct{ Dashboard, Name, Query string }

// Queries returns what the dashboards in a folder ask, and their variables.
func Queries(t *testing.T, folder string) (queries []Query, variables []Variable) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no dashboards in %s (%v)", folder, err)
	}
	all := strings.NewReplacer("$__rate_interval", "1m", "$stage", ".*", "$topic", ".*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		name := filepath.Base(file)
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				queries = append(queries, Query{Dashboard: name, Panel: p.Title, Expr: all.Replace(target.Expr)})
			}
		}
		for _, a := range d.Annotations.List {
			queries = append(queries, Query{Dashboard: name, Panel: a.Name, Expr: all.Replace(a.Expr), Annotation: true})
		}
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				variables = append(variables, Variable{name, v.Name, all.Replace(v.Query)})
			}
		}
	}
	return queries, variables
}

// Metrics returns the names of the metrics that a page documents, docs/metrics.md as seen from the test's folder.
func Metrics(t *testing.T, file string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(jobstrom_[a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	if len(names) < 25 {
		t.Fatalf("%s names %d metrics", file, len(names))
	}
	return names
}

var (
	named    = regexp.MustCompile(`\bjobstrom[_:][a-z0-9_:]+`)
	selector = regexp.MustCompile(`\bjobstrom_[a-z_]+(\{[^}]*\})?`)
)

// Named returns the names of metrics and of recorded series, which have colons, that a query uses.
func Named(expr string) []string { return unique(named.FindAllString(expr, -1)) }

// Selectors returns what a query selects: names of metrics with their conditions on labels.
func Selectors(expr string) []string { return unique(selector.FindAllString(expr, -1)) }

func unique(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
