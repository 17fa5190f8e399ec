package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const testLibrary = "../.native/lib/libchdb.so"

// parentCommand makes the test binary a parent that starts an engine, prints its address and waits to be killed.
const parentCommand = "engine-parent"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case EngineCommand:
			os.Exit(RunClickHouseEngine(os.Args[2:]))
		case parentCommand:
			c, err := StartClickHouse(context.Background(), ClickHouseOptions{DataDir: os.Args[2], Library: os.Args[3]})
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Println(c.Addr())
			<-c.Done()
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func startEngine(t *testing.T, o ClickHouseOptions) *ClickHouse {
	t.Helper()
	c, err := StartClickHouse(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopEngine(t, c) })
	return c
}

func stopEngine(t *testing.T, c *ClickHouse) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// connected lends f a connection that is closed afterwards.
func connected(t *testing.T, c *ClickHouse, f func(driver.Conn) error) {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{c.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := f(conn); err != nil {
		t.Fatal(err)
	}
}

func query(t *testing.T, c *ClickHouse, user, method, sql string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+c.HTTPAddr()+"/?"+url.Values{"query": {sql}, "user": {user}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true // the engine's stop would wait for a connection kept alive
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(body))
}

// poll waits until f holds.
func poll(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting in vain until %s", what)
		}
	}
}

func listens(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func TestClickHouseUsers(t *testing.T) {
	c := startEngine(t, ClickHouseOptions{DataDir: t.TempDir(), Library: testLibrary})
	if code, body := query(t, c, "default", http.MethodPost, "CREATE TABLE numbers (n UInt8) ENGINE = MergeTree ORDER BY n"); code != http.StatusOK {
		t.Fatalf("creating a table: %d %s", code, body)
	}
	f := func(user, method, sql string, wantCode int, want string) {
		t.Helper()
		code, body := query(t, c, user, method, sql)
		if code != wantCode || !strings.Contains(body, want) {
			t.Errorf("%s asks %q: got %d %q, want %d and %q", user, sql, code, body, wantCode, want)
		}
	}
	f("default", http.MethodGet, "SELECT 42", http.StatusOK, "42")
	f("default", http.MethodGet, "1 + 1", http.StatusBadRequest, "SYNTAX_ERROR") // implicit_select is off
	f("viewer", http.MethodGet, "SELECT count() FROM numbers", http.StatusOK, "0")
	f("viewer", http.MethodPost, "SELECT name FROM system.tables WHERE name = 'numbers'", http.StatusOK, "numbers")
	f("viewer", http.MethodPost, "INSERT INTO numbers VALUES (1)", http.StatusInternalServerError, "ACCESS_DENIED")
	f("viewer", http.MethodPost, "DROP TABLE numbers", http.StatusInternalServerError, "ACCESS_DENIED")
	f("viewer", http.MethodGet, "SELECT * FROM file('users.xml', 'LineAsString')", http.StatusInternalServerError, "ACCESS_DENIED")
	f("viewer", http.MethodGet, "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", http.StatusInternalServerError, "ACCESS_DENIED")
	f("default", http.MethodGet, "SELECT value FROM system.server_settings WHERE name = 'background_pool_size'", http.StatusOK, "4")
	f("default", http.MethodGet, "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'", http.StatusOK, "2147483648")
}

// Rows that were acknowledged survive an orderly stop and a kill, and a killed engine says so.
func TestClickHouseKeepsData(t *testing.T) {
	o := ClickHouseOptions{DataDir: t.TempDir(), Library: testLibrary}
	count := func(c *ClickHouse) (n uint64) {
		t.Helper()
		connected(t, c, func(conn driver.Conn) error {
			return conn.QueryRow(t.Context(), "SELECT count() FROM kept").Scan(&n)
		})
		return n
	}
	execute := func(c *ClickHouse, sql string) {
		t.Helper()
		connected(t, c, func(conn driver.Conn) error { return conn.Exec(t.Context(), sql) })
	}
	const insert = "INSERT INTO kept SELECT number FROM system.numbers LIMIT 1000"
	c := startEngine(t, o)
	execute(c, "CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
	execute(c, insert)
	stopEngine(t, c)
	<-c.Done()
	if err := c.Err(); err != nil {
		t.Errorf("error after a stop: %v", err)
	}

	c = startEngine(t, o)
	if n := count(c); n != 1000 {
		t.Errorf("rows after a restart: %d, want 1000", n)
	}
	execute(c, insert)
	if err := c.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("error after a kill: %v, want one that names the signal", err)
	}

	if n := count(startEngine(t, o)); n != 2000 {
		t.Errorf("rows after a kill: %d, want 2000", n)
	}
}

// What ended the engine itself before there was a gate: it must answer as before after each.
func TestClickHouseSurvivesBadClients(t *testing.T) {
	c := startEngine(t, ClickHouseOptions{DataDir: t.TempDir(), Library: testLibrary})
	alive := func(after string) {
		t.Helper()
		for range 3 {
			connected(t, c, func(conn driver.Conn) error { return conn.Ping(t.Context()) })
		}
		select {
		case <-c.Done():
			t.Fatalf("the engine ended after %s: %v", after, c.Err())
		default:
		}
	}
	refused := func(auth clickhouse.Auth, code int32) {
		t.Helper()
		conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{c.Addr()}, Auth: auth})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var exception *clickhouse.Exception
		if err := conn.Ping(t.Context()); !errors.As(err, &exception) || exception.Code != code {
			t.Errorf("%v: got %v, want exception %d", auth, err, code)
		}
		alive(fmt.Sprint(auth))
	}
	refused(clickhouse.Auth{Username: "default", Password: "wrong"}, 516)
	refused(clickhouse.Auth{Username: "nobody"}, 516)
	refused(clickhouse.Auth{Username: "default", Database: "absent"}, 81)

	// send writes raw bytes, waits for an answer where one is wanted, and hangs up in order or with a reset.
	send := func(data, wantAnswer string, reset bool) {
		t.Helper()
		conn, err := net.Dial("tcp", c.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, data); err != nil {
			t.Fatal(err)
		}
		if wantAnswer != "" {
			answer := make([]byte, 1024)
			n, err := conn.Read(answer)
			if err != nil || !strings.Contains(string(answer[:n]), wantAnswer) {
				t.Errorf("%q: got %q, %v, want %q", data, answer[:n], err, wantAnswer)
			}
		}
		if reset {
			conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
		alive(fmt.Sprintf("%q", data))
	}
	const hello = "\x00\x04test\x01\x01\xa9\xa9\x03\x07default\x07default\x00"
	for _, reset := range []bool{false, true} {
		send("", "", reset)
		send("\x00\x05a", "", reset)
		send("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01rubbish", "", reset)
		send("\x16\x03\x01", "", reset)
		send("GET / HTTP/1.1\r\n\r\n", fmt.Sprint("use port ", c.options.HTTPPort), reset)
	}
	send(hello, "jobstrom", true) // a client that is killed while idle

	// A client that is killed while its query runs.
	var raw net.Conn
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{c.Addr()}, DialContext: func(ctx context.Context, addr string) (net.Conn, error) {
		var err error
		raw, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		return raw, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.Query(t.Context(), "SELECT number, repeat('x', 1000) FROM system.numbers")
	if err != nil || !rows.Next() {
		t.Fatalf("querying: %v", err)
	}
	raw.(*net.TCPConn).SetLinger(0)
	raw.Close()
	poll(t, "the orphaned query has ended", func() bool {
		_, n := query(t, c, "default", http.MethodGet, "SELECT count() FROM system.processes WHERE query LIKE '%repeat%' AND query NOT LIKE '%processes%'")
		return n == "0"
	})
	alive("a query whose client was killed")
}

func TestClickHouseEndsWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	parent := exec.Command(self, parentCommand, data, testLibrary)
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	parent.Process.Kill()
	parent.Wait()
	if err != nil {
		t.Fatalf("reading the engine's address from its parent: %v", err)
	}
	poll(t, "the orphaned engine has ended", func() bool { return !listens(strings.TrimSpace(addr)) })
	poll(t, "its data folder is free", func() bool {
		c, err := StartClickHouse(t.Context(), ClickHouseOptions{DataDir: data, Library: testLibrary})
		if err != nil {
			return false
		}
		stopEngine(t, c)
		return true
	})
}

// A clickhouse binary on PATH gets the arguments of "clickhouse local"; the one here hands them to the library.
func TestClickHouseFromPath(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	library, err := filepath.Abs(testLibrary)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = local ] || exit 9\nshift\nexec '%s' %s '%s' \"$@\"\n", self, EngineCommand, library)
	if err := os.WriteFile(filepath.Join(bin, "clickhouse"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	c := startEngine(t, ClickHouseOptions{DataDir: t.TempDir()})
	if _, body := query(t, c, "default", http.MethodGet, "SELECT 42"); body != "42" {
		t.Errorf("answer %q, want 42", body)
	}
}

func TestStartClickHouseFailure(t *testing.T) {
	f := func(o ClickHouseOptions, want ...string) {
		t.Helper()
		if o.DataDir == "" {
			o.DataDir = t.TempDir()
		}
		c, err := StartClickHouse(t.Context(), o)
		if err == nil {
			stopEngine(t, c)
			t.Errorf("started, want an error with %q", want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("got %q, want it to contain %q", err, w)
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	f(ClickHouseOptions{Library: testLibrary, NativePort: taken}, fmt.Sprintf("native port %d", taken), "taken", "set another native port")
	f(ClickHouseOptions{Library: testLibrary, HTTPPort: taken}, fmt.Sprintf("http port %d", taken), "taken", "set another http port")
	f(ClickHouseOptions{Library: "absent/libchdb.so"}, "absent/libchdb.so", "make setup")

	corrupt := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(corrupt, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	f(ClickHouseOptions{Library: corrupt}, corrupt, "cannot be loaded", "make setup", "last lines of the engine", "loading the ClickHouse library")

	used := t.TempDir()
	startEngine(t, ClickHouseOptions{DataDir: used, Library: testLibrary})
	f(ClickHouseOptions{DataDir: used, Library: testLibrary}, used, "used by another engine", "set another data folder", "last lines of the engine")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f(ClickHouseOptions{DataDir: file, Library: testLibrary}, file, "choose a folder")

	t.Setenv("PATH", t.TempDir())
	f(ClickHouseOptions{}, "clickhouse binary", "PATH", "install ClickHouse")
}

func TestClickHouseOptionsFailure(t *testing.T) {
	o := ClickHouseOptions{Host: "192.168.1.5", NativePort: 70000, HTTPPort: -1, MemoryLimit: 5, StartTimeout: -time.Second}
	o.EnsureDefaults()
	err := o.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"data folder (\"\")", `host ("192.168.1.5")`, "native port (70000)", "http port (-1)", "memory limit (5)", "start timeout (-1s)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to contain %q", err, want)
		}
	}
	o = ClickHouseOptions{DataDir: "x", NativePort: 9000, HTTPPort: 9000}
	o.EnsureDefaults()
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "must differ") {
		t.Errorf("equal ports: got %v", err)
	}
}

// A port that another program takes before the engine has it is not the end: others are tried.
func TestPortTakenMeanwhile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The first engine finds its HTTP port taken, as --http_port says another.
	dir := t.TempDir()
	program := filepath.Join(dir, "engine")
	script := fmt.Sprintf(`#!/bin/bash
for ((i = 1; i < $#; i++)); do
	if [ "${!i}" = --http_port ] && [ ! -e %[1]s/tried ]; then touch %[1]s/tried; set -- "${@:1:i}" %[2]d "${@:i+2}"; fi
done
exec %[3]s "$@"
`, dir, l.Addr().(*net.TCPAddr).Port, self)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	startEngine(t, ClickHouseOptions{DataDir: t.TempDir(), Library: testLibrary, Executable: program})
	if _, err := os.Stat(filepath.Join(dir, "tried")); err != nil {
		t.Errorf("no port was taken: %v", err)
	}
}
