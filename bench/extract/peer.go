package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"jobstrom/bench/figures"
	"jobstrom/pipeline/extract/gliner2"
)

const (
	// checked is how many texts' entities are compared.
	checked = 4
	// leastShared is the share of entities that must be the same: scores that are all but equal may choose another span.
	leastShared = .98
	// scores are compared to this.
	tolerance = 1e-3
)

// peer is a Python program at the other end of two pipes: it reads a word a line, and answers each with a line of JSON.
type peer struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	from string // folder of the texts
}

// startPeer starts reference.py.
func (b *bench) startPeer(ctx context.Context, way, model string) (*peer, error) {
	folder, err := os.MkdirTemp("", "bench-extract-*")
	if err != nil {
		return nil, err
	}
	texts := filepath.Join(folder, "texts.json")
	data, err := json.Marshal(b.texts)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(texts, data, 0o644); err != nil {
		return nil, err
	}
	args := []string{"-W", "ignore", filepath.Join("bench", "extract", "reference.py"), "--way", way, "--texts", texts, "--model", model,
		"--threads", strconv.Itoa(b.extractor.Workers * b.extractor.Threads), "--labels"}
	for _, l := range b.extractor.Labels {
		args = append(args, l.Name)
	}
	p := &peer{name: "reference.py " + way, cmd: exec.CommandContext(ctx, filepath.Join(b.folder, "bin", "python"), args...), from: folder}
	p.cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1")
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
		return nil, fmt.Errorf("starting %s: %w; `make bench-extract` sets it up", p.name, err)
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

// fastest measures ways of the peer, and returns the shortest time.
func (p *peer) fastest(ways ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		least := math.Inf(1)
		for _, way := range ways {
			var took struct {
				Seconds float64 `json:"seconds"`
			}
			if err := p.ask(way, &took); err != nil {
				return 0, err
			}
			least = min(least, took.Seconds)
		}
		return time.Duration(least * float64(time.Second)), nil
	}
}

// stop ends the program.
func (p *peer) stop() error {
	if err := errors.Join(p.in.Close(), p.cmd.Wait(), os.RemoveAll(p.from)); err != nil {
		return fmt.Errorf("ending %s: %w", p.name, err)
	}
	return nil
}

// answers is what a peer says of itself, and what it finds in the first texts.
type answers struct {
	Versions string `json:"versions"`
	// Entities of each text: label, start and end in code points, score.
	Entities [][][4]float64 `json:"entities"`
	// IDs are what the encoder reads of each text, and Words how many of them stand behind the prompt.
	IDs   [][]int64 `json:"ids"`
	Words []int     `json:"words"`
}

// check returns an error when a peer does not find what ours does.
func (a answers) check(ours [][]gliner2.Entity) error {
	type span struct{ label, start, end int }
	same, all := 0, 0
	for i, theirs := range a.Entities {
		scores := map[span]float64{}
		for _, e := range ours[i] {
			scores[span{e.Label, e.RuneStart, e.RuneEnd}] = float64(e.Score)
		}
		all += max(len(theirs), len(ours[i]))
		for _, e := range theirs {
			if score, there := scores[span{int(e[0]), int(e[1]), int(e[2])}]; there && math.Abs(score-e[3]) <= tolerance {
				same++
			}
		}
	}
	if all == 0 || float64(same) < leastShared*float64(all) {
		return fmt.Errorf("comparing entities: %d of %d are the same, at least %g %% must be", same, all, 100*leastShared)
	}
	return nil
}

// checkONNX compares with gliner2-onnx, which ours follows in a mode of its own.
func (b *bench) checkONNX(ctx context.Context, p *peer) error {
	o := b.extractor
	o.Mode = gliner2.ONNX
	m, err := gliner2.Open(o)
	if err != nil {
		return err
	}
	defer m.Close()
	ours, err := m.Extract(ctx, b.texts[:min(checked, len(b.texts))])
	if err != nil {
		return err
	}
	var told answers
	if err := p.ask(fmt.Sprintf("first %d", checked), &told); err != nil {
		return err
	}
	if err := told.check(ours); err != nil {
		return fmt.Errorf("%s: %w", told.Versions, err)
	}
	figures.Note("%s: the same entities in %d vacancies", told.Versions, len(told.Entities))
	return nil
}
