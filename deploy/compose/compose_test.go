package compose_test

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"jobstrom/deploy/compose"
)

const file = "../../docker-compose.yaml"

// variables is what .env sets.
var variables = []string{"JOBSTROM_EMPLOYER_KEY=0123456789abcdef0123456789abcdef", "JOBSTROM_CLICKHOUSE_PASSWORD=secret", "JOBSTROM_GRAFANA_PASSWORD=secret"}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T) *types.Project {
	t.Helper()
	project, err := compose.Load(t.Context(), file, variables, "train")
	must(t, err)
	return project
}

// ours says whether a service runs the image of deploy/Dockerfile.
func ours(s types.ServiceConfig) bool { return s.Image == "jobstrom" }

func TestServices(t *testing.T) {
	project := load(t)
	want := []string{"api", "classify", "clickhouse", "embed", "extract", "grafana", "kafka", "prometheus", "sink", "trainer", "watch"}
	if got := project.ServiceNames(); !slices.Equal(got, want) {
		t.Fatalf("the services are %v, want %v", got, want)
	}
	// What starts without a profile is everything but the training.
	plain, err := compose.Load(t.Context(), file, variables)
	must(t, err)
	if got := plain.DisabledServiceNames(); !slices.Equal(got, []string{"trainer"}) {
		t.Errorf("docker compose up leaves out %v, want the trainer", got)
	}
}

// Each variable of the file must be set, or has a value of its own: none is silently empty.
func TestVariables(t *testing.T) {
	for i := range variables {
		name, _, _ := strings.Cut(variables[i], "=")
		if _, err := compose.Load(t.Context(), file, slices.Delete(slices.Clone(variables), i, i+1)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	text, err := os.ReadFile(file)
	must(t, err)
	for _, v := range regexp.MustCompile(`\$\{?\w+[^}]*\}?`).FindAllString(string(text), -1) {
		if !strings.Contains(v, ":?") && !strings.Contains(v, ":-") {
			t.Errorf("%s may be empty: write ${NAME:?what to do} or ${NAME:-value}", v)
		}
	}
	ignored, err := os.ReadFile("../../.gitignore")
	must(t, err)
	if !slices.Contains(strings.Split(string(ignored), "\n"), "/.env") {
		t.Error(".gitignore lets the secrets of .env into a commit")
	}
}

// What is deployed is what was tested. Of Prometheus the major version counts: the next one writes the labels of histograms in another way.
func TestImages(t *testing.T) {
	want := map[string]string{"kafka": "apache/kafka:" + testedKafka(t), "clickhouse": "clickhouse/clickhouse-server:" + testedClickHouse(t)}
	pinned := regexp.MustCompile(`^[a-z0-9/-]+:v?\d+\.\d+\.\d+$`)
	for name, s := range load(t).Services {
		switch {
		case ours(s):
			if s.Build == nil {
				t.Fatalf("%s has no build", name)
			}
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s is built from nothing: %v", name, err)
			}
		case !pinned.MatchString(s.Image):
			t.Errorf("%s has the image %s, which is not pinned to a version", name, s.Image)
		case want[name] != "" && s.Image != want[name]:
			t.Errorf("%s has the image %s, tested is %s", name, s.Image, want[name])
		case s.Build != nil:
			t.Errorf("%s is built", name)
		}
	}
}

// testedKafka returns the version of Apache Kafka that the set-up fetches.
func testedKafka(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../native/kafka/pom.xml")
	must(t, err)
	var pom struct {
		Dependencies []struct {
			ArtifactID string `xml:"artifactId"`
			Version    string `xml:"version"`
		} `xml:"dependencies>dependency"`
	}
	must(t, xml.Unmarshal(text, &pom))
	for _, d := range pom.Dependencies {
		if strings.HasPrefix(d.ArtifactID, "kafka_") {
			return d.Version
		}
	}
	t.Fatal("native/kafka/pom.xml names no Kafka")
	return ""
}

// testedClickHouse returns the version of the ClickHouse that the set-up fetches.
func testedClickHouse(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../native/parts.tsv")
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if columns := strings.Split(line, "\t"); strings.HasPrefix(columns[0], "chdb-") {
			version, _, _ := strings.Cut(columns[3], "-")
			return version
		}
	}
	t.Fatal("native/parts.tsv names no ClickHouse")
	return ""
}

// Whoever waits for another waits until it is healthy, which it must be able to say. (Whoever waits in a circle is refused by Load.)
func TestOrder(t *testing.T) {
	project := load(t)
	for name, s := range project.Services {
		once := name == "trainer"
		if healthy := s.HealthCheck != nil && !s.HealthCheck.Disable; healthy == once {
			t.Errorf("%s: has a health check: %v", name, healthy)
		}
		if ours(s) && !once && !slices.Equal(s.HealthCheck.Test, []string{"CMD", "jobstrom", "ready"}) {
			t.Errorf("%s is asked by %v: its image holds nothing but jobstrom", name, s.HealthCheck.Test)
		}
		for other, d := range s.DependsOn {
			if d.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s waits until %s is %s", name, other, d.Condition)
			}
		}
		if ours(s) && !once && s.Environment["JOBSTROM_METRICS_ADDRESS"] == nil {
			t.Errorf("%s tells nobody how it is", name)
		}
		// Who uses one of these waits for it.
		for variable, needs := range map[string]string{"JOBSTROM_BROKERS": "kafka", "JOBSTROM_CLICKHOUSE": "clickhouse"} {
			if _, waits := s.DependsOn[needs]; s.Environment[variable] != nil && !waits {
				t.Errorf("%s does not wait for %s", name, needs)
			}
		}
		if _, waits := s.DependsOn["sink"]; s.Environment["JOBSTROM_CLICKHOUSE"] != nil && name != "sink" && !waits {
			t.Errorf("%s does not wait for the sink, which makes the tables", name)
		}
		want := types.RestartPolicyUnlessStopped
		if once {
			want = types.RestartPolicyNo
		}
		if s.Restart != want {
			t.Errorf("%s is restarted %q, want %q", name, s.Restart, want)
		}
	}
}

// No container writes to its own files, has rights of root or all of the machine, or can be reached from others.
func TestConfinement(t *testing.T) {
	for name, s := range load(t).Services {
		if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do too much: read only %v, privileged %v, without %v, with %v, %v", name, s.ReadOnly, s.Privileged, s.CapDrop, s.CapAdd, s.SecurityOpt)
		}
		if s.MemLimit < 256<<20 || s.CPUS <= 0 || s.PidsLimit <= 0 {
			t.Errorf("%s has no limits: memory %d, processors %v, processes %d", name, s.MemLimit, s.CPUS, s.PidsLimit)
		}
		if s.CPUS > 2 {
			t.Errorf("%s asks for %v processors: Docker starts nothing that asks for more than there are", name, s.CPUS)
		}
		if s.NetworkMode != "" || s.Logging == nil || s.Logging.Options["max-size"] == "" {
			t.Errorf("%s: network %q, logging %v", name, s.NetworkMode, s.Logging)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s shows port %s to the net, without a password", name, p.Published)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !v.ReadOnly {
				t.Errorf("%s writes to %s of this machine", name, v.Source)
			}
		}
		for _, dir := range s.Tmpfs { // without a mode it would be its owner's alone, which is root
			if !strings.Contains(dir, "mode=1777") || !strings.Contains(dir, "size=") {
				t.Errorf("%s has the folder %s in memory without mode or size", name, dir)
			}
		}
		if s.User == "" && name == "clickhouse" || strings.HasPrefix(s.User, "0") {
			t.Errorf("%s runs as %q", name, s.User)
		}
	}
}

// What is mounted from the repository is in it, but for what lies in folders that may be empty.
func TestMounts(t *testing.T) {
	project := load(t)
	root, err := filepath.Abs("../..")
	must(t, err)
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			path, err := filepath.Rel(root, v.Source)
			if err != nil || strings.HasPrefix(path, "..") {
				t.Errorf("%s mounts %s, which is outside of the repository", name, v.Source)
				continue
			}
			if path == "deploy/grafana" || path == "deploy/prometheus" {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// docs/docker.md's table has each service with its limits, as Docker counts them.
func TestDocumentedLimits(t *testing.T) {
	text, err := os.ReadFile("../../docs/docker.md")
	must(t, err)
	project, seen := load(t), 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`.+`) \\| ([0-9.]+) \\| ([0-9.]+) (MB|GB) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, name := range strings.Split(row[1], ", ") {
			s, ok := project.Services[strings.Trim(name, "`")]
			if !ok {
				t.Fatalf("there is no service %s", name)
			}
			seen++
			memory, err := strconv.ParseFloat(row[3], 64)
			must(t, err)
			unit := map[string]float64{"MB": 1 << 20, "GB": 1 << 30}[row[4]]
			if float64(s.MemLimit) != memory*unit || strconv.FormatFloat(float64(s.CPUS), 'f', -1, 32) != row[2] {
				t.Errorf("%s has %v processors and %d bytes of memory, docs/docker.md says %s and %s %s", name, s.CPUS, s.MemLimit, row[2], row[3], row[4])
			}
		}
	}
	if seen != len(project.Services) {
		t.Errorf("docs/docker.md has the limits of %d services, there are %d", seen, len(project.Services))
	}
}

// The page's commands write the .env that the file needs, with secrets of some length, for their owner alone.
func TestDocumentedSecrets(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing: install it (apt-get install openssl)")
	}
	text, err := os.ReadFile("../../docs/docker.md")
	must(t, err)
	block := regexp.MustCompile("(?s)```\n(printf .*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/docker.md does not write .env")
	}
	dir := t.TempDir()
	shell := exec.Command("bash", "-euo", "pipefail", "-c", string(block[1]))
	shell.Dir = dir
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	path := filepath.Join(dir, ".env")
	written, err := os.ReadFile(path)
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(written)), "\n")
	if _, err := compose.Load(t.Context(), file, lines); err != nil {
		t.Error(err)
	}
	for _, line := range lines {
		if name, value, _ := strings.Cut(line, "="); len(value) < 32 {
			t.Errorf("%s has %d characters", name, len(value))
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read .env: %v %v", info.Mode(), err)
	}
}
