package helm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

const document = "../../docs/kubernetes.md"

// blocks returns the fenced blocks of docs/kubernetes.md in a language.
func blocks(t *testing.T, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(document)
	must(t, err)
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

// commands returns the document's commands that begin with a program.
func commands(t *testing.T, program string) (all []string) {
	t.Helper()
	for _, block := range blocks(t, "sh") {
		for line := range strings.Lines(block) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, program+" ") || strings.Contains(line, "| "+program+" ") {
				all = append(all, line)
			}
		}
	}
	return all
}

// The document's values work: the first block alone, every other one with it.
func TestDocumentsValues(t *testing.T) {
	values := blocks(t, "yaml")
	if len(values) < 10 {
		t.Fatalf("%s has %d blocks of values", document, len(values))
	}
	for i, block := range values {
		t.Run(strings.Fields(block)[0], func(t *testing.T) {
			t.Parallel()
			given := []string{values[0]}
			if i > 0 {
				given = append(given, block)
			}
			manifest, err := template(t, nil, given...)
			must(t, err)
			checkObjects(t, manifest)
		})
	}
}

// The document's helm commands run, those that need a cluster without it: an installation as a dry run, of others the flags are read.
func TestDocumentsHelmCommands(t *testing.T) {
	root, err := filepath.Abs("../..")
	must(t, err)
	all := commands(t, "helm")
	if len(all) < 7 {
		t.Fatalf("%s has only %q", document, all)
	}
	for _, line := range all {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			must(t, os.Symlink(filepath.Join(root, "deploy"), filepath.Join(folder, "deploy")))
			must(t, writeFile(filepath.Join(folder, "jobstrom.yaml"), blocks(t, "yaml")[0]))
			args := strings.Fields(line)[1:]
			want := ""
			switch {
			case args[0] == "lint":
				want = "0 chart(s) failed"
			case args[0] == "template":
				want = "kind: StatefulSet"
			case args[0] == "upgrade" && args[1] == "--install":
				runIn(t, folder, append(slices.Clone(args), "--help")...)
				// What --install does where there is no release yet.
				args, want = append(append([]string{"install"}, args[2:]...), "--dry-run=client"), "NOTES:"
			default:
				args, want = append(args, "--help"), "Usage:"
			}
			if out, err := runIn(t, folder, args...); err != nil || !strings.Contains(out, want) {
				t.Errorf("%v, %q is missing\n%.2000s", err, want, out)
			}
		})
	}
	if _, err := run(t, "rollback", "jobstrom", "--waits", "--help"); err == nil {
		t.Error("an unknown flag was not noticed")
	}
}

// The document's kubectl commands name objects that are there, and its Secrets are made before they are needed.
func TestDocumentsObjects(t *testing.T) {
	manifest, err := template(t, nil, blocks(t, "yaml")[0], "trainer: {enabled: true}")
	must(t, err)
	known := map[string]bool{}
	all := objects(t, manifest)
	for _, o := range all {
		kind := strings.ToLower(regexp.MustCompile(`\w+$`).FindString(fmt.Sprintf("%T", o))) // *v1.StatefulSet
		known[kind+"/"+o.GetName()] = true
	}
	text, err := os.ReadFile(document)
	must(t, err)
	named := regexp.MustCompile(`\b(statefulset|deploy|service|job|cronjob)/([a-z0-9-]+)(?:[\s\x60]|$)`).FindAllStringSubmatch(string(text), -1)
	if len(named) < 8 {
		t.Fatalf("%s names only %v", document, named)
	}
	for _, n := range named {
		kind := strings.Replace(n[1], "deploy", "deployment", 1)
		if !known[kind+"/"+n[2]] {
			t.Errorf("%s names %s, which the chart does not make", document, n[0])
		}
	}
	made := map[string]bool{}
	for _, m := range regexp.MustCompile(`create secret generic (\S+) (--from-.*)`).FindAllStringSubmatch(string(text), -1) {
		for _, key := range regexp.MustCompile(`--from-(?:literal|file)=([^=\s`+"`"+`)]+)`).FindAllStringSubmatch(m[2], -1) {
			made[m[1]+"/"+key[1]] = true
		}
	}
	for secret := range secretsOf(podsOf(all)) {
		if !made[secret] {
			t.Errorf("%s needs the Secret %s, and makes %v", document, secret, made)
		}
	}
	for _, o := range of[*core.Service](all) {
		if o.Name == "jobstrom-api" && o.Spec.Ports[0].Port != 80 {
			t.Errorf("the API's Service has port %d", o.Spec.Ports[0].Port)
		}
	}
}

// runIn runs helm in a folder.
func runIn(t *testing.T, folder string, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	command := exec.Command(self, args...)
	command.Dir, command.Env = folder, environment(folder)
	out, err := command.CombinedOutput()
	return string(out), err
}
