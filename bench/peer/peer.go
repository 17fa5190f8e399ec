// Package peer runs the reference ways in Python that ours is compared with: programs at the other end of two pipes, which read a word a line and answer each with a line of JSON.
// They run in an environment that the benchmark's setup.sh made, and never ask a model's hub.
package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Options say which program runs, and where.
type Options struct {
	// Environment is the folder of Python and its packages.
	Environment string
	// Packages is a folder of packages that stand before those of the environment, or empty.
	Packages string
	// Script is the program, and Args are its arguments.
	Script string
	Args   []string
	// Target is the one of make that sets it up.
	Target string
}

// Peer is a running program.
type Peer struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
}

// Start starts a program, which ends with Stop or the context.
func Start(ctx context.Context, o Options) (*Peer, error) {
	// Python's warnings are about its packages' futures.
	p := &Peer{name: filepath.Base(o.Script), cmd: exec.CommandContext(ctx, filepath.Join(o.Environment, "bin", "python"), append([]string{"-W", "ignore", o.Script}, o.Args...)...)}
	p.cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1")
	if o.Packages != "" {
		p.cmd.Env = append(p.cmd.Env, "PYTHONPATH="+o.Packages)
	}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w; `make %s` sets it up", p.name, err, o.Target)
	}
	return p, nil
}

// Ask sends a word and reads the answer.
func (p *Peer) Ask(word string, answer any) error {
	if _, err := fmt.Fprintln(p.in, word); err != nil {
		return fmt.Errorf("asking %s for %s: %w", p.name, word, err)
	}
	if err := p.out.Decode(answer); err != nil {
		return fmt.Errorf("reading what %s says to %s: %w", p.name, word, err)
	}
	return nil
}

// Seconds sends a word and returns how long the program says that it took.
func (p *Peer) Seconds(word string) (float64, error) {
	var took struct {
		Seconds float64 `json:"seconds"`
	}
	err := p.Ask(word, &took)
	return took.Seconds, err
}

// Stop ends the program.
func (p *Peer) Stop() error {
	if err := errors.Join(p.in.Close(), p.cmd.Wait()); err != nil {
		return fmt.Errorf("ending %s: %w", p.name, err)
	}
	return nil
}

// WriteTexts puts texts where programs read them, and returns what removes them.
func WriteTexts(texts []string) (path string, remove func() error, err error) {
	f, err := os.CreateTemp("", "jobstrom-bench-*.json")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.Remove(f.Name()) }
	if err := errors.Join(json.NewEncoder(f).Encode(texts), f.Close()); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return f.Name(), remove, nil
}
