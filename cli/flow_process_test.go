package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jobstrom/cluster"
	"jobstrom/models"
	"jobstrom/telemetry/logtest"
)

// flowUnderTest is a jobstrom up in a process of its own, on ports of its own.
type flowUnderTest struct {
	t                         *testing.T
	dir                       string // the README's working directory
	kafka, native, clickhouse string // ports
	web, prometheus           string // ports; the latter's of monitoring
	log                       *logtest.Buffer
}

// freePorts returns ports for a process that listens on them later.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	free, err := cluster.FreePorts(n)
	must(t, err)
	for _, port := range free {
		ports = append(ports, strconv.Itoa(port))
	}
	return ports
}

// clone lets commands of the documents find in dir what a clone has: bin/jobstrom, samples/, producers/testdata and kcat.
func clone(t *testing.T, dir string) {
	t.Helper()
	root, err := filepath.Abs("..")
	must(t, err)
	nativeDir, err := models.NativeDir()
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	t.Setenv("JOBSTROM_NATIVE", nativeDir)
	t.Setenv("PATH", filepath.Join(nativeDir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	must(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "bin", "jobstrom"), fmt.Appendf(nil, "#!/bin/sh\nJOBSTROM_TEST_MAIN=1 exec %s \"$@\"\n", self), 0o755))
	for _, folder := range []string{"samples", "producers"} {
		must(t, os.Symlink(filepath.Join(root, folder), filepath.Join(dir, folder)))
	}
}

// startFlow runs jobstrom up and waits until it is ready, with the embedded Kafka where no broker is given. It must drain and end with status 0 on SIGTERM.
func startFlow(t *testing.T, broker string) *flowUnderTest {
	t.Helper()
	ports := freePorts(t, 4)
	f := &flowUnderTest{t: t, dir: t.TempDir(), kafka: ports[0], native: ports[1], clickhouse: ports[2], web: ports[3], log: &logtest.Buffer{}}
	if broker != "" {
		t.Setenv("JOBSTROM_BROKERS", broker)
		_, f.kafka, _ = net.SplitHostPort(broker)
	}
	for name, value := range map[string]string{"KAFKA_PORT": f.kafka, "CLICKHOUSE_PORT": f.native, "CLICKHOUSE_HTTP_PORT": f.clickhouse, "HTTP": "127.0.0.1:" + f.web, "DATA": filepath.Join(f.dir, "var"), "ATTRIBUTES": "erhvervsgruppe_txt"} {
		t.Setenv("JOBSTROM_"+name, value)
	}
	clone(t, f.dir)

	up := exec.Command(filepath.Join(f.dir, "bin", "jobstrom"), "up", "--log-level", "info")
	up.Dir, up.Stdout, up.Stderr = f.dir, f.log, f.log
	must(t, up.Start())
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	t.Cleanup(func() {
		_ = up.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("jobstrom up ended with %v:\n%s", err, f.log)
			}
		case <-time.After(2 * time.Minute):
			_ = up.Process.Kill()
			t.Errorf("jobstrom up did not end in 2 minutes after SIGTERM:\n%s", f.log)
		}
	})
	f.until("the flow is ready", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("jobstrom up ended with %v:\n%s", err, f.log)
		default:
		}
		response, err := http.Get("http://127.0.0.1:" + f.web + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until polls a condition.
func (f *flowUnderTest) until(what string, condition func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); !condition(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("waited 4 minutes until %s; the flow's log:\n%s", what, f.log)
		}
	}
}

// shell runs a command of the README, with this flow's ports for the default ones.
func (f *flowUnderTest) shell(command string) string {
	f.t.Helper()
	command = strings.NewReplacer("127.0.0.1:9092", "127.0.0.1:"+f.kafka, "localhost:8123", "127.0.0.1:"+f.clickhouse, "127.0.0.1:8080", "127.0.0.1:"+f.web, "127.0.0.1:9090", "127.0.0.1:"+f.prometheus).Replace(command)
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
	cmd.Dir = f.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("%s\n%v\n%s%s", command, err, out, &stderr)
	}
	return string(out)
}

// oneQuestion is a client that keeps no connection: ClickHouse closes those that are idle, perhaps just when the next question is on its way.
var oneQuestion = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask queries ClickHouse over HTTP.
func (f *flowUnderTest) ask(query string) string {
	f.t.Helper()
	response, err := oneQuestion.Post("http://127.0.0.1:"+f.clickhouse+"/", "text/plain", strings.NewReader(query))
	must(f.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(f.t, err)
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %s", query, body)
	}
	return strings.TrimSpace(string(body))
}

// readmeCommands returns the shell blocks of the README, without the two make commands.
func readmeCommands(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(shellBlocks(t, "../README.md"), func(block string) bool {
		return strings.HasPrefix(block, "make ") // make demo is TestDemo, make test is what runs this
	})
}

// shellBlocks returns the shell blocks of a document.
func shellBlocks(t *testing.T, file string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}
