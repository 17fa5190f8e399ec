package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jobstrom/deploy/deploytest"
)

// monitoring watches the flow with a real Prometheus: what the runbook tells people to run, what the dashboards ask and what the alerts judge by must work on the flow's own metrics.
func (f *flowUnderTest) monitoring(t *testing.T) {
	f.t = t
	f.prometheus = freePorts(t, 1)[0]
	p := deploytest.Start(t, "127.0.0.1:"+f.prometheus, "127.0.0.1:"+f.web)
	f.found(p, "Prometheus has asked the flow", `count_over_time(jobstrom_problems{part="kafka"}[5m]) > 2`) // a rate takes two
	f.found(p, "Prometheus has judged by the rules", "jobstrom:latency_budget:remaining30d")
	t.Run("runbook", func(t *testing.T) { f.runbook(t) })
	t.Run("dashboards", func(t *testing.T) { f.dashboards(t, p) })
	t.Run("alerts", func(t *testing.T) { f.alerts(t, p) })
}

// runbook runs the commands of each page.
func (f *flowUnderTest) runbook(t *testing.T) {
	f.t = t
	t.Setenv("PATH", filepath.Join(f.dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH")) // who is on call has jobstrom installed
	pages, err := filepath.Glob("../docs/runbook/*.md")
	must(t, err)
	done := map[string]bool{}
	for _, page := range pages {
		for _, command := range shellBlocks(t, page) {
			if done[command] {
				continue
			}
			done[command] = true
			out := f.shell(command)
			if strings.TrimSpace(out) == "" || strings.Contains(out, `"status":"error"`) || strings.Contains(out, "DB::Exception") {
				t.Errorf("%s:\n%s\nprinted\n%s", page, command, out)
			}
			// Each query to Prometheus that finds nothing, but for those of a watch that has not compared yet.
			empty := strings.Count(out, `"result":[]`) - strings.Count(command, "jobstrom_drift_evaluated_timestamp_seconds > 0")
			if empty > 0 {
				t.Errorf("%s:\n%s\nfinds nothing:\n%s", page, command, out)
			}
		}
	}
	if len(done) < 30 {
		t.Errorf("the runbook has only %d blocks of commands", len(done))
	}
}

// quiet are queries of panels without an answer while all is well, and while the watch of a young flow has nothing to compare. What they select is there all the same.
var quiet = []string{
	`ALERTS{alertname=~"Jobstrom.*",alertstate="firing"}`,
	`time() - max(jobstrom_drift_evaluated_timestamp_seconds > 0)`,
	`max by (column) (jobstrom_drift_effect) / (max by (column) (jobstrom_drift_gate) > 0)`,
}

// unborn are series that come with the first of their kind; tests of the rules have them.
var unborn = []string{
	`jobstrom_http_request_seconds_count{status="429"}`,
	`jobstrom_http_request_seconds_count{status=~"5..",route!~".*/(healthz|readyz)"}`,
	`jobstrom_kafka_connect_errors_total`, `jobstrom_kafka_read_errors_total`, `jobstrom_kafka_write_errors_total`,
}

// dashboards asks what each panel, annotation and variable asks.
func (f *flowUnderTest) dashboards(t *testing.T, p *deploytest.Prometheus) {
	f.t = t
	queries, variables := deploytest.Queries(t, "../deploy/grafana")
	for _, q := range queries {
		where := q.Dashboard + ", " + q.Panel
		if q.Annotation || slices.Contains(quiet, q.Expr) {
			if _, err := p.Query(q.Expr); err != nil {
				t.Errorf("%s: %v", where, err)
			}
			f.selected(p, where, q.Expr)
			continue
		}
		f.found(p, where, q.Expr)
	}
	for _, v := range variables {
		m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Query)
		if m == nil {
			t.Errorf("%s: variable %s asks %s", v.Dashboard, v.Name, v.Query)
			continue
		}
		if values, err := p.Values(m[2], m[1]); err != nil || len(values) < 4 {
			t.Errorf("%s: variable %s has the values %v (%v)", v.Dashboard, v.Name, values, err)
		}
	}
	if len(queries) < 90 {
		t.Errorf("only %d queries were found", len(queries))
	}
}

// alerts asks what each rule asks. What an alert compares must be there, or it could never fire.
func (f *flowUnderTest) alerts(t *testing.T, p *deploytest.Prometheus) {
	f.t = t
	for _, r := range deploytest.Rules(t, deploytest.RulesFile) {
		if r.Record != "" {
			f.found(p, r.Record, r.Expr)
		} else if _, err := p.Query(r.Expr); err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		}
		f.selected(p, r.Record+r.Alert, r.Expr)
	}
}

// selected tests that there is what a query selects.
func (f *flowUnderTest) selected(p *deploytest.Prometheus, where, expr string) {
	for _, s := range deploytest.Selectors(expr) {
		if !slices.Contains(unborn, s) {
			f.found(p, where, s)
		}
	}
}

// found waits until a query has an answer. An error of it is final.
func (f *flowUnderTest) found(p *deploytest.Prometheus, where, expr string) {
	f.until(where+": "+expr+" finds something", func() bool {
		series, err := p.Query(expr)
		if err != nil {
			f.t.Fatalf("%s: %v", where, err)
		}
		return len(series) > 0
	})
}
