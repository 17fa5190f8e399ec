package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/pipeline/extract"
	"jobstrom/pipeline/extract/evaluate"
	"jobstrom/pipeline/extract/gliner2/gliner2test"
	"jobstrom/schemas"
)

const tinyGLiNER2 = "../pipeline/extract/gliner2/testdata/tiny"

const (
	mason = `{"id":"mason","title":"Murer","text":"Vi søger en murer til facaderenovering i Vejle. Du skal mure og pudse. Kørekort B er et krav. Ring til Mette Holm på 22 31 44 56."}`
	cook  = `{"id":"cook","text":"Vi søger en kok til kroen. Du skal lave mad til 60 gæster."}`
)

// extractions reads what jobstrom extract wrote.
func extractions(t *testing.T, out string) []*schemas.Extraction {
	t.Helper()
	var all []*schemas.Extraction
	for sc := bufio.NewScanner(strings.NewReader(out)); sc.Scan(); {
		e := &schemas.Extraction{}
		must(t, schemas.Decode(schemas.JSON, sc.Bytes(), e))
		all = append(all, e)
	}
	return all
}

func TestExtract(t *testing.T) {
	dir := gliner2test.Dir(t, tinyGLiNER2)
	f := func(status int, input string, args ...string) []*schemas.Extraction {
		t.Helper()
		got, out, errOut := jobstrom(t, input, append([]string{"extract", "-"}, args...)...)
		if got != status {
			t.Fatalf("%v: status %d, want %d: %s", args, got, status, errOut)
		}
		if strings.Contains(out, "Mette") || strings.Contains(out, "44 56") {
			t.Errorf("%v: %s", args, out)
		}
		return extractions(t, out)
	}
	rules := f(0, mason+"\n"+cook)
	if len(rules) != 2 || rules[0].Extractor != "rules" || rules[0].Occupations[0] != "murer" || rules[1].Entities[0].Text != "kok" || rules[1].Entities[0].Start != 14 {
		t.Errorf("rules: %v", rules)
	}
	if got := f(3, mason+"\n{\n{\"text\":\"?\"}\n"+cook); len(got) != 2 {
		t.Errorf("beside bad lines: %v", got)
	}
	model := []string{"--gliner2", dir, "--gliner2-labels", "occupations:stillingsbetegnelser=0.01,ansøgningsfrist=.01"}
	both := f(0, mason, append(model, "--extractor", "both")...)
	by := map[string]int{}
	for _, e := range both[0].Entities {
		by[e.By+" "+e.Label]++
	}
	if by["gliner2 stillingsbetegnelser"] == 0 || by["gliner2 ansøgningsfrist"] == 0 || by["rules tasks"] == 0 || !strings.HasPrefix(both[0].Extractor, "both:") {
		t.Errorf("both, %s: %v", both[0].Extractor, by)
	}
	alone := f(0, mason, append(model, "--extractor", "gliner2")...)
	for _, e := range alone[0].Entities {
		if e.By != "gliner2" {
			t.Errorf("gliner2 alone: %v", e)
		}
	}
	if !strings.HasPrefix(both[0].Text, alone[0].Text) || len(alone[0].Skills)+len(alone[0].Tasks) > 0 {
		t.Errorf("gliner2 gives the encoder %q and lists %v; both %q", alone[0].Text, alone[0].Skills, both[0].Text)
	}
	// The whole way goes on with it.
	status, out, errOut := jobstrom(t, mason, append([]string{"classify", "-", "--extractor", "both"}, model...)...)
	if status != 0 || !strings.Contains(out, `"category":"`) || strings.Contains(out, "entities") {
		t.Errorf("classify: status %d: %s%s", status, out, errOut)
	}
}

func TestExtractorSettings(t *testing.T) {
	f := func(status int, want []string, args ...string) {
		t.Helper()
		got, _, errOut := jobstrom(t, mason, append([]string{"extract", "-"}, args...)...)
		if got != status {
			t.Errorf("%v: status %d, want %d: %s", args, got, status, errOut)
		}
		for _, w := range want {
			if !strings.Contains(errOut, w) {
				t.Errorf("%v: stderr %q does not say %q", args, errOut, w)
			}
		}
	}
	f(2, []string{
		"extractor (spacy) must be one of [rules gliner2 both]", "gliner2-mode (torch) must be one of [native onnx]", "gliner2-precision (int4) must be one of [fp32 fp16]",
		"gliner2-words (3) must be -1 or 16 to 65536", "gliner2-overlap (64) must be 1 to half of gliner2-words (3)",
	}, "--extractor", "spacy", "--gliner2-mode", "torch", "--gliner2-precision", "int4", "--gliner2-words", "3")
	f(2, []string{"extractor (both) needs gliner2, the folder of a model: jobstrom models pull"}, "--extractor", "both")
	f(2, []string{"gliner2-labels (title:kok) must be [field:]name[=threshold]: the field is one of [occupations skills tasks]", "(kok=2) must be", "the threshold is above 0", "(tasks:=.5) must be", "gliner2-labels (a) is given twice"},
		"--gliner2-labels", "title:kok,kok=2,tasks:=.5,a,skills:a")
	f(2, []string{"gliner2-labels must name"}, "--gliner2-labels", "")
	f(1, []string{"/nowhere", "jobstrom models pull"}, "--extractor", "gliner2", "--gliner2", "/nowhere")
	empty := t.TempDir()
	must(t, os.CopyFS(empty, os.DirFS(tinyGLiNER2)))
	f(1, []string{empty, "card.json", "jobstrom models pull"}, "--extractor", "gliner2", "--gliner2", empty)
	dir := gliner2test.Dir(t, tinyGLiNER2)
	must(t, os.Truncate(filepath.Join(dir, "onnx", "encoder.onnx"), 1000))
	f(1, []string{"encoder.onnx", "jobstrom models"}, "--extractor", "gliner2", "--gliner2", dir)
	// What a process does not use, it does not open: a shared settings file names a model for all.
	if status, _, errOut := jobstrom(t, "", "models", "list", "--extractor", "gliner2", "--gliner2", "/nowhere"); status == 2 || strings.Contains(errOut, "/nowhere") {
		t.Errorf("status %d: %s", status, errOut)
	}
}

func TestParseLabel(t *testing.T) {
	f := func(given, name string, threshold float32, field extract.Field) {
		t.Helper()
		label, got, err := parseLabel(given)
		if err != nil || label.Name != name || label.Threshold != threshold || got != field {
			t.Errorf("%q: got %+v, field %q, %v", given, label, got, err)
		}
	}
	f("kompetencer", "kompetencer", 0, "")
	f("skills:kompetencer", "kompetencer", 0, "skills")
	f("tasks: what one does = .25", "what one does", .25, "tasks")
	f("a=b=1", "a=b", 1, "")
	for _, bad := range []string{"", "=.5", "x=", "x=0", "x=NaN", "x=-1", "skill:x"} {
		if _, _, err := parseLabel(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestExtractEvaluate(t *testing.T) {
	conll := write(t, "annotated.conll", "# two texts\nVi\tO\nsøger\tO\nen\tO\nkok\tB-JOB\n.\tO\n\nVi\tO\nsøger\tO\nen\tO\nsmed\tB-JOB\ntil\tO\nVejle\tB-PLACE\n.\tO\n")
	status, out, errOut := jobstrom(t, "", "extract", "evaluate", conll, "--map", "JOB=occupations,PLACE=", "--format", "json")
	var e evaluate.Evaluation
	if err := json.Unmarshal([]byte(out), &e); err != nil || status != 0 {
		t.Fatalf("status %d, %v: %s", status, err, errOut)
	}
	if e.Texts != 2 || e.Micro.Annotated != 2 || e.Micro.Found != 2 || e.Micro.Exact.F1 != 1 || e.Extractor != "rules" {
		t.Errorf("got %s", out)
	}
	jsonl := write(t, "annotated.jsonl", `{"text":"Vi søger en kok til kroen.","entities":[{"label":"occupations","start":12,"end":15}]}
{"text":"Vi søger en pædagog.","entities":[{"label":"occupations","start":12,"end":15}]}
{"text":"kok","entities":[{"label":"occupations","start":2,"end":9}]}
`)
	status, out, errOut = jobstrom(t, "", "extract", "evaluate", jsonl)
	if status != 3 || !strings.Contains(errOut, "annotated.jsonl:3: entities[0] is from 2 to 9") {
		t.Errorf("status %d: %s", status, errOut)
	}
	for _, want := range []string{"rules on 2 texts", "│ occupations │         2 │     2 │", "0.500   │ 0.500 │ 0.500 │ 1.000", "95 % intervals", "other ends: annotated, found\n  line 2, occupations: \"pæd\", \"pædagog\"\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the answer lacks %q:\n%s", want, out)
		}
	}
	f := func(status int, want string, args ...string) {
		t.Helper()
		if got, _, errOut := jobstrom(t, "", append([]string{"extract", "evaluate"}, args...)...); got != status || !strings.Contains(errOut, want) {
			t.Errorf("%v: status %d, want %d: %s does not say %q", args, got, status, errOut, want)
		}
	}
	f(1, "no such file", "/nowhere.conll")
	f(1, "no annotated entity", write(t, "none.conll", "Vi\tO\n"))
	f(2, "--map holds", conll, "--map", "JOB")
	f(2, "--examples is -1", conll, "--examples", "-1")
}

func TestExtractView(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	status, out, errOut := jobstrom(t, mason+"\n"+cook, "extract", "view", "-", "--out", page, "--count", "1")
	text, err := os.ReadFile(page)
	if err != nil || status != 0 || !strings.Contains(out, page) {
		t.Fatalf("status %d, %v: %s", status, err, errOut)
	}
	if !bytes.Contains(text, []byte(">murer</mark>")) && !bytes.Contains(text, []byte(">Murer</mark>")) || !bytes.Contains(text, []byte("1 more vacancies")) || bytes.Contains(text, []byte("Mette")) {
		t.Errorf("%s", text)
	}
	if status, _, errOut := jobstrom(t, mason, "extract", "view", "-", "--out", filepath.Join(page, "x")); status != 1 || !strings.Contains(errOut, "writing the page") {
		t.Errorf("status %d: %s", status, errOut)
	}
	if status, _, errOut := jobstrom(t, mason, "extract", "view", "-", "--count", "0"); status != 2 || !strings.Contains(errOut, "--count is 0") {
		t.Errorf("status %d: %s", status, errOut)
	}
}

func TestExtractClassify(t *testing.T) {
	dir := gliner2test.Dir(t, tinyGLiNER2)
	for labels, n := range map[string]int{"": 22, "fuldtid,deltid": 2} {
		args := []string{"extract", "classify", "-", "--gliner2", dir}
		if labels != "" {
			args = append(args, "--labels", labels)
		}
		status, out, errOut := jobstrom(t, mason+"\n"+cook, args...)
		answers := 0
		for sc := bufio.NewScanner(strings.NewReader(out)); sc.Scan(); answers++ {
			var z zeroShot
			must(t, json.Unmarshal(sc.Bytes(), &z))
			sum := 0.
			for _, p := range z.Probabilities {
				sum += float64(p)
			}
			if len(z.Probabilities) != n || math.Abs(sum-1) > 1e-4 || z.Probabilities[z.Label] != z.Confidence {
				t.Errorf("got %s", sc.Text())
			}
		}
		if status != 0 || answers != 2 {
			t.Errorf("status %d: %s%s", status, out, errOut)
		}
	}
	f := func(status int, want string, args ...string) {
		t.Helper()
		if got, _, errOut := jobstrom(t, mason, append([]string{"extract", "classify", "-"}, args...)...); got != status || !strings.Contains(errOut, want) {
			t.Errorf("%v: status %d, want %d: %s does not say %q", args, got, status, errOut, want)
		}
	}
	f(2, "needs --gliner2")
	f(2, "at least two", "--labels", "a", "--gliner2", dir)
	f(2, `holds "a"`, "--labels", "a,b,a", "--gliner2", dir)
}

// The commands of docs/extraction.md work as they stand there, with the tiny model where they need one.
func TestExtractionDoc(t *testing.T) {
	dir := t.TempDir()
	clone(t, dir)
	must(t, os.Mkdir(filepath.Join(dir, "var"), 0o755))
	must(t, os.Rename(gliner2test.Dir(t, tinyGLiNER2), filepath.Join(dir, "var", "gliner2")))
	blocks := shellBlocks(t, "../docs/extraction.md")
	if len(blocks) < 6 {
		t.Fatalf("the document has %d commands", len(blocks))
	}
	for _, block := range blocks {
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || len(bytes.TrimSpace(out)) == 0 {
			t.Errorf("%s\n%v\n%s", block, err, out)
		}
	}
	for _, page := range []string{"entities.html", "both.html"} {
		if _, err := os.Stat(filepath.Join(dir, page)); err != nil {
			t.Error(err)
		}
	}
}
