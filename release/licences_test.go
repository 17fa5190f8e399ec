package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the files of modules say is read from the modules themselves.
func TestLicencesInModules(t *testing.T) {
	f := func(module string, want ...string) {
		t.Helper()
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil || len(out) < 2 {
			t.Fatalf("finding the module %s: %v %q", module, err, out)
		}
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "LICEN[CS]E*"))
		must(t, err)
		text := ""
		for _, file := range files {
			part, err := os.ReadFile(file)
			must(t, err)
			text += string(part) + "\n"
		}
		if got := licencesIn(text); !slices.Equal(got, want) {
			t.Errorf("%s: the files %v are of %v, want %v", module, files, got, want)
		}
		// An expression is of exactly these licences.
		for path, expression := range expressions {
			if covers(path, module) {
				if got := (component{Licences: []licence{{Expression: expression}}}).licences(); !slices.Equal(got, want) {
					t.Errorf("%s: %q names %v, want %v", module, expression, got, want)
				}
			}
		}
	}
	f("golang.org/x/text", "BSD-3-Clause")
	f("github.com/golang/freetype", "FTL", "GPL-2.0-or-later")
	f("codeberg.org/go-fonts/liberation", "BSD-3-Clause", "OFL-1.1")
	f("github.com/klauspost/compress", "Apache-2.0", "BSD-3-Clause", "MIT")
	f("go.opentelemetry.io/otel", "Apache-2.0", "BSD-3-Clause")
	f("go.yaml.in/yaml/v3", "Apache-2.0", "MIT")
	f("github.com/ajstarks/svgo", "CC-BY-4.0")
	f("github.com/hashicorp/golang-lru/v2", "MPL-2.0")
	f("github.com/segmentio/asm", "MIT-0")
	f("github.com/twpayne/go-geom", "BSD-2-Clause")
	f("github.com/spf13/cobra", "Apache-2.0")
	f("github.com/yalue/onnxruntime_go", "MIT")
	if got := licencesIn("All rights reserved.\n"); len(got) != 0 {
		t.Errorf("a text of no licence is of %v", got)
	}
}

func TestCheckLicences(t *testing.T) {
	f := func(component, text, want string) {
		t.Helper()
		err := checkLicences(decode(t, component), text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", component, err, want)
		}
	}
	const both = mit + "\nApache License\n Version 2.0"
	f(`{"name": "m", "evidence": {"licenses": [{"license": {"id": "MIT"}}]}}`, mit, "")
	f(`{"name": "m", "licenses": [{"expression": "(Apache-2.0 OR MIT)"}]}`, both, "")
	f(`{"name": "m"}`, mit, "the SBOM names no licence of m")
	f(`{"name": "m", "evidence": {"licenses": []}}`, mit, "the SBOM names no licence of m")
	f(`{"name": "m", "licenses": [{"license": {"id": "MIT"}}]}`, both, "the SBOM says MIT of m, its files in the archive are of Apache-2.0, MIT")
	f(`{"name": "m", "licenses": [{"license": {"id": "GPL-3.0-only"}}]}`, mit, "the SBOM says GPL-3.0-only of m")
	f(`{"name": "m", "licenses": [{"license": {"id": "MIT"}}]}`, "", "its files in the archive are of none that is known here")
}

// What was detected goes where an expression is known, and stays elsewhere; an expression of nothing is said.
func TestCorrectLicences(t *testing.T) {
	const before = `[{"name": "a.example/x/one", "evidence": {"licenses": [{"license": {"id": "GPL-2.0-or-later"}}]}}, {"name": "a.example/y", "evidence": {"licenses": [{"license": {"id": "MIT"}}]}}]`
	var components []any
	must(t, json.Unmarshal([]byte(before), &components))
	must(t, correctLicences(components, map[string]string{"a.example/x/*": "MIT OR Apache-2.0"}))
	text, err := json.Marshal(components)
	must(t, err)
	const want = `[{"licenses":[{"expression":"MIT OR Apache-2.0"}],"name":"a.example/x/one"},{"evidence":{"licenses":[{"license":{"id":"MIT"}}]},"name":"a.example/y"}]`
	if string(text) != want {
		t.Errorf("corrected: %s\nwant %s", text, want)
	}
	if err := correctLicences(components, map[string]string{"a.example/z": "MIT"}); err == nil || !strings.Contains(err.Error(), "it has no module a.example/z") {
		t.Errorf("a module that is gone: %v", err)
	}
}

// A crate that cargo knows nothing of, or whose manifest names no licence, is an error: somebody has to look at it.
func TestLicenceCrates(t *testing.T) {
	f := func(said, want, wrong string) {
		t.Helper()
		parts := []component{newComponent("library", "pkg:pypi/", "a", "1.0", ""), newComponent("library", cratePURL, "a", "1.0", "")}
		path := filepath.Join(t.TempDir(), "crates.json")
		must(t, os.WriteFile(path, []byte(said), 0o644))
		err := licenceCrates(parts, path)
		if wrong != "" {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%s: %v, want %q", said, err, wrong)
			}
			return
		}
		must(t, err)
		if len(parts[0].Licences) != 0 || len(parts[1].Licences) != 1 || parts[1].Licences[0].Expression != want {
			t.Errorf("%s: %+v, want %s", said, parts, want)
		}
	}
	f(`{"packages": [{"name": "a", "version": "1.0", "license": "MIT"}, {"name": "a", "version": "2.0", "license": "BSL-1.0"}]}`, "MIT", "")
	f(`{"packages": [{"name": "a", "version": "1.0", "license": "Apache-2.0 / MIT"}]}`, "Apache-2.0 OR MIT", "")
	f(`{"packages": [{"name": "a", "version": "1.0", "license": "Unlicense/MIT"}]}`, "Unlicense OR MIT", "")
	f(`{"packages": [{"name": "a", "version": "1.0", "license": null}]}`, "", "it names no licence of a 1.0")
	f(`{"packages": [{"name": "a", "version": "1.1", "license": "MIT"}]}`, "", "it names no licence of a 1.0")
	f(`{"packages": `, "", "reading what cargo says of the crates in ")
	if err := licenceCrates(nil, "nowhere.json"); err == nil || !strings.Contains(err.Error(), "reading what cargo says of the crates: open nowhere.json") {
		t.Errorf("no file: %v", err)
	}
}

func decode(t *testing.T, text string) (c component) {
	t.Helper()
	must(t, json.Unmarshal([]byte(text), &c))
	return c
}
