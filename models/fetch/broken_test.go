package fetch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jobstrom/security"
)

// cut answers a request for a file with at most n further bytes of it and breaks the connection, as long as there is more.
func cut(w http.ResponseWriter, r *http.Request, content []byte, n int, ranges bool) {
	from := 0
	if ranges {
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(content[from:min(len(content), from+n)])
	if from+n < len(content) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

const graphPath = "/" + firstCommit + "/onnx/model.onnx"

// More cuts than attempts do no harm as long as each connection brings something.
func TestCutConnections(t *testing.T) {
	h := startHub(t)
	content := h.commits[firstCommit]["onnx/model.onnx"]
	h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != graphPath {
			return false
		}
		cut(w, r, content, graphBytes/10, true)
		return true
	}
	h.whole(t, testName, h.options(t), firstCommit, wantedNames)
	if n := h.requests("GET " + graphPath + " "); n != 10 {
		t.Errorf("%d connections brought the graph", n)
	}
}

// A server without ranges starts over each time; one that never comes further is given up, and what it sent serves the next pull.
func TestServerWithoutRanges(t *testing.T) {
	h := startHub(t)
	content := h.commits[firstCommit]["onnx/model.onnx"]
	enough := 1 // of ten parts
	h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != graphPath {
			return false
		}
		enough++ // cut does not return when it breaks the connection
		cut(w, r, content, graphBytes/10*(enough-1), false)
		return true
	}
	o := h.options(t)
	h.whole(t, testName, o, firstCommit, wantedNames)
	if enough != 11 {
		t.Errorf("it took %d connections", enough-1)
	}

	h.set(func() {
		h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != graphPath {
				return false
			}
			cut(w, r, content, graphBytes/2, false)
			return true
		}
	})
	o = h.options(t)
	fails(t, testName, o, ErrUnreachable, "receiving onnx/model.onnx", "after 4 attempts")
	nothingWhole(t, o, sha(content))
	if n := h.requests("GET " + graphPath + " "); n != 4 { // one that came further, three that did not
		t.Errorf("%d connections were made", n)
	}
	h.set(func() { h.meddle = nil })
	h.whole(t, testName, o, firstCommit, wantedNames)
}

// What an earlier process left is gone on with, also when it is whole, wrong, too long or what the server does not know.
func TestResume(t *testing.T) {
	f := func(left []byte, answers bool, wantRequests int) {
		t.Helper()
		h := startHub(t)
		content := h.commits[firstCommit]["onnx/model.onnx"]
		var from []string
		h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != graphPath {
				return false
			}
			from = append(from, r.Header.Get("Range"))
			if !answers && r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return true
			}
			return false
		}
		o := h.options(t)
		part := cache(o.Cache).blob(sha(content)) + ".part"
		if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(part, left, 0o644); err != nil {
			t.Fatal(err)
		}
		h.whole(t, testName, o, firstCommit, wantedNames)
		if len(from) != wantRequests {
			t.Errorf("%d bytes were left, the ranges %q were asked for, want %d", len(left), from, wantRequests)
		}
		if half := graphBytes / 2; len(left) == half && from[0] != fmt.Sprintf("bytes=%d-", half) {
			t.Errorf("the range %q was asked for", from[0])
		}
	}
	content := testFiles()["onnx/model.onnx"]
	f(content[:graphBytes/2], true, 1)
	f(content, true, 0)
	f(noise(9, graphBytes/2), true, 2)
	f(noise(9, graphBytes), true, 1)
	f(append(bytes.Clone(content), 1), true, 1)
	f(content[:graphBytes/2], false, 2)
}

func TestWrongContent(t *testing.T) {
	f := func(name string, sent []byte, says ...string) {
		t.Helper()
		h := startHub(t)
		content := h.commits[firstCommit][name]
		h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, firstCommit+"/"+name) || isLFS(name) && strings.Contains(r.URL.Path, "resolve") {
				return false
			}
			w.Write(sent)
			return true
		}
		o := h.options(t)
		fails(t, testName, o, ErrCorrupt, append(says, name)...)
		hash := gitHash(content)
		if isLFS(name) {
			hash = sha(content)
		}
		nothingWhole(t, o, hash)
		if info, err := os.Stat(cache(o.Cache).blob(hash) + ".part"); err == nil && info.Size() > 0 {
			t.Errorf("%d wrong bytes are kept to be gone on with", info.Size())
		}
	}
	f("onnx/model.onnx", noise(8, graphBytes), "hashes to "+sha(noise(8, graphBytes)))
	f("config.json", []byte(`{"model_type":"evil"}`[:len(`{"model_type":"bert"}`)]), "hashes to")
	f("onnx/model.onnx", noise(8, graphBytes+1), "longer than the 300000 bytes")
}

func TestRefusals(t *testing.T) {
	f := func(status int, token, code, message string, kind error, says ...string) {
		t.Helper()
		h := startHub(t)
		h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Error-Code", code)
			w.Header().Set("X-Error-Message", message)
			w.WriteHeader(status)
			return true
		}
		o := h.options(t)
		o.Token.Value = security.Secret(token)
		fails(t, testName, o, kind, says...)
		if len(h.asked) != 1 {
			t.Errorf("status %d is asked for again: %v", status, h.asked)
		}
	}
	f(401, "", "RepoNotFound", "Invalid username or password.", ErrDenied, "status 401", `"Invalid username or password."`, "HF_TOKEN", "or does not exist")
	f(401, testToken, "", "", ErrDenied, "the token of --hub-token-file", "is wrong or has no right")
	f(403, testToken, "GatedRepo", "Access to model is restricted", ErrDenied, "status 403", "licence must be accepted")
	f(404, testToken, "RepoNotFound", "", ErrNotFound, "no such model", "check the spelling")
	f(404, testToken, "RevisionNotFound", "", ErrNotFound, "revision main")
	f(418, testToken, "", "", nil, "status 418", "is the address right?")
	h := startHub(t)
	o := h.options(t)
	o.Revision = "v9"
	fails(t, testName, o, ErrNotFound, "revision v9")
	fails(t, "people/none", h.options(t), ErrNotFound, "no such model")
}

// Servers that are busy or broken for a while are asked again, not before they want to be.
func TestBusyServers(t *testing.T) {
	f := func(statuses []int, retryAfter string, least time.Duration, kind error, says ...string) {
		t.Helper()
		h := startHub(t)
		h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			if len(statuses) == 0 {
				return false
			}
			w.Header().Set("Retry-After", retryAfter)
			w.WriteHeader(statuses[0])
			statuses = statuses[1:]
			return true
		}
		began := time.Now()
		if kind != nil {
			fails(t, testName, h.options(t), kind, says...)
			return
		}
		h.whole(t, testName, h.options(t), firstCommit, wantedNames)
		if took := time.Since(began); took < least {
			t.Errorf("the server asked for %s, it took %s", retryAfter, took)
		}
	}
	f([]int{500, 502, 503}, "", 0, nil)
	f([]int{429}, "1", time.Second, nil)
	f([]int{429}, "3600", 0, ErrUnreachable, "asks to wait 1h0m0s, longer than 5m0s", "pull again later")
	f([]int{503}, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 0, ErrUnreachable, "pull again later")
	f([]int{500, 500, 500, 500}, "", 0, ErrUnreachable, "status 500", "after 4 attempts")
}

// A connection that brings nothing any more is given up, and the transfer goes on with another one.
func TestIdleConnection(t *testing.T) {
	h := startHub(t)
	content := h.commits[firstCommit]["onnx/model.onnx"]
	first := true
	h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != graphPath || !first {
			return false
		}
		first = false
		w.Header().Set("Content-Length", fmt.Sprint(graphBytes))
		w.Write(content[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	o := h.options(t)
	o.Idle = 200 * time.Millisecond
	o.Attempts = 100 // on a busy machine other connections are idle as well
	h.whole(t, testName, o, firstCommit, wantedNames)
	if n := h.requests("GET " + graphPath + " "); n < 2 {
		t.Errorf("%d connections brought the graph", n)
	}
}

func TestCalledOff(t *testing.T) {
	h := startHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := h.options(t)
	o.Progress = func(file string, done, _ int64) {
		if file == "onnx/model.onnx" {
			cancel()
		}
	}
	if _, err := Pull(ctx, testName, o); !errors.Is(err, context.Canceled) {
		t.Errorf("a pull that was called off gives %v", err)
	}
	o.Progress = nil
	h.whole(t, testName, o, firstCommit, wantedNames)
}

func TestHostileListings(t *testing.T) {
	f := func(change func(answer map[string]any), kind error, says ...string) {
		t.Helper()
		h := startHub(t)
		h.listing = change
		o := h.options(t)
		o.MaxBytes = 1 << 20
		fails(t, testName, o, kind, says...)
		if h.requests("resolve") > 0 {
			t.Errorf("files were downloaded: %v", h.asked)
		}
	}
	file := func(name string, size any) func(answer map[string]any) {
		return func(answer map[string]any) {
			answer["siblings"] = append(answer["siblings"].([]any), map[string]any{"rfilename": name, "size": size, "blobId": strings.Repeat("0", 40)})
		}
	}
	f(file("../../.ssh/authorized_keys", 1), ErrHostile, `has the part ".."`)
	f(file("/etc/passwd", 1), ErrHostile, "is absolute")
	f(file("C:/x", 1), ErrHostile, "is absolute")
	f(file(`..\x`, 1), ErrHostile, "holds a backslash")
	f(file("a\x00b", 1), ErrHostile, "holds control characters")
	f(file("a//b", 1), ErrHostile, `has the part ""`)
	f(file("", 1), ErrHostile, "is empty")
	f(file(strings.Repeat("a", 256), 1), ErrHostile, "a part of 256 bytes")
	f(file(strings.Repeat("a/", 600)+"a", 1), ErrHostile, "has 1201 bytes")
	f(file("onnx/model.onnx_data_1", -1), ErrHostile, "below 0")
	f(file("config.json", 1), ErrHostile, "is listed twice")
	f(file("onnx/model.onnx_data_1", 1<<20), ErrTooLarge, "more than 1048576 bytes", "--max-bytes")
	f(file("onnx/model.onnx_data_1", int64(1<<63-1)), ErrTooLarge, "more than 1048576 bytes")
	f(func(answer map[string]any) { answer["sha"] = "../../x" }, nil, `the commit "../../x"`)
	f(func(answer map[string]any) { answer["sha"] = 7 }, nil, "the answer is not a hub's")
	f(func(answer map[string]any) {
		answer["siblings"] = []any{map[string]any{"rfilename": "a", "size": 1, "blobId": "../x"}}
	}, ErrHostile, `the hash "../x"`)
}

// More than the disk has room for is refused before it is downloaded.
func TestNoRoom(t *testing.T) {
	h := startHub(t)
	h.listing = func(answer map[string]any) {
		answer["siblings"] = append(answer["siblings"].([]any), map[string]any{"rfilename": "onnx/model.onnx_data_1", "size": int64(1) << 60, "blobId": strings.Repeat("0", 40)})
	}
	o := h.options(t)
	o.MaxBytes = 1 << 62
	fails(t, testName, o, ErrTooLarge, "bytes are to be downloaded", "has room for")
	if h.requests("resolve") > 0 {
		t.Errorf("files were downloaded: %v", h.asked)
	}
}

func TestRedirects(t *testing.T) {
	h := startHub(t)
	h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, h.server.URL+r.URL.Path+"?signature=secret-of-the-store", http.StatusFound)
		return true
	}
	fails(t, testName, h.options(t), nil, "redirects more than 6 times")
}

// killEnv holds the endpoint and the cache of the process that is killed.
const killEnv = "FETCH_TEST_KILLED"

// TestKilledPullGoesOn: a process that is killed in its midst leaves what had come, and a lock that is free.
func TestKilledPullGoesOn(t *testing.T) {
	if endpoint, folder, ok := strings.Cut(os.Getenv(killEnv), " "); ok { // the process that is killed
		_, err := Pull(t.Context(), testName, Options{Endpoint: endpoint, Cache: folder, Progress: func(file string, done, _ int64) { fmt.Println(file, done) }})
		t.Fatalf("it came to its end: %v", err)
	}
	h := startHub(t)
	content := h.commits[firstCommit]["onnx/model.onnx"]
	h.set(func() {
		h.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != graphPath {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(graphBytes))
			w.Write(content[:graphBytes/2])
			w.(http.Flusher).Flush()
			<-r.Context().Done() // it cannot come to its end before it is killed
			return true
		}
	})
	o := h.options(t)
	killed := exec.Command(os.Args[0], "-test.run=^TestKilledPullGoesOn$")
	killed.Env = append(os.Environ(), killEnv+"="+h.server.URL+" "+o.Cache)
	out, err := killed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	half := fmt.Sprintf("onnx/model.onnx %d", graphBytes/2)
	said := bufio.NewScanner(out)
	for said.Scan() && said.Text() != half {
	}
	if said.Text() != half {
		t.Fatalf("the process ended with %q", said.Text())
	}
	waiting, giveUp := context.WithCancel(t.Context())
	if _, err := cache(o.Cache).lock(waiting, giveUp); err == nil {
		t.Error("a pull that writes has no lock")
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, out)
	if err := killed.Wait(); err == nil {
		t.Fatal("the process came to its end")
	}
	nothingWhole(t, o, sha(content))
	var asked []string
	h.set(func() {
		h.meddle = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == graphPath {
				asked = append(asked, r.Header.Get("Range"))
			}
			return false
		}
	})
	h.whole(t, testName, o, firstCommit, wantedNames)
	if len(asked) != 1 || asked[0] != fmt.Sprintf("bytes=%d-", graphBytes/2) || h.requests("/config.json ") != 0 {
		t.Errorf("the next pull asked for %q of the graph, and for %v", asked, h.asked)
	}
}
