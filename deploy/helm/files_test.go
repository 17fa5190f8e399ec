package helm

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Dashboards and rules of the chart are copies, because a chart can hold no files from outside of it: make helm-files makes them again.
func TestFilesAreThoseOfDeploy(t *testing.T) {
	f := func(pattern, copies string) {
		t.Helper()
		want, got := contents(t, pattern), contents(t, copies)
		if !maps.EqualFunc(want, got, bytes.Equal) {
			t.Errorf("%s and %s differ: make helm-files", pattern, copies)
		}
	}
	f("../grafana/*.json", "jobstrom/files/grafana/*.json")
	f("../prometheus/*.rules.yaml", "jobstrom/files/prometheus/*.rules.yaml")
	// Nothing else lies there.
	if all := contents(t, "jobstrom/files/*/*"); len(all) != len(contents(t, "jobstrom/files/grafana/*.json"))+len(contents(t, "jobstrom/files/prometheus/*.rules.yaml")) {
		t.Errorf("jobstrom/files has other files, too")
	}
}

func contents(t *testing.T, pattern string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	must(t, err)
	all := map[string][]byte{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		must(t, err)
		all[filepath.Base(p)] = data
	}
	return all
}
