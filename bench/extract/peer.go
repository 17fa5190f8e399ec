package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"jobstrom/bench/figures"
	"jobstrom/bench/peer"
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

// startPeer starts reference.py.
func (b *bench) startPeer(ctx context.Context, way, model string) (*peer.Peer, error) {
	args := []string{"--way", way, "--texts", b.path, "--model", model, "--threads", strconv.Itoa(b.extractor.Workers * b.extractor.Threads), "--labels"}
	for _, l := range b.extractor.Labels {
		args = append(args, l.Name)
	}
	return peer.Start(ctx, peer.Options{Environment: b.folder, Script: filepath.Join("bench", "extract", "reference.py"), Args: args, Target: "bench-extract"})
}

// fastest measures ways of a peer, and returns the shortest time.
func fastest(p *peer.Peer, ways ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		least := math.Inf(1)
		for _, way := range ways {
			seconds, err := p.Seconds(way)
			if err != nil {
				return 0, err
			}
			least = min(least, seconds)
		}
		return time.Duration(least * float64(time.Second)), nil
	}
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
func (b *bench) checkONNX(ctx context.Context, p *peer.Peer) error {
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
	if err := p.Ask(fmt.Sprintf("first %d", checked), &told); err != nil {
		return err
	}
	if err := told.check(ours); err != nil {
		return fmt.Errorf("%s: %w", told.Versions, err)
	}
	figures.Note("%s: the same entities in %d vacancies", told.Versions, len(told.Entities))
	return nil
}
