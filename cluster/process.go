package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
)

// process is a child that dies with this process.
type process struct {
	command *exec.Cmd
	killed  atomic.Bool   // the end was asked for
	done    chan struct{} // closed at the end, after which err is set
	err     error
}

// startProcess starts a child process in a process group of its own, so that Ctrl-C in the terminal reaches it only through us.
func startProcess(command *exec.Cmd) (*process, error) {
	command.SysProcAttr = childAttributes()
	p := &process{command: command, done: make(chan struct{})}
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

// kill ends the child and waits for its end; it reports whether the child was running.
func (p *process) kill() bool {
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

// freePorts returns ports of 127.0.0.1 that nothing listens on. They lie below those that systems give to outgoing
// connections, which could otherwise take the port of a broker that was killed before it is back.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		defer l.Close() // all are held until all are chosen
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("finding free ports: none of 1000 tried between 10000 and 32000 is free")
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
