package helm

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// flow is what files/flow.yaml says of the code; a test beside the code keeps it true (cli, TestHelmChartKnowsTheFlow).
type flow struct {
	Encoder string
	Readers []struct {
		Stage, Group string
		Topics       []string
	}
	Topics []struct {
		Name       string
		Partitions int
		Config     map[string]string
	}
	Declarable        []string
	Roles             map[string][]struct{ Operation, Resource, Name string }
	Settings, Secrets []string
}

func readFlow(t *testing.T) (f flow) {
	t.Helper()
	text, err := os.ReadFile("jobstrom/files/flow.yaml")
	must(t, err)
	must(t, yaml.UnmarshalStrict(text, &f))
	return f
}

// Specs of custom resources, as far as tests look at them.
type (
	scaledObject struct {
		ScaleTargetRef                   struct{ APIVersion, Kind, Name string }
		MinReplicaCount, MaxReplicaCount int
		Triggers                         []struct {
			Metadata          map[string]string
			AuthenticationRef *struct{ Name string }
		}
	}
	kafkaTopic struct {
		Partitions, Replicas int
		Config               map[string]string
	}
	kafkaUser struct {
		Authorization struct {
			ACLs []struct {
				Resource   struct{ Type, Name, PatternType string }
				Operations []string
			}
		}
	}
)

func spec[T any](t *testing.T, o *custom) (s T) {
	t.Helper()
	text, err := json.Marshal(o.Spec)
	must(t, err)
	must(t, json.Unmarshal(text, &s))
	return s
}

func customs(all []meta.Object, kind string) []*custom {
	return slices.DeleteFunc(of[*custom](all), func(c *custom) bool { return c.Kind != kind })
}

// checkOperators sees that resources of operators name what is there.
func checkOperators(t *testing.T, all []meta.Object, pods []pod) {
	t.Helper()
	sets, authentications := map[string]*apps.StatefulSet{}, map[string]bool{}
	for _, s := range of[*apps.StatefulSet](all) {
		sets[s.Name] = s
	}
	for _, a := range customs(all, "TriggerAuthentication") {
		authentications[a.Name] = true
		s := spec[struct {
			SecretTargetRef []struct{ Parameter, Name, Key string }
			Env             []struct{ Name, ContainerName string }
		}](t, a)
		mounted := secretsOf(pods)
		for _, r := range s.SecretTargetRef {
			if !mounted[r.Name+"/"+r.Key] {
				t.Errorf("TriggerAuthentication %s takes %s/%s, which no pod has", a.Name, r.Name, r.Key)
			}
		}
		for _, e := range s.Env {
			for _, set := range sets {
				c := set.Spec.Template.Spec.Containers[0]
				if c.Name != e.ContainerName || !slices.ContainsFunc(c.Env, func(v core.EnvVar) bool { return v.Name == e.Name && v.Value != "" }) {
					t.Errorf("TriggerAuthentication %s takes %s of container %s, which StatefulSet %s has not", a.Name, e.Name, e.ContainerName, set.Name)
				}
			}
		}
	}
	scaled := customs(all, "ScaledObject")
	for _, o := range scaled {
		s := spec[scaledObject](t, o)
		set := sets[s.ScaleTargetRef.Name]
		if set == nil || s.ScaleTargetRef.Kind != "StatefulSet" || s.ScaleTargetRef.APIVersion != "apps/v1" {
			t.Errorf("ScaledObject %s scales %+v, which is not there", o.Name, s.ScaleTargetRef)
			continue
		}
		if set.Spec.Replicas != nil {
			t.Errorf("StatefulSet %s has replicas: each upgrade would undo what KEDA did", set.Name)
		}
		if s.MinReplicaCount < 1 || s.MaxReplicaCount < s.MinReplicaCount {
			t.Errorf("ScaledObject %s: %d to %d", o.Name, s.MinReplicaCount, s.MaxReplicaCount)
		}
		for _, trigger := range s.Triggers {
			if (trigger.AuthenticationRef != nil) != (len(authentications) > 0) || trigger.AuthenticationRef != nil && !authentications[trigger.AuthenticationRef.Name] {
				t.Errorf("ScaledObject %s authenticates with %v", o.Name, trigger.AuthenticationRef)
			}
		}
	}
	if len(scaled) > 0 && len(scaled) != len(sets) {
		t.Errorf("%d of %d stages are scaled", len(scaled), len(sets))
	}
	for _, m := range of[*monitoring.PodMonitor](all) {
		selector, err := meta.LabelSelectorAsSelector(&m.Spec.Selector)
		must(t, err)
		for _, p := range pods {
			if ports := p.Spec.Containers[0].Ports; len(ports) > 0 && !(selector.Matches(labelSet(p.Labels)) && ports[0].Name == *m.Spec.PodMetricsEndpoints[0].Port) {
				t.Errorf("PodMonitor %s leaves out %s", m.Name, p.Owner)
			}
		}
	}
}

// KEDA asks for the lag of the groups that the stages are in, on the topics that they read, with each encoder's own.
func TestScalersReadTheStagesLag(t *testing.T) {
	manifest, err := template(t, []string{cases(t)["everything"]})
	must(t, err)
	got := map[string][]string{}
	for _, o := range customs(objects(t, manifest), "ScaledObject") {
		for _, trigger := range spec[scaledObject](t, o).Triggers {
			m := trigger.Metadata
			got[o.Name] = append(got[o.Name], m["consumerGroup"]+" "+m["topic"])
			if m["bootstrapServers"] != "events-kafka-bootstrap:9093" || m["tls"] != "enable" || m["sasl"] != "scram_sha512" || m["lagThreshold"] == "" || m["offsetResetPolicy"] != "earliest" {
				t.Errorf("ScaledObject %s: %v", o.Name, m)
			}
		}
	}
	want := map[string][]string{}
	for _, r := range readFlow(t).Readers {
		for suffix, encoder := range map[string]string{"": "6724969422a7", "-large": "0123456789ab"} {
			if r.Stage == "extract" && suffix != "" {
				continue
			}
			name := "jobstrom-" + r.Stage + suffix
			for _, topic := range r.Topics {
				want[name] = append(want[name], strings.ReplaceAll(r.Group+" "+topic, "ENCODER", encoder))
			}
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if !slices.Contains(want["jobstrom-embed"], "jobstrom.embed.6724969422a7 vacancies.extracted") {
		t.Errorf("files/flow.yaml makes %v", want)
	}
}

// Strimzi's topics are those that jobstrom would make.
func TestStrimziTopicsAreTheFlows(t *testing.T) {
	manifest, err := template(t, []string{cases(t)["everything"]})
	must(t, err)
	got := map[string]kafkaTopic{}
	for _, o := range customs(objects(t, manifest), "KafkaTopic") {
		got[o.Name] = spec[kafkaTopic](t, o)
		if o.Labels["strimzi.io/cluster"] != "events" || o.Annotations["helm.sh/resource-policy"] != "keep" {
			t.Errorf("topic %s: %v %v", o.Name, o.Labels, o.Annotations)
		}
	}
	want := map[string]kafkaTopic{}
	for _, topic := range readFlow(t).Topics {
		partitions := topic.Partitions
		if partitions == 0 {
			partitions = 24
		}
		for _, encoder := range []string{"6724969422a7", "0123456789ab"} {
			want[strings.ReplaceAll(topic.Name, "ENCODER", encoder)] = kafkaTopic{Partitions: partitions, Replicas: 3, Config: topic.Config}
		}
	}
	if !maps.EqualFunc(got, want, func(a, b kafkaTopic) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if got["vacancies.raw"].Config["message.timestamp.type"] != "LogAppendTime" {
		t.Errorf("files/flow.yaml makes %v", got["vacancies.raw"])
	}
}

// Strimzi's user has the rights of what runs, and no others.
func TestStrimziUserHasTheRightsOfWhatRuns(t *testing.T) {
	f := func(values string, roles map[string][]string) {
		t.Helper()
		manifest, err := template(t, []string{cases(t)["everything"]}, values)
		must(t, err)
		users := customs(objects(t, manifest), "KafkaUser")
		if len(users) != 1 {
			t.Fatalf("%d users", len(users))
		}
		got := map[string]bool{}
		for _, acl := range spec[kafkaUser](t, users[0]).Authorization.ACLs {
			name := acl.Resource.Name
			if acl.Resource.PatternType == "prefix" {
				name += "*"
			}
			for _, operation := range acl.Operations {
				right := fmt.Sprintf("%s on %s %s", operation, acl.Resource.Type, name)
				if got[right] {
					t.Errorf("%s is granted twice", right)
				}
				got[right] = true
			}
		}
		want := map[string]bool{}
		all := readFlow(t).Roles
		for role, encoders := range roles {
			if len(all[role]) == 0 {
				t.Fatalf("files/flow.yaml has no role %s", role)
			}
			for _, r := range all[role] {
				for _, encoder := range encoders {
					want[fmt.Sprintf("%s on %s %s", r.Operation, strings.ReplaceAll(r.Resource, "transactional id", "transactionalId"), strings.ReplaceAll(r.Name, "ENCODER", encoder))] = true
				}
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v\nwant %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	one, both := []string{"6724969422a7"}, []string{"6724969422a7", "0123456789ab"}
	f("{}", map[string][]string{"run extract": one, "run embed": both, "run classify": both, "run sink": both, "serve": one, "drift watch": one, "train": one})
	f("{api: {enabled: false, ingress: {enabled: false}}, watch: {enabled: false}, trainer: {enabled: false}}",
		map[string][]string{"run extract": one, "run embed": both, "run classify": both, "run sink": both})
}

// The chart's default encoder is that of the image.
func TestDefaultEncoder(t *testing.T) {
	text, err := os.ReadFile("jobstrom/values.yaml")
	must(t, err)
	var values struct{ Encoders []struct{ ID string } }
	must(t, yaml.Unmarshal(text, &values))
	if len(values.Encoders) != 1 || values.Encoders[0].ID != readFlow(t).Encoder {
		t.Errorf("values.yaml has %v, the image %s", values.Encoders, readFlow(t).Encoder)
	}
}

// Settings that the chart makes itself are settings.
func TestOwnSettingsAreSettings(t *testing.T) {
	text, err := os.ReadFile("jobstrom/templates/_connections.tpl")
	must(t, err)
	_, own, _ := strings.Cut(string(text), `{{- define "jobstrom.ownSettings" -}}`)
	own, _, _ = strings.Cut(own, "{{- end }}")
	settings := readFlow(t).Settings
	for _, name := range strings.Fields(own) {
		if !slices.Contains(settings, name) {
			t.Errorf("jobstrom has no setting %s", name)
		}
	}
	if len(strings.Fields(own)) < 30 {
		t.Errorf("read %q", own)
	}
}
