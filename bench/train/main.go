// Command train measures the trainer, and prints one tab-separated line a figure: name, value, target, ok or short. Lines
// that begin with # say what was measured.
//
// Part speed compares it with scikit-learn on the same examples and cores. scikit-learn fits first, with one thread and with
// all cores: the faster time and the lower loss count. Ours fits until its loss, computed in float64, is no higher; all of our
// time counts. Each fit runs in a process of its own, whose highest memory counts, the program's included.
//
// Part history trains on a history of the real size, within 4 GiB and within a tenth of its vectors (budget.go).
//
// Parts synthetic and samples compare what it makes of imbalanced histories with what the reference recipe makes (recipe.go).
//
// Part leave-one-out, which takes many minutes and is measured on demand alone, estimates what leaving each example out would predict (leave.go).
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"jobstrom/bench/figures"
	"jobstrom/models"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

const (
	targetTime   = 1.0 / 3
	targetMemory = 1.3
	tolerance    = 1e-6
	c            = 1.0
)

// The parts, in the order of their output.
const (
	partSpeed     = "speed"
	partHistory   = "history"
	partSynthetic = "synthetic"
	partSamples   = "samples"
	partLeave     = "leave-one-out"
)

var parts = figures.Parts{partSpeed, partHistory, partSynthetic, partSamples, partLeave}

func main() {
	part := flag.String("part", "", parts.Usage())
	rows := flag.Int("rows", 100_000, "examples of speed and leave-one-out")
	dim := flag.Int("dim", 1024, "components of a vector of speed, history and leave-one-out")
	recipe := recipeOptions{}
	flag.IntVar(&recipe.rows, "recipe-rows", 40_000, "vacancies of synthetic")
	flag.IntVar(&recipe.dim, "recipe-dim", 384, "components of a vector of synthetic")
	flag.IntVar(&recipe.seeds, "recipe-seeds", 3, "divisions of synthetic into parts to train, choose and test on")
	flag.IntVar(&recipe.draws, "recipe-draws", 10, "imbalanced histories drawn from the samples, each divided once")
	fit := flag.String("fit", "", "internal: fit the examples of this `folder`")
	left := flag.String("left", "", "internal: leave out each of the examples of this `folder`")
	history := flag.String("history", "", "internal: train on the examples of this `folder`")
	memory := flag.Int64("memory", historyBudget, "internal: within these `bytes`")
	tol := flag.Float64("tolerance", tolerance, "internal: of that fit")
	flag.Parse()
	ctx := context.Background()
	measure := func() error {
		switch {
		case *fit != "":
			return fitOurs(ctx, *fit, *dim, *tol)
		case *left != "":
			return leaveOurs(ctx, *left, *dim)
		case *history != "":
			return trainHistory(ctx, *history, *dim, *memory)
		}
		if err := recipe.validate(*part, *rows, *dim); err != nil {
			return err
		}
		of := map[string]func(context.Context) error{
			partSpeed:     func(ctx context.Context) error { return run(ctx, *rows, *dim) },
			partHistory:   func(ctx context.Context) error { return budgets(ctx, historyRows, *dim) },
			partSynthetic: func(ctx context.Context) error { return synthetic(ctx, recipe) },
			partSamples:   func(ctx context.Context) error { return sampled(ctx, recipe) },
			partLeave:     func(ctx context.Context) error { return runLeave(ctx, *rows, *dim) },
		}
		if *part == "" {
			delete(of, partLeave) // on demand alone
		}
		return parts.Measure(ctx, *part, of)
	}
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-train:", err)
		os.Exit(1)
	}
}

// outcome is what a fit says of itself.
type outcome struct {
	Seconds    float64 `json:"seconds"`
	Processor  float64 `json:"processor_seconds"`
	Iterations int     `json:"iterations"`
	Peak       float64 `json:"peak_bytes"`
}

func run(ctx context.Context, rows, dim int) error {
	native, err := models.NativeDir()
	if err != nil {
		return err
	}
	dir, remove, err := exampleFolder(rows, dim)
	if err != nil {
		return err
	}
	defer remove()
	figures.Note("%d × %d float32 in %d unequal categories, C = %g; %s/%s, %d cores", rows, dim, len(counts), c, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())

	// On a machine that others use, OpenBLAS can be many times slower with all cores than with one: its threads wait busily.
	var theirs outcome
	their := math.Inf(1)
	for _, threads := range []int{1, runtime.NumCPU()} {
		var o outcome
		env := fmt.Sprintf("OPENBLAS_NUM_THREADS=%d", threads)
		if err := child(ctx, &o, env, filepath.Join(native, "scikit-learn/bin/python"), "bench/train/sklearn_fit.py", dir, strconv.Itoa(dim), fmt.Sprint(c), fmt.Sprint(tolerance)); err != nil {
			return err
		}
		loss, err := lossOf(dir, dim)
		if err != nil {
			return err
		}
		report(fmt.Sprintf("scikit-learn, %d threads", threads), o, loss, rows, dim)
		if theirs.Seconds == 0 || o.Seconds < theirs.Seconds {
			theirs = o
		}
		their = min(their, loss)
	}

	self, err := os.Executable()
	if err != nil {
		return err
	}
	var seconds, peak float64
	for tol := tolerance; ; tol /= 10 {
		var ours outcome
		if err := child(ctx, &ours, "", self, "-fit", dir, "-dim", strconv.Itoa(dim), "-tolerance", fmt.Sprint(tol)); err != nil {
			return err
		}
		our, err := lossOf(dir, dim)
		if err != nil {
			return err
		}
		report(fmt.Sprintf("ours, tolerance %.0e", tol), ours, our, rows, dim)
		seconds, peak = seconds+ours.Seconds, max(peak, ours.Peak)
		if our <= their {
			break
		}
		if tol < 1e-9 {
			return fmt.Errorf("our loss %.12f does not reach scikit-learn's %.12f", our, their)
		}
	}
	figures.AtMost("time to scikit-learn's loss, ours / scikit-learn's", seconds/theirs.Seconds, targetTime)
	figures.AtMost("peak memory / data", peak/float64(4*rows*dim), targetMemory)
	return nil
}

func report(name string, o outcome, loss float64, rows, dim int) {
	figures.Note("%s: %.2f s (%.2f s of processors), %d iterations, loss %.12f, peak %.2f × the data",
		name, o.Seconds, o.Processor, o.Iterations, loss, o.Peak/float64(4*rows*dim))
}

// child runs a fit, with a variable in its environment, and reads what it prints.
func child(ctx context.Context, o any, variable, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	if variable != "" {
		cmd.Env = append(os.Environ(), variable)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("running %s: %w; `make bench-train` sets it up", filepath.Base(program), err)
	}
	return json.Unmarshal(out, o)
}

// fitOurs is the child that fits by the trainer.
func fitOurs(ctx context.Context, dir string, dim int, tol float64) error {
	e, err := readExamples(dir, dim)
	if err != nil {
		return err
	}
	began := time.Now()
	model, err := trainer.Fit(ctx, e, trainer.Options{Categories: len(counts), L2: 1 / (c * float64(e.Len())), Tolerance: tol, Seed: 1})
	if err != nil {
		return err
	}
	o := outcome{Seconds: time.Since(began).Seconds()}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	o.Processor = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
	if o.Peak, err = peak(); err != nil {
		return err
	}
	if o.Iterations, err = strconv.Atoi(model.Training["iterations"]); err != nil {
		return err
	}
	parameters := make([]float64, 0, len(counts)*(dim+1))
	for _, w := range model.Weights {
		parameters = append(parameters, float64(w))
	}
	for k, b := range model.Bias {
		bias := float64(b)
		for j, m := range model.Mean {
			bias -= float64(m) * parameters[k*dim+j]
		}
		parameters = append(parameters, bias)
	}
	var data bytes.Buffer
	if err := binary.Write(&data, binary.LittleEndian, parameters); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "coefficients.f64"), data.Bytes(), 0o644); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

// peak returns the highest resident memory of this process, in bytes.
func peak() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(status)) {
		if f := strings.Fields(l); f[0] == "VmHWM:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("/proc/self/status lacks VmHWM")
}

// lossOf returns the loss of the coefficients in the folder: the mean cross-entropy and the penalty.
func lossOf(dir string, dim int) (float64, error) {
	e, err := readExamples(dir, dim)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "coefficients.f64"))
	if err != nil {
		return 0, err
	}
	parameters := make([]float64, len(counts)*(dim+1))
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, parameters); err != nil {
		return 0, err
	}
	m := &schemas.Classifier{Dim: uint32(dim), Categories: uint32(len(counts))}
	var squares float64
	for i, p := range parameters {
		if i < len(counts)*dim {
			m.Weights = append(m.Weights, float32(p))
			squares += p * p
		} else {
			m.Bias = append(m.Bias, float32(p))
		}
	}
	var loss float64
	for i, scores := range trainer.Scores(m, e.Vectors) {
		highest, sum := slices.Max(scores), 0.0
		for _, s := range scores {
			sum += math.Exp(s - highest)
		}
		loss += highest + math.Log(sum) - scores[e.Categories[i]]
	}
	return (loss + squares/(2*c)) / float64(e.Len()), nil
}
