package grafana_test

//lint:file-ignore SA1019 every Grafana loads this form of a dashboard from a file; the new one, dashboardv2, is read by the newest alone

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"jobstrom/deploy/deploytest"
	"jobstrom/deploy/grafana"
)

// What Grafana loads is what the sources draw.
func TestFilesAreCurrent(t *testing.T) {
	files, err := grafana.Files()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := filepath.Glob("*.json")
	if err != nil || len(committed) != len(files) {
		t.Errorf("there are %v for %d dashboards (%v)", committed, len(files), err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the sources draw (%v): run go generate ./deploy/grafana", name, err)
		}
	}
}

// read returns the committed dashboards as Grafana's own types read them, field by field: what these do not know is an error.
func read(t *testing.T) map[string]dashboard.Dashboard {
	t.Helper()
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(table.VariantConfig())
	runtime.RegisterPanelcfgVariant(statetimeline.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	all := map[string]dashboard.Dashboard{}
	files, err := filepath.Glob("*.json")
	if err != nil || len(files) != 5 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard
		if err := new(dashboard.Dashboard).UnmarshalJSONStrict(text); err != nil && err.Error() != "" { // it returns an empty list of errors, too
			t.Errorf("%s: %v", file, err)
		}
		if err := json.Unmarshal(text, &d); err != nil { // what is strict leaves the panels out
			t.Fatalf("%s: %v", file, err)
		}
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		all[file] = d
	}
	return all
}

// Panels lie on the grid, none upon another, and each says what is normal and asks the Prometheus that the reader chose.
func TestHouseRules(t *testing.T) {
	uids := map[string]bool{}
	for file, d := range read(t) {
		if d.SchemaVersion < 36 || d.Uid == nil || uids[*d.Uid] || d.Description == nil || *d.Description == "" || !strings.HasPrefix(*d.Title, "Jobstrom / ") {
			t.Errorf("%s: schema version %d, uid %v, title %v", file, d.SchemaVersion, d.Uid, d.Title)
		}
		uids[*d.Uid] = true
		if v := d.Templating.List[0]; v.Name != "datasource" || v.Type != "datasource" || *v.Query.String != "prometheus" {
			t.Errorf("%s: the first variable is %v", file, v)
		}
		for _, v := range d.Templating.List {
			if v.Type == "query" && *v.Datasource.Uid != "${datasource}" {
				t.Errorf("%s: variable %s asks %s", file, v.Name, *v.Datasource.Uid)
			}
		}
		if len(d.Links) != 2 || *d.Links[1].Url != "${runbook}/README.md" {
			t.Errorf("%s: links %v", file, d.Links)
		}
		for _, a := range d.Annotations.List {
			if *a.Datasource.Uid != "${datasource}" {
				t.Errorf("%s: annotation %s asks %s", file, a.Name, *a.Datasource.Uid)
			}
		}
		ids, titles := map[uint32]bool{}, map[string]bool{}
		taken := map[[2]uint32]string{}
		for _, item := range d.Panels {
			var id uint32
			var title string
			var at *dashboard.GridPos
			if item.RowPanel != nil {
				id, title, at = item.RowPanel.Id, *item.RowPanel.Title, item.RowPanel.GridPos
			} else {
				id, title, at = *item.Panel.Id, *item.Panel.Title, item.Panel.GridPos
				house(t, file, item.Panel)
			}
			key := title
			if item.Panel != nil {
				key += " as " + item.Panel.Type
			}
			if id == 0 || ids[id] || titles[key] {
				t.Errorf("%s: %q has id %d, which or whose title another has", file, title, id)
			}
			ids[id], titles[key] = true, true
			if at.X+at.W > 24 {
				t.Errorf("%s: %q ends at column %d", file, title, at.X+at.W)
			}
			for x := at.X; x < at.X+at.W; x++ {
				for y := at.Y; y < at.Y+at.H; y++ {
					if other := taken[[2]uint32{x, y}]; other != "" {
						t.Fatalf("%s: %q lies upon %q", file, title, other)
					}
					taken[[2]uint32{x, y}] = title
				}
			}
		}
	}
}

// house holds what goes for a panel.
func house(t *testing.T, file string, p *dashboard.Panel) {
	t.Helper()
	if p.Description == nil || !strings.HasSuffix(*p.Description, ".") || p.Datasource == nil || *p.Datasource.Uid != "${datasource}" || *p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
		t.Errorf("%s: %q lacks a description, datasource, unit or query", file, *p.Title)
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		q, ok := target.(*prometheus.Dataquery)
		if !ok || q.Datasource == nil || *q.Datasource.Uid != "${datasource}" || q.RefId == nil || refs[*q.RefId] {
			t.Errorf("%s: %q asks with %v", file, *p.Title, target)
			continue
		}
		refs[*q.RefId] = true
		if p.Type == "timeseries" && (q.LegendFormat == nil || *q.LegendFormat == "") {
			t.Errorf("%s: %q has a line without a name", file, *p.Title)
		}
	}
}

// A unit is a constant of Grafana's: a name of one's own is shown as a suffix.
func TestUnitsAreGrafanas(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range sources {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\bunit: +(\S+),`).FindAllStringSubmatch(string(text), -1) {
			n++
			if !strings.HasPrefix(m[1], "units.") {
				t.Errorf("%s has the unit %s", file, m[1])
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d units were found", n)
	}
}

// unseen are the metrics that no dashboard needs, with the reason.
var unseen = map[string]string{}

// Every metric is on a dashboard, and no query or rule names one that does not exist.
func TestMetricsAreSeen(t *testing.T) {
	documented := deploytest.Metrics(t, "../../docs/metrics.md")
	rules := deploytest.Rules(t, "../prometheus/jobstrom.rules.yaml")
	recorded := map[string]bool{}
	for _, r := range rules {
		recorded[r.Record] = true
	}
	seen := map[string]bool{}
	note := func(where, expr string) {
		for _, name := range deploytest.Named(expr) {
			if recorded[name] {
				continue
			}
			if !slices.Contains(documented, name) { // of a histogram the parts are asked
				for _, part := range []string{"_bucket", "_sum", "_count"} {
					name = strings.TrimSuffix(name, part)
				}
			}
			if !slices.Contains(documented, name) {
				t.Errorf("%s names %s, which neither docs/metrics.md nor a rule has", where, name)
			}
			seen[name] = true
		}
	}
	queries, variables := deploytest.Queries(t, ".")
	for _, q := range queries {
		note(q.Dashboard+", "+q.Panel, q.Expr)
	}
	for _, v := range variables {
		note(v.Dashboard+", variable "+v.Name, v.Query)
	}
	for _, name := range documented {
		if !seen[name] && unseen[name] == "" {
			t.Errorf("no dashboard shows %s", name)
		}
		if seen[name] && unseen[name] != "" {
			t.Errorf("%s is on a dashboard, and on the list of those that are not", name)
		}
	}
	for _, r := range rules {
		note(r.Record+r.Alert, r.Expr)
	}
}
