package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"jobstrom/bench/bare"
	"jobstrom/bench/figures"
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
func (b *bench) start(ctx context.Context) error {
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
		figures.Note("start, one after another: %s %.3f s, %.0f MB resident after it", p.Name, figures.Median(seconds), figures.Median(bytes)/1e6)
	}
	figures.Note("start: %.3f to %.3f s", figures.Quantile(seconds, 0), figures.Quantile(seconds, 1))
	figures.AtMost("start to the first vector, seconds", figures.Median(seconds), targetStart)
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
	loop, err := bare.Open(o.encoder, lap)
	if err != nil {
		return err
	}
	defer loop.Close()
	if _, err := loop.Do([]string{warmText}); err != nil {
		return err
	}
	lap("the first vector")
	return say(all)
}
