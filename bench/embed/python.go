package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"jobstrom/bench/figures"
	"jobstrom/bench/peer"
	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/embed"
)

const (
	targetPython      = 1.5
	targetPythonGraph = 1.05
	// checked is how many texts' vectors are compared.
	checked = 64
	// leastCosine tells rounding from another encoder.
	leastCosine = .995
)

// peerThreads are the threads that a peer may use: ours, all in all.
func (o options) peerThreads() int { return o.encoder.Workers * o.encoder.Threads }

// python compares tokenising, embedding and classifying with the reference way in Python: with the per-token int8 graph on ONNX Runtime's own provider, and with what
// ours uses.
func (b *bench) python(ctx context.Context) (err error) {
	native, err := models.NativeDir()
	if err != nil {
		return err
	}
	path, remove, err := peer.WriteTexts(b.texts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	ours, err := b.embedFirst(ctx, b.encoder, checked)
	if err != nil {
		return err
	}
	prefix, own := b.pipeline.Encoder.Card().Prefix, filepath.Join(native, models.DefaultEncoder)
	reference, err := startPython(ctx, path, own, onnx.CPU, b.peerThreads(), prefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reference.Stop()) }()
	sides := []*side{{goals: []goal{{"ours / Python with the per-token int8 graph on ONNX Runtime's provider", targetPython}}, peer: reference}}
	sameGraph := goal{"ours / Python with our provider and graph", targetPythonGraph}
	if b.encoder.ModelDir != own || b.encoder.Provider != onnx.CPU {
		same, err := startPython(ctx, path, b.encoder.ModelDir, b.encoder.Provider, b.peerThreads(), prefix)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, same.Stop()) }()
		sides = append(sides, &side{goals: []goal{sameGraph}, peer: same})
	} else {
		figures.Note("our provider and graph are those of the reference way here: one side shows both")
		sides[0].goals = append(sides[0].goals, sameGraph)
	}
	return b.comparePython(ctx, ours, sides)
}

// side is a way in Python, and how much faster ours was in each round.
type side struct {
	peer   *peer.Peer
	ratios []float64
	goals  []goal // what the ratio is measured for
}

// goal is a figure's name and the least it should be.
type goal struct {
	name   string
	target float64
}

func startPython(ctx context.Context, texts, encoder string, provider onnx.Provider, threads int, prefix string) (*peer.Peer, error) {
	packages := ""
	if provider == onnx.OpenVINO {
		packages = "openvino"
	}
	card, err := models.Verify(encoder)
	if err != nil {
		return nil, err
	}
	return startPeer(ctx, packages, "reference.py", "--texts", texts, "--graph", filepath.Join(encoder, card.Graph.Name), "--tokenizer", filepath.Join(encoder, card.Tokenizer.Name),
		"--provider", string(provider), "--threads", strconv.Itoa(threads), "--prefix", prefix, "--pad", strconv.FormatInt(card.PadID, 10), "--tokens", strconv.Itoa(card.MaxTokens))
}

func (b *bench) comparePython(ctx context.Context, ours [][]float32, sides []*side) error {
	for _, s := range sides {
		var v peerVectors
		if err := s.peer.Ask(fmt.Sprintf("first %d", checked), &v); err != nil {
			return err
		}
		least, err := v.check(ours, leastCosine)
		if err != nil {
			return err
		}
		figures.Note("%s: %s; least cosine to ours %.5f", s.goals[0].name, v.Versions, least)
	}
	n := float64(len(b.texts))
	for i := range b.rounds {
		began := time.Now()
		if err := b.answer(ctx); err != nil {
			return err
		}
		our := time.Since(began).Seconds()
		figures.Note("round %d: ours %.1f/s", i+1, n/our)
		for k, s := range sides {
			threads, err := s.peer.Seconds("threads")
			if err != nil {
				return err
			}
			intra, err := s.peer.Seconds("intra")
			if err != nil {
				return err
			}
			figures.Note("round %d: Python, side %d: %d threads of 1 %.1f/s, 1 session of %d threads %.1f/s", i+1, k+1, b.peerThreads(), n/threads, b.peerThreads(), n/intra)
			s.ratios = append(s.ratios, min(threads, intra)/our)
		}
	}
	for _, s := range sides {
		for _, g := range s.goals {
			figures.AtLeast(g.name+", throughput", figures.Median(s.ratios), g.target)
		}
	}
	return nil
}

// answer embeds and classifies all texts.
func (b *bench) answer(ctx context.Context) error {
	vectors, err := b.pipeline.Encoder.Embed(ctx, b.texts)
	if err != nil {
		return err
	}
	values := make([][]float32, len(vectors))
	for i, v := range vectors {
		values[i] = v.Values
	}
	_, err = b.pipeline.Live.Load().Classify(b.pipeline.Encoder.Card().ID, values)
	return err
}

// embedFirst returns the vectors of the first texts by an encoder.
func (b *bench) embedFirst(ctx context.Context, o embed.Options, n int) ([][]float32, error) {
	encoder, err := embed.New(o)
	if err != nil {
		return nil, err
	}
	defer encoder.Close()
	vectors, err := encoder.Embed(ctx, b.texts[:min(n, len(b.texts))])
	if err != nil {
		return nil, err
	}
	values := make([][]float32, len(vectors))
	for i, v := range vectors {
		values[i] = v.Values
	}
	return values, nil
}
