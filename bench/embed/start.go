package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/daulet/tokenizers"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/embed"
)

const (
	targetStart = 2.0 // seconds
	starts      = 5
	// warmText is what a new process embeds.
	warmText = "Sygeplejerske, pleje patienter på medicinsk afdeling, give medicin, vejlede pårørende"

	childFirst  = "first"
	childPhases = "phases"
)

// start measures the time from a new process's birth to its first vector, the library's and the files' pages being in memory.
func start(ctx context.Context, b *bench) error {
	var seconds []float64
	for range starts {
		cmd, err := b.command(ctx, childFirst)
		if err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return err
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		seconds = append(seconds, time.Since(began).Seconds())
		if err := errors.Join(err, cmd.Wait()); err != nil {
			return fmt.Errorf("starting a process, which said %q: %w", line, err)
		}
	}
	var all [][]phase
	for range starts {
		cmd, err := b.command(ctx, childPhases)
		if err != nil {
			return err
		}
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("starting in phases: %w", err)
		}
		var p []phase
		if err := json.Unmarshal(out, &p); err != nil {
			return fmt.Errorf("reading the phases: %w", err)
		}
		all = append(all, p)
	}
	for i, p := range all[0] {
		var seconds, bytes []float64
		for _, of := range all {
			seconds, bytes = append(seconds, of[i].Seconds), append(bytes, of[i].Bytes)
		}
		note("start, one after another: %s %.3f s, %.0f MB resident after it", p.Name, median(seconds), median(bytes)/1e6)
	}
	note("start: %.3f to %.3f s", quantile(seconds, 0), quantile(seconds, 1))
	bounded("start to the first vector, seconds", median(seconds), targetStart)
	return nil
}

// first is the child that opens the encoder as any program does.
func first(ctx context.Context, o options) error {
	encoder, err := embed.New(o.encoder)
	if err != nil {
		return err
	}
	defer encoder.Close()
	vectors, err := encoder.Embed(ctx, []string{warmText})
	if err != nil {
		return err
	}
	return say(len(vectors[0].Values))
}

// phase is a part of opening an encoder: how long it took, and the memory that was resident at its end.
type phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Bytes   float64 `json:"bytes"`
}

// phases is the child that does one after another what opening an encoder takes.
func phases(ctx context.Context, o options) error {
	var all []phase
	last := time.Now()
	lap := func(name string) {
		p := phase{Name: name, Seconds: time.Since(last).Seconds()}
		p.Bytes, _ = resident() // 0 says that it is not known here
		all, last = append(all, p), time.Now()
	}
	lap("nothing")
	card, err := models.Verify(o.encoder.ModelDir)
	if err != nil {
		return err
	}
	lap("verifying the files")
	tokenizer, err := tokenizers.FromFile(filepath.Join(o.encoder.ModelDir, card.Tokenizer.Name))
	if err != nil {
		return err
	}
	defer tokenizer.Close()
	lap("loading the tokenizer")
	if err := onnx.Open(o.encoder.Library); err != nil {
		return err
	}
	defer onnx.Close()
	lap("loading ONNX Runtime")
	session, err := onnx.Session(filepath.Join(o.encoder.ModelDir, card.Graph.Name), []string{"input_ids", "attention_mask"}, []string{card.Output}, onnx.Execution{Provider: o.encoder.Provider, Threads: o.encoder.Threads, Runs: o.encoder.Workers})
	if err != nil {
		return err
	}
	lap("loading the graph")
	b := &bare{options: o.encoder, card: card, tokenizer: tokenizer, session: session}
	prepared, err := b.prepare([]string{warmText})
	if err != nil {
		return err
	}
	if err := errors.Join(b.run(prepared, make([][]float32, 1)), destroy(prepared), session.Destroy()); err != nil {
		return err
	}
	lap("the first vector")
	return say(all)
}
