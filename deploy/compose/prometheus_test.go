package compose_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/compose-spec/compose-go/v2/types"
)

// targets returns what prometheus.yml asks, as job → addresses.
func targets(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("prometheus.yml")
	must(t, err)
	var config struct {
		ScrapeConfigs []struct {
			JobName       string `yaml:"job_name"`
			StaticConfigs []struct {
				Targets []string
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	must(t, yaml.Unmarshal(text, &config))
	all := map[string][]string{}
	for _, job := range config.ScrapeConfigs {
		for _, s := range job.StaticConfigs {
			all[job.JobName] = append(all[job.JobName], s.Targets...)
		}
	}
	return all
}

// Each service of ours that stays up is asked, where it answers, and nothing else is but Prometheus itself.
func TestTargets(t *testing.T) {
	project := load(t)
	var want []string
	for name, s := range project.Services {
		if address := s.Environment["JOBSTROM_METRICS_ADDRESS"]; address != nil && len(s.Profiles) == 0 {
			host, port, err := net.SplitHostPort(*address)
			if err != nil || host != "0.0.0.0" || port != "9400" {
				t.Errorf("%s answers at %s, where no other container reaches it, or not at the port of all", name, *address)
			}
			want = append(want, name+":"+port)
		}
	}
	all := targets(t)
	for _, list := range [][]string{want, all["jobstrom"]} {
		slices.Sort(list)
	}
	if !slices.Equal(all["jobstrom"], want) || len(want) == 0 {
		t.Errorf("Prometheus asks %v, the services answer at %v", all["jobstrom"], want)
	}
	if !slices.Equal(all["prometheus"], []string{"prometheus:9090"}) || len(all) != 2 {
		t.Errorf("Prometheus asks %v", all)
	}
}

// mount copies what a service mounts below a folder of its container into a folder here, as it would find it there.
func mount(t *testing.T, s types.ServiceConfig, below string) string {
	t.Helper()
	dir := t.TempDir()
	mounted := 0
	for _, v := range s.Volumes {
		rest, ok := strings.CutPrefix(v.Target, below)
		if v.Type != types.VolumeTypeBind || !ok {
			continue
		}
		target := filepath.Join(dir, rest)
		info, err := os.Stat(v.Source)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a folder that may be empty
		}
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(target), 0o755))
		if info.IsDir() {
			must(t, os.CopyFS(target, os.DirFS(v.Source)))
		} else {
			data, err := os.ReadFile(v.Source)
			must(t, err)
			must(t, os.WriteFile(target, data, 0o644))
		}
		mounted++
	}
	if mounted == 0 {
		t.Fatalf("%s mounts nothing below %s", s.Name, below)
	}
	return dir
}

// promtool returns the tool that the set-up of the tests fetches.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.native/prometheus/promtool")
	must(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: promtool is not there: make test fetches it where there is apt-get")
	}
	return path
}

// Prometheus takes its settings and the rules beside them, laid out as in the container, and is of the tool's major version.
func TestPrometheusTakesItsSettings(t *testing.T) {
	tool, service := promtool(t), load(t).Services["prometheus"]
	config, _ := strings.CutPrefix(service.Command[0], "--config.file=/etc/prometheus")
	path := filepath.Join(mount(t, service, "/etc/prometheus"), config)
	if out, err := exec.Command(tool, "check", "config", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	rules, err := filepath.Glob("../prometheus/*.rules.yaml")
	must(t, err)
	if seen, err := filepath.Glob(filepath.Join(filepath.Dir(path), "rules", "*.rules.yaml")); err != nil || len(seen) != len(rules) {
		t.Errorf("of the %d files of rules the container sees %v: %v", len(rules), seen, err)
	}
	// The check can fail.
	broken, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, bytes.Replace(broken, []byte("static_configs"), []byte("static_config"), 1), 0o644))
	if out, err := exec.Command(tool, "check", "config", path).CombinedOutput(); err == nil {
		t.Errorf("a misspelt setting is taken: %s", out)
	}
	out, err := exec.Command(tool, "--version").CombinedOutput()
	must(t, err)
	version := regexp.MustCompile(`version (\d+)\.`).FindSubmatch(out)
	if version == nil || !strings.HasPrefix(service.Image, fmt.Sprintf("prom/prometheus:v%s.", version[1])) {
		t.Errorf("deployed is %s, tested is %s", service.Image, out)
	}
}

// Grafana finds its source and its dashboards where it looks for them.
func TestGrafanaIsProvisioned(t *testing.T) {
	project := load(t)
	service := project.Services["grafana"]
	provisioning := mount(t, service, "/etc/grafana/provisioning")
	read := func(path string, into any) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(provisioning, path))
		must(t, err)
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		must(t, decoder.Decode(into))
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool `yaml:"isDefault"`
			Editable                     bool
			JSONData                     map[string]string `yaml:"jsonData"`
		}
	}
	read("datasources/prometheus.yaml", &sources)
	if len(sources.Datasources) != 1 {
		t.Fatalf("got %+v", sources)
	}
	source := sources.Datasources[0]
	if address, _ := strings.CutPrefix(source.URL, "http://"); source.Type != "prometheus" || !source.IsDefault || address != targets(t)["prometheus"][0] {
		t.Errorf("got %+v", source)
	}
	if _, waits := service.DependsOn["prometheus"]; !waits {
		t.Error("Grafana starts before its source")
	}
	var dashboards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type    string
			DisableDeletion       bool `yaml:"disableDeletion"`
			AllowUIUpdates        bool `yaml:"allowUiUpdates"`
			UpdateIntervalSeconds int  `yaml:"updateIntervalSeconds"`
			Options               struct{ Path string }
		}
	}
	read("dashboards/jobstrom.yaml", &dashboards)
	if len(dashboards.Providers) != 1 || sources.APIVersion != 1 || dashboards.APIVersion != 1 {
		t.Fatalf("got %+v", dashboards)
	}
	var mounted string
	for _, v := range service.Volumes {
		if v.Target == dashboards.Providers[0].Options.Path {
			mounted = v.Source
		}
	}
	if filepath.Base(mounted) != "grafana" || filepath.Base(filepath.Dir(mounted)) != "deploy" {
		t.Errorf("the dashboards are looked for in %s, where %q is mounted", dashboards.Providers[0].Options.Path, mounted)
	}
}
