package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"jobstrom/cluster/clustertest"
	"jobstrom/telemetry/logtest"
)

// manifests are what the Helm chart renders, kept and checked by the tests beside it (make test-helm).
const manifests = "../deploy/helm/testdata/rendered/*.yaml"

// helmPod is one pod's container in such a manifest.
type helmPod struct {
	Name string // of what makes the pods
	Kind string
	Args []string
	Env  map[string]string
}

// arguments are those of the first pod.
func (p helmPod) arguments() (all []string) {
	for _, a := range p.Args {
		all = append(all, strings.ReplaceAll(a, "$(POD_NAME)", p.Name+"-0"))
	}
	return all
}

// readManifest lists the pods of a manifest.
func readManifest(t *testing.T, file string) (pods []helmPod) {
	t.Helper()
	type podSpec struct {
		Containers []struct {
			Args []string
			Env  []struct{ Name, Value string }
		}
	}
	type template struct{ Spec podSpec }
	data, err := os.ReadFile(file)
	must(t, err)
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct {
				podSpec     `yaml:",inline"`                           // of a Pod
				Template    template                                   // of a StatefulSet, a Deployment, a Job
				JobTemplate struct{ Spec struct{ Template template } } `yaml:"jobTemplate"` // of a CronJob
			}
		}
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return pods
		} else if _, other := err.(*yaml.TypeError); err != nil && !other {
			t.Fatalf("%s: %v", file, err)
		}
		containers := append(append(o.Spec.Containers, o.Spec.Template.Spec.Containers...), o.Spec.JobTemplate.Spec.Template.Spec.Containers...)
		for _, c := range containers {
			p := helmPod{Name: o.Metadata.Name, Kind: o.Kind, Args: c.Args, Env: map[string]string{}}
			for _, e := range c.Env {
				p.Env[e.Name] = e.Value
			}
			pods = append(pods, p)
		}
	}
}

// What the chart writes into containers, in every manifest that is kept, are commands, flags and settings of the program.
func TestHelmContainersAreTheProgram(t *testing.T) {
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(settings)
	files, err := filepath.Glob(manifests)
	must(t, err)
	if len(files) < 3 {
		t.Fatalf("%s are %v", manifests, files)
	}
	for _, file := range files {
		pods := readManifest(t, file)
		if len(pods) < 7 {
			t.Errorf("%s has %d pods", file, len(pods))
		}
		for _, p := range pods {
			t.Run(filepath.Base(file)+" "+p.Name, func(t *testing.T) {
				for name, value := range p.Env {
					setting, ours := strings.CutPrefix(name, "JOBSTROM_")
					setting = strings.ToLower(strings.ReplaceAll(setting, "_", "-"))
					if flag := settings.Lookup(setting); ours && (flag == nil || setting == "config") {
						t.Errorf("%s is no setting", name)
					}
					t.Setenv(name, value)
				}
				a := &app{}
				root := a.root()
				command, rest, err := root.Find(p.arguments())
				must(t, err)
				must(t, command.ParseFlags(rest))
				must(t, command.ValidateArgs(command.Flags().Args()))
				if !command.Runnable() {
					t.Errorf("%v is no command that runs", p.Args)
				}
				c, err := loadConfig(command.Flags())
				must(t, err)
				if command.Name() == "serve" {
					must(t, c.checkReach())
				}
			})
		}
	}
}

// secretsFolder is where the chart mounts Secrets.
const secretsFolder = "/etc/jobstrom/secrets"

// The pods of the least manifest run, arguments and environment as they stand there but for addresses and folders: jobs first, then all that
// stays, and at last the check that helm test runs. The commands that docs/kubernetes.md gives for the API's pod are run with its environment.
func TestHelmPodsRun(t *testing.T) {
	brokers := clustertest.Brokers(t)
	kafka, engine := brokers[len(brokers)-1].Start(t)[0], startEngine(t)
	dir := t.TempDir()
	clone(t, dir)
	secrets := filepath.Join(dir, "secrets")
	must(t, os.Mkdir(secrets, 0o755))
	must(t, os.WriteFile(filepath.Join(secrets, "employer-key"), []byte("0123456789abcdef0123456789abcdef"), 0o600))
	var commands []string
	for _, block := range shellBlocks(t, "../docs/kubernetes.md") {
		for line := range strings.Lines(block) {
			if token, ours := strings.CutPrefix(line, "bin/jobstrom tokens new "); ours {
				command := exec.Command("bin/jobstrom", append([]string{"tokens", "new"}, strings.Fields(token)...)...)
				command.Dir = dir
				if out, err := command.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
				must(t, os.Rename(filepath.Join(dir, "tokens.yaml"), filepath.Join(secrets, "tokens.yaml")))
			}
			if inPod.MatchString(line) {
				commands = append(commands, inPod.ReplaceAllString(line, "bin/jobstrom"))
			}
		}
	}
	if len(commands) < 4 {
		t.Fatalf("docs/kubernetes.md gives %q", commands)
	}

	pods := readManifest(t, "../deploy/helm/testdata/rendered/minimal.yaml")
	ports := freePorts(t, 2*len(pods))
	environments, ready := map[string][]string{}, map[string]string{}
	for i, p := range pods {
		metrics, web := "127.0.0.1:"+ports[2*i], "127.0.0.1:"+ports[2*i+1]
		environment := append(os.Environ(), "JOBSTROM_TEST_MAIN=1")
		for name, value := range p.Env {
			switch name {
			case "JOBSTROM_BROKERS":
				value = kafka
			case "JOBSTROM_CLICKHOUSE":
				value = engine.Addr()
			case "JOBSTROM_CLICKHOUSE_USER":
				value = "jobstrom" // the user of startEngine, whose password is in the environment
			case "JOBSTROM_REPLICATION":
				value = "1" // nor has it three brokers
			case "JOBSTROM_METRICS_ADDRESS":
				value, ready[p.Name] = metrics, "http://"+metrics+"/readyz"
			case "JOBSTROM_HTTP":
				value = web
			case "JOBSTROM_DATA":
				value = filepath.Join(dir, "data", p.Name)
			}
			environment = append(environment, name+"="+strings.ReplaceAll(value, secretsFolder, secrets))
		}
		environments[p.Name] = environment
	}
	self, err := os.Executable()
	must(t, err)
	once := func(p helmPod) {
		t.Helper()
		command := exec.CommandContext(t.Context(), self, p.arguments()...)
		command.Env = environments[p.Name]
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", p.Kind, p.Name, err, out)
		}
	}
	for _, p := range pods {
		if p.Kind == "Job" {
			once(p)
		}
	}
	f := &flowUnderTest{t: t, dir: dir, log: &logtest.Buffer{}}
	for _, p := range pods {
		if p.Kind == "StatefulSet" || p.Kind == "Deployment" {
			startPod(t, self, p, environments[p.Name])
		}
	}
	for name, url := range ready {
		f.until(name+" is ready", func() bool { status, _ := get(url); return status == 200 })
	}
	for _, line := range commands {
		command := exec.CommandContext(t.Context(), "bash", "-c", line)
		command.Dir, command.Env = dir, environments["jobstrom-api"]
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		if strings.Contains(line, "follow") && !strings.Contains(string(out), "Bygge og anlæg") {
			t.Errorf("%s: %s", line, out)
		}
	}
	for _, p := range pods {
		if p.Kind == "Pod" {
			once(p)
		}
	}
}

// inPod is how docs/kubernetes.md runs a command in the API's pod.
var inPod = regexp.MustCompile(`kubectl -n jobstrom exec (-i )?deploy/jobstrom-api -- jobstrom`)

// startPod runs a pod's container until the test ends. It must end with status 0 on SIGTERM.
func startPod(t *testing.T, self string, p helmPod, environment []string) {
	t.Helper()
	command, log := exec.Command(self, p.arguments()...), &logtest.Buffer{}
	command.Env, command.Stdout, command.Stderr = environment, io.Discard, log
	must(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(2*time.Minute, func() { _ = command.Process.Kill() })
		defer kill.Stop()
		if err := command.Wait(); err != nil {
			t.Errorf("%s %s ended with %v:\n%s", p.Kind, p.Name, err, log)
		}
	})
}

// What the chart writes of declared topics is the file that the program reads.
func TestHelmTopicsAreDeclared(t *testing.T) {
	data, err := os.ReadFile("../deploy/helm/testdata/rendered/secured.yaml")
	must(t, err)
	text := ""
	for d := yaml.NewDecoder(bytes.NewReader(data)); text == ""; {
		var o struct {
			Kind string
			Data map[string]string
		}
		if err := d.Decode(&o); err != nil {
			if _, other := err.(*yaml.TypeError); !other {
				t.Fatalf("looking for the ConfigMap with topics.yaml: %v", err)
			}
		}
		text = o.Data["topics.yaml"]
	}
	file := filepath.Join(t.TempDir(), "topics.yaml")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	status, out, errOut := jobstrom(t, "", "topics", "plan", "--print", "--file", file)
	if status != 0 || !strings.Contains(out, `min.insync.replicas: "2"`) || !strings.Contains(out, `retention.ms: "1209600000"`) {
		t.Errorf("status %d: %s\n%s", status, errOut, out)
	}
}
