package fetch

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jobstrom/security"
)

const (
	testName  = "people/tiny-e5"
	testToken = "hub-token-of-the-test"
)

// hub is a small hub on loopback, with a store on another port that large files are redirected to.
type hub struct {
	t             *testing.T
	server, store *httptest.Server

	mutex sync.Mutex
	// files are those of each revision's commit.
	commits map[string]map[string][]byte
	heads   map[string]string
	// asked are the paths asked for, tokens those that came with the token.
	asked, tokens []string
	// meddle, unless nil, may answer a request itself.
	meddle func(w http.ResponseWriter, r *http.Request) bool
	// listing, unless nil, changes what the hub says about a commit.
	listing func(answer map[string]any)
	// bare hubs list names alone.
	bare bool
}

// noise returns bytes that are the same each time.
func noise(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	data := make([]byte, n)
	r.Read(data)
	return data
}

const graphBytes = 300_000

// testFiles are those of a repository; wantedNames those of them that are an encoder's.
func testFiles() map[string][]byte {
	return map[string][]byte{
		"config.json":                       []byte(`{"model_type":"bert"}`),
		"modules.json":                      []byte(`[{"idx":0,"path":""},{"idx":1,"path":"1_Pooling"},{"idx":2,"path":"2_Dense"},{"idx":3,"path":"3_Normalize"}]`),
		"sentence_bert_config.json":         []byte(`{"max_seq_length":512}`),
		"config_sentence_transformers.json": []byte(`{}`),
		"tokenizer.json":                    noise(1, 40_000),
		"tokenizer_config.json":             []byte(`{"model_max_length":512}`),
		"special_tokens_map.json":           []byte(`{}`),
		"1_Pooling/config.json":             []byte(`{"pooling_mode_mean_tokens":true}`),
		"2_Dense/config.json":               []byte(`{"in_features":8}`),
		"2_Dense/model.safetensors":         noise(2, 3000),
		"onnx/model.onnx":                   noise(3, graphBytes),
		"onnx/model.onnx_data":              noise(4, 50_000),
		"onnx/model_qint8.onnx":             noise(5, 20_000),
		"onnx/tokenizer.json":               []byte(`another`),
		"openvino/config.json":              []byte(`{}`),
		"model.safetensors":                 noise(6, 100),
		"README.md":                         []byte("# tiny"),
		".gitattributes":                    []byte("*"),
	}
}

var wantedNames = []string{
	"1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "config.json", "config_sentence_transformers.json", "modules.json",
	"onnx/model.onnx", "onnx/model.onnx_data", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
}

const firstCommit = "1111111111111111111111111111111111111111"

func startHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{t: t, commits: map[string]map[string][]byte{firstCommit: testFiles()}, heads: map[string]string{"main": firstCommit, firstCommit: firstCommit}}
	serve := func(handle http.HandlerFunc) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.mutex.Lock()
			h.asked = append(h.asked, r.Method+" "+r.URL.Path)
			if strings.Contains(r.Header.Get("Authorization"), testToken) {
				h.tokens = append(h.tokens, r.Host+r.URL.Path)
			}
			meddle := h.meddle
			h.mutex.Unlock()
			if meddle == nil || !meddle(w, r) {
				handle(w, r)
			}
		}))
		t.Cleanup(s.Close)
		return s
	}
	h.server, h.store = serve(h.serveHub), serve(h.serveStore)
	return h
}

func isLFS(name string) bool { return name == "tokenizer.json" || strings.Contains(name, "model") }

func (h *hub) serveHub(w http.ResponseWriter, r *http.Request) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if revision, ok := strings.CutPrefix(r.URL.Path, "/api/models/"+testName+"/revision/"); ok {
		commit, known := h.heads[revision]
		if !known {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			http.Error(w, "", http.StatusNotFound)
			return
		}
		answer := h.answer(commit, r.URL.Query().Get("blobs") == "true")
		if h.listing != nil {
			h.listing(answer)
		}
		json.NewEncoder(w).Encode(answer)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/"+testName+"/resolve/")
	commit, name, _ := strings.Cut(path, "/")
	content, exists := h.commits[commit][name]
	if !ok || !exists {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		http.Error(w, "", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	if isLFS(name) {
		sum := sha256.Sum256(content)
		w.Header().Set("X-Linked-Etag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(content)))
		http.Redirect(w, r, h.store.URL+"/"+commit+"/"+name+"?signature=secret-of-the-store", http.StatusFound)
		return
	}
	w.Header().Set("ETag", `"`+gitHash(content)+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (h *hub) serveStore(w http.ResponseWriter, r *http.Request) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if r.Header.Get("Authorization") != "" {
		h.t.Errorf("the store is shown a token: %s", r.URL.Path)
	}
	commit, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.commits[commit][name]))
}

// answer is what a hub says about a commit.
func (h *hub) answer(commit string, blobs bool) map[string]any {
	var siblings []any
	for name, content := range h.commits[commit] {
		s := map[string]any{"rfilename": name}
		if blobs && !h.bare {
			s["size"], s["blobId"] = len(content), gitHash(content)
			if isLFS(name) {
				sum := sha256.Sum256(content)
				s["blobId"] = strings.Repeat("0", 40) // the pointer's
				s["lfs"] = map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(content), "pointerSize": 130}
			}
		}
		siblings = append(siblings, s)
	}
	return map[string]any{"id": testName, "sha": commit, "siblings": siblings}
}

func gitHash(content []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(content)), content...))
	return hex.EncodeToString(sum[:])
}

// set changes the hub between two pulls.
func (h *hub) set(change func()) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	change()
	h.asked, h.tokens = nil, nil
}

// requests returns how often something was asked for whose line, a method, a path and a space, holds the text.
func (h *hub) requests(text string) int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	n := 0
	for _, a := range h.asked {
		if strings.Contains(a+" ", text) {
			n++
		}
	}
	return n
}

// options are those of a pull from the hub into a cache of its own, which does not wait long.
func (h *hub) options(t *testing.T) Options {
	return Options{
		Endpoint: h.server.URL, Token: security.Credential{Value: testToken}, Cache: t.TempDir(), Backoff: time.Millisecond, Attempts: 4,
	}
}

// whole pulls, and compares the folder with the files that the hub has.
func (h *hub) whole(t *testing.T, source string, o Options, commit string, want []string) Snapshot {
	t.Helper()
	s, err := Pull(t.Context(), source, o)
	if err != nil {
		t.Fatal(err)
	}
	h.compare(t, s, commit, want)
	return s
}

func (h *hub) compare(t *testing.T, s Snapshot, commit string, want []string) {
	t.Helper()
	var names []string
	for _, f := range s.Files {
		names = append(names, f.Name)
		content := h.commits[commit][f.Name]
		got, err := os.ReadFile(filepath.Join(s.Dir, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		if !bytes.Equal(got, content) || f.SHA256 != hex.EncodeToString(sum[:]) || f.Size != int64(len(content)) {
			t.Errorf("%s: %d bytes, told %+v, the hub has %d bytes", f.Name, len(got), f, len(content))
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("the snapshot has %v, want %v", names, want)
	}
}

// fails pulls, and wants an error of this kind that says these things and no secret.
func fails(t *testing.T, source string, o Options, kind error, says ...string) error {
	t.Helper()
	s, err := Pull(t.Context(), source, o)
	if err == nil {
		t.Fatalf("the pull gives %+v, want %v", s, kind)
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("%v: is not %q", err, kind)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v: does not say %q", err, text)
		}
	}
	for _, secret := range []string{testToken, "secret-of-the-store"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows %q: %v", secret, err)
		}
	}
	return err
}

// nothingWhole wants a cache in which no file has the name of a whole one.
func nothingWhole(t *testing.T, o Options, hash string) {
	t.Helper()
	if _, err := os.Stat(cache(o.Cache).blob(hash)); !notExist(err) {
		t.Errorf("blobs/%s is there (%v)", hash, err)
	}
	err := filepath.WalkDir(filepath.Join(o.Cache, "snapshots"), func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".onnx") {
			t.Errorf("%s is there", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
