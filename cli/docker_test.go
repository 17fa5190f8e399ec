package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"jobstrom/cluster/clustertest"
)

// dockerLines matches what docs/docker.md has docker compose do, in any block.
var dockerLines = regexp.MustCompile("docker compose ([^|<\n`]+)")

// composeOptions are the options of docker compose that the page uses, by subcommand.
var composeOptions = map[string][]string{
	"up": {"--build", "--detach", "--wait"}, "ps": {}, "logs": {"--follow", "--tail"}, "exec": {"-T"}, "run": {"--rm"}, "build": {"--pull"}, "stop": {}, "down": {"--volumes"},
}

// Each docker compose of the page names services, profiles and options that there are, and commands that jobstrom has.
func TestDockerDocNamesWhatThereIs(t *testing.T) {
	s := newServices(t, "", "", "")
	text, err := os.ReadFile("../docs/docker.md")
	must(t, err)
	seen := map[string]int{}
	for _, line := range dockerLines.FindAllStringSubmatch(string(text), -1) {
		words := strings.Fields(line[1])
		options, known := composeOptions[words[0]]
		if !known {
			continue // a sentence
		}
		seen[words[0]]++
		rest := words[1:]
		for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
			if !slices.Contains(options, rest[0]) {
				t.Errorf("docker compose %s: no option %s is known of", line[1], rest[0])
			}
			if rest[0] == "--tail" {
				rest = rest[1:]
			}
			rest = rest[1:]
		}
		if words[0] != "exec" && words[0] != "run" && words[0] != "logs" {
			if len(rest) > 0 {
				t.Errorf("docker compose %s: what is %v?", line[1], rest)
			}
			continue
		}
		service, ok := s.project.Services[rest[0]]
		if !ok {
			t.Fatalf("docker compose %s: no service %s", line[1], rest[0])
		}
		args := rest[1:]
		switch {
		case words[0] == "run" && len(service.Profiles) == 0:
			t.Errorf("docker compose %s: %s stays up, it is not run once", line[1], rest[0])
		case words[0] == "run" && len(args) == 0:
			args = service.Command
		case words[0] == "exec":
			if len(args) == 0 || args[0] != "jobstrom" {
				t.Fatalf("docker compose %s: the image holds jobstrom alone", line[1])
			}
			args = args[1:]
		case words[0] == "logs":
			continue
		}
		if _, _, err := (&app{}).root().Find(args); err != nil {
			t.Errorf("docker compose %s: %v", line[1], err)
		}
	}
	for name := range composeOptions {
		if seen[name] == 0 {
			t.Errorf("the page has no docker compose %s", name)
		}
	}
}

// shim is docker for a page's blocks: compose exec and compose run are processes in the surroundings of the service, and nothing else is known.
const shim = `#!/usr/bin/env bash
set -euo pipefail
[ "$1" = compose ] || { echo "docker $*: only compose is known here" >&2; exit 125; }
verb=$2 && shift 2
while [[ $1 = -* ]]; do shift; done
service=$1 && shift
case $verb in
exec) [ "$1" = jobstrom ] && shift ;;
run) [ $# -gt 0 ] || { readarray -d '' -t given <"%[1]s/$service.command" && set -- "${given[@]}"; } ;;
*) echo "docker compose $verb: not known here" >&2; exit 125 ;;
esac
readarray -d '' -t environment <"%[1]s/$service.environment"
exec env -i "${environment[@]}" "%[2]s" "$@"
`

// writeShim writes docker into a folder, for what these services are.
func (s *services) writeShim(dir string) {
	s.t.Helper()
	for name, service := range s.project.Services {
		if service.Image != "jobstrom" {
			continue
		}
		must(s.t, os.WriteFile(filepath.Join(dir, name+".environment"), []byte(strings.Join(s.environment(name), "\x00")+"\x00"), 0o600))
		must(s.t, os.WriteFile(filepath.Join(dir, name+".command"), []byte(strings.Join(service.Command, "\x00")+"\x00"), 0o600))
	}
	must(s.t, os.WriteFile(filepath.Join(dir, "docker"), fmt.Appendf(nil, shim, dir, s.self), 0o755))
}

// The page's path from the first vacancy to a classifier of one's own, on the services as processes: on Apache Kafka where it is.
func TestDockerDoc(t *testing.T) {
	brokers := clustertest.Brokers(t)
	addrs := brokers[len(brokers)-1].Start(t)
	engine, web := startEngine(t), "127.0.0.1:"+freePorts(t, 1)[0]
	s := newServices(t, addrs[0], engine.Addr(), web)
	s.up()
	bin := t.TempDir()
	s.writeShim(bin)
	kcat, err := filepath.Abs(filepath.Join(s.native, "bin"))
	must(t, err)
	known := strings.NewReplacer("127.0.0.1:9092", addrs[0], "127.0.0.1:8080", web)
	text, err := os.ReadFile("../docs/docker.md")
	must(t, err)
	blocks := regexp.MustCompile("(?s)<!-- test: needs services -->\n```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 8 {
		t.Fatalf("the page has %d blocks", len(blocks))
	}
	// What some of them say.
	wants := map[string]string{
		"jobstrom follow": "Bygge og anlæg", "-o beginning": `"id":"tavle-2"`, "/classify": "Sundhed, omsorg og personlig pleje", "jobstrom lag": "classify", "jobstrom ready": "ready",
		"samples/vacancies.jsonl": "330", "run --rm trainer\n": "macro", "models list": "champion", "--dry-run": "macro",
	}
	for _, block := range blocks {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", known.Replace(block[1]))
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+kcat+":"+os.Getenv("PATH"))
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		out, err := cmd.Output()
		cancel()
		if err != nil {
			t.Fatalf("%s\n%v\n%s%s", block[1], err, out, &errOut)
		}
		for command, want := range wants {
			if strings.Contains(block[1], command) {
				if !strings.Contains(strings.ToLower(string(out)+errOut.String()), strings.ToLower(want)) {
					t.Errorf("%s\nsays nothing of %q:\n%s%s", block[1], want, out, &errOut)
				}
				delete(wants, command)
			}
		}
	}
	if len(wants) > 0 {
		t.Errorf("the page has none of the commands that say %v", wants)
	}
	s.servesMetrics()
}

// servesMetrics asks each service what Prometheus asks it.
func (s *services) servesMetrics() {
	s.t.Helper()
	for name, service := range s.project.Services {
		if service.Image != "jobstrom" || len(service.Profiles) > 0 {
			continue
		}
		status, text := get("http://" + s.metrics[name] + "/metrics")
		memory := regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`).FindStringSubmatch(text)
		if status != 200 || memory == nil {
			s.t.Errorf("%s answers %d: %s", name, status, text)
			continue
		}
		s.t.Logf("%s has %s bytes of memory, its limit is %d", name, memory[1], service.MemLimit)
	}
}
