package fetch

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestPull(t *testing.T) {
	h := startHub(t)
	o := h.options(t)
	seen := map[string][2]int64{}
	o.Progress = func(file string, done, total int64) { seen[file] = [2]int64{done, total} }
	s := h.whole(t, testName, o, firstCommit, wantedNames)
	if s.Revision != firstCommit || s.Cached || s.Name != testName || !strings.HasSuffix(s.Dir, filepath.Join("people--tiny-e5", firstCommit)) {
		t.Errorf("the snapshot is %+v", s)
	}
	if len(seen) != len(wantedNames) || seen["onnx/model.onnx"] != [2]int64{graphBytes, graphBytes} {
		t.Errorf("the progress ends with %v", seen)
	}
	// The token went to the hub, and the store complains about it itself.
	if len(h.tokens) != 1+len(wantedNames) || h.requests("/onnx/model.onnx") == 0 {
		t.Errorf("the token came with %v", h.tokens)
	}
	for _, place := range h.tokens {
		if "http://"+place[:strings.Index(place, "/")] != h.server.URL {
			t.Errorf("the token came to %s", place)
		}
	}

	// A second pull downloads nothing; another graph takes what it lacks.
	h.set(func() {})
	h.whole(t, testName, o, firstCommit, wantedNames)
	if n := h.requests("resolve"); n != 0 {
		t.Errorf("%d files were downloaded again", n)
	}
	o.Graph = "onnx/model_qint8.onnx"
	quantised := slices.DeleteFunc(slices.Clone(wantedNames), func(n string) bool { return n == "onnx/model.onnx_data" })
	quantised[slices.Index(quantised, "onnx/model.onnx")] = o.Graph
	h.whole(t, testName, o, firstCommit, quantised)
	if n := h.requests("resolve"); n != 1 {
		t.Errorf("%d files were downloaded for another graph", n)
	}

	// A folder of one's own.
	o.Dir = filepath.Join(t.TempDir(), "own")
	if s := h.whole(t, testName, o, firstCommit, quantised); s.Dir != o.Dir {
		t.Errorf("the folder is %s", s.Dir)
	}
}

// Another hub's listing may tell names alone: sizes and hashes are then asked for, file by file.
func TestPullFromABareHub(t *testing.T) {
	h := startHub(t)
	h.bare = true
	o := h.options(t)
	h.whole(t, testName, o, firstCommit, wantedNames)
	if n := h.requests("HEAD"); n != len(wantedNames) {
		t.Errorf("%d files were asked about", n)
	}
	o.Offline = true
	h.whole(t, testName, o, firstCommit, wantedNames)

	h.set(func() {
		h.meddle = func(w http.ResponseWriter, r *http.Request) bool { return r.Method == http.MethodHead }
	})
	fails(t, testName, h.options(t), ErrCorrupt, "1_Pooling/config.json", "cannot be verified")
}

func TestChangedRevision(t *testing.T) {
	h := startHub(t)
	o := h.options(t)
	first := h.whole(t, testName, o, firstCommit, wantedNames)
	const second = "2222222222222222222222222222222222222222"
	h.set(func() {
		files := testFiles()
		files["config.json"] = []byte(`{"model_type":"xlm-roberta"}`)
		h.commits[second], h.heads["main"], h.heads[second] = files, second, second
	})
	if s := h.whole(t, testName, o, second, wantedNames); s.Revision != second || s.Dir == first.Dir {
		t.Errorf("the snapshot is %+v", s)
	}
	if n := h.requests("resolve"); n != 1 {
		t.Errorf("%d files were downloaded, one had changed", n)
	}
	h.compare(t, first, firstCommit, wantedNames)
	// A commit is what it was: nobody is asked.
	h.set(func() {})
	o.Revision = firstCommit
	if s := h.whole(t, testName, o, firstCommit, wantedNames); !s.Cached || len(h.asked) != 0 {
		t.Errorf("the snapshot is %+v, asked were %v", s, h.asked)
	}
}

func TestOffline(t *testing.T) {
	h := startHub(t)
	o := h.options(t)
	o.Offline = true
	fails(t, testName, o, ErrNotCached, "revision main", "--offline")
	o.Offline = false
	h.whole(t, testName, o, firstCommit, wantedNames)
	h.server.Close()
	if s := h.whole(t, testName, o, firstCommit, wantedNames); !s.Cached { // away, and known
		t.Error("the hub was not asked, and the snapshot does not say so")
	}
	fails(t, "people/other", o, ErrUnreachable, "connection refused", "after 4 attempts")
	o.Offline, o.Token.Value, o.Token.File = true, "", "/nowhere"
	if s := h.whole(t, testName, o, firstCommit, wantedNames); !s.Cached {
		t.Error("an offline snapshot does not say so")
	}
	unknown := o
	unknown.Revision = "v2"
	fails(t, testName, unknown, ErrNotCached, "revision v2")
	unknown = o
	unknown.Graph = "onnx/model_qint8.onnx"
	fails(t, testName, unknown, ErrNotCached, "onnx/model_qint8.onnx")

	// What was damaged since is noticed.
	damage(t, o, sha(testFiles()["onnx/model.onnx"]))
	fails(t, testName, o, ErrCorrupt, "onnx/model.onnx", "pull it without --offline")
}

// damage changes one byte of a blob.
func damage(t *testing.T, o Options, hash string) {
	t.Helper()
	path := cache(o.Cache).blob(hash)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o444); err != nil { // the snapshot's file is the same one
		t.Fatal(err)
	}
}

func TestDamagedCacheIsMended(t *testing.T) {
	h := startHub(t)
	o := h.options(t)
	h.whole(t, testName, o, firstCommit, wantedNames)
	damage(t, o, sha(testFiles()["onnx/model.onnx"]))
	damage(t, o, gitHash(testFiles()["config.json"]))
	h.set(func() {})
	h.whole(t, testName, o, firstCommit, wantedNames)
	if n := h.requests("resolve"); n != 2 {
		t.Errorf("%d files were downloaded, two were damaged", n)
	}
}

func TestTwoPullsAtOnce(t *testing.T) {
	h := startHub(t)
	o := h.options(t)
	var both sync.WaitGroup
	for range 4 {
		both.Go(func() {
			s, err := Pull(t.Context(), testName, o)
			if err != nil {
				t.Error(err)
				return
			}
			h.compare(t, s, firstCommit, wantedNames)
		})
	}
	both.Wait()
	for _, name := range wantedNames {
		if n := h.requests("resolve/" + firstCommit + "/" + name + " "); n != 1 {
			t.Errorf("%s was downloaded %d times", name, n)
		}
	}

	// Who waits can be called off.
	unlock, err := cache(o.Cache).lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := cache(o.Cache).lock(ctx, cancel); err == nil || ctx.Err() == nil {
		t.Errorf("the lock was given twice: %v", err)
	}
}

func TestIncompleteRepository(t *testing.T) {
	f := func(change func(files map[string][]byte), graph string, says ...string) {
		t.Helper()
		h := startHub(t)
		change(h.commits[firstCommit])
		o := h.options(t)
		o.Graph = graph
		fails(t, testName, o, ErrIncomplete, says...)
		if h.requests("resolve") > 0 {
			t.Errorf("files were downloaded: %v", h.asked)
		}
	}
	f(func(map[string][]byte) {}, "onnx/model_O4.onnx", "there is no onnx/model_O4.onnx", "--graph", "onnx/model.onnx, onnx/model_qint8.onnx")
	f(func(files map[string][]byte) {
		for name := range files {
			if strings.HasPrefix(name, "onnx/") {
				delete(files, name)
			}
		}
	}, "", "no ONNX graph", "its weights are 2_Dense/model.safetensors, model.safetensors", "optimum-cli export onnx")
	f(func(files map[string][]byte) { delete(files, "tokenizer.json") }, "", "no tokenizer.json", "fast tokenizer")
}

func TestOptionsAreValidated(t *testing.T) {
	f := func(source string, change func(o *Options), says ...string) {
		t.Helper()
		o := Options{Cache: t.TempDir(), Offline: true}
		change(&o)
		fails(t, source, o, nil, says...)
	}
	f(testName, func(o *Options) { o.Endpoint = "hub.example.com" }, "must be an https address")
	f(testName, func(o *Options) { o.Endpoint = "https://me:" + testToken + "@hub.example.com" }, "must hold no user or password")
	f(testName, func(o *Options) { o.Endpoint, o.Token.Value = "http://hub.example.com", testToken }, "must be https: a token would be sent in the clear")
	f(testName, func(o *Options) { o.Token.Value, o.Token.File = testToken, "f" }, "hub-token and hub-token-file are both given")
	f(testName, func(o *Options) {
		o.Revision, o.Graph, o.Cache, o.MaxBytes, o.Attempts = "../x", "../../x", "", -1, 1000
	},
		`revision ("../x")`, "must be an .onnx file", "part \"..\"", "the cache must name a folder", "the most bytes (-1)", "attempts (1000)")
	f("a/b/c", func(*Options) {}, "is not the name of a model", "a folder begins with ./")
	f("a--b/c", func(*Options) {}, "is not the name of a model")
	f("https://me:"+testToken+"@example.com/m?x="+testToken, func(*Options) {}, "must hold no user or password")
	f("http://example.com/m", func(*Options) {}, "it must be https")
	f("ftp://example.com/m", func(*Options) {}, "must be an https address")
}
