package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ClickHouse is a running engine. Its methods may be called from any goroutine.
type ClickHouse struct {
	options ClickHouseOptions
	command *exec.Cmd
	stdin   io.Closer // the life line: the engine stops when it closes, by Stop or by the death of this process
	gate    *gate
	output  lastLines
	done    chan struct{}

	mu       sync.Mutex // guards the two below
	stopping bool
	err      error
}

// StartClickHouse starts the engine as a child process and returns when it answers on both ports. ctx bounds the start
// only; the engine runs until Stop or until this process ends, however it ends.
//
// The error of a start names the port that is taken, the data folder in use or the library that is missing, and what to
// do, with the last lines the engine wrote.
func StartClickHouse(ctx context.Context, o ClickHouseOptions) (*ClickHouse, error) {
	for tries := 1; ; tries++ {
		c, err := startClickHouse(ctx, o)
		// Another program may listen on a port between our letting it go and the engine's taking it. The next try takes others, or says that a given one is taken.
		if errors.Is(err, errPortTaken) && tries < startTries {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("starting the embedded ClickHouse: %w", err)
		}
		return c, nil
	}
}

// startTries is how often a start is tried whose ports others take.
const startTries = 5

var errPortTaken = errors.New("is taken by another program: stop it, or set other ports")

func startClickHouse(ctx context.Context, o ClickHouseOptions) (*ClickHouse, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var err error
	if o.DataDir, err = filepath.Abs(o.DataDir); err != nil {
		return nil, fmt.Errorf("resolving the data folder: %w", err)
	}
	if o.BackupDir, err = filepath.Abs(o.BackupDir); err != nil {
		return nil, fmt.Errorf("resolving the backups' folder: %w", err)
	}
	program, prefix, err := o.program()
	if err != nil {
		return nil, err
	}
	front, err := o.claimPort("native", o.NativePort)
	if err != nil {
		return nil, err
	}
	started := false
	defer func() {
		if !started {
			front.Close()
		}
	}()
	web, err := o.claimPort("http", o.HTTPPort)
	if err != nil {
		return nil, err
	}
	defer web.Close()
	back, err := o.claimPort("inner native", 0)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	o.NativePort, o.HTTPPort = portOf(front), portOf(web)
	args, err := o.prepare(portOf(back))
	if err != nil {
		return nil, err
	}

	c := &ClickHouse{options: o, done: make(chan struct{})}
	c.output.logger = o.Logger
	c.command = exec.Command(program, append(prefix, args...)...)
	c.command.Dir = o.DataDir
	c.command.Stdout, c.command.Stderr = &c.output, &c.output
	// A group of its own: Ctrl-C in the terminal must not reach the engine before the sink has written its last rows,
	// and the engine's own shutdown signals its whole group.
	c.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.stdin, err = c.command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("making the engine's life line: %w", err)
	}
	back.Close() // from here on they are the engine's
	web.Close()
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("running %s: %w", program, err)
	}
	started = true
	c.gate = newGate(front, c.addr(portOf(back)), c.HTTPAddr())
	go c.wait() // ends with the process
	if err := c.awaitReady(ctx); err != nil {
		c.Kill()
		return nil, err
	}
	o.Logger.Debug("embedded clickhouse is ready", "native", c.Addr(), "http", c.HTTPAddr(), "data", o.DataDir)
	return c, nil
}

// program returns what to execute, and the arguments that come before the engine's own.
func (o *ClickHouseOptions) program() (string, []string, error) {
	if o.Library == "" {
		program, err := exec.LookPath("clickhouse")
		if err != nil {
			return "", nil, errors.New("finding the clickhouse binary: none is on PATH: install ClickHouse 26.6 or newer, or set the library to the path of libchdb.so")
		}
		return program, []string{"local"}, nil
	}
	library, err := filepath.Abs(o.Library)
	if err != nil {
		return "", nil, fmt.Errorf("resolving the library: %w", err)
	}
	if _, err := os.Stat(library); err != nil {
		return "", nil, fmt.Errorf("finding the ClickHouse library: %w: fetch it with `make setup`, or leave the library empty and put a clickhouse binary on PATH", err)
	}
	executable := o.Executable
	if executable == "" {
		if executable, err = os.Executable(); err != nil {
			return "", nil, fmt.Errorf("finding the running program: %w", err)
		}
	}
	return executable, []string{EngineCommand, library}, nil
}

// claimPort listens on a port, or a free one where it is zero. It finds out that a port is taken before the engine does,
// because a client that waits for the engine would be answered by the server that has the port.
func (o *ClickHouseOptions) claimPort(protocol string, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(o.Host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s port %d on %s is taken by another program: stop it (`ss -ltnp 'sport = :%d'` names it), or set another %[1]s port", protocol, port, o.Host, port)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s port %d: %w", protocol, port, err)
	}
	return l, nil
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// Addr is the address of the native protocol, host:port.
func (c *ClickHouse) Addr() string { return c.addr(c.options.NativePort) }

// HTTPAddr is the address of the HTTP interface, host:port.
func (c *ClickHouse) HTTPAddr() string { return c.addr(c.options.HTTPPort) }

// addr names a host that can be dialled where the engine listens on every address.
func (c *ClickHouse) addr(port int) string {
	host := c.options.Host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Pid is the engine's process id.
func (c *ClickHouse) Pid() int { return c.command.Process.Pid }

// Done is closed when the engine has ended.
func (c *ClickHouse) Done() <-chan struct{} { return c.done }

// Err says why the engine ended: nil while it runs and after Stop, else an error with the last lines it wrote.
func (c *ClickHouse) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Stop ends the engine and waits until it has closed its files: 0.1 s, and up to 5 s while a client holds an HTTP
// connection, even an idle one. When ctx ends first, the engine is killed, which loses
// no row that was acknowledged, and the context's error is returned.
func (c *ClickHouse) Stop(ctx context.Context) error {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	c.gate.close()
	c.stdin.Close()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		c.Kill()
		return fmt.Errorf("stopping the embedded ClickHouse: killed, because it had not ended in time: %w", ctx.Err())
	}
}

// Kill ends the engine as a crash does (SIGKILL) and returns when it is gone. What it acknowledged is in its data folder.
func (c *ClickHouse) Kill() {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	c.command.Process.Kill()
	<-c.done
}

func (c *ClickHouse) wait() {
	exit := c.command.Wait()
	c.gate.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopping {
		c.err = c.diagnose(exit)
	}
	close(c.done)
}

// diagnose explains an end that nobody asked for. The engine ends with success when it could not start.
func (c *ClickHouse) diagnose(exit error) error {
	text := c.output.String()
	cause := errors.New("the engine ended by itself")
	switch {
	case strings.Contains(text, "Cannot lock file"):
		cause = fmt.Errorf("the data folder %s is used by another engine: stop it, or set another data folder", c.options.DataDir)
	case strings.Contains(text, "Address already in use"):
		cause = fmt.Errorf("port %d or %d on %s %w", c.options.NativePort, c.options.HTTPPort, c.options.Host, errPortTaken)
	case strings.Contains(text, "loading the ClickHouse library"):
		cause = fmt.Errorf("the library %s cannot be loaded: fetch it again with `make setup`", c.options.Library)
	case exit != nil:
		cause = fmt.Errorf("%w: %w", cause, exit)
	}
	if text == "" {
		return cause
	}
	return fmt.Errorf("%w\nlast lines of the engine:\n%s", cause, text)
}

// awaitReady polls until the engine answers, which through the gate means on both protocols, or has ended, or the time is over.
func (c *ClickHouse) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.StartTimeout)
	defer cancel()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{c.Addr()}})
	if err != nil {
		return fmt.Errorf("making a client for %s: %w", c.Addr(), err)
	}
	defer conn.Close()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := conn.Ping(ctx)
		select {
		case <-c.done:
			return c.Err()
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return c.Err()
		case <-ctx.Done():
			return fmt.Errorf("waiting for an answer on %s and %s, at most %v: %w (last: %v)\nlast lines of the engine:\n%s",
				c.Addr(), c.HTTPAddr(), c.options.StartTimeout, ctx.Err(), err, c.output.String())
		case <-poll.C:
		}
	}
}

// lastLines logs what the engine writes and keeps the end of it.
type lastLines struct {
	logger *slog.Logger

	mu    sync.Mutex // guards the two below; the copying goroutine writes while a start reads
	lines []string
	rest  []byte // an unfinished line
}

const keptLines = 12

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.rest = rest
		l.logger.Debug("embedded clickhouse wrote", "line", string(line))
		if l.lines = append(l.lines, string(line)); len(l.lines) > keptLines {
			l.lines = l.lines[1:]
		}
	}
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(strings.Join(append(l.lines[:len(l.lines):len(l.lines)], string(l.rest)), "\n"))
}
