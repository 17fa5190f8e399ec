// Package helm tests the chart beside it with Helm itself, as a library: what it renders is decoded strictly into the types of Kubernetes and of the
// operators, and what belongs together in it is compared.
package helm

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
)

var rewrite = flag.Bool("rewrite", false, "write the golden manifests in testdata/rendered anew")

// asHelm makes this test binary be helm.
const asHelm = "JOBSTROM_TEST_HELM"

func TestMain(m *testing.M) {
	if os.Getenv(asHelm) != "" {
		// In a test Helm takes itself for a very old one; this is the oldest Kubernetes that the chart is for.
		common.DefaultCapabilities.KubeVersion = common.KubeVersion{Version: "v1.30.0", Major: "1", Minor: "30"}
		command, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
		if err == nil {
			err = command.Execute()
		}
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// run runs helm from the root of the repository, as the documents do, without a cluster.
func run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	command := exec.Command(self, args...)
	command.Dir, command.Env = filepath.Join("..", ".."), environment(t.TempDir())
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// environment makes the test binary helm, with a home of its own and no cluster.
func environment(home string) []string {
	return append(os.Environ(), asHelm+"=1", "HOME="+home, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const chart = "deploy/helm/jobstrom"

// template renders the chart with files of values, and with values as YAML.
func template(t *testing.T, files []string, values ...string) (string, error) {
	t.Helper()
	args := []string{"template", "jobstrom", chart, "--namespace", "jobstrom"}
	for _, f := range files {
		args = append(args, "--values", f)
	}
	for _, v := range values {
		args = append(args, "--values", write(t, "values.yaml", v))
	}
	return run(t, args...)
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// cases are the files of values in testdata/values, by name.
func cases(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/values/*.yaml")
	must(t, err)
	all := map[string]string{}
	for _, p := range paths {
		all[strings.TrimSuffix(filepath.Base(p), ".yaml")] = filepath.Join("deploy/helm", p)
	}
	if len(all) < 4 {
		t.Fatalf("testdata/values has %d files", len(all))
	}
	return all
}

// copyChart copies the chart, for tests that add files to it.
func copyChart(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "jobstrom")
	must(t, os.CopyFS(folder, os.DirFS("jobstrom")))
	return folder
}

func writeFile(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}
