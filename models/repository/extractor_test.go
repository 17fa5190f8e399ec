package repository

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jobstrom/models"
)

const tinyExtractor = "../../pipeline/extract/gliner2/testdata/tiny"

// extractorFolder copies the tiny extractor of random weights and changes it.
func extractorFolder(t *testing.T, change func(dir string)) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tinyExtractor)); err != nil {
		t.Fatal(err)
	}
	change(dir)
	return dir
}

// edit replaces text in a file of a folder.
func edit(t *testing.T, dir, name, old, new string) {
	t.Helper()
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %q", name, old)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, new)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestExtractor(t *testing.T) {
	dir := extractorFolder(t, func(string) {})
	card, err := Extractor(dir, Options{Name: "tiny", Source: "test", Licence: "MIT"})
	if err != nil {
		t.Fatal(err)
	}
	if card.Kind != models.ExtractorGLiNER2 || card.Name != "tiny" || card.Source != "test" || card.Licence != "MIT" || card.Hidden != 16 || card.MaxWidth != 8 || card.SpecialTokens["[SEP_TEXT]"] != 602 {
		t.Errorf("the card is %+v", card)
	}
	for _, precision := range models.Precisions() {
		g := card.Graphs[precision]
		if g.CountPred == nil || len(g.Files()) != 5 || len(g.External) != 0 {
			t.Errorf("in %s: %+v", precision, g)
		}
	}
	if err := models.WriteExtractorCard(dir, card); err != nil {
		t.Fatal(err)
	}
	if read, err := models.VerifyExtractor(dir); err != nil || !cmp.Equal(read, card) {
		t.Errorf("read back %+v, %v", read, err)
	}

	// With one precision, and without count_pred, it is another one; in fp32 the same.
	half := extractorFolder(t, func(dir string) {
		files, err := filepath.Glob(filepath.Join(dir, "onnx", "*_fp16.onnx"))
		if err != nil || len(files) != 5 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	})
	one, err := Extractor(half, Options{})
	if err != nil || len(one.Graphs) != 1 || one.ID == card.ID || one.Identity(models.FP32) != card.Identity(models.FP32) || one.Name != filepath.Base(half) {
		t.Errorf("without fp16: %+v, %v", one, err)
	}
	edit(t, half, "gliner2_config.json", `,
      "count_pred": "onnx/count_pred.onnx"`, "")
	edit(t, half, "gliner2_config.json", `,
      "count_pred": "onnx/count_pred_fp16.onnx"`, "")
	if four, err := Extractor(half, Options{}); err != nil || four.Graphs[models.FP32].CountPred != nil || four.Identity(models.FP32) == card.Identity(models.FP32) {
		t.Errorf("without count_pred: %+v, %v", four, err)
	}
}

func TestExtractorFailure(t *testing.T) {
	f := func(change func(dir string), says ...string) {
		t.Helper()
		_, err := Extractor(extractorFolder(t, change), Options{})
		if err == nil {
			t.Errorf("there is a card, want an error with %q", says)
			return
		}
		for _, text := range append(says, "describing the extractor in ") {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%v: does not say %q", err, text)
			}
		}
	}
	remove := func(name string) func(string) {
		return func(dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	f(remove("gliner2_config.json"), "gliner2_config.json: it is missing", "export-gliner2")
	f(remove("config.json"), "config.json: it is missing", "fetch the whole repository")
	f(remove("tokenizer.json"), "tokenizer.json: it is missing", "fetch the whole repository")
	f(remove("onnx/span_rep.onnx"), "the graph span_rep: onnx/span_rep.onnx is missing", "fetch the whole repository")
	f(func(dir string) {
		if err := os.RemoveAll(filepath.Join(dir, "onnx")); err != nil {
			t.Fatal(err)
		}
	}, "none of the graphs", "fetch the whole repository")
	f(func(dir string) {
		if err := os.Truncate(filepath.Join(dir, "onnx", "encoder.onnx"), 5000); err != nil {
			t.Fatal(err)
		}
	}, "encoder.onnx", "malformed ONNX file", "fetch it again")
	swap := func(a, b string) func(dir string) {
		return func(dir string) {
			a, b, c := filepath.Join(dir, a), filepath.Join(dir, b), filepath.Join(dir, "c")
			for _, move := range [][2]string{{a, c}, {b, a}, {c, b}} {
				if err := os.Rename(move[0], move[1]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	f(swap("onnx/span_rep.onnx", "onnx/count_embed.onnx"), "onnx/span_rep.onnx", "it takes 1 tensors", "another graph or another model's")
	f(swap("onnx/classifier.onnx", "onnx/count_pred.onnx"), "onnx/classifier.onnx", "logit", "export it again")
	f(func(dir string) { edit(t, dir, "config.json", "16", "32") }, "onnx/encoder.onnx", "hidden_states has the dimensions [-1 -1 16]", "32")
	f(func(dir string) { edit(t, dir, "config.json", "hidden_size", "size") }, "config.json", "hidden_size is 0")
	f(func(dir string) { edit(t, dir, "gliner2_config.json", "{", "") }, "gliner2_config.json", "fetch it again")
	f(func(dir string) { edit(t, dir, "gliner2_config.json", `"max_width": 8`, `"max_width": 800`) }, "max_width is 800, must be 1 to 64")
	f(func(dir string) { edit(t, dir, "gliner2_config.json", `"[E]"`, `"[EE]"`) }, "special_tokens lacks [E]", "export the model again")
	f(func(dir string) { edit(t, dir, "gliner2_config.json", "605", "604") }, "tokenizer.json: its token [E] has the id 605", "says 604")
	f(func(dir string) { edit(t, dir, "tokenizer.json", `"[P]"`, `"[Q]"`) }, "tokenizer.json: it has no token [P]", "fetch or export both again")
	f(func(dir string) { edit(t, dir, "gliner2_config.json", `"onnx/encoder.onnx"`, `"../encoder.onnx"`) }, "onnx_files.fp32.encoder", "inside the folder")
	f(func(dir string) { edit(t, dir, "gliner2_config.json", `"onnx_files"`, `"files"`) }, "onnx_files names no graphs")
}

func TestExtractorCardFailure(t *testing.T) {
	card, err := Extractor(extractorFolder(t, func(string) {}), Options{Name: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(change func(c *models.ExtractorCard), says ...string) {
		t.Helper()
		c := card
		c.SpecialTokens = map[string]int64{}
		for token, id := range card.SpecialTokens {
			c.SpecialTokens[token] = id
		}
		change(&c)
		err := c.Validate()
		for _, text := range says {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%v: does not say %q", err, text)
			}
		}
	}
	f(func(c *models.ExtractorCard) { c.Kind = "" }, `kind ("") must be "gliner2"`)
	f(func(c *models.ExtractorCard) { c.Name, c.Hidden, c.MaxWidth, c.Graphs = "", 0, 65, nil }, "name is empty", "hidden (0)", "max_width (65)", "graphs is empty")
	f(func(c *models.ExtractorCard) {
		delete(c.SpecialTokens, "[L]")
		c.SpecialTokens["[E]"] = c.SpecialTokens["[P]"]
	}, "lacks [L]", "have the id 603 both")
	f(func(c *models.ExtractorCard) { c.Graphs = map[string]models.ExtractorGraphs{"int4": c.Graphs["fp32"]} }, `the precision "int4"`)
	f(func(c *models.ExtractorCard) { c.Tokenizer = models.File{Name: "../tokenizer.json"} }, "must be a path inside the folder", "64 hex digits")
	f(func(c *models.ExtractorCard) { c.MaxWidth = 7 }, "id (")
	f(func(c *models.ExtractorCard) { c.Tokenizer.Name = "onnx/encoder.onnx" }, "another file's as well")
	if !slices.Equal(models.RequiredTokens(), []string{"[P]", "[E]", "[L]", "[SEP_TEXT]"}) {
		t.Error("other tokens are required")
	}
}
