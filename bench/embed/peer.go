package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"jobstrom/models"
)

// peer is a Python program at the other end of two pipes: it reads a word a line, and answers each with a line of JSON.
type peer struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
}

// peerFolder is where setup.sh puts the packages.
func peerFolder() (string, error) {
	native, err := models.NativeDir()
	return filepath.Join(native, "bench-embed"), err
}

// startPeer starts a script of this folder. A folder of packages, unless it is empty, stands before those of its environment.
func startPeer(ctx context.Context, packages, script string, args ...string) (*peer, error) {
	folder, err := peerFolder()
	if err != nil {
		return nil, err
	}
	p := &peer{name: script, cmd: exec.CommandContext(ctx, filepath.Join(folder, "bin", "python"), append([]string{filepath.Join("bench", "embed", script)}, args...)...)}
	p.cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1")
	if packages != "" {
		p.cmd.Env = append(p.cmd.Env, "PYTHONPATH="+filepath.Join(folder, packages))
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
		return nil, fmt.Errorf("starting %s: %w; `make bench-embed` sets it up", script, err)
	}
	return p, nil
}

// ask sends a word and reads the answer.
func (p *peer) ask(word string, answer any) error {
	if _, err := fmt.Fprintln(p.in, word); err != nil {
		return fmt.Errorf("asking %s for %s: %w", p.name, word, err)
	}
	if err := p.out.Decode(answer); err != nil {
		return fmt.Errorf("reading what %s says to %s: %w", p.name, word, err)
	}
	return nil
}

// stop ends the program.
func (p *peer) stop() error {
	if err := errors.Join(p.in.Close(), p.cmd.Wait()); err != nil {
		return fmt.Errorf("ending %s: %w", p.name, err)
	}
	return nil
}

// took is how long a peer says that its texts took.
type took struct {
	Seconds float64 `json:"seconds"`
}

// peerVectors is what a peer says of itself, and its vectors of the first texts.
type peerVectors struct {
	Versions string      `json:"versions"`
	Vectors  [][]float32 `json:"vectors"`
}

// check returns the least cosine of a peer's vectors to ours, and an error when they are not the same encoder's.
func (e peerVectors) check(ours [][]float32, least float64) (float64, error) {
	if len(e.Vectors) == 0 || len(e.Vectors) > len(ours) {
		return 0, fmt.Errorf("comparing vectors: the peer has %d, ours are %d", len(e.Vectors), len(ours))
	}
	lowest := 1.0
	for i, v := range e.Vectors {
		if len(v) != len(ours[i]) {
			return 0, fmt.Errorf("comparing vectors: the peer's have %d components, ours %d", len(v), len(ours[i]))
		}
		lowest = min(lowest, cosine(v, ours[i]))
	}
	if !(lowest >= least) { // NaN is no match either
		return lowest, fmt.Errorf("comparing vectors: the least cosine is %g, it must be %g: not the same encoder", lowest, least)
	}
	return lowest, nil
}

// writeTexts puts texts where peers read them, and returns what removes them.
func writeTexts(texts []string) (path string, remove func(), err error) {
	f, err := os.CreateTemp("", "bench-embed-*.json")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.Remove(f.Name()) }
	if err := errors.Join(json.NewEncoder(f).Encode(texts), f.Close()); err != nil {
		remove()
		return "", nil, err
	}
	return f.Name(), remove, nil
}
