package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// needed is what the archive must hold below its folder, besides the licences.
var needed = []string{
	"jobstrom", "LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "docs/index.md",
	".native/lib/libonnxruntime.so", ".native/encoders/e5-small-int8/card.json", ".native/encoders/e5-small-int8/model.onnx", ".native/encoders/e5-small-int8/tokenizer.json",
}

// check looks at the release in a folder: its archive, SBOM and checksums, all named by the version. It reports all that is wrong.
func check(folder, version string, parts []component) error {
	base := "jobstrom_" + version
	archive, bom := base+"_linux_amd64.tar.gz", base+"_linux_amd64.cdx.json"
	var wrong []error
	if err := checkSums(folder, base+"_SHA256SUMS", []string{archive, bom}); err != nil {
		wrong = append(wrong, err)
	}
	program, licences, err := checkArchive(filepath.Join(folder, archive), base+"_linux_amd64")
	if err != nil {
		wrong = append(wrong, err)
	}
	if program != nil {
		if err := checkSBOM(filepath.Join(folder, bom), program, licences, parts); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// checkSums looks whether a list of checksums is of these files, all of them and no others.
func checkSums(folder, list string, files []string) error {
	text, err := os.ReadFile(filepath.Join(folder, list))
	if err != nil {
		return fmt.Errorf("reading the checksums: %w", err)
	}
	var wrong []error
	var named []string
	for line := range strings.Lines(string(text)) {
		want, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || !slices.Contains(files, name) {
			wrong = append(wrong, fmt.Errorf("reading %s: %q is no checksum of a file of the release", list, line))
			continue
		}
		named = append(named, name)
		got, err := sum(filepath.Join(folder, name))
		if err != nil {
			wrong = append(wrong, err)
		} else if got != want {
			wrong = append(wrong, fmt.Errorf("comparing %s: its SHA-256 is %s, %s says %s", name, got, list, want))
		}
	}
	for _, name := range files {
		if !slices.Contains(named, name) {
			wrong = append(wrong, fmt.Errorf("reading %s: it does not name %s", list, name))
		}
	}
	return errors.Join(wrong...)
}

func sum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("reading what has a checksum: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, bufio.NewReaderSize(f, 1<<20)); err != nil {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checkArchive looks at every member: all that is needed, nothing outside of its folder, nobody's name, one time. It returns what the program's build was made of,
// and the texts of licences by their folders.
func checkArchive(file, below string) (*buildinfo.BuildInfo, map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the archive: %w", err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var wrong []error
	say := func(format string, values ...any) {
		wrong = append(wrong, fmt.Errorf("looking at "+filepath.Base(file)+": "+format, values...))
	}
	var program *buildinfo.BuildInfo
	var made time.Time
	found, licences := map[string]bool{}, map[string]string{}
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", file, err)
		}
		name, inside := strings.CutPrefix(path.Clean(h.Name), below)
		name = strings.TrimPrefix(name, "/")
		if !inside || h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
			say("%q is no file or folder below %s", h.Name, below)
			continue
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" && h.Uname != "root" || h.Mode&0o022 != 0 {
			say("%s belongs to %s (%d:%d, mode %o): others than root may change it", name, h.Uname, h.Uid, h.Gid, h.Mode)
		}
		if made.IsZero() {
			made = h.ModTime
		} else if !made.Equal(h.ModTime) {
			say("%s is of %s, others of %s: the same commit must make the same archive", name, h.ModTime.UTC().Format(time.RFC3339), made.UTC().Format(time.RFC3339))
		}
		if h.Size > 0 {
			found[name] = true
		}
		if rest, ok := strings.CutPrefix(name, "licences/"); ok && h.Size > 0 {
			text, err := io.ReadAll(r)
			if err != nil {
				return nil, nil, fmt.Errorf("reading %s: %w", file, err)
			}
			licences[path.Dir(rest)] += string(text) + "\n"
		}
		if name == "jobstrom" {
			if h.Mode&0o111 == 0 {
				say("jobstrom may not be run (mode %o)", h.Mode)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				return nil, nil, fmt.Errorf("reading %s: %w", file, err)
			}
			if program, err = buildinfo.Read(bytes.NewReader(content)); err != nil {
				say("jobstrom is no program of Go: %w", err)
			}
		}
	}
	for _, name := range needed {
		if !found[name] {
			say("%s is missing or empty", name)
		}
	}
	if program != nil {
		for _, m := range program.Deps {
			if at := "go/" + m.Path + "@" + m.Version; licences[at] == "" {
				say("licences/%s is missing", at)
			}
		}
	}
	return program, licences, errors.Join(wrong...)
}

// checkSBOM looks whether an SBOM names every module of a program, with the licences that its files are of, and every native part, in their versions.
func checkSBOM(file string, program *buildinfo.BuildInfo, licences map[string]string, parts []component) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the SBOM: %w", err)
	}
	var bom struct {
		Format     string `json:"bomFormat"`
		Components []component
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		return fmt.Errorf("reading the SBOM of %s: %w", file, err)
	}
	if bom.Format != "CycloneDX" {
		return fmt.Errorf("reading the SBOM of %s: it is not in CycloneDX's form", file)
	}
	var wrong []error
	say := func(err error) { wrong = append(wrong, fmt.Errorf("looking at %s: %w", filepath.Base(file), err)) }
	// find looks for a part; that it is missing is said.
	find := func(name, version, sha256 string) (c component, found bool) {
		for _, c := range bom.Components {
			if c.Name == name && c.Version == version && (sha256 == "" || slices.Contains(c.Hashes, hash{"SHA-256", sha256})) {
				return c, true
			}
		}
		say(fmt.Errorf("%s %s is in the release and not in the SBOM", name, version))
		return component{}, false
	}
	for _, m := range program.Deps {
		if c, found := find(m.Path, m.Version, ""); found {
			if err := checkLicences(c, licences["go/"+m.Path+"@"+m.Version]); err != nil {
				say(err)
			}
		}
	}
	for _, p := range parts {
		if c, found := find(p.Name, p.Version, p.Hashes[0].Content); found && len(c.licences()) == 0 {
			say(fmt.Errorf("the SBOM names no licence of %s %s", p.Name, p.Version))
		}
	}
	return errors.Join(wrong...)
}
