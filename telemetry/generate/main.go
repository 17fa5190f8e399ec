// Command generate makes the tables of metrics in docs/metrics.md from the code that shows them: name, type, labels, unit and, from their help, meaning.
//
// A table stands between <!-- metrics: PREFIX … --> and <!-- end --> and has the metrics whose names begin with one of the prefixes; what else the page says is nobody's but its writers'.
// Run it with "go generate ./telemetry"; "-check" fails when the page is not current.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"jobstrom/cli"
)

func main() {
	check := flag.Bool("check", false, "fail when the page is not current, write nothing")
	page := flag.String("page", "../docs/metrics.md", "`file` of the page")
	flag.Parse()
	if err := run(*page, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(page string, check bool) error {
	catalogue := newCatalogue()
	if err := cli.RegisterMetrics(catalogue); err != nil {
		return err
	}
	families, err := catalogue.Gather()
	if err != nil {
		return fmt.Errorf("gathering the metrics: %w", err)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	current, err := fill(string(written), families)
	switch {
	case err != nil:
		return fmt.Errorf("making the tables of %s: %w", page, err)
	case !check:
		return os.WriteFile(page, []byte(current), 0o644)
	case current != string(written):
		return fmt.Errorf("%s is not what the code shows: run go generate ./telemetry", page)
	}
	return nil
}

var table = regexp.MustCompile(`(?s)<!-- metrics: ([a-z_ ]+) -->\n.*?<!-- end -->`)

// fill writes the tables of a page anew. Every metric must stand in exactly one.
func fill(page string, families []*dto.MetricFamily) (string, error) {
	places := map[string]int{}
	page = table.ReplaceAllStringFunc(page, func(old string) string {
		prefixes := strings.Fields(table.FindStringSubmatch(old)[1])
		var b strings.Builder
		fmt.Fprintf(&b, "<!-- metrics: %s -->\n| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n", strings.Join(prefixes, " "))
		for _, f := range families {
			if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.GetName(), p) }) {
				places[f.GetName()]++
				b.WriteString(row(f))
			}
		}
		b.WriteString("<!-- end -->")
		return b.String()
	})
	for _, f := range families {
		if n := places[f.GetName()]; n != 1 {
			return "", fmt.Errorf("%s stands in %d tables, want 1: see the prefixes in its comments <!-- metrics -->", f.GetName(), n)
		}
	}
	return page, nil
}

func row(f *dto.MetricFamily) string {
	var labels []string
	for _, l := range f.GetMetric()[0].GetLabel() {
		labels = append(labels, l.GetName())
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), unit(f.GetName()),
		strings.ReplaceAll(strings.TrimSuffix(f.GetHelp(), "."), "|", "\\|"))
}

// units are the words that a name may end in, behind which stands _total at most.
var units = []string{"timestamp_seconds", "seconds", "bytes", "records", "rows", "blocks", "vectors", "vacancies", "parts", "events", "letters", "transactions", "predictions", "spans"}

// unit reads the unit off a name, by Prometheus' conventions: what is counted, and empty for a plain number.
func unit(name string) string {
	name = strings.TrimSuffix(name, "_total")
	for _, u := range units {
		if strings.HasSuffix(name, "_"+u) {
			return strings.Replace(u, "timestamp_seconds", "Unix seconds", 1)
		}
	}
	return ""
}
