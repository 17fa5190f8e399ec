// Package deploytest runs Prometheus for tests, and reads what watches jobstrom as tests need it: the dashboards' queries and the rules.
package deploytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"jobstrom/models"
	"jobstrom/telemetry/logtest"
)

// Env is the environment variable that, set to "required", makes tests fail where Prometheus is missing.
const Env = "JOBSTROM_TEST_PROMETHEUS"

// Tool returns the path of prometheus or promtool. Where it is missing the test is skipped, or fails if Env demands it.
func Tool(t *testing.T, name string) string {
	t.Helper()
	if native, err := models.NativeDir(); err == nil {
		if path := filepath.Join(native, "prometheus", name); executable(path) {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv(Env) == "required" {
		t.Fatalf("%s=required: %s is missing: native/setup.sh test fetches it where apt-get is; else put it on PATH", Env, name)
	}
	if err != nil {
		t.Skipf("SKIPPED: %s is missing: native/setup.sh test fetches it where apt-get is; else put it on PATH", name)
	}
	return path
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// Prometheus is a running server.
type Prometheus struct {
	address string
	log     *logtest.Buffer
}

// Start runs Prometheus at an address until the test ends. It asks the target, an address with /metrics, every 10 seconds, as long as it
// may take to answer, and judges by our rules.
func Start(t *testing.T, address, target string) *Prometheus {
	t.Helper()
	tool := Tool(t, "prometheus")
	rules, err := filepath.Abs(RulesFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 10s, scrape_timeout: 10s, evaluation_interval: 5s}\nrule_files: [%q]\nscrape_configs: [{job_name: jobstrom, static_configs: [{targets: [%q]}]}]\n", rules, target)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Prometheus{address, &logtest.Buffer{}}
	cmd := exec.Command(tool, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			t.Errorf("Prometheus did not end in a minute after SIGTERM:\n%s", p.log)
		}
	})
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(100 * time.Millisecond) {
		response, err := http.Get("http://" + address + "/-/ready")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("Prometheus ended with %v:\n%s", err, p.log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 2 minutes Prometheus is not ready (%v):\n%s", err, p.log)
		}
	}
}

// Query runs a query at this moment and returns the series of its answer, as labels, or the error that Prometheus gives.
func (p *Prometheus) Query(expr string) ([]map[string]string, error) {
	var data struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	if err := p.get("query?query="+url.QueryEscape(expr), &data); err != nil {
		return nil, err
	}
	if data.ResultType != "vector" {
		return nil, fmt.Errorf("querying %s: the answer is a %s, not series", expr, data.ResultType)
	}
	var series []struct {
		Metric map[string]string `json:"metric"`
	}
	if err := json.Unmarshal(data.Result, &series); err != nil {
		return nil, fmt.Errorf("querying %s: %w", expr, err)
	}
	var all []map[string]string
	for _, s := range series {
		if s.Metric == nil {
			s.Metric = map[string]string{}
		}
		all = append(all, s.Metric)
	}
	return all, nil
}

// Values returns the values of a label in the series that a selector names.
func (p *Prometheus) Values(label, selector string) ([]string, error) {
	var values []string
	err := p.get("label/"+url.PathEscape(label)+"/values?match[]="+url.QueryEscape(selector), &values)
	return values, err
}

func (p *Prometheus) get(path string, data any) error {
	response, err := http.Get("http://" + p.address + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("reading the answer to %s: %w", path, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("asking for %s: %s", path, answer.Error)
	}
	return nil
}
