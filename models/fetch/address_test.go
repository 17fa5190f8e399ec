package fetch

import (
	"bytes"
	"encoding/pem"
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

// shelf is a plain web server with files below /models/e5.
type shelf struct {
	*httptest.Server
	mutex  sync.Mutex
	files  map[string][]byte
	meddle func(w http.ResponseWriter, r *http.Request, content []byte) bool
	asked  []string
}

func startShelf(t *testing.T, start func(http.Handler) *httptest.Server) *shelf {
	t.Helper()
	s := &shelf{files: testFiles()}
	s.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.asked = append(s.asked, r.URL.Path)
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the hub's token is shown: %s", r.URL.Path)
		}
		content, ok := s.files[strings.TrimPrefix(r.URL.Path, "/models/e5/")]
		switch {
		case !ok:
			http.NotFound(w, r)
		case s.meddle == nil || !s.meddle(w, r, content):
			w.Header().Set("ETag", `"`+sha(content)+`"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestPullAddress(t *testing.T) {
	s := startShelf(t, httptest.NewTLSServer)
	h := &hub{commits: map[string]map[string][]byte{"": s.files}}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{Cache: t.TempDir(), TLS: security.TLS{CA: ca}, Token: security.Credential{Value: testToken}, Backoff: time.Millisecond, Attempts: 4}
	address := s.URL + "/models/e5/"
	first := h.whole(t, address, o, "", wantedNames)
	if len(first.Revision) != 64 || first.Cached {
		t.Errorf("the snapshot is %+v", first)
	}
	if again := h.whole(t, address, o, "", wantedNames); again.Dir != first.Dir || again.Revision != first.Revision {
		t.Errorf("the same files are %+v, then %+v", first, again)
	}

	// The folder has two files fewer now, and others are forbidden, as stores put it.
	s.mutex.Lock()
	delete(s.files, "onnx/model.onnx_data")
	s.files["onnx/model.onnx"] = noise(30, 5000)
	s.meddle = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if strings.HasSuffix(r.URL.Path, "/special_tokens_map.json") {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}
	s.mutex.Unlock()
	fewer := slices.DeleteFunc(slices.Clone(wantedNames), func(n string) bool { return n == "onnx/model.onnx_data" || n == "special_tokens_map.json" })
	second := h.whole(t, address, o, "", fewer)
	if second.Revision == first.Revision || second.Dir == first.Dir {
		t.Errorf("other files are %+v", second)
	}

	wrong := o
	wrong.Graph = "onnx/model_O4.onnx"
	fails(t, address, wrong, ErrIncomplete, "onnx/model_O4.onnx is not below it", "--graph names another")
	fails(t, s.URL+"/elsewhere", o, ErrIncomplete, "config.json is not below it")
	wrong = o
	wrong.MaxBytes = 1000
	fails(t, address, wrong, ErrTooLarge, "tokenizer.json exceeds", "--max-bytes")
	wrong = o
	wrong.TLS.CA = ""
	fails(t, address, wrong, nil, "not trusted here", "--hub-ca")

	s.Close()
	if cached := h.whole(t, address, o, "", fewer); !cached.Cached || cached.Dir != second.Dir {
		t.Errorf("while the server is away the snapshot is %+v", cached)
	}
	o.Offline = true
	if cached := h.whole(t, address, o, "", fewer); !cached.Cached {
		t.Errorf("the offline snapshot is %+v", cached)
	}
}

// Without a hash two halves fit only when the server says that the file is the same, by a strong ETag.
func TestCutAddress(t *testing.T) {
	f := func(tag func(n int) string, ranges []string) {
		t.Helper()
		s := startShelf(t, httptest.NewServer)
		h := &hub{commits: map[string]map[string][]byte{"": s.files}}
		n := 0
		var from []string
		s.meddle = func(w http.ResponseWriter, r *http.Request, content []byte) bool {
			if !strings.HasSuffix(r.URL.Path, "/onnx/model.onnx") {
				return false
			}
			n++
			from = append(from, r.Header.Get("Range"))
			if tag(n) != "" {
				w.Header().Set("ETag", tag(n))
			}
			if n == 1 {
				cut(w, r, noise(40, graphBytes), 1000, false) // of another version, where the tag says so
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
			return true
		}
		if tag(1) == tag(2) && tag(1) != "" {
			s.files["onnx/model.onnx"] = noise(40, graphBytes)
		}
		h.whole(t, s.URL+"/models/e5", Options{Cache: t.TempDir(), Backoff: time.Millisecond}, "", wantedNames)
		if !slices.Equal(from, ranges) {
			t.Errorf("the ranges %q were asked for, want %q", from, ranges)
		}
	}
	f(func(int) string { return `"same"` }, []string{"", "bytes=1000-"})
	f(func(n int) string { return []string{"", `"one"`, `"two"`}[n] }, []string{"", "bytes=1000-"})
	f(func(int) string { return "" }, []string{"", ""})
}

func TestPullFolder(t *testing.T) {
	h := &hub{commits: map[string]map[string][]byte{"": testFiles()}}
	dir := t.TempDir()
	for name, content := range testFiles() {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Other programs' caches have links in such folders.
	blob := filepath.Join(t.TempDir(), "blob")
	if err := os.Rename(filepath.Join(dir, "onnx/model.onnx"), blob); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(blob, filepath.Join(dir, "onnx/model.onnx")); err != nil {
		t.Fatal(err)
	}
	o := Options{Cache: t.TempDir()}
	s := h.whole(t, dir, o, "", wantedNames)
	if s.Dir != dir || len(s.Revision) != 64 {
		t.Errorf("the snapshot is %+v", s)
	}
	t.Chdir(filepath.Dir(dir))
	h.whole(t, "./"+filepath.Base(dir), o, "", wantedNames)

	o.Dir = filepath.Join(t.TempDir(), "own")
	h.whole(t, dir, o, "", wantedNames)
	if err := os.WriteFile(blob, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(o.Dir, "onnx/model.onnx")); err != nil || len(got) != graphBytes {
		t.Errorf("the copy has %d bytes after its source changed (%v)", len(got), err)
	}
	o.Graph = "absent.onnx"
	fails(t, dir, o, ErrIncomplete, "there is no absent.onnx", "onnx/model.onnx, onnx/model_qint8.onnx")
	fails(t, dir+"-absent", o, os.ErrNotExist, "no such file")
}
