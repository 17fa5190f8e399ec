package cli

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"jobstrom/cluster"
	"jobstrom/cluster/clustertest"
)

// composeFile is the part of Compose's format that docker-compose.yaml uses; a key it does not name is refused.
type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
	Worker   any `yaml:"x-worker"`
	Common   any `yaml:"x-common"`
	Employer any `yaml:"x-employer"`
}

type composeService struct {
	Image string
	Build struct{ Context, Dockerfile string }
	// Command are the arguments of the image's entry point.
	Command     []string
	Environment map[string]string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Ports       []string
	Volumes     []string
	Healthcheck *struct {
		Test              []string
		Interval, Timeout time.Duration
		Retries           int
	}
	Restart         string
	StopGracePeriod time.Duration `yaml:"stop_grace_period"`
	Ulimits         map[string]int
}

// variable is how Compose writes a variable that must be set.
var variable = regexp.MustCompile(`\$\{(\w+):\?[^}]+\}`)

// readCompose reads docker-compose.yaml with the variables that .env would set.
func readCompose(t *testing.T, variables map[string]string) composeFile {
	t.Helper()
	text, err := os.ReadFile("../docker-compose.yaml")
	must(t, err)
	text = variable.ReplaceAllFunc(text, func(match []byte) []byte {
		name := string(variable.FindSubmatch(match)[1])
		value, known := variables[name]
		if !known {
			t.Fatalf("docker-compose.yaml needs the variable %s, which no test sets", name)
		}
		return []byte(value)
	})
	var c composeFile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		t.Fatalf("docker-compose.yaml: %v", err)
	}
	return c
}

var testVariables = map[string]string{"JOBSTROM_EMPLOYER_KEY": "0123456789abcdef0123456789abcdef", "JOBSTROM_CLICKHOUSE_PASSWORD": "secret"}

func TestComposeFile(t *testing.T) {
	c := readCompose(t, testVariables)
	if got, want := slices.Sorted(maps.Keys(c.Services)), []string{"api", "classify", "clickhouse", "embed", "extract", "kafka", "sink"}; !slices.Equal(got, want) {
		t.Fatalf("the services are %v, want %v", got, want)
	}
	// What is deployed is what was tested.
	wantImages := map[string]string{"kafka": "apache/kafka:" + testedKafka(t), "clickhouse": "clickhouse/clickhouse-server:" + testedClickHouse(t)}
	for name, s := range c.Services {
		if want := wantImages[name]; want != "" && s.Image != want {
			t.Errorf("%s has the image %s, tested is %s", name, s.Image, want)
		}
		if wantImages[name] == "" {
			if _, err := os.Stat(filepath.Join("..", s.Build.Context, s.Build.Dockerfile)); err != nil || s.Build.Dockerfile == "" {
				t.Errorf("%s has neither a tested image nor a Dockerfile that exists: %v", name, err)
			}
		}
		for other, d := range s.DependsOn {
			if known, ok := c.Services[other]; !ok || d.Condition != "service_healthy" || known.Healthcheck == nil {
				t.Errorf("%s waits until %s is healthy, which it cannot say", name, other)
			}
		}
		for _, v := range s.Volumes {
			if volume, _, _ := strings.Cut(v, ":"); !hasKey(c.Volumes, volume) {
				t.Errorf("%s has the volume %s, which is not declared", name, volume)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s shows port %s to the net, without a password", name, p)
			}
		}
	}
}

func hasKey(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

// testedKafka returns the version of Apache Kafka that the set-up fetches.
func testedKafka(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../native/kafka/pom.xml")
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
	text, err := os.ReadFile("../native/parts.tsv")
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

// The image turns KAFKA_LOG_DIRS into log.dirs and formats the data folder; Kafka must accept the whole.
func TestComposeKafkaSettingsAreKafkas(t *testing.T) {
	libs := clustertest.Libs(t)
	var properties strings.Builder
	for name, value := range readCompose(t, testVariables).Services["kafka"].Environment {
		key, ours := strings.CutPrefix(name, "KAFKA_")
		if !ours {
			t.Errorf("%s is no setting of Kafka", name)
		}
		key = strings.ToLower(strings.ReplaceAll(key, "_", "."))
		if key == "log.dirs" {
			value = filepath.Join(t.TempDir(), "data")
		}
		fmt.Fprintf(&properties, "%s=%s\n", key, value)
	}
	file := write(t, "server.properties", properties.String())
	out, err := cluster.Tool(t.Context(), libs, "kafka.tools.StorageTool", "format", "--cluster-id", "am9ic3Ryb20tY2x1c3Rlcg", "--config", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Formatting metadata directory") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// instructions reads a Dockerfile: name and arguments of each instruction, lines that go on joined.
func instructions(text string) [][2]string {
	var all [][2]string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		all = append(all, [2]string{name, strings.TrimSpace(rest)})
	}
	return all
}

func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("../deploy/Dockerfile")
	must(t, err)
	module, err := os.ReadFile("../go.mod")
	must(t, err)
	goVersion := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(module)[1]
	stages, last := map[string]bool{}, map[string]string{}
	for _, i := range instructions(string(text)) {
		name, rest := i[0], i[1]
		switch name {
		case "FROM":
			image, stage, _ := strings.Cut(rest, " AS ")
			stages[stage] = true
			if !regexp.MustCompile(`^[a-z/]+:\d+\.\d+[\w.-]*$`).MatchString(image) {
				t.Errorf("the image %s is not pinned to a version", image)
			}
			if v, isGo := strings.CutPrefix(image, "golang:"); isGo && !strings.HasPrefix(v, string(goVersion)+"-") {
				t.Errorf("the image is built with Go %s, tested is %s", v, goVersion)
			}
		case "COPY":
			from, rest := "", strings.Fields(rest)
			if f, ok := strings.CutPrefix(rest[0], "--from="); ok {
				from, rest = f, rest[1:]
			}
			for _, source := range rest[:len(rest)-1] {
				path := filepath.Join("..", source)
				if from != "" { // what the build stage makes is what make builds, but for the program
					path = filepath.Join("..", strings.TrimPrefix(source, "/src/"))
					if !stages[from] || !strings.HasPrefix(source, "/src/") {
						t.Errorf("%s is copied from %s, where it is not", source, from)
					}
				}
				if _, err := os.Stat(path); err != nil && source != "/src/bin/jobstrom" {
					t.Errorf("%s is copied: %v", source, err)
				}
			}
		case "RUN", "WORKDIR", "ARG", "ENV", "USER", "ENTRYPOINT":
			last[name] = rest
		default:
			t.Errorf("%s is no instruction that this file needs", name)
		}
	}
	if last["ENTRYPOINT"] != `["jobstrom"]` || last["USER"] != "nobody" || last["ENV"] != "JOBSTROM_NATIVE=/opt/jobstrom" {
		t.Errorf("got %v", last)
	}
}

// startServices runs our services of docker-compose.yaml, commands and environment as they stand there, but with these
// addresses. They must end with status 0 on SIGTERM. The API is at web.
func startServices(t *testing.T, kafka, clickHouse, web string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	// The engine of the tests has no user jobstrom.
	replace := strings.NewReplacer("kafka:19092", kafka, "clickhouse:9000", clickHouse, "0.0.0.0:8080", web)
	for name, s := range readCompose(t, testVariables).Services {
		if s.Command == nil {
			continue
		}
		command := exec.Command(self, s.Command...)
		command.Env = append(os.Environ(), "JOBSTROM_TEST_MAIN=1")
		for key, value := range s.Environment {
			switch key {
			case "JOBSTROM_CLICKHOUSE_USER":
				value = "default"
			case "JOBSTROM_CLICKHOUSE_PASSWORD":
				value = ""
			}
			command.Env = append(command.Env, key+"="+replace.Replace(value))
		}
		log := &lockedBuffer{}
		command.Stdout, command.Stderr = io.Discard, log
		must(t, command.Start())
		t.Cleanup(func() {
			_ = command.Process.Signal(syscall.SIGTERM)
			kill := time.AfterFunc(2*time.Minute, func() { _ = command.Process.Kill() })
			defer kill.Stop()
			if err := command.Wait(); err != nil {
				t.Errorf("the service %s ended with %v:\n%s", name, err, log)
			}
		})
	}
}
