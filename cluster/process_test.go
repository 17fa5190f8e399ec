package cluster

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ParentEnv makes this test binary BeParent.
const ParentEnv = "JOBSTROM_TEST_PARENT"

// BeParent starts a child, prints its process id and waits to be killed.
func BeParent() {
	p, err := StartProcess(exec.Command("sleep", "600"))
	if err != nil {
		panic(err)
	}
	fmt.Println(p.command.Process.Pid)
	<-p.done
}

// No port is given twice, nor one that somebody listens on.
func TestFreePorts(t *testing.T) {
	next := portAt(triedPorts.Load() + 1)
	if l, err := net.Listen("tcp", loopback(next)); err == nil { // else somebody else listens there
		defer l.Close()
	}
	seen := map[int]bool{next: true}
	for range 2 {
		ports, err := FreePorts(3)
		if err != nil || len(ports) != 3 {
			t.Fatal(ports, err)
		}
		for _, port := range ports {
			if seen[port] || port < 10000 || port >= 20000 {
				t.Errorf("got %d, had %v", port, seen)
			}
			seen[port] = true
		}
	}
}

func TestBrokersDieWithTheirParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can bind a child's life to its parent's")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), ParentEnv+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child, 0); err != nil {
		t.Fatalf("the child does not run: %v", err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	// Its new parent may leave it as a zombie.
	alive := func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return err == nil && !strings.Contains(string(stat), ") Z ")
	}
	for deadline := time.Now().Add(2 * time.Minute); alive(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the child outlived its parent by 10 s")
		}
	}
}

// Who is asked to end may finish what it does; who does not listen is killed.
func TestTerminate(t *testing.T) {
	start := func(script string) *Process {
		t.Helper()
		command := exec.Command("bash", "-c", script)
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		p, err := StartProcess(command)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		return p
	}
	done := filepath.Join(t.TempDir(), "done")
	p := start("trap 'touch " + done + "; exit' TERM; echo ready; while :; do sleep .01; done")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Terminate(ctx); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(done); err != nil {
		t.Error(err)
	}
	p = start("trap '' TERM; echo ready; while :; do sleep .01; done")
	ended, end := context.WithCancel(t.Context())
	end()
	if err := p.Terminate(ended); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("it still runs")
	}
}
