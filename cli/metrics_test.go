package cli

import (
	"encoding/json"
	"fmt"
	"io"
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

	"jobstrom/embedded"
	"jobstrom/health"
	"jobstrom/models"
	"jobstrom/telemetry/logtest"
)

// get reads a page; an error or another status is in the status, 0 or that.
func get(url string) (status int, body string) {
	response, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// metrics compares what the flow serves with docs/metrics.md, both ways, and reads the lag that has gone.
func (f *flowUnderTest) metrics(t *testing.T) {
	f.t = t
	documented := map[string]string{}
	doc, err := os.ReadFile("../docs/metrics.md")
	must(t, err)
	for _, m := range regexp.MustCompile("(?m)^\\| `(jobstrom_[a-z_]+)` \\| ([a-z]+) \\|").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = m[2]
	}
	var served map[string]string
	var missing []string
	defer func() {
		if len(missing) > 0 {
			t.Errorf("docs/metrics.md has %v, which are not served", missing)
		}
	}()
	f.until("all that is documented is served, and nothing is unread", func() bool {
		_, text := get("http://127.0.0.1:" + f.web + "/metrics")
		served, missing = map[string]string{}, nil
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (jobstrom_\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
			served[m[1]] = m[2]
		}
		for name := range documented {
			// The client library shows its errors from the first one on.
			if served[name] == "" && !(strings.HasPrefix(name, "jobstrom_kafka_") && strings.Contains(name, "_errors_")) {
				missing = append(missing, name)
			}
		}
		lags := regexp.MustCompile(`(?m)^jobstrom_consumer_lag_records\{.*\} (\S+)$`).FindAllStringSubmatch(text, -1)
		for _, lag := range lags {
			if lag[1] != "0" {
				return false
			}
		}
		return len(missing) == 0 && len(lags) == 4*(1+1+1+6)+1 // partitions of each stage's topics; models.history has one
	})
	for name, kind := range served {
		if documented[name] != kind {
			t.Errorf("docs/metrics.md calls %s a %q, it is a %s", name, documented[name], kind)
		}
	}
	if len(served) < 25 {
		t.Errorf("only %d metrics are served", len(served))
	}
	var lines []lagLine
	must(t, json.Unmarshal([]byte(f.shell("bin/jobstrom lag --format json")), &lines))
	for _, l := range lines {
		if l.State != "idle" || l.Records != 0 || l.Worker == "" {
			t.Errorf("got %+v", l)
		}
	}
	if len(lines) != 37 {
		t.Errorf("%d lines, want one for each partition of each stage", len(lines))
	}
}

// killedClickHouse kills the engine of jobstrom up: the flow says so, classifies on, starts it again, and its rows catch up.
func (f *flowUnderTest) killedClickHouse(t *testing.T) {
	f.t = t
	before := f.ask("SELECT count() FROM jobstrom.predictions")
	killed := 0
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, name := range processes {
		line, _ := os.ReadFile(name) // it may have ended meanwhile
		if strings.Contains(string(line), embedded.EngineCommand+"\x00") && strings.Contains(string(line), "--path="+filepath.Join(f.dir, "var")) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			must(t, err)
			must(t, syscall.Kill(pid, syscall.SIGKILL))
			killed++
		}
	}
	if killed != 1 {
		t.Fatalf("%d engines were killed", killed)
	}
	url := "http://127.0.0.1:" + f.web + "/readyz"
	f.until("the flow says that ClickHouse is away", func() bool {
		status, body := get(url)
		return status == 503 && strings.Contains(body, `"part":"clickhouse"`)
	})
	f.shell(`echo '{"id":"meanwhile","text":"Vi søger en kok til vores restaurant. Du skal lave mad."}' | bin/jobstrom produce -`)
	f.until("the flow is ready again", func() bool { status, _ := get(url); return status == 200 })
	f.until("the rows are there", func() bool {
		return f.ask("SELECT count() FROM jobstrom.predictions WHERE vacancy_id = 'meanwhile'") == "1"
	})
	if got := f.ask("SELECT count() - " + before + " FROM jobstrom.predictions"); got != "1" {
		t.Errorf("%s predictions came, want 1", got)
	}
}

// A stage's process tells of its health. While the broker is away it names that, and is well again by itself when the broker is back.
func TestRunStageTellsOfABrokerThatIsAway(t *testing.T) {
	native, err := models.NativeDir()
	must(t, err)
	ports := freePorts(t, 2)
	port, err := strconv.Atoi(ports[0])
	must(t, err)
	o := embedded.KafkaOptions{Dir: t.TempDir(), Port: port}
	broker, err := embedded.StartKafka(o)
	must(t, err)
	t.Cleanup(func() { broker.Stop() })
	self, err := os.Executable()
	must(t, err)
	var log logtest.Buffer
	run := exec.Command(self, "run", "extract", "--brokers", "127.0.0.1:"+ports[0], "--metrics-address", "127.0.0.1:"+ports[1])
	run.Dir, run.Stdout, run.Stderr = t.TempDir(), &log, &log
	run.Env = append(os.Environ(), "JOBSTROM_TEST_MAIN=1", "JOBSTROM_NATIVE="+filepath.Clean(native))
	must(t, run.Start())
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	url := "http://127.0.0.1:" + ports[1]
	until := func(status int, want string) string {
		t.Helper()
		for deadline := time.Now().Add(4 * time.Minute); ; <-time.After(50 * time.Millisecond) {
			got, body := get(url + "/readyz")
			if got == status && strings.Contains(body, want) {
				return body
			}
			select {
			case err := <-ended:
				t.Fatalf("the process ended with %v:\n%s", err, &log)
			default:
			}
			if time.Now().After(deadline) {
				t.Fatalf("after 4 minutes /readyz says %d %s, want %d %s; log:\n%s", got, body, status, want, &log)
			}
		}
	}
	until(200, "OK")
	for range 2 {
		broker.Stop()
		var answer struct{ Problems []health.Problem }
		must(t, json.Unmarshal([]byte(until(503, `"part":"kafka"`)), &answer))
		p := answer.Problems[slices.IndexFunc(answer.Problems, func(p health.Problem) bool { return p.Part == "kafka" })]
		if p.Since.IsZero() || p.Reason == "" || p.Remedy == "" {
			t.Fatalf("got %+v", p)
		}
		if status, _ := get(url + "/healthz"); status != 200 {
			t.Fatalf("/healthz is %d: an orchestrator would kill a process that only waits", status)
		}
		broker, err = embedded.StartKafka(o)
		must(t, err)
		until(200, "OK")
	}
	if _, text := get(url + "/metrics"); !strings.Contains(text, fmt.Sprintf("jobstrom_consumer_lag_records{partition=%q,stage=%q,topic=%q} 0", "0", "extract", "vacancies.raw")) {
		t.Errorf("the process serves no lag:\n%s", text)
	}
	must(t, run.Process.Signal(syscall.SIGTERM))
	if err := <-ended; err != nil {
		t.Fatalf("ended with %v:\n%s", err, &log)
	}
}
