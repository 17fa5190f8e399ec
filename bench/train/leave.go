package main

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"strconv"
	"time"

	"jobstrom/bench/figures"
	"jobstrom/trainer"
)

// targetLeave bounds the memory that leaving each example out takes beside the examples, in units of the whole Hessian in float32.
const targetLeave = 1.3

// leaving is what the child says that leaves each example out.
type leaving struct {
	Fit        float64        `json:"fit_seconds"`
	Phases     []leavingPhase `json:"phases"`
	Corrected  int            `json:"corrected"`
	Correction float64        `json:"correction"`
	Peak       float64        `json:"peak_bytes"`
	LogLoss    float64        `json:"log_loss"`
	Fitted     float64        `json:"fitted_log_loss"`
}

type leavingPhase struct {
	Name            string  `json:"name"`
	Multiplications int64   `json:"multiplications"`
	Seconds         float64 `json:"seconds"`
}

// runLeave measures leaving each example out.
func runLeave(ctx context.Context, rows, dim int) error {
	dir, remove, err := exampleFolder(rows, dim)
	if err != nil {
		return err
	}
	defer remove()
	figures.Note("leaving out each of %d × %d float32 in %d unequal categories, C = %g; %s/%s, %d cores", rows, dim, len(counts), c, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var l leaving
	if err := child(ctx, &l, "", self, "-left", dir, "-dim", strconv.Itoa(dim)); err != nil {
		return err
	}
	figures.Note("fit: %.1f s", l.Fit)
	for _, p := range l.Phases {
		figures.Note("%s: %.1f s, %.1f GFLOP/s", p.Name, p.Seconds, 2*float64(p.Multiplications)/p.Seconds/1e9)
	}
	figures.Note("%d examples corrected, the last by %.2g; log loss %.4f fitted, %.4f left out", l.Corrected, l.Correction, l.Fitted, l.LogLoss)
	parameters := float64(len(counts) * (dim + 1))
	beside := (l.Peak - float64(4*rows*dim)) / (4 * parameters * parameters)
	figures.AtMost("peak memory beside the data / whole Hessian in float32", beside, targetLeave)
	return nil
}

// leaveOurs is the child.
func leaveOurs(ctx context.Context, dir string, dim int) error {
	e, err := readExamples(dir, dim)
	if err != nil {
		return err
	}
	fit := trainer.Options{Categories: len(counts), L2: 1 / (c * float64(e.Len())), Seed: 1}
	model, err := trainer.Fit(ctx, e, fit)
	if err != nil {
		return err
	}
	l := leaving{Fitted: trainer.Evaluate(trainer.Probabilities(trainer.Scores(model, e.Vectors), 1), e.Categories, len(counts)).LogLoss}
	last := time.Now()
	fit.Progress = func(int, float64) {
		l.Fit += time.Since(last).Seconds()
		last = time.Now()
	}
	var before int64
	left, err := trainer.LeaveOneOut(ctx, e, trainer.LeaveOneOutOptions{Fit: fit, Progress: func(phase string, done, _ int64) {
		if n := len(l.Phases); n == 0 || l.Phases[n-1].Name != phase {
			l.Phases = append(l.Phases, leavingPhase{Name: phase})
		}
		p := &l.Phases[len(l.Phases)-1]
		p.Multiplications, p.Seconds = p.Multiplications+done-before, p.Seconds+time.Since(last).Seconds()
		before, last = done, time.Now()
	}})
	if err != nil {
		return err
	}
	l.Corrected, l.Correction = left.Corrected, left.Correction
	l.LogLoss = trainer.Evaluate(trainer.Probabilities(left.Scores, 1), e.Categories, len(counts)).LogLoss
	if l.Peak, err = peak(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(l)
}
