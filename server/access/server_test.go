package access_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"jobstrom/server/access"
	"jobstrom/telemetry/logtest"
)

// served starts a server with bounds on this machine; panics at /panic.
func served(t *testing.T, b access.Bounds, log *slog.Logger) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			_, _ = io.WriteString(w, "served")
		}
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("Anna Jensen") })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "more\n"); err != nil || control.SetWriteDeadline(time.Now().Add(time.Minute)) != nil || control.Flush() != nil {
				return
			}
		}
	})
	guard, err := access.New(t.Context(), access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, bounded := access.NewServer(listener, guard.Wrap(mux), b, log)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(bounded)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return listener.Addr().String()
}

func dial(t *testing.T, address, say string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, say); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // a server that waits for ever must not make the test do so
		t.Fatal(err)
	}
	return conn
}

// Who sends slowly is hung up on: in the header, in the body, between requests, and who does not read the answer.
func TestSlowClients(t *testing.T) {
	address := served(t, access.Bounds{Header: 100 * time.Millisecond, Read: 200 * time.Millisecond, Write: 200 * time.Millisecond, Idle: 100 * time.Millisecond}, slog.New(slog.DiscardHandler))
	patient := served(t, access.Bounds{Idle: 100 * time.Millisecond}, slog.New(slog.DiscardHandler)) // hangs up on nobody whom a busy machine holds up before the answer
	f := func(address, say, want string) {
		t.Helper()
		answer, err := io.ReadAll(dial(t, address, say))
		if err != nil && strings.Contains(err.Error(), "i/o timeout") || !strings.HasPrefix(string(answer), want) {
			t.Errorf("%q: got %q, %v; want %q and the end", say, answer, err, want)
		}
	}
	f(address, "", "")
	f(address, "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b", "")
	f(address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", "")
	f(patient, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK")
	// A trickle: each byte comes in time, all of them do not.
	conn := dial(t, address, "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ")
	begun := time.Now()
	for time.Since(begun) < time.Minute {
		if _, err := io.WriteString(conn, "a"); err != nil {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	if answer, _ := io.ReadAll(conn); len(answer) != 0 {
		t.Errorf("got %q", answer)
	}
}

// A stream outlasts the time for an answer when it moves its deadline, which the guard must leave it the means for.
func TestStreamsMoveTheirDeadline(t *testing.T) {
	address := served(t, access.Bounds{Write: 50 * time.Millisecond}, slog.New(slog.DiscardHandler))
	conn := dial(t, address, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
	begun, buffer := time.Now(), make([]byte, 4096)
	for time.Since(begun) < 300*time.Millisecond {
		if _, err := conn.Read(buffer); err != nil {
			t.Fatalf("after %s: %v", time.Since(begun), err)
		}
	}
}

func TestLargeHeaders(t *testing.T) {
	address := served(t, access.Bounds{HeaderBytes: 1 << 10}, slog.New(slog.DiscardHandler))
	for _, say := range []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("a", 8<<10) + "\r\n\r\n",
		"GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-A: b\r\n", 1<<10) + "\r\n",
	} {
		answer := make([]byte, 12)
		if _, err := io.ReadFull(dial(t, address, say), answer); err != nil || string(answer) != "HTTP/1.1 431" {
			t.Errorf("%.60q: got %q, %v", say, answer, err)
		}
	}
}

// What does not belong to a path's own names: the mux cleans, and the guard sees to no more than the mux does.
func TestPathTraversal(t *testing.T) {
	file := tokenFile(t)
	issue(t, file, "a", time.Time{}, access.Admin)
	g := guard(t, access.Options{Tokens: file})
	g.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{"/static/../admin", "/healthz/../admin", "/static/%2e%2e/admin", "//admin", "/static/..%2fadmin", "/healthz/..%2fadmin", "/ADMIN", "/admin/", "/healthz%2f..%2fadmin"} {
		address := strings.TrimPrefix(g.url, "http://")
		answer, err := io.ReadAll(dial(t, address, "GET "+path+" HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if status := string(answer[9:12]); status == "200" {
			t.Errorf("%s: got %s", path, answer)
		}
	}
}

// Connections beyond the bound wait until one ends.
func TestConnections(t *testing.T) {
	address := served(t, access.Bounds{Connections: 2}, slog.New(slog.DiscardHandler))
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	first, second := dial(t, address, request), dial(t, address, request)
	answer := make([]byte, 15)
	for _, conn := range []net.Conn{first, second} {
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
	}
	third := dial(t, address, request)
	if err := third.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := third.Read(answer); n > 0 || err == nil {
		t.Fatalf("the third was served: %q", answer[:n])
	}
	first.Close()
	if err := third.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(third, answer); err != nil || string(answer) != "HTTP/1.1 200 OK" {
		t.Fatalf("got %q, %v", answer, err)
	}
}

// The log says that something was refused or broke, and nothing of whom or what: no token, query, body, address, value or stack.
func TestLogs(t *testing.T) {
	var log logtest.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	address := served(t, access.Bounds{}, logger)
	if answer, err := io.ReadAll(dial(t, address, "GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n")); len(answer) != 0 {
		t.Errorf("got %q, %v", answer, err)
	}
	until(t, "the panic is logged", func() bool { return strings.Contains(log.String(), `level=ERROR msg="a route panicked`) })
	file := tokenFile(t)
	token := issue(t, file, "reader", time.Time{}, access.Classify)
	g := guard(t, access.Options{Tokens: file, Logger: logger, Rate: 0.001, Burst: 1})
	secret := strings.TrimPrefix(token, "Authorization: Bearer ")
	g.ask("POST", "/publish?text=Anna+Jensen&token="+secret, 403, ``, token)
	g.ask("POST", "/publish?text=Anna+Jensen", 401, ``, "Authorization: Bearer "+secret[:20]+"Anna-Jensen", "User-Agent: Anna Jensen")
	g.ask("POST", "/publish/Anna-Jensen", 429, ``, "Authorization: Basic "+secret, "X-Request-Id: known")
	said := log.String()
	for _, never := range []string{secret[5:20], "Anna", "127.0.0.1", "publish", "goroutine", ".go:"} {
		if strings.Contains(said, never) {
			t.Errorf("the log shows %q:\n%s", never, said)
		}
	}
	for _, want := range []string{"reason=scope status=403", "reason=token status=401", "reason=rate status=429 request=known"} {
		if strings.Count(said, want) != 1 {
			t.Errorf("the log does not say %q once:\n%s", want, said)
		}
	}
}

// Callers ask at once while the file changes; the race detector looks on.
func TestAtOnce(t *testing.T) {
	file := tokenFile(t)
	token := issue(t, file, "a", time.Time{}, access.Classify)
	g := guard(t, access.Options{Tokens: file, Rate: 1e6})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			b := g.browser(t)
			for n := 0; ctx.Err() == nil || n < 20; n++ {
				r, err := http.NewRequest("POST", b.url+[]string{"/classify", "/login?token=" + token[22:]}[n%2], nil)
				if err == nil {
					if i%2 == 0 {
						r.Header.Set("Authorization", token[15:])
					}
					var response *http.Response
					if response, err = b.client.Do(r); err == nil {
						response.Body.Close()
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		issue(t, file, fmt.Sprint("more-", i), time.Time{}, access.Admin)
	}
	cancel()
	group.Wait()
	g.ask("GET", "/classify", 200, ``, token)
}
