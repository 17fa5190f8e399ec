package cli

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"jobstrom/deploy/compose"
	"jobstrom/embedded"
	"jobstrom/embedded/clickhousetest"
	"jobstrom/models"
	"jobstrom/telemetry/logtest"
)

// composeVariables is what .env sets for docker-compose.yaml.
var composeVariables = []string{"JOBSTROM_EMPLOYER_KEY=0123456789abcdef0123456789abcdef", "JOBSTROM_CLICKHOUSE_PASSWORD=secret", "JOBSTROM_GRAFANA_PASSWORD=secret"}

// services are those of docker-compose.yaml as processes of this machine: their commands and environment as they stand there, but with other addresses.
type services struct {
	t       *testing.T
	project *types.Project
	self    string
	native  string
	data    string            // the volume of the trainer and the API
	known   *strings.Replacer // addresses between containers → those of this machine
	metrics map[string]string // service → where it tells of its health
}

// newServices starts nothing. The API will be at web.
func newServices(t *testing.T, kafka, clickHouse, web string) *services {
	t.Helper()
	project, err := compose.Load(t.Context(), "../docker-compose.yaml", composeVariables, "train")
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	native, err := models.NativeDir()
	must(t, err)
	native, err = filepath.Abs(native)
	must(t, err)
	s := &services{
		t: t, project: project, self: self, native: native, data: t.TempDir(), metrics: map[string]string{},
		known: strings.NewReplacer("kafka:19092", kafka, "clickhouse:9000", clickHouse, "0.0.0.0:8080", web),
	}
	names := slices.Sorted(maps.Keys(project.Services))
	for i, port := range freePorts(t, len(names)) {
		s.metrics[names[i]] = "127.0.0.1:" + port
	}
	return s
}

// environment returns what a service's process has: the container's settings and nothing of this machine's.
func (s *services) environment(name string) []string {
	s.t.Helper()
	service, ok := s.project.Services[name]
	if !ok || service.Image != "jobstrom" {
		s.t.Fatalf("docker-compose.yaml has no service %s that runs jobstrom", name)
	}
	all := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "JOBSTROM_") })
	all = append(all, "JOBSTROM_TEST_MAIN=1", "JOBSTROM_NATIVE="+s.native, "JOBSTROM_DATA="+s.data)
	for key, value := range service.Environment {
		if key == "JOBSTROM_METRICS_ADDRESS" {
			all = append(all, key+"="+s.metrics[name])
			continue
		}
		all = append(all, key+"="+s.known.Replace(*value))
	}
	return all
}

// command returns a command line of jobstrom in a service's surroundings.
func (s *services) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	s.t.Helper()
	c := exec.CommandContext(ctx, s.self, args...)
	c.Env, c.Dir = s.environment(name), s.data
	return c
}

// up starts what docker compose up does, each service once those that it waits for are healthy. They must end with status 0 on SIGTERM.
func (s *services) up() {
	s.t.Helper()
	left := slices.DeleteFunc(s.project.ServiceNames(), func(name string) bool {
		service := s.project.Services[name]
		return service.Image != "jobstrom" || len(service.Profiles) > 0
	})
	for len(left) > 0 {
		before := len(left)
		left = slices.DeleteFunc(left, func(name string) bool {
			for other := range s.project.Services[name].DependsOn {
				if slices.Contains(left, other) {
					return false
				}
			}
			for other := range s.project.Services[name].DependsOn {
				s.awaitHealthy(other)
			}
			s.start(name)
			return true
		})
		if len(left) == before {
			s.t.Fatalf("%v wait for each other", left)
		}
	}
	for name, service := range s.project.Services {
		if service.Image == "jobstrom" && len(service.Profiles) == 0 {
			s.awaitHealthy(name)
		}
	}
}

func (s *services) start(name string) {
	s.t.Helper()
	log := &logtest.Buffer{}
	c := s.command(context.Background(), name, s.project.Services[name].Command...)
	c.Stdout, c.Stderr = io.Discard, log
	must(s.t, c.Start())
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the log of %s:\n%s", name, log)
		}
		_ = c.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(2*time.Minute, func() { _ = c.Process.Kill() })
		defer kill.Stop()
		if err := c.Wait(); err != nil {
			s.t.Errorf("the service %s ended with %v:\n%s", name, err, log)
		}
	})
}

// awaitHealthy runs a service's health check until it says yes. Kafka and ClickHouse are there from the beginning.
func (s *services) awaitHealthy(name string) {
	s.t.Helper()
	service := s.project.Services[name]
	if service.Image != "jobstrom" {
		return
	}
	check := service.HealthCheck.Test
	if check[0] != "CMD" || check[1] != "jobstrom" {
		s.t.Fatalf("%s has the health check %v", name, check)
	}
	for deadline := time.Now().Add(4 * time.Minute); ; <-time.After(200 * time.Millisecond) {
		out, err := s.command(s.t.Context(), name, check[2:]...).CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is not healthy after 4 minutes: %v\n%s", name, err, out)
		}
	}
}

// startEngine starts a ClickHouse of its own for a test, with the users of docker-compose.yaml.
func startEngine(t *testing.T) *embedded.ClickHouse {
	t.Helper()
	users, err := os.ReadFile("../deploy/compose/clickhouse/users.xml")
	must(t, err)
	t.Setenv("JOBSTROM_CLICKHOUSE_PASSWORD", "secret") // as the service has it
	return clickhousetest.Start(t, map[string]string{"users.d/jobstrom.xml": string(users)})
}

// The trainer's service says what it lacks, and the others cannot reach ClickHouse without their password.
func (s *services) trainsNothing() {
	s.t.Helper()
	trainer := s.project.Services["trainer"]
	out, err := s.command(s.t.Context(), "trainer", trainer.Command...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(string(out), "the history holds no labelled vacancies") {
		s.t.Errorf("the trainer: %v\n%s", err, out)
	}
	wrong := s.command(s.t.Context(), "trainer", trainer.Command...)
	wrong.Env = append(wrong.Env, "JOBSTROM_CLICKHOUSE_PASSWORD=wrong")
	if out, err := wrong.CombinedOutput(); err == nil || !strings.Contains(string(out), `refuses the user "jobstrom"`) {
		s.t.Errorf("with a wrong password: %v\n%s", err, out)
	}
}
