package cli

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/models"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract/gliner2"
)

const tinyExtractor = "../pipeline/extract/gliner2/testdata/tiny"

// startExtractorHub is a hub on loopback with the tiny extractor of random weights, as change leaves it.
func startExtractorHub(t *testing.T, change func(files map[string]string)) *httptest.Server {
	t.Helper()
	files := filesOf(t, tinyExtractor)
	change(files)
	s := httptest.NewServer(hubOf("a/tiny", strings.Repeat("2", 40), files))
	t.Cleanup(s.Close)
	return s
}

// An extractor is told from an encoder by its files, verified, and ready to be used.
func TestModelsPullExtractor(t *testing.T) {
	hub := startExtractorHub(t, func(map[string]string) {})
	t.Setenv(hubEndpointEnv, hub.URL)
	t.Setenv(hubTokenEnv, "")
	data := t.TempDir()
	line := func(more ...string) []string {
		return append([]string{"models", "pull", "a/tiny", "--data", data}, more...)
	}
	dir := filepath.Join(data, "extractors", "a--tiny")
	has(t, 2, nil, []string{"--prompt and --max-tokens are for encoders", "a/tiny is an extractor"}, line("--prompt", "x")...)
	out := has(t, 0, []string{"onnx/encoder.onnx", "onnx/count_pred.onnx", "a/tiny at 222222222222: ", "extractor ", "GLiNER2, 16 dimensions, entities of up to 8 words, weights in fp32",
		"use it with --extractor gliner2 --gliner2 " + dir}, nil, line()...)
	if strings.Contains(out, "fp16") {
		t.Errorf("the other precision was pulled as well:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(data, "encoders")); err == nil {
		t.Error("an extractor came to the encoders")
	}

	var told pulledJSON
	must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, line("--precision", "fp16", "--format", "json")...)), &told))
	if told.Encoder != nil || told.Extractor == nil || len(told.Extractor.Graphs) != 2 {
		t.Errorf("told %+v", told)
	}
	card, err := models.VerifyExtractor(dir)
	must(t, err)
	if card.ID != told.Extractor.ID || card.Source != "a/tiny at "+strings.Repeat("2", 40) {
		t.Errorf("the card is %+v", card)
	}
	for _, precision := range models.Precisions() {
		m, err := gliner2.Open(gliner2.Options{Dir: dir, Precision: precision})
		must(t, err)
		_, err = m.Extract(t.Context(), []string{"Vi søger en murer"})
		must(t, err)
		must(t, m.Close())
	}

	// The folder itself can be pulled, which makes its card anew.
	must(t, os.Remove(filepath.Join(dir, models.CardFile)))
	has(t, 0, []string{"weights in fp16, fp32", "use it with --extractor gliner2 --gliner2 " + dir}, nil, "models", "pull", dir, "--data", data)
	hub.Close()
	has(t, 0, []string{"from the cache"}, nil, line("--offline")...)
	if _, err := embed.New(embed.Options{ModelDir: dir}); err == nil || !strings.Contains(err.Error(), "is that of an extractor: name it with --gliner2") {
		t.Errorf("an extractor is opened as an encoder: %v", err)
	}
}

func TestModelsPullExtractorFailure(t *testing.T) {
	t.Setenv(hubTokenEnv, "")
	f := func(change func(files map[string]string), says ...string) {
		t.Helper()
		data := t.TempDir()
		has(t, 1, nil, says, "models", "pull", "a/tiny", "--data", data, "--hub-endpoint", startExtractorHub(t, change).URL)
		if found, err := filepath.Glob(filepath.Join(data, "extractors", "*", models.CardFile)); err != nil || len(found) > 0 {
			t.Errorf("there is a card: %v, %v", found, err)
		}
	}
	f(func(files map[string]string) { delete(files, "onnx/span_rep.onnx") }, "there is no onnx/span_rep.onnx")
	f(func(files map[string]string) { files["onnx/encoder.onnx"] = files["onnx/encoder.onnx"][:1000] }, "onnx/encoder.onnx", "malformed ONNX file", "fetch it again")
	f(func(files map[string]string) {
		files["onnx/span_rep.onnx"], files["onnx/count_embed.onnx"] = files["onnx/count_embed.onnx"], files["onnx/span_rep.onnx"]
	}, "onnx/span_rep.onnx", "another graph or another model's", "export-gliner2")
	f(func(files map[string]string) {
		files["tokenizer.json"] = strings.ReplaceAll(files["tokenizer.json"], `"[SEP_TEXT]"`, `"[SEP_TEKST]"`)
	}, "tokenizer.json", "it has no token [SEP_TEXT]", "fetch or export both again")
	f(func(files map[string]string) { files["config.json"] = "{}" }, "config.json", "hidden_size is 0")
	f(func(files map[string]string) {
		files["gliner2_config.json"] = strings.ReplaceAll(files["gliner2_config.json"], `"max_width"`, `"width"`)
	}, "gliner2_config.json", "max_width is 0")
}
