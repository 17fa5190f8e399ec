package chaos

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"jobstrom/cluster"
)

// fleet is the stages' and the sink's processes, each kept running as a supervisor does.
type fleet struct {
	dir string // of logs
	// command returns a process's command line, for "embed/1" or "sink".
	command func(name string) []string
	// say writes to the timeline.
	say func(format string, args ...any)
	// unasked counts the ends that nobody asked for.
	unasked atomic.Int64

	mu      sync.Mutex // guards members
	members map[string]*member
}

// member is one process of the fleet, started again whenever it ends.
type member struct {
	name  string
	fleet *fleet
	stop  chan struct{} // closed when it shall not be started again
	done  chan struct{} // closed when it is gone

	mu      sync.Mutex       // guards both
	process *cluster.Process // nil while it is down
	rest    time.Duration    // how long it stays down after a kill
}

// add starts a process.
func (f *fleet) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := &member{name: name, fleet: f, stop: make(chan struct{}), done: make(chan struct{})}
	f.members[name] = m
	go m.keep()
}

func (f *fleet) member(name string) *member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.members[name]
}

// keep starts the process, again and again, until it is stopped.
func (m *member) keep() {
	defer close(m.done)
	for {
		process, err := m.start()
		if err != nil {
			m.fleet.say("starting %s: %v", m.name, err)
			m.fleet.unasked.Add(1)
		} else {
			<-process.Done()
		}
		m.mu.Lock()
		rest := m.rest
		m.process, m.rest = nil, 0
		m.mu.Unlock()
		select {
		case <-m.stop:
			return
		default:
		}
		if process != nil && rest == 0 {
			m.fleet.unasked.Add(1)
			m.fleet.say("%s ended by itself (%v), see %s", m.name, process.Err(), m.logFile())
			rest = time.Second
		}
		select {
		case <-m.stop:
			return
		case <-time.After(rest):
		}
	}
}

func (m *member) logFile() string {
	return filepath.Join(m.fleet.dir, strings.ReplaceAll(m.name, "/", "-")+".log")
}

func (m *member) start() (*cluster.Process, error) {
	log, err := os.OpenFile(m.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	line := m.fleet.command(m.name)
	command := exec.Command(line[0], line[1:]...)
	command.Dir = m.fleet.dir
	command.Stdout, command.Stderr = log, log
	process, err := cluster.StartProcess(command)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process = process
	return process, nil
}

// running waits until the process runs, and returns it.
func (m *member) running(ctx context.Context) (*cluster.Process, error) {
	for {
		m.mu.Lock()
		process := m.process
		m.mu.Unlock()
		if process != nil {
			return process, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s to run: %w", m.name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends a process by SIGKILL; it is started again after a rest.
func (f *fleet) kill(ctx context.Context, name string, rest time.Duration) error {
	m := f.member(name)
	for {
		process, err := m.running(ctx)
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.rest = max(rest, time.Millisecond)
		m.mu.Unlock()
		if process.Kill() {
			return nil
		}
	}
}

// restart asks a process to finish, waits for its end, and has it started again with the command line that it has by now. Its error is that it had to be killed.
func (f *fleet) restart(ctx context.Context, name string) error {
	m := f.member(name)
	process, err := m.running(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.rest = time.Millisecond
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	if err := process.Terminate(ctx); err != nil {
		return fmt.Errorf("restarting %s: %w; see %s", name, err, m.logFile())
	}
	return nil
}

// pid is a process's id, 0 while it is down.
func (f *fleet) pid(name string) int {
	m := f.member(name)
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil {
		return 0
	}
	return m.process.Pid()
}

// pause stops a process in its tracks for a time.
func (f *fleet) pause(ctx context.Context, name string, lasts time.Duration) error {
	process, err := f.member(name).running(ctx)
	if err != nil {
		return err
	}
	// An error means that it has just ended by another fault.
	if process.Signal(syscall.SIGSTOP) == nil {
		select {
		case <-ctx.Done():
		case <-time.After(lasts):
		}
		_ = process.Signal(syscall.SIGCONT)
	}
	return nil
}

// stopTime is what a process may take to finish what it has in hand, on a machine that is busy with other work.
const stopTime = 3 * time.Minute

// remove asks a process to finish and waits for its end. Its error is that it had to be killed.
func (f *fleet) remove(name string) error {
	f.mu.Lock()
	m := f.members[name]
	delete(f.members, name)
	f.mu.Unlock()
	close(m.stop)
	deadline := time.After(stopTime)
	for {
		m.mu.Lock()
		process := m.process
		m.mu.Unlock()
		if process != nil {
			_ = process.Signal(syscall.SIGTERM)
		}
		select {
		case <-m.done:
			return nil
		case <-deadline:
			if process != nil {
				process.Kill()
			}
			<-m.done
			return fmt.Errorf("stopping %s: it had not ended %v after SIGTERM; see %s", name, stopTime, m.logFile())
		case <-time.After(200 * time.Millisecond): // it may just have been started again
		}
	}
}

// names of those that run or are being started, sorted.
func (f *fleet) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.members))
}

// killAll ends all at once, for a run that is given up.
func (f *fleet) killAll() {
	for _, name := range f.names() {
		f.mu.Lock()
		m := f.members[name]
		delete(f.members, name)
		f.mu.Unlock()
		close(m.stop)
		m.mu.Lock()
		process := m.process
		m.mu.Unlock()
		if process != nil {
			process.Kill()
		}
		<-m.done
	}
}
