package helm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldens are those cases whose manifests are kept: cli's tests start what stands in them.
var goldens = []string{"minimal", "secured", "everything"}

// withoutFiles leaves out of the goldens what is a copy of files that others keep.
const withoutFiles = "monitoring: {rules: {enabled: false}, dashboards: {enabled: false}}"

func TestRenderedManifests(t *testing.T) {
	for _, name := range goldens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := template(t, []string{cases(t)[name]}, withoutFiles)
			must(t, err)
			path := filepath.Join("testdata", "rendered", name+".yaml")
			if *rewrite {
				must(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			must(t, err)
			if got != string(want) {
				t.Errorf("%s differs from line %d on; look at it and run the test with -rewrite", path, firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(a, b string) int {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return i + 1
		}
	}
	return min(len(x), len(y)) + 1
}

func TestLint(t *testing.T) {
	for name, file := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := run(t, "lint", chart, "--strict", "--values", file)
			if err != nil || !strings.Contains(out, "1 chart(s) linted, 0 chart(s) failed") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// Notes are what an installation says. They name commands for what was installed, and nothing that was not.
func TestNotes(t *testing.T) {
	f := func(name string, says, silent []string) {
		t.Helper()
		out, err := run(t, "install", "jobstrom", chart, "--namespace", "jobs", "--dry-run=client", "--values", cases(t)[name])
		must(t, err)
		_, notes, found := strings.Cut(out, "\nNOTES:\n")
		if !found {
			t.Fatalf("%s: no notes", name)
		}
		for _, s := range says {
			if !strings.Contains(notes, s) {
				t.Errorf("%s: the notes do not say %q:\n%s", name, s, notes)
			}
		}
		for _, s := range silent {
			if strings.Contains(notes, s) {
				t.Errorf("%s: the notes say %q:\n%s", name, s, notes)
			}
		}
	}
	f("minimal", []string{"helm -n jobs test jobstrom --logs", "deploy/jobstrom-api -- jobstrom produce -", "port-forward service/jobstrom-api 8080:80", "autoscaling.enabled lets KEDA", "monitoring.podMonitor"}, []string{"://jobs.example"})
	f("everything", []string{"https://jobs.example/"}, []string{"port-forward", "autoscaling.enabled", "monitoring.podMonitor", "networkPolicy.enabled"})
	f("bare", []string{"helm -n jobs test", "networkPolicy.enabled closes that"}, []string{"-api"})
}
