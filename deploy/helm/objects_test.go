package helm

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// types are the kinds that the chart may render and whose Go types are at hand.
var types = map[string]func() meta.Object{
	"v1/ConfigMap":                            func() meta.Object { return &core.ConfigMap{} },
	"v1/Pod":                                  func() meta.Object { return &core.Pod{} },
	"v1/Service":                              func() meta.Object { return &core.Service{} },
	"v1/ServiceAccount":                       func() meta.Object { return &core.ServiceAccount{} },
	"apps/v1/Deployment":                      func() meta.Object { return &apps.Deployment{} },
	"apps/v1/StatefulSet":                     func() meta.Object { return &apps.StatefulSet{} },
	"batch/v1/CronJob":                        func() meta.Object { return &batch.CronJob{} },
	"batch/v1/Job":                            func() meta.Object { return &batch.Job{} },
	"networking.k8s.io/v1/Ingress":            func() meta.Object { return &networking.Ingress{} },
	"networking.k8s.io/v1/NetworkPolicy":      func() meta.Object { return &networking.NetworkPolicy{} },
	"policy/v1/PodDisruptionBudget":           func() meta.Object { return &policy.PodDisruptionBudget{} },
	"monitoring.coreos.com/v1/PodMonitor":     func() meta.Object { return &monitoring.PodMonitor{} },
	"monitoring.coreos.com/v1/PrometheusRule": func() meta.Object { return &monitoring.PrometheusRule{} },
}

// custom is a resource whose Go types would bring a whole operator along. testdata/schemas has a JSON schema of each, written by hand from the operators' documentation
// for the fields that the chart uses; any other field is an error.
type custom struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            map[string]any `json:"spec"`
}

var schemas = []string{"keda.sh/v1alpha1/ScaledObject", "keda.sh/v1alpha1/TriggerAuthentication", "kafka.strimzi.io/v1/KafkaTopic", "kafka.strimzi.io/v1/KafkaUser", "clickhouse.altinity.com/v1/ClickHouseInstallation"}

// objects decodes a manifest strictly: an unknown kind or field is an error.
func objects(t *testing.T, manifest string) []meta.Object {
	t.Helper()
	all, names := []meta.Object{}, map[string]bool{}
	for _, document := range regexp.MustCompile(`(?m)^---\n`).Split(manifest, -1) {
		var head meta.TypeMeta
		must(t, yaml.Unmarshal([]byte(document), &head))
		if head.Kind == "" {
			if regexp.MustCompile(`(?m)^[^#\n]`).MatchString(document) {
				t.Errorf("this is no object:\n%s", document)
			}
			continue
		}
		kind := head.APIVersion + "/" + head.Kind
		var object meta.Object
		switch {
		case types[kind] != nil:
			object = types[kind]()
		case slices.Contains(schemas, kind):
			object = &custom{}
			if err := matches(t, kind, document); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		default:
			t.Errorf("no test knows the kind %s", kind)
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, document)
			continue
		}
		name := head.Kind + " " + object.GetName()
		if names[name] {
			t.Errorf("there are two of %s", name)
		}
		names[name] = true
		limit := 63
		if head.Kind == "StatefulSet" || head.Kind == "CronJob" {
			limit = 52 // Kubernetes puts a revision or a time behind it
		}
		if errs := validation.IsDNS1123Subdomain(object.GetName()); len(errs) > 0 || len(object.GetName()) > limit {
			t.Errorf("%s: %v, %d characters", name, errs, len(object.GetName()))
		}
		for key, value := range object.GetLabels() {
			if errs := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(errs) > 0 {
				t.Errorf("%s: label %s=%s: %v", name, key, value, errs)
			}
		}
		if object.GetLabels()["app.kubernetes.io/instance"] == "" {
			t.Errorf("%s does not say whose it is", name)
		}
		all = append(all, object)
	}
	return all
}

// matches says how a document differs from the schema of its kind.
func matches(t *testing.T, kind, document string) error {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(filepath.Join("testdata", "schemas", filepath.Base(kind)+".json"))
	must(t, err)
	text, err := yaml.YAMLToJSONStrict([]byte(document))
	must(t, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	must(t, err)
	return schema.Validate(value)
}

// of returns the objects of one type.
func of[T meta.Object](all []meta.Object) (some []T) {
	for _, o := range all {
		if typed, ok := o.(T); ok {
			some = append(some, typed)
		}
	}
	return some
}

// Every case renders objects that Kubernetes and the operators know, and that fit each other.
func TestObjects(t *testing.T) {
	for name, file := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifest, err := template(t, []string{file})
			must(t, err)
			checkObjects(t, manifest)
		})
	}
}

// checkObjects looks at everything that the tests know of a manifest's objects.
func checkObjects(t *testing.T, manifest string) {
	t.Helper()
	all := objects(t, manifest)
	pods := podsOf(all)
	if len(pods) == 0 {
		t.Fatal("there are no pods")
	}
	for _, p := range pods {
		checkPod(t, p)
	}
	checkSelectors(t, all, pods)
	checkOperators(t, all, pods)
}

// Dashboards and rules become objects, whatever files there are. This is seen with files of the test's own, in a copy of the chart.
func TestMonitoringTakesTheFilesThatAreThere(t *testing.T) {
	folder := copyChart(t)
	write := func(name, content string) { must(t, writeFile(filepath.Join(folder, "files", name), content)) }
	write("grafana/zz-test.json", "{\n  \"title\": \"{{stage}}\",\n  \"panels\": []\n}\n")
	write("prometheus/zz-test.rules.yaml", "groups:\n  - name: test\n    rules:\n      - alert: Test\n        expr: up == 0\n        for: 5m\n        annotations:\n          summary: '{{ $labels.stage }} is away'\n")
	manifest, err := run(t, "template", "jobstrom", folder, "--values", cases(t)["everything"])
	must(t, err)
	all := objects(t, manifest)
	dashboards := of[*core.ConfigMap](all)
	at := slices.IndexFunc(dashboards, func(c *core.ConfigMap) bool { return c.Name == "jobstrom-dashboard-zz-test" })
	if at < 0 || dashboards[at].Labels["grafana_dashboard"] != "1" || dashboards[at].Annotations["grafana_folder"] != "jobstrom" {
		t.Fatalf("got %v", dashboards)
	}
	for _, d := range dashboards {
		for file, text := range d.Data {
			var page struct{ Title string }
			if err := json.Unmarshal([]byte(text), &page); err != nil || page.Title == "" {
				t.Errorf("%s: %v, title %q", file, err, page.Title)
			}
		}
	}
	if text := dashboards[at].Data["jobstrom-zz-test.json"]; !strings.Contains(text, "{{stage}}") {
		t.Errorf("got %s", text)
	}
	rules := of[*monitoring.PrometheusRule](all)
	at = slices.IndexFunc(rules, func(r *monitoring.PrometheusRule) bool { return r.Name == "jobstrom-zz-test-rules" })
	if at < 0 || rules[at].Labels["release"] != "prometheus" {
		t.Fatalf("got %v", rules)
	}
	if r := rules[at].Spec.Groups[0].Rules[0]; r.Alert != "Test" || r.Annotations["summary"] != "{{ $labels.stage }} is away" {
		t.Errorf("got %+v", r)
	}
	if want, err := filepath.Glob("../prometheus/*.rules.yaml"); err != nil || len(rules) != len(want)+1 {
		t.Errorf("%d rules, want one more than %d files", len(rules), len(want))
	}
}

// The schemas that were written by hand refuse what the operators would not know.
func TestSchemasRefuse(t *testing.T) {
	manifest, err := template(t, []string{cases(t)["everything"]})
	must(t, err)
	seen := map[string]bool{}
	for _, o := range of[*custom](objects(t, manifest)) {
		kind := o.APIVersion + "/" + o.Kind
		if seen[kind] {
			continue
		}
		seen[kind] = true
		spoiled := maps.Clone(o.Spec)
		spoiled["replica"] = 1
		text, err := yaml.Marshal(custom{o.TypeMeta, o.ObjectMeta, spoiled})
		must(t, err)
		if err := matches(t, kind, string(text)); err == nil || !strings.Contains(fmt.Sprint(err), "replica") {
			t.Errorf("%s with an unknown field: %v", kind, err)
		}
	}
	if len(seen) != len(schemas) {
		t.Errorf("everything has only %v", seen)
	}
}
