package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// expressions are the licences of modules whose files cyclonedx-gomod reads wrongly or not to the end: it names the one licence that is most like the text.
// A path that ends in * stands for all that begin so. Forms: https://spdx.dev/learn/handling-license-info/
var expressions = map[string]string{
	// The text of the three clauses with Google's name in it; the nearest to it, BSD-Source-Code, is another licence.
	"golang.org/x/*": "BSD-3-Clause",
	// "exactly one of the following two licenses"; the nearest is the GPL alone.
	"github.com/golang/freetype": "FTL OR GPL-2.0-or-later",
	// The fonts have a LICENSE-SIL of their own.
	"codeberg.org/go-fonts/liberation": "BSD-3-Clause AND OFL-1.1",
	// Files that were taken from others stand below the first text in the same file.
	"github.com/klauspost/compress": "Apache-2.0 AND BSD-3-Clause AND MIT",
	"go.opentelemetry.io/otel*":     "Apache-2.0 AND BSD-3-Clause",
	"go.yaml.in/yaml/v3":            "Apache-2.0 AND MIT",
}

// covers says whether a path of expressions is that of a module.
func covers(path, module string) bool {
	prefix, many := strings.CutSuffix(path, "*")
	return path == module || many && strings.HasPrefix(module, prefix)
}

// marks are what the texts of licences are known by, by the licence's name. A licence that is not here is one that nobody has looked at.
var marks = map[string]*regexp.Regexp{
	"Apache-2.0":       regexp.MustCompile(`(?i)Apache License,? Version 2\.0`),
	"BSD-2-Clause":     regexp.MustCompile(`(?i)Redistributions in binary form must`), // and of three clauses, see licencesIn
	"BSD-3-Clause":     regexp.MustCompile(`(?i)Redistributions in binary form must.*?(Neither the name|The names? of .{1,80} (may|must) not be used)`),
	"CC-BY-4.0":        regexp.MustCompile(`(?i)Creative Commons Attribution 4\.0 International Public License`),
	"FTL":              regexp.MustCompile(`(?i)The FreeType License`),
	"GPL-2.0-or-later": regexp.MustCompile(`(?i)GNU General Public License \(GPL\), version 2 or later`),
	"MIT":              regexp.MustCompile(`(?i)free of charge, to any person obtaining a copy of this software.*?subject to the following conditions`),
	"MIT-0":            regexp.MustCompile(`(?i)MIT No Attribution`),
	"MPL-2.0":          regexp.MustCompile(`(?i)Mozilla Public License,? (v\. ?|version )2\.0`),
	"OFL-1.1":          regexp.MustCompile(`(?i)SIL Open Font License Version 1\.1`),
}

// comment is what stands before a line of a licence that is a comment.
var comment = regexp.MustCompile(`(?m)^\s*(//|#|\*)`)

// licencesIn names the licences whose texts stand in a module's files, sorted.
func licencesIn(text string) (names []string) {
	text = strings.Join(strings.Fields(comment.ReplaceAllString(text, "")), " ")
	for name, mark := range marks {
		if mark.MatchString(text) {
			names = append(names, name)
		}
	}
	if slices.Contains(names, "BSD-3-Clause") {
		names = slices.DeleteFunc(names, func(n string) bool { return n == "BSD-2-Clause" })
	}
	slices.Sort(names)
	return names
}

// licences names the licences that an SBOM says a component is under, sorted.
func (c component) licences() (names []string) {
	all := c.Licences
	if c.Evidence != nil {
		all = append(slices.Clone(all), c.Evidence.Licences...)
	}
	for _, l := range all {
		if l.License != nil && l.License.ID != "" {
			names = append(names, l.License.ID)
		}
		for _, word := range strings.FieldsFunc(l.Expression, func(r rune) bool { return strings.ContainsRune(" ()", r) }) {
			if word != "AND" && word != "OR" {
				names = append(names, word)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkLicences compares what an SBOM says of a module's licences with the files that a release holds of it.
func checkLicences(c component, text string) error {
	says := c.licences()
	if len(says) == 0 {
		return fmt.Errorf("the SBOM names no licence of %s", c.Name)
	}
	if is := licencesIn(text); !slices.Equal(says, is) {
		if len(is) == 0 {
			is = []string{"none that is known here"}
		}
		return fmt.Errorf("the SBOM says %s of %s, its files in the archive are of %s: see expressions and marks in release/licences.go", strings.Join(says, ", "), c.Name, strings.Join(is, ", "))
	}
	return nil
}

// licenceCrates gives the crates among parts the licences that their manifests name, which a file holds as cargo metadata prints them:
// https://doc.rust-lang.org/cargo/commands/cargo-metadata.html
func licenceCrates(parts []component, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading what cargo says of the crates: %w", err)
	}
	var said struct {
		Packages []struct{ Name, Version, License string }
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("reading what cargo says of the crates in %s: %w", path, err)
	}
	byPURL := map[string]string{}
	for _, p := range said.Packages {
		// Before SPDX's expressions, crates wrote a slash for OR.
		byPURL[cratePURL+p.Name+"@"+p.Version] = strings.Join(strings.Fields(strings.ReplaceAll(p.License, "/", " OR ")), " ")
	}
	for i, p := range parts {
		if !strings.HasPrefix(p.PURL, cratePURL) {
			continue
		}
		expression := byPURL[p.PURL]
		if expression == "" {
			return fmt.Errorf("reading what cargo says of the crates in %s: it names no licence of %s %s", path, p.Name, p.Version)
		}
		parts[i].Licences = []licence{{Expression: expression}}
	}
	return nil
}

// correctLicences puts expressions in the place of what was detected. One that is of no component is an error: the module is gone, and with it the reason.
func correctLicences(components []any, expressions map[string]string) error {
	for _, path := range slices.Sorted(maps.Keys(expressions)) {
		used := false
		for _, c := range components {
			module, ok := c.(map[string]any)
			if name, named := module["name"].(string); ok && named && covers(path, name) {
				used = true
				delete(module, "evidence")
				module["licenses"] = []any{map[string]any{"expression": expressions[path]}}
			}
		}
		if !used {
			return fmt.Errorf("correcting the licences of the SBOM: it has no module %s, so it need not stand in release/licences.go", path)
		}
	}
	return nil
}
