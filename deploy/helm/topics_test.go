package helm

import (
	"maps"
	"slices"
	"strings"
	"testing"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// Each encoder's job reads what is declared of its own topics and of those that all share: jobstrom refuses a name that is not among an encoder's.
func TestDeclaredTopicsAreThoseOfTheJob(t *testing.T) {
	const encoders = "encoders: [{name: '', id: 6724969422a7}, {name: large, id: 0123456789abcdef}, {name: small, id: ba9876543210}]\n"
	out, err := template(t, []string{cases(t)["minimal"]}, encoders+`topics:
  declared:
    "*": {min.insync.replicas: 2}
    vacancies.raw: {retention.ms: 1209600000, partitions: "12"}
    vacancies.embedded.*: {segment.ms: "3600000"}
    vacancies.embedded.6724969422a7: {retention.ms: 86400000}
    vacancies.embedded.0123456789ab: {retention.ms: -1}
    models.history: {partitions: 1}
`)
	must(t, err)
	all := objects(t, out)
	files := map[string]string{}
	for _, c := range of[*core.ConfigMap](all) {
		if c.Name == "jobstrom-topics" {
			files = c.Data
		}
	}
	shared := []string{"*", "models.history", "vacancies.embedded.*", "vacancies.raw"}
	want := map[string][]string{
		"topics.yaml":       append([]string{"vacancies.embedded.6724969422a7"}, shared...),
		"topics-large.yaml": append([]string{"vacancies.embedded.0123456789ab"}, shared...),
		"topics-small.yaml": shared,
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("the ConfigMap holds %v", got)
	}
	for name, topics := range want {
		var file struct{ Topics map[string]map[string]any }
		must(t, yaml.UnmarshalStrict([]byte(files[name]), &file))
		slices.Sort(topics)
		if got := slices.Sorted(maps.Keys(file.Topics)); !slices.Equal(got, topics) {
			t.Errorf("%s declares %v, want %v", name, got, topics)
		}
		if raw := file.Topics["vacancies.raw"]; raw["retention.ms"] != float64(1209600000) || raw["partitions"] != "12" {
			t.Errorf("%s declares of vacancies.raw %v", name, raw)
		}
	}
	read := map[string]bool{}
	for _, j := range of[*batch.Job](all) {
		for _, a := range j.Spec.Template.Spec.Containers[0].Args {
			if file, reads := strings.CutPrefix(a, "--file=/etc/jobstrom/topics/"); reads {
				read[file] = true
				if suffix := strings.TrimPrefix(j.Name, "jobstrom-topics"); file != "topics"+suffix+".yaml" {
					t.Errorf("%s reads %s", j.Name, file)
				}
			}
		}
	}
	if len(read) != len(want) {
		t.Errorf("the jobs read %v", read)
	}
	// An encoder of which nothing is declared has an empty file, not none.
	out, err = template(t, []string{cases(t)["minimal"]}, encoders+"topics: {declared: {vacancies.embedded.6724969422a7: {retention.ms: 86400000}}}")
	must(t, err)
	if n := strings.Count(out, "topics: {}"); n != 2 {
		t.Errorf("%d of 2 files are empty", n)
	}
}

// The job says what it may destroy only when it is told to.
func TestAllowDataLoss(t *testing.T) {
	for values, want := range map[string]bool{"{}": false, "topics: {allowDataLoss: false}": false, "topics: {allowDataLoss: true}": true} {
		out, err := template(t, []string{cases(t)["minimal"]}, values)
		must(t, err)
		if got := strings.Contains(out, "--allow-data-loss"); got != want {
			t.Errorf("%s: --allow-data-loss is there: %t", values, got)
		}
	}
}

// Every pod that asks the ClickHouse of this release is told how its tables lie, and no pod is told of a cluster that is none.
func TestPodsAreToldOfTheCluster(t *testing.T) {
	f := func(values, addresses string, want map[string]string) {
		t.Helper()
		out, err := template(t, []string{cases(t)["minimal"]}, "clickhouse: {addresses: [], job: {enabled: false}, passwordSecret: {name: c}}\ntrainer: {enabled: true}", values)
		must(t, err)
		pods := 0
		for _, p := range podsOf(objects(t, out)) {
			got, asks := map[string]string{}, false
			for _, v := range p.Spec.Containers[0].Env {
				if v.Name == "JOBSTROM_CLICKHOUSE" {
					asks = true
					if v.Value != addresses {
						t.Errorf("%s: %s asks %s, want %s", values, p.Owner, v.Value, addresses)
					}
				}
				if name := strings.TrimPrefix(v.Name, "JOBSTROM_CLICKHOUSE_"); name == "CLUSTER" || name == "SHARDED" || name == "REPLICATED" {
					got[name] = v.Value
				}
			}
			if !asks {
				if len(got) > 0 {
					t.Errorf("%s: %s has no ClickHouse and is told %v", values, p.Owner, got)
				}
				continue
			}
			if pods++; !maps.Equal(got, want) {
				t.Errorf("%s: %s is told %v, want %v", values, p.Owner, got, want)
			}
		}
		if pods < 5 { // sink, api, watch, trainer, check
			t.Errorf("%s: %d pods ask ClickHouse", values, pods)
		}
	}
	f("clickhouseInstallation: {enabled: true}", "clickhouse-jobstrom:9000", map[string]string{})
	f("clickhouseInstallation: {enabled: true, shards: 2, keeper: [k:2181]}", "chi-jobstrom-jobstrom-0-0:9000,chi-jobstrom-jobstrom-1-0:9000", map[string]string{"CLUSTER": "jobstrom", "SHARDED": "true"})
	f("clickhouseInstallation: {enabled: true, replicas: 3, keeper: [k:2181], cluster: stream}", "chi-jobstrom-stream-0-0:9000,chi-jobstrom-stream-0-1:9000,chi-jobstrom-stream-0-2:9000", map[string]string{"CLUSTER": "stream", "REPLICATED": "true"})
	f("clickhouseInstallation: {enabled: true, shards: 2, replicas: 2, keeper: [k:2181]}", "chi-jobstrom-jobstrom-0-0:9000,chi-jobstrom-jobstrom-0-1:9000,chi-jobstrom-jobstrom-1-0:9000,chi-jobstrom-jobstrom-1-1:9000", map[string]string{"CLUSTER": "jobstrom", "SHARDED": "true", "REPLICATED": "true"})
	f("clickhouseInstallation: {shards: 2, replicas: 2, cluster: stream}\nclickhouse: {addresses: [ch:9000]}", "ch:9000", map[string]string{})
	f("clickhouse: {addresses: [a:9000, b:9000], cluster: {name: events, replicated: true}, job: {enabled: true}}", "a:9000,b:9000", map[string]string{"CLUSTER": "events", "REPLICATED": "true"})
	f("clickhouseInstallation: {enabled: true, shards: 2, keeper: [k:2181]}\nclickhouse: {addresses: [a:9000], cluster: {name: jobstrom, sharded: true}}", "a:9000", map[string]string{"CLUSTER": "jobstrom", "SHARDED": "true"})
}
