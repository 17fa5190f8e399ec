package main

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jobstrom/kafka"
)

type goPackage struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports         []string
	Standard        bool
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(out); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

// layer says what each package of ours may import of ours: everything further right in docs/architecture.md's picture.
var layer = map[string][]string{
	"schemas":                  {},
	"schemas/generate":         {},
	"schemas/schematest":       {},
	"samples":                  {},
	"security":                 {},
	"health":                   {},
	"capacity":                 {},
	"security/certs":           {"cluster"},
	"telemetry":                {},
	"telemetry/generate":       {"cli"},
	"telemetry/telemetrytest":  {},
	"telemetry/logtest":        {},
	"models":                   {"schemas"},
	"models/onnx":              {},
	"models/convert":           {"models", "models/onnx", "models/quantize", "schemas"},
	"models/fetch":             {"models", "security"},
	"models/quantize":          {"models", "models/onnx"},
	"models/repository":        {"models", "models/onnx"},
	"pipeline/extract":         {"pipeline/extract/gliner2", "schemas"},
	"pipeline/embed":           {"models", "models/onnx"},
	"pipeline/classify":        {"models", "schemas"},
	"pipeline":                 {"pipeline/extract", "pipeline/embed", "pipeline/classify", "schemas"},
	"kafka":                    {"schemas", "security"},
	"sealed":                   {},
	"warehouse":                {"schemas", "sealed", "security"},
	"embedded":                 {},
	"cluster":                  {},
	"producers":                {"kafka", "pipeline/extract", "schemas"},
	"consumers":                {"health", "kafka", "warehouse", "models", "pipeline", "pipeline/extract", "pipeline/embed", "pipeline/classify", "schemas"},
	"registry":                 {"health", "kafka", "models", "schemas", "sealed"},
	"trainer":                  {"models", "models/onnx", "pipeline/classify", "schemas"},
	"trainer/report":           {"models/convert", "plots", "schemas", "trainer"},
	"drift":                    {"drift/alarms", "drift/performance", "drift/stats", "health", "schemas", "warehouse"},
	"drift/alarms":             {"drift/stats"},
	"drift/stats":              {},
	"drift/performance":        {"drift/alarms"},
	"drift/report":             {"drift", "drift/alarms", "drift/performance", "drift/stats", "plots", "schemas"},
	"drift/watch":              {"drift", "drift/alarms", "health", "schemas", "security", "warehouse"},
	"mlflow":                   {},
	"plots":                    {},
	"server":                   {"health", "pipeline", "pipeline/extract", "schemas", "server/access", "server/api", "server/web"},
	"server/access":            {"health", "security"},
	"server/api":               {"pipeline", "pipeline/classify", "pipeline/extract", "schemas", "server/access"},
	"server/api/apitest":       {"pipeline", "pipeline/classify", "pipeline/embed", "pipeline/extract", "schemas", "server/api"},
	"server/api/apitest/serve": {"health", "pipeline", "server", "server/access", "server/api", "server/api/apitest"},
	"server/browsertest":       {},
	"server/web":               {"pipeline", "pipeline/extract", "producers", "schemas", "server/access", "server/api"},

	"deploy/compose":          {},
	"deploy/image":            {},
	"examples/go":             {}, // what others write knows nothing of ours
	"deploy/deploytest":       {"models", "telemetry/logtest"},
	"deploy/grafana":          {},
	"deploy/grafana/generate": {"deploy/grafana"},
	"release":                 {},

	"pipeline/extract/gliner2":             {"models", "models/onnx", "models/repository"},
	"pipeline/extract/gliner2/gliner2test": {"models", "models/repository", "pipeline/extract/gliner2"},
	"pipeline/extract/evaluate":            {"pipeline/extract", "schemas"},
	"pipeline/extract/view":                {"pipeline/extract", "schemas"},
	"pipeline/extract/gliner2/export":      {"models"},
}

// Imports point one way, or a change in one corner is felt in every other.
func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "jobstrom/")
		if name == "jobstrom" || name == "cli" || name == "bench" || strings.HasPrefix(name, "bench/") || strings.HasPrefix(name, "chaos") || name == "trainer/defaults" || name == "models/convert/calibrate" || strings.HasPrefix(name, "cluster/") || strings.HasPrefix(name, "embedded/") {
			continue
		}
		allowed, known := layer[name]
		if !known {
			t.Errorf("package %s is not in the picture: add it to docs/architecture.md and to layer", name)
		}
		for _, i := range p.Imports {
			ours, isOurs := strings.CutPrefix(i, "jobstrom/")
			if isOurs && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", name, ours)
			}
			pure := strings.HasPrefix(name, "pipeline") || strings.HasPrefix(name, "models") || strings.HasPrefix(name, "trainer") || strings.HasPrefix(name, "drift/") && name != "drift/watch"
			for _, client := range []string{"github.com/twmb/franz-go", "github.com/ClickHouse", "net/http"} {
				downloads := name == "models/fetch" && i == "net/http" // somebody has to, and nobody pure imports it
				if pure && !downloads && strings.HasPrefix(i, client) {
					t.Errorf("%s is pure but imports %s", name, i)
				}
			}
		}
	}
}

// The picture shows every topic of the flow, every stage, and who reads and writes.
func TestPictureShowsTheFlow(t *testing.T) {
	picture, err := os.ReadFile("docs/images/architecture.svg")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"publishers", "extract", "embed", "classify", "consumers", "sink", "ClickHouse", "serve", "watch", "train"}
	for _, topic := range kafka.Topics("ENCODER") {
		names = append(names, topic.Name)
	}
	for _, name := range names {
		if !strings.Contains(string(picture), ">"+name+"<") {
			t.Errorf("docs/images/architecture.svg does not show %s", name)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		said := 0
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil && (strings.HasPrefix(file.Doc.Text(), "Package ") || strings.HasPrefix(file.Doc.Text(), "Command ")) {
				said++
			}
		}
		if said != 1 {
			t.Errorf("%s has %d package comments, want one", p.ImportPath, said)
		}
	}
}

// Errors say what was being done ("reading x: …"); that it failed is plain.
func TestErrorsAreGerunds(t *testing.T) {
	wrong := regexp.MustCompile(`(errors\.New|fmt\.Errorf)\("(failed|cannot|could not|unable|error )`)
	out, err := exec.Command("git", "grep", "-nE", `(errors\.New|fmt\.Errorf)\(`, "--", "*.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if wrong.MatchString(line) && !strings.Contains(line, "_test.go") && !strings.Contains(line, "(%") {
			t.Errorf("not a gerund: %s", line)
		}
	}
}
