package cli

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A hub of one model, which is private.
func startHub(t *testing.T) *httptest.Server {
	t.Helper()
	files := map[string]string{"config.json": "{}", "tokenizer.json": "{}", "onnx/model.onnx": "graph", "onnx/model_qint8.onnx": "int8", "README.md": "#"}
	commit := strings.Repeat("1", 40)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+knownSecret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path == "/api/models/a/b/revision/main" {
			var siblings []any
			for name, content := range files {
				siblings = append(siblings, map[string]any{"rfilename": name, "size": len(content), "blobId": fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)))})
			}
			json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": siblings})
			return
		}
		content, ok := files[strings.TrimPrefix(r.URL.Path, "/a/b/resolve/"+commit+"/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, content)
	}))
	t.Cleanup(s.Close)
	return s
}

// What is pulled is verified, named and kept; a hub's own environment variables are honoured, settings of ours go before them.
func TestModelsPull(t *testing.T) {
	hub := startHub(t)
	t.Setenv(hubEndpointEnv, hub.URL)
	t.Setenv(hubTokenEnv, "")
	data := t.TempDir()
	line := func(more ...string) []string { return append([]string{"models", "pull", "a/b", "--data", data}, more...) }
	has(t, 1, nil, []string{"pulling a/b: ", "status 401", "--hub-token-file", hubTokenEnv}, line()...)
	t.Setenv(hubTokenEnv, knownSecret)
	has(t, 0, []string{"config.json", "onnx/model.onnx", "a/b at 111111111111: 3 files", filepath.Join(data, "hub", "snapshots")}, nil, line()...)

	var told pulledJSON
	dir := filepath.Join(t.TempDir(), "e5")
	must(t, json.Unmarshal([]byte(has(t, 0, nil, nil, line("--graph", "onnx/model_qint8.onnx", "--dir", dir, "--format", "json")...)), &told))
	if told.Name != "a/b" || told.Dir != dir || told.Cached || len(told.Files) != 3 || told.Files[1].Name != "onnx/model_qint8.onnx" || told.Files[1].Size != 4 || len(told.Files[1].SHA256) != 64 {
		t.Errorf("told %+v", told)
	}
	got, err := os.ReadFile(filepath.Join(dir, "onnx", "model_qint8.onnx"))
	must(t, err)
	if string(got) != "int8" {
		t.Errorf("the graph is %q", got)
	}

	t.Setenv(hubEndpointEnv, "http://127.0.0.1:1")
	t.Setenv(hubTokenEnv, "wrong")
	has(t, 0, []string{"a/b at 111111111111"}, nil, line("--hub-endpoint", hub.URL, "--hub-token-file", write(t, "token", knownSecret+"\n"))...)
	hub.Close()
	has(t, 0, []string{"from the cache: nobody was asked"}, nil, line("--hub-endpoint", hub.URL, "--offline")...)
	has(t, 0, []string{"3 files"}, nil, "models", "pull", dir, "--data", data, "--graph", "onnx/model_qint8.onnx")

	has(t, 1, nil, []string{"not in the cache", "--offline"}, line("--offline")...) // of another hub
	has(t, 1, nil, []string{"there is no onnx/model.onnx", "onnx/model_qint8.onnx"}, "models", "pull", dir, "--data", data)
	has(t, 2, nil, []string{"--max-bytes"}, line("--max-bytes", "much")...)
	has(t, 2, nil, []string{"hub-cert", "needs hub-key"}, line("--hub-cert", "c")...)
}
