package fetch

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// extractorContent are the files of a repository in the layout of GLiNER2, and others. Its graphs lie where its configuration says.
func extractorContent() map[string][]byte {
	files := map[string][]byte{
		extractorFile: []byte(`{"max_width":8,"onnx_files":{
			"fp32":{"encoder":"onnx/encoder.onnx","span_rep":"onnx/span_rep.onnx","count_embed":"onnx/count_embed.onnx","classifier":"heads/classifier.onnx"},
			"fp16":{"encoder":"onnx/encoder_fp16.onnx","span_rep":"onnx/span_rep_fp16.onnx","count_embed":"onnx/count_embed_fp16.onnx","classifier":"heads/classifier_fp16.onnx"}}}`),
		"config.json":            []byte(`{"hidden_size":16}`),
		"tokenizer.json":         noise(1, 40_000),
		"tokenizer_config.json":  []byte(`{}`),
		"onnx/encoder.onnx":      noise(2, graphBytes),
		"onnx/encoder.onnx.data": noise(3, 50_000),
		"onnx/model.onnx":        noise(4, 1000), // of an encoder, which is not asked for
		"README.md":              []byte("# tiny"),
	}
	for i, name := range []string{"onnx/span_rep", "onnx/count_embed", "heads/classifier"} {
		files[name+".onnx"], files[name+"_fp16.onnx"] = noise(uint64(10+i), 3000), noise(uint64(20+i), 1500)
	}
	files["onnx/encoder_fp16.onnx"] = noise(30, 9000)
	return files
}

var (
	extractorNames = []string{
		"config.json", extractorFile, "heads/classifier.onnx", "onnx/count_embed.onnx", "onnx/encoder.onnx", "onnx/encoder.onnx.data", "onnx/span_rep.onnx", "tokenizer.json", "tokenizer_config.json",
	}
	halfNames = []string{
		"config.json", extractorFile, "heads/classifier_fp16.onnx", "onnx/count_embed_fp16.onnx", "onnx/encoder_fp16.onnx", "onnx/span_rep_fp16.onnx", "tokenizer.json", "tokenizer_config.json",
	}
)

func startExtractorHub(t *testing.T) *hub {
	h := startHub(t)
	h.commits[firstCommit] = extractorContent()
	return h
}

func TestPullExtractor(t *testing.T) {
	h := startExtractorHub(t)
	o := h.options(t)
	if s := h.whole(t, testName, o, firstCommit, extractorNames); !s.Extractor {
		t.Errorf("the snapshot is %+v", s)
	}
	for _, name := range extractorNames {
		if n := h.requests("GET /" + testName + "/resolve/" + firstCommit + "/" + name + " "); n != 1 {
			t.Errorf("%s was asked for %d times", name, n)
		}
	}
	// Another precision takes the graphs that it lacks, into the folder that extractors go to.
	h.set(func() {})
	o.Precision, o.Dir, o.ExtractorDir = "fp16", filepath.Join(t.TempDir(), "encoder"), filepath.Join(t.TempDir(), "extractor")
	if s := h.whole(t, testName, o, firstCommit, halfNames); s.Dir != o.ExtractorDir {
		t.Errorf("the snapshot is %+v", s)
	}
	if n := h.requests("resolve"); n != 4 {
		t.Errorf("%d files were downloaded for another precision", n)
	}
	if _, err := os.Stat(o.Dir); !notExist(err) {
		t.Errorf("the encoder's folder is there (%v)", err)
	}
	// Offline, and away.
	o.Offline = true
	h.whole(t, testName, o, firstCommit, halfNames)
	o.Offline, o.Precision = false, ""
	h.server.Close()
	if s := h.whole(t, testName, o, firstCommit, extractorNames); !s.Cached || !s.Extractor {
		t.Errorf("the snapshot is %+v", s)
	}
	damage(t, o, gitHash(extractorContent()[extractorFile]))
	o.Offline = true
	fails(t, testName, o, ErrCorrupt, extractorFile, "pull it without --offline")
}

// The configuration of a hub that lists names alone is asked about before the rest.
func TestPullExtractorFromABareHub(t *testing.T) {
	h := startExtractorHub(t)
	h.bare = true
	o := h.options(t)
	h.whole(t, testName, o, firstCommit, extractorNames)
	o.Offline = true
	h.whole(t, testName, o, firstCommit, extractorNames)
}

// An encoder in the same repository can still be had.
func TestPullGraphBesideExtractor(t *testing.T) {
	h := startExtractorHub(t)
	h.commits[firstCommit]["onnx/model_other.onnx"] = noise(40, 100)
	o := h.options(t)
	o.Graph = "onnx/model_other.onnx"
	if s := h.whole(t, testName, o, firstCommit, []string{"config.json", o.Graph, "tokenizer.json", "tokenizer_config.json"}); s.Extractor {
		t.Errorf("the snapshot is %+v", s)
	}
}

func TestPullExtractorFailure(t *testing.T) {
	f := func(change func(files map[string][]byte, o *Options), kind error, says ...string) {
		t.Helper()
		h := startExtractorHub(t)
		o := h.options(t)
		change(h.commits[firstCommit], &o)
		fails(t, testName, o, kind, says...)
		for name := range h.commits[firstCommit] {
			if n := h.requests("resolve/" + firstCommit + "/" + name + " "); name != extractorFile && n > 0 {
				t.Errorf("%s was downloaded %d times", name, n)
			}
		}
	}
	config := func(content string) func(map[string][]byte, *Options) {
		return func(files map[string][]byte, _ *Options) { files[extractorFile] = []byte(content) }
	}
	for _, name := range []string{"config.json", "tokenizer.json", "onnx/span_rep.onnx", "heads/classifier.onnx"} {
		f(func(files map[string][]byte, _ *Options) { delete(files, name) }, ErrIncomplete, "there is no "+name, "GLiNER2")
	}
	f(config(`{"max`), ErrCorrupt, "reading "+extractorFile, "unexpected end")
	f(config(`{"onnx_files":{"int8":{}}}`), ErrIncomplete, `names no graphs in fp32, but in ["int8"]`, "--precision")
	f(config(`{"onnx_files":{"fp32":{"encoder":"../../passwd"}}}`), ErrHostile, extractorFile, `part ".."`)
	f(config(strings.Repeat(" ", longestConfig)+"{}"), ErrTooLarge, extractorFile, "more than")
	f(func(_ map[string][]byte, o *Options) { o.Precision = "int4" }, nil, `precision ("int4") must be fp32 or fp16`)
}

// A graph that was cut off is gone on with; one whose bytes are others is refused.
func TestPullExtractorTruncated(t *testing.T) {
	h := startExtractorHub(t)
	path := "/" + firstCommit + "/onnx/encoder.onnx"
	content := extractorContent()["onnx/encoder.onnx"]
	cuts := func(ranges bool, content []byte) {
		h.set(func() {
			h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, path) && !strings.HasSuffix(r.URL.Path, "resolve"+path) {
					return false
				}
				cut(w, r, content, graphBytes/3+1, ranges)
				return true
			}
		})
	}
	cuts(true, content)
	h.whole(t, testName, h.options(t), firstCommit, extractorNames)
	cuts(false, content)
	o := h.options(t)
	fails(t, testName, o, ErrUnreachable, "receiving onnx/encoder.onnx", "after 4 attempts")
	nothingWhole(t, o, gitHash(content))
	cuts(true, noise(50, graphBytes))
	fails(t, testName, h.options(t), ErrCorrupt, "onnx/encoder.onnx")
}

func TestPullExtractorFromAnAddress(t *testing.T) {
	s := startShelf(t, httptest.NewServer)
	s.files = extractorContent()
	h := &hub{commits: map[string]map[string][]byte{"": s.files}}
	o := Options{Cache: t.TempDir(), Backoff: time.Millisecond, Attempts: 4}
	if got := h.whole(t, s.URL+"/models/e5", o, "", extractorNames); !got.Extractor || len(got.Revision) != 64 {
		t.Errorf("the snapshot is %+v", got)
	}
	o.Precision = "fp16"
	h.whole(t, s.URL+"/models/e5", o, "", halfNames)
	o.Offline = true
	h.whole(t, s.URL+"/models/e5", o, "", halfNames)
	delete(s.files, "onnx/span_rep_fp16.onnx")
	o.Offline = false
	fails(t, s.URL+"/models/e5", o, ErrIncomplete, "onnx/span_rep_fp16.onnx is not below it")
}

func TestPullExtractorFromAFolder(t *testing.T) {
	dir := t.TempDir()
	h := &hub{commits: map[string]map[string][]byte{"": extractorContent()}}
	for name, content := range h.commits[""] {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Cache: t.TempDir()}
	if s := h.whole(t, dir, o, "", extractorNames); !s.Extractor || s.Dir != dir {
		t.Errorf("the snapshot is %+v", s)
	}
	o.Dir = filepath.Join(t.TempDir(), "own")
	if s := h.whole(t, dir, o, "", extractorNames); s.Dir != o.Dir {
		t.Errorf("the snapshot is %+v", s)
	}
	if err := os.Remove(filepath.Join(dir, "onnx", "count_embed.onnx")); err != nil {
		t.Fatal(err)
	}
	fails(t, dir, o, ErrIncomplete, "there is no onnx/count_embed.onnx")
}
