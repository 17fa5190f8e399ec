package cli

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/models"
	"jobstrom/pipeline/embed"
)

// A hub of one model, which is private.
func startHub(t *testing.T) *httptest.Server {
	t.Helper()
	tiny := "../models/repository/testdata/encoders/xlm-roberta/" // the encoder of random weights that models/repository is tested with
	files := filesOf(t, tiny+"base", tiny+"prompt")
	files["onnx/model_other.onnx"] = files["onnx/model.onnx"]
	hub := hubOf("a/b", strings.Repeat("1", 40), files)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+knownSecret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		hub(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// filesOf reads what lies in folders, and adds a file that no model needs.
func filesOf(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	files := map[string]string{"README.md": "#"}
	for _, folder := range folders {
		dir := os.DirFS(folder)
		must(t, fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := fs.ReadFile(dir, name)
			files[name] = string(content)
			return err
		}))
	}
	return files
}

// hubOf answers as a hub with one model, at one commit.
func hubOf(model, commit string, files map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/models/"+model+"/revision/main" {
			var siblings []any
			for name, content := range files {
				siblings = append(siblings, map[string]any{"rfilename": name, "size": len(content), "blobId": fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)))})
			}
			json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": siblings})
			return
		}
		content, ok := files[strings.TrimPrefix(r.URL.Path, "/"+model+"/resolve/"+commit+"/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, content)
	}
}

// What is pulled is verified, named and kept; a hub's own environment variables are honoured, settings of ours go before them.
func TestModelsPull(t *testing.T) {
	hub := startHub(t)
	t.Setenv(hubEndpointEnv, hub.URL)
	t.Setenv(hubTokenEnv, "")
	data := t.TempDir()
	line := func(more ...string) []string {
		return append([]string{"models", "pull", "a/b", "--data", data}, more...)
	}
	has(t, 1, nil, []string{"pulling a/b: ", "status 401", "--hub-token-file", hubTokenEnv}, line()...)
	t.Setenv(hubTokenEnv, knownSecret)
	encoders := filepath.Join(data, "encoders", "a--b")
	has(t, 0, []string{"config.json", "onnx/model.onnx", "a/b at 111111111111: ", "encoder ", "32 dimensions, mean pooling", "use it with --encoder " + encoders}, nil, line()...)

	var told pulledJSON
	dir := filepath.Join(t.TempDir(), "e5")
	for range 2 { // the second time everything is there
		must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, line("--graph", "onnx/model_other.onnx", "--dir", dir, "--prompt", "Opslag: ", "--format", "json")...)), &told))
	}
	if told.Name != "a/b" || told.Dir != dir || told.Cached || told.Encoder.Prefix != "Opslag: " || told.Encoder.Graph.Name != "onnx/model_other.onnx" {
		t.Errorf("told %+v", told)
	}
	other, err := models.Verify(encoders)
	must(t, err)
	if other.ID == told.Encoder.ID || other.Dim != 32 {
		t.Errorf("the encoder with another prompt and graph is %.12s as well", other.ID)
	}
	e, err := embed.New(embed.Options{ModelDir: dir})
	must(t, err)
	defer e.Close()
	vectors, err := e.Embed(t.Context(), []string{"Vi søger en murer"})
	must(t, err)
	if len(vectors[0].Values) != 32 {
		t.Errorf("a vector has %d components", len(vectors[0].Values))
	}

	t.Setenv(hubEndpointEnv, "http://127.0.0.1:1")
	t.Setenv(hubTokenEnv, "wrong")
	has(t, 0, []string{"a/b at 111111111111"}, nil, line("--hub-endpoint", hub.URL, "--hub-token-file", write(t, "token", knownSecret+"\n"))...)
	hub.Close()
	has(t, 0, []string{"from the cache: nobody was asked"}, nil, line("--hub-endpoint", hub.URL, "--offline")...)
	has(t, 0, []string{"use it with --encoder " + dir}, nil, "models", "pull", dir, "--data", data, "--graph", "onnx/model_other.onnx", "--max-tokens", "16")
	if cut, err := models.Verify(dir); err != nil || cut.MaxTokens != 16 {
		t.Errorf("got %d tokens, %v", cut.MaxTokens, err)
	}

	has(t, 1, nil, []string{"not in the cache", "--offline"}, line("--offline")...) // of another hub
	has(t, 1, nil, []string{"there is no onnx/model.onnx", "onnx/model_other.onnx"}, "models", "pull", dir, "--data", data)
	has(t, 2, nil, []string{"--max-bytes"}, line("--max-bytes", "much")...)
	has(t, 2, nil, []string{"hub-cert", "needs hub-key"}, line("--hub-cert", "c")...)
}
