package health_test

import (
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/health"
)

// The gauge says what /readyz says, and shows parts that are well.
func TestCollector(t *testing.T) {
	var b health.Board
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(b.Collector())
	f := func(clickhouse, partition float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil || len(families) != 1 || families[0].GetName() != "jobstrom_problems" {
			t.Fatalf("%v, %v", families, err)
		}
		got := map[string]float64{}
		for _, m := range families[0].GetMetric() {
			got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
		want := map[string]float64{}
		for _, part := range health.Parts {
			want[part] = 0
		}
		want["clickhouse"], want["partition"] = clickhouse, partition
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	f(0, 0)
	away := health.Place{Part: "clickhouse"}
	b.Report(health.Problem{Place: away}, 0)
	for partition := range int32(2) {
		b.Report(health.Problem{Place: health.Place{Part: "partition", Stage: "embed", Topic: "vacancies.extracted", Partition: partition}}, 0)
	}
	f(1, 2)
	b.Clear(away)
	f(0, 2)
}

// Whoever reports a problem of a new part adds it to Parts.
func TestPartsAreThoseThatAreReported(t *testing.T) {
	var used []string
	for _, file := range sources(t) {
		for _, m := range regexp.MustCompile(`Part:\s*"([a-z]+)"`).FindAllStringSubmatch(file, -1) {
			used = append(used, m[1])
		}
	}
	slices.Sort(used)
	used = slices.Compact(used)
	if want := slices.Sorted(slices.Values(health.Parts)); !slices.Equal(used, want) {
		t.Errorf("the sources report %v, Parts has %v", used, want)
	}
}

// sources returns the text of every Go file of ours that is no test.
func sources(t *testing.T) (texts []string) {
	t.Helper()
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			text, err := fs.ReadFile(root, path)
			texts = append(texts, string(text))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
