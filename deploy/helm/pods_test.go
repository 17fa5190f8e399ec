package helm

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// pod is what an object makes pods of.
type pod struct {
	Owner    string // its kind and name
	Labels   map[string]string
	Selector *meta.LabelSelector // nil where the owner has none
	Spec     core.PodSpec
	Hook     bool
}

func podsOf(all []meta.Object) (pods []pod) {
	for _, o := range all {
		switch o := o.(type) {
		case *apps.StatefulSet:
			pods = append(pods, pod{"StatefulSet " + o.Name, o.Spec.Template.Labels, o.Spec.Selector, o.Spec.Template.Spec, false})
		case *apps.Deployment:
			pods = append(pods, pod{"Deployment " + o.Name, o.Spec.Template.Labels, o.Spec.Selector, o.Spec.Template.Spec, false})
		case *batch.CronJob:
			t := o.Spec.JobTemplate.Spec.Template
			pods = append(pods, pod{"CronJob " + o.Name, t.Labels, nil, t.Spec, false})
		case *batch.Job:
			pods = append(pods, pod{"Job " + o.Name, o.Spec.Template.Labels, nil, o.Spec.Template.Spec, o.Annotations["helm.sh/hook"] != ""})
		case *core.Pod:
			pods = append(pods, pod{"Pod " + o.Name, o.Labels, nil, o.Spec, o.Annotations["helm.sh/hook"] != ""})
		}
	}
	return pods
}

const secretsFolder = "/etc/jobstrom/secrets"

// checkPod compares the parts of a pod with each other.
func checkPod(t *testing.T, p pod) {
	t.Helper()
	bad := func(format string, values ...any) {
		t.Helper()
		t.Errorf(p.Owner+": "+format, values...)
	}
	s := p.Spec
	if s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken {
		bad("the token of the ServiceAccount is mounted")
	}
	if p.Hook && s.ServiceAccountName != "" {
		bad("it may run before ServiceAccount %s is there", s.ServiceAccountName)
	}
	c := s.SecurityContext
	if c == nil || c.RunAsNonRoot == nil || !*c.RunAsNonRoot || c.SeccompProfile == nil || c.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		bad("its security context is %+v", c)
	}
	if len(s.Containers) != 1 || len(s.InitContainers) > 0 {
		t.Fatalf("%s: %d containers", p.Owner, len(s.Containers))
	}
	checkContainer(t, p.Owner, s.Containers[0])
	volumes := map[string]core.Volume{}
	for _, v := range s.Volumes {
		volumes[v.Name] = v
	}
	mounted := map[string]string{}
	for _, m := range s.Containers[0].VolumeMounts {
		if _, known := volumes[m.Name]; !known {
			bad("it mounts %s, which is no volume", m.Name)
		}
		mounted[m.Name] = m.MountPath
	}
	for name := range volumes {
		if mounted[name] == "" {
			bad("nobody mounts the volume %s", name)
		}
	}
	checkSecrets(t, p, volumes["secrets"], mounted["secrets"])
}

// The files of the image belong to its user, and nobody else may write to its folder.
func TestPodsRunAsTheImagesUser(t *testing.T) {
	dockerfile, err := os.ReadFile("../Dockerfile")
	must(t, err)
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindSubmatch(dockerfile)
	if user == nil {
		t.Fatal("the Dockerfile names no user")
	}
	manifest, err := template(t, []string{cases(t)["minimal"]})
	must(t, err)
	pods := podsOf(objects(t, manifest))
	if len(pods) == 0 {
		t.Fatal("no pods")
	}
	for _, p := range pods {
		c := p.Spec.SecurityContext
		if c.RunAsUser == nil || c.RunAsGroup == nil || c.FSGroup == nil {
			t.Fatalf("%s: no user, group or file system's group", p.Owner)
		}
		if got := fmt.Sprint(*c.RunAsUser, *c.RunAsGroup, *c.FSGroup); got != fmt.Sprintf("%s %s %[2]s", user[1], user[2]) {
			t.Errorf("%s runs as %s, the image as %s:%s", p.Owner, got, user[1], user[2])
		}
	}
}

func checkContainer(t *testing.T, owner string, c core.Container) {
	t.Helper()
	bad := func(format string, values ...any) {
		t.Helper()
		t.Errorf(owner+": "+format, values...)
	}
	sc := c.SecurityContext
	switch {
	case sc == nil:
		bad("no security context")
	case sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation, sc.ReadOnlyRootFilesystem == nil || !*sc.ReadOnlyRootFilesystem,
		sc.Capabilities == nil || !slices.Equal(sc.Capabilities.Drop, []core.Capability{"ALL"}) || len(sc.Capabilities.Add) > 0:
		bad("its security context is %+v", sc)
	}
	if len(c.Command) > 0 || len(c.Args) == 0 {
		bad("command %v, arguments %v: the image's entry point is the program", c.Command, c.Args)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		bad("it asks for %v", c.Resources)
	}
	if c.Resources.Requests.Memory().Cmp(*c.Resources.Limits.Memory()) > 0 {
		bad("it asks for more memory than it may have: %v", c.Resources)
	}
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	serves := strings.HasPrefix(owner, "StatefulSet ") || strings.HasPrefix(owner, "Deployment ")
	for name, probe := range map[string]*core.Probe{"/healthz startup": c.StartupProbe, "/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if (probe != nil) != serves {
			bad("probe %s: %v", name, probe)
		}
		if probe == nil {
			continue
		}
		if want, _, _ := strings.Cut(name, " "); probe.HTTPGet == nil || probe.HTTPGet.Path != want || ports[probe.HTTPGet.Port.StrVal] != 9400 {
			bad("probe %s asks %+v", name, probe.HTTPGet)
		}
	}
	environment := map[string]string{}
	for _, e := range c.Env {
		if _, twice := environment[e.Name]; twice {
			bad("%s is set twice", e.Name)
		}
		environment[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef == nil {
			bad("%s: secrets are files", e.Name)
		}
	}
	if serves && environment["JOBSTROM_METRICS_ADDRESS"] != ":9400" {
		bad("health is served at %q", environment["JOBSTROM_METRICS_ADDRESS"])
	}
	slot := strings.Join(c.Args, " ")
	if writes := strings.HasPrefix(slot, "run ") && !strings.HasPrefix(slot, "run sink"); writes != strings.HasSuffix(slot, " --slot=$(POD_NAME)") {
		bad("arguments %v", c.Args)
	}
	for _, m := range regexp.MustCompile(`\$\((\w+)\)`).FindAllStringSubmatch(slot, -1) {
		if _, known := environment[m[1]]; !known {
			bad("%s is not set", m[1])
		}
	}
}

// checkSecrets sees that each file that a variable names is there, and each file is named.
func checkSecrets(t *testing.T, p pod, v core.Volume, folder string) {
	t.Helper()
	named, files := map[string]bool{}, map[string]bool{}
	for _, e := range p.Spec.Containers[0].Env {
		if strings.HasPrefix(e.Value, secretsFolder) {
			named[e.Value] = true
		}
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.Secret == nil || source.Secret.Name == "" || source.Secret.Optional != nil {
				t.Errorf("%s: source %+v", p.Owner, source)
				continue
			}
			for _, item := range source.Secret.Items {
				file := path.Join(folder, item.Path)
				if files[file] {
					t.Errorf("%s: %s is there twice", p.Owner, file)
				}
				files[file] = true
			}
		}
		if mode := *v.Projected.DefaultMode; mode != 0o440 {
			t.Errorf("%s: secrets have mode %o", p.Owner, mode)
		}
	}
	if !maps.Equal(named, files) {
		t.Errorf("%s: variables name %v, there are %v", p.Owner, slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(files)))
	}
}

// secretsOf lists NAME/KEY of every Secret that pods mount.
func secretsOf(pods []pod) map[string]bool {
	all := map[string]bool{}
	for _, p := range pods {
		for _, v := range p.Spec.Volumes {
			if v.Projected == nil {
				continue
			}
			for _, source := range v.Projected.Sources {
				for _, item := range source.Secret.Items {
					all[source.Secret.Name+"/"+item.Key] = true
				}
			}
		}
	}
	return all
}

// The Secrets that are mounted are those that values name, each where it is needed and nowhere else.
func TestSecretsAreThoseOfValues(t *testing.T) {
	manifest, err := template(t, []string{cases(t)["secured"]})
	must(t, err)
	by := map[string][]string{}
	for _, p := range podsOf(objects(t, manifest)) {
		component := p.Labels["app.kubernetes.io/component"]
		for secret := range secretsOf([]pod{p}) {
			by[secret] = append(by[secret], component)
		}
	}
	kafka := []string{"api", "check", "classify", "embed", "extract", "sink", "topics", "watch"}
	clickHouse := []string{"api", "check", "sink", "warehouse", "watch"}
	registry := []string{"api", "check", "classify", "embed", "extract", "sink", "watch"}
	api := []string{"api", "check"}
	want := map[string][]string{
		"kafka-ca/ca.crt": kafka, "kafka-client/tls.crt": kafka, "kafka-client/tls.key": kafka, "kafka-user/secret-word": kafka,
		"registry/password": registry, "registry/authorities.pem": registry, "registry-client/tls.crt": registry, "registry-client/tls.key": registry,
		"clickhouse/password": clickHouse, "clickhouse-ca/ca.crt": clickHouse, "clickhouse-client/tls.crt": clickHouse, "clickhouse-client/tls.key": clickHouse,
		"keys/employers": {"api", "check", "extract"}, "tokens/tokens.yaml": api, "login-ca/ca.crt": api, "api-tls/tls.crt": api, "api-tls/tls.key": api,
		"alarms/url": {"watch"}, "alarms/key": {"watch"},
	}
	for secret, components := range by {
		slices.Sort(components)
		if !slices.Equal(components, want[secret]) {
			t.Errorf("%s is mounted in %v, want %v", secret, components, want[secret])
		}
	}
	if len(by) != len(want) {
		t.Errorf("mounted are %v", slices.Sorted(maps.Keys(by)))
	}
}

// checkSelectors sees that what selects pods selects some, and finds the ports it names.
func checkSelectors(t *testing.T, all []meta.Object, pods []pod) {
	t.Helper()
	choose := func(owner string, s *meta.LabelSelector) (some []pod) {
		t.Helper()
		selector, err := meta.LabelSelectorAsSelector(s)
		must(t, err)
		for _, p := range pods {
			if selector.Matches(labels.Set(p.Labels)) {
				some = append(some, p)
			}
		}
		if len(some) == 0 {
			t.Errorf("%s selects no pod", owner)
		}
		return some
	}
	has := func(owner string, some []pod, port string) {
		t.Helper()
		for _, p := range some {
			if !slices.ContainsFunc(p.Spec.Containers[0].Ports, func(c core.ContainerPort) bool { return c.Name == port }) && !p.Hook && !strings.HasPrefix(p.Owner, "CronJob") {
				t.Errorf("%s names the port %s, which %s has not", owner, port, p.Owner)
			}
		}
	}
	for _, p := range pods {
		if p.Selector == nil {
			continue
		}
		if chosen := choose(p.Owner, p.Selector); len(chosen) != 1 || chosen[0].Owner != p.Owner {
			t.Errorf("%s selects pods of others: %d kinds", p.Owner, len(chosen))
		}
		for _, c := range p.Spec.TopologySpreadConstraints {
			if chosen := choose(p.Owner, c.LabelSelector); len(chosen) != 1 || chosen[0].Owner != p.Owner {
				t.Errorf("%s is spread by others' pods", p.Owner)
			}
		}
	}
	services := map[string]*core.Service{}
	for _, s := range of[*core.Service](all) {
		services[s.Name] = s
		chosen := choose("Service "+s.Name, &meta.LabelSelector{MatchLabels: s.Spec.Selector})
		for _, port := range s.Spec.Ports {
			has("Service "+s.Name, chosen, port.TargetPort.StrVal)
		}
	}
	for _, s := range of[*apps.StatefulSet](all) {
		if service := services[s.Spec.ServiceName]; service == nil || service.Spec.ClusterIP != core.ClusterIPNone {
			t.Errorf("StatefulSet %s has no Service %s without an address", s.Name, s.Spec.ServiceName)
		}
		if s.Spec.PodManagementPolicy != apps.ParallelPodManagement {
			t.Errorf("StatefulSet %s starts its pods %s", s.Name, s.Spec.PodManagementPolicy)
		}
	}
	for _, i := range of[*networking.Ingress](all) {
		for _, rule := range i.Spec.Rules {
			for _, p := range rule.HTTP.Paths {
				service := services[p.Backend.Service.Name]
				if service == nil || !slices.ContainsFunc(service.Spec.Ports, func(s core.ServicePort) bool { return s.Name == p.Backend.Service.Port.Name }) {
					t.Errorf("Ingress %s leads to %+v", i.Name, p.Backend.Service)
				}
			}
		}
	}
	budgets := map[string]bool{}
	for _, b := range of[*policy.PodDisruptionBudget](all) {
		chosen := choose("PodDisruptionBudget "+b.Name, b.Spec.Selector)
		if len(chosen) != 1 || budgets[chosen[0].Owner] {
			t.Errorf("PodDisruptionBudget %s is for %d kinds of pods, or for those of another", b.Name, len(chosen))
			continue
		}
		budgets[chosen[0].Owner] = true
	}
	accounts := map[string]bool{"": true}
	for _, a := range of[*core.ServiceAccount](all) {
		accounts[a.Name] = true
	}
	for _, p := range pods {
		if len(accounts) > 1 && !accounts[p.Spec.ServiceAccountName] {
			t.Errorf("%s has the ServiceAccount %s, which is not there", p.Owner, p.Spec.ServiceAccountName)
		}
	}
	checkPolicies(t, all, pods, choose, has)
}

func labelSet(of map[string]string) labels.Labels { return labels.Set(of) }
