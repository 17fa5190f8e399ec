package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
)

// Process is a child that dies with this process (on Linux even when this one is killed): a broker, or what is killed beside it.
type Process struct {
	command *exec.Cmd
	killed  atomic.Bool   // the end was asked for
	done    chan struct{} // closed at the end, after which err is set
	err     error
}

// StartProcess starts a child process in a process group of its own, so that Ctrl-C in the terminal reaches it only through us.
func StartProcess(command *exec.Cmd) (*Process, error) {
	command.SysProcAttr = childAttributes()
	p := &Process{command: command, done: make(chan struct{})}
	started := make(chan error)
	go func() { // ends with the child
		// The kernel ends the child with the thread that started it, not with the process. So this thread does nothing else and lives as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = command.Wait()
		close(p.done)
	}()
	return p, <-started
}

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended, as exec.Cmd.Wait does. It may be asked for after Done.
func (p *Process) Err() error { return p.err }

// Signal sends a signal, for example SIGSTOP. Its error is that the child has ended.
func (p *Process) Signal(s os.Signal) error { return p.command.Process.Signal(s) }

// Pid is the child's process id.
func (p *Process) Pid() int { return p.command.Process.Pid }

// Terminate asks the child to end (SIGTERM) and waits for it. Its error is that it had not ended when ctx did, and was killed.
func (p *Process) Terminate(ctx context.Context) error {
	p.killed.Store(true)
	_ = p.Signal(syscall.SIGTERM) // an error means that it has just ended
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("ending process %d: it had not ended by itself after SIGTERM and was killed: %w", p.Pid(), ctx.Err())
	}
}

// Kill ends the child as a crash does (SIGKILL) and waits for its end; it reports whether the child was running.
func (p *Process) Kill() bool {
	select {
	case <-p.done:
		return false
	default:
	}
	p.killed.Store(true)
	_ = p.command.Process.Kill() // an error means that it has just ended
	<-p.done
	return true
}

// firstPort and manyPorts are where FreePorts looks.
const (
	firstPort = 10000
	manyPorts = 10000
)

// triedPorts counts what FreePorts has tried in this process.
var triedPorts atomic.Int64

// portAt is the nth port that this process tries. Processes begin far from those that were started just before and after.
func portAt(n int64) int { return firstPort + (os.Getpid()*6181+int(n))%manyPorts }

// FreePorts returns ports of 127.0.0.1 that nothing listens on. They lie below those that systems give to outgoing
// connections, which could otherwise take the port of a broker that was killed before it is back. What is to listen there starts later, so
// each call, and each process at the same time, looks where the others do not.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range 1000 {
		port := portAt(triedPorts.Add(1))
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		defer l.Close() // all are held until all are chosen
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("finding free ports: of 1000 tried between 10000 and 20000 too few are free")
}

// lastLines returns the end of a log.
func lastLines(file string) string {
	const kept = 20
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-kept):], []byte("\n")))
}
