package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a process that answers over HTTP.
type server struct {
	name, url string
	// about is what it says of itself.
	about string
	cmd   *exec.Cmd
	ended chan struct{} // is closed when the process is gone
	err   error         // of the process, then
}

// startWithin is how long a process may take until it answers: torch puts its model together first.
const startWithin = 2 * time.Minute

// serve starts a program and returns when it answers. Its last argument ends with the number of its port.
func serve(ctx context.Context, name, port string, cmd *exec.Cmd) (*server, error) {
	free, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{name: name, url: fmt.Sprintf("http://127.0.0.1:%d", free), cmd: cmd, ended: make(chan struct{})}
	cmd.Args = append(cmd.Args, port+strconv.Itoa(free))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for this program, which then ends the others
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w; `make load` sets it up", name, err)
	}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for s.ask(ctx) != nil {
		select {
		case <-s.ended:
			return nil, fmt.Errorf("starting %s: it ended with %w", name, s.err)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting until %s answers: %w", name, ctx.Err()), s.stop())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return s, nil
}

// freePort returns a port that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// ask fails unless the server answers.
func (s *server) ask(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Message string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s about itself: %s, %v", s.name, response.Status, err)
	}
	s.about = answer.Message
	return nil
}

// stop ends the process.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	var exit *exec.ExitError
	if errors.As(s.err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
		return nil // uvicorn ends so when it has stopped
	}
	if s.err != nil {
		return fmt.Errorf("ending %s: %w", s.name, s.err)
	}
	return nil
}

// resident returns the resident memory of the process, in bytes.
func (s *server) resident() (float64, error) {
	path := fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid)
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("measuring resident memory of %s, which takes Linux: %w", s.name, err)
	}
	for l := range strings.Lines(string(status)) {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("measuring resident memory of %s: %s lacks VmRSS", s.name, path)
}

// ours starts jobstrom serve, without the cache of vectors, as the same texts come again and again.
func (b *bench) ours(ctx context.Context, settings ...string) (*server, error) {
	args := []string{"serve", "--data", b.folder, "--encoder", b.encoder.ModelDir, "--onnxruntime", b.encoder.Library, "--provider", string(b.encoder.Provider), "--embed-cache", "0"}
	cmd := exec.Command(b.program, append(args, settings...)...)
	cmd.Dir = b.folder // no jobstrom.yaml is read
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); !strings.HasPrefix(name, "JOBSTROM_") || name == "JOBSTROM_NATIVE" {
			cmd.Env = append(cmd.Env, e)
		}
	}
	return b.warm(ctx, "jobstrom", "--http=127.0.0.1:", cmd)
}

// warming is how many vacancies pass before a server is measured.
const warming = 64

// warm starts a server and returns when it is warm.
func (b *bench) warm(ctx context.Context, name, port string, cmd *exec.Cmd) (*server, error) {
	s, err := serve(ctx, name, port, cmd)
	if err != nil {
		return nil, err
	}
	if _, err := b.together(ctx, s, min(warming, len(b.texts))); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}
