package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// refusing is a repository with the script that refuses data files, and its list of exceptions.
func refusing(t *testing.T, allow string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	script, err := os.ReadFile(".ci/data-files")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"data-files": string(script), "data-files.allow": allow} {
		put(t, filepath.Join(folder, ".ci", name), content)
	}
	git(t, folder, "init", "-q")
	return folder
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func git(t *testing.T, folder string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// dataFiles runs the script as the hook does, with files, or as make lint does, without.
func dataFiles(t *testing.T, folder string, files ...string) (status int, said string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(folder, ".ci", "data-files"), files...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// A file that holds data of people is not committed by mistake, whatever it is called.
func TestDataFilesAreRefused(t *testing.T) {
	const allow = "# a comment\nproducers/testdata/*.csv\tinvented\n"
	f := func(name string, refused bool) {
		t.Helper()
		folder := refusing(t, allow)
		put(t, filepath.Join(folder, name), "x")
		put(t, filepath.Join(folder, "good.go"), "package x")
		git(t, folder, "add", "--force", "--", name, "good.go")
		want := 0
		if refused {
			want = 1
		}
		for _, files := range [][]string{{"good.go", name}, {name, "good.go"}, {}} {
			status, said := dataFiles(t, folder, files...)
			if status != want || refused != strings.Contains(said, "looks like data") {
				t.Errorf("%q given as %q: status %d, want %d: %s", name, files, status, want, said)
			}
		}
	}
	f("vacancies.csv", true)
	f("VACANCIES.CSV", true)
	f("a b/Jobs 2024.XlsX", true)
	f("line\nbreak.jsonl", true)
	f("-rf.parquet", true)
	f("$(touch x).sqlite3", true)
	f("history.csv.gz", true)
	f("history.parquet/part-0001", true)
	f("deep/er/history.feather", true)
	f("x.arrow", true)
	f("samples.csv", true)
	f("other/samples/x.csv", true)
	f("producers/testdata/x.jsonl", true)
	f("producers/testdata.csv", true)
	f("samples/x.csv", false)
	f("samples/more/x.jsonl", false)
	f("producers/testdata/x.csv", false)
	f("csv.go", false)
	f("read_csv_test.go", false)
	f("notes.csvx", false)
	f("README", false)
}

func TestExceptionsNeedReasons(t *testing.T) {
	if status, said := dataFiles(t, refusing(t, "x.csv\n"), "x.csv"); status != 2 || !strings.Contains(said, "x.csv has no reason") {
		t.Errorf("an exception without a reason: status %d: %s", status, said)
	}
	list, err := os.ReadFile(".ci/data-files.allow")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		pattern, reason, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if found, err := filepath.Glob(pattern); err != nil || len(found) == 0 || reason == "" {
			t.Errorf(".ci/data-files.allow: %q (%q) names no file: remove it", pattern, reason)
		}
	}
	if status, said := dataFiles(t, "."); status != 0 {
		t.Errorf("this repository: status %d: %s", status, said)
	}
}

// Hooks are scripts of this repository and tools that building needs anyway: none is fetched.
func TestHooksAreOurs(t *testing.T) {
	var config struct {
		Repos []struct {
			Repo  string
			Hooks []struct{ ID, Entry, Language string }
		}
	}
	readYAML(t, ".pre-commit-config.yaml", &config)
	hooks := 0
	for _, r := range config.Repos {
		for _, h := range r.Hooks {
			hooks++
			program := strings.Fields(h.Entry)[0]
			_, err := os.Stat(program)
			if r.Repo != "local" || h.Language != "system" || err != nil && program != "gofmt" && program != "make" {
				t.Errorf("hook %s of %s runs %q (%s), which is not ours", h.ID, r.Repo, h.Entry, h.Language)
			}
		}
	}
	if hooks < 3 {
		t.Errorf("%d hooks were looked at", hooks)
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Needs       string
		Permissions map[string]string
		Timeout     int `yaml:"timeout-minutes"`
		Steps       []struct {
			Uses, Run string
			With      map[string]any
		}
	}
}

// A forge runs what .ci/run runs, with as few rights as that needs.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob(".github/workflows/*")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{".github/workflows/ci.yaml", ".github/workflows/release.yaml"}; !slices.Equal(files, want) {
		t.Fatalf("workflows are %q, want %q", files, want)
	}
	for _, file := range files {
		var w workflow
		readYAML(t, file, &w)
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s begins with the rights %v, want contents: read", file, w.Permissions)
		}
		tested := false
		for name, job := range w.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: %s has no time limit", file, name)
			}
			for _, step := range job.Steps {
				tested = tested || name == "test" && step.Run == ".ci/run"
				if step.Uses != "" && !regexp.MustCompile(`^actions/checkout@v\d+$`).MatchString(step.Uses) {
					t.Errorf("%s: %s uses %s: a script of ours does", file, name, step.Uses)
				}
				if step.Uses != "" && step.With["persist-credentials"] != false {
					t.Errorf("%s: %s leaves the token in the checkout", file, name)
				}
				if script := strings.Fields(step.Run); len(script) > 0 {
					if info, err := os.Stat(script[0]); err != nil || info.Mode()&0o111 == 0 {
						t.Errorf("%s: %s runs %s, which is no program here (%v)", file, name, step.Run, err)
					}
				}
			}
			if name != "test" && (job.Needs != "test" || len(job.Permissions) != 1) {
				t.Errorf("%s: %s needs %q and may %v: it must wait for the tests, and may only publish", file, name, job.Needs, job.Permissions)
			}
		}
		if !tested {
			t.Errorf("%s does not call .ci/run", file)
		}
	}
}
