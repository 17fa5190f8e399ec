package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// child is this program in a process of its own, which a part measures.
func child(ctx context.Context, o options) error {
	of := map[string]func(context.Context, options) error{childFirst: first, childPhases: phases, childMemory: remember}[o.child]
	if of == nil {
		return fmt.Errorf("-child is %q: it is internal", o.child)
	}
	return of(ctx, o)
}

// command returns a child's, with the settings of this process. What it prints is for the caller.
func (b *bench) command(ctx context.Context, way string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-child", way, "-encoder", b.encoder.ModelDir, "-onnxruntime", b.encoder.Library, "-provider", string(b.encoder.Provider), "-texts", strconv.Itoa(b.options.texts))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// say prints a child's answer.
func say(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// resident returns the resident memory of this process, in bytes.
func resident() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("measuring resident memory, which takes Linux: %w", err)
	}
	for l := range strings.Lines(string(status)) {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("measuring resident memory: /proc/self/status lacks VmRSS")
}
