package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"jobstrom/cli"
)

// families are those of every metric of ours.
func families(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	c := newCatalogue()
	if err := cli.RegisterMetrics(c); err != nil {
		t.Fatal(err)
	}
	families, err := c.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestPageIsCurrent(t *testing.T) {
	if err := run("../../docs/metrics.md", true); err != nil {
		t.Error(err)
	}
}

// A page that is not current is found, and mended; what stands around the tables stays.
func TestPageIsMended(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(t.TempDir(), "metrics.md")
	changed := strings.Replace(string(text), "| stage |", "| stages |", 1) + "\nA last word.\n"
	if err := os.WriteFile(page, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(page, true); err == nil || !strings.Contains(err.Error(), "go generate") {
		t.Errorf("got %v", err)
	}
	if err := run(page, false); err != nil {
		t.Fatal(err)
	}
	if mended, err := os.ReadFile(page); err != nil || string(mended) != string(text)+"\nA last word.\n" {
		t.Errorf("got %v\n%s", err, mended)
	}
}

func TestFill(t *testing.T) {
	r := newCatalogue()
	r.MustRegister(
		prometheus.NewCounterVec(prometheus.CounterOpts{Name: "a_rows_total", Help: "Rows | of two."}, []string{"x", "b"}),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "a_made_timestamp_seconds", Help: "When."}),
		prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "b_seconds", Help: "Time."}, []string{"s"}),
	)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	const page = "Before.\n<!-- metrics: a_ -->\n<!-- end -->\nBetween.\n<!-- metrics: b_ -->\nold\n<!-- end -->\n"
	const want = `Before.
<!-- metrics: a_ -->
| name | type | labels | unit | meaning |
|---|---|---|---|---|
| ` + "`a_made_timestamp_seconds`" + ` | gauge |  | Unix seconds | When |
| ` + "`a_rows_total`" + ` | counter | b, x | rows | Rows \| of two |
<!-- end -->
Between.
<!-- metrics: b_ -->
| name | type | labels | unit | meaning |
|---|---|---|---|---|
| ` + "`b_seconds`" + ` | histogram | s | seconds | Time |
<!-- end -->
`
	if got, err := fill(page, families); err != nil || got != want {
		t.Errorf("got %v\n%s", err, got)
	}
	for _, wrong := range []string{"<!-- metrics: a_ -->\n<!-- end -->\n", page + "<!-- metrics: b_sec -->\n<!-- end -->\n"} {
		if _, err := fill(wrong, families); err == nil || !strings.Contains(err.Error(), "b_seconds stands in") {
			t.Errorf("got %v", err)
		}
	}
}

// Names and help follow Prometheus' conventions, but for those that the Kafka client's library chose.
func TestConventions(t *testing.T) {
	all := families(t)
	if len(all) < 50 {
		t.Fatalf("%d metrics", len(all))
	}
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "jobstrom_kafka_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, f := range all {
		if help := f.GetHelp(); !strings.HasPrefix(f.GetName(), "jobstrom_kafka_") && !strings.HasSuffix(help, ".") {
			t.Errorf("the help of %s is no sentence: %q", f.GetName(), help)
		}
	}
}
