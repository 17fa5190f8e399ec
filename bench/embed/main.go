// Command embed compares the encoder's way through jobstrom with its physical limit and with the ways others go, and prints one tab-separated line a
// figure: name, ratio, target, ok or short. Lines that begin with # say what was measured and where.
//
// Sides that are compared are measured in turns in one run, because machines are shared and noisy; what counts is the median of the rounds' ratios.
//
// Part stream compares the flow from the raw to the classified topic with a bare loop over the same ONNX session (stream.go, bare.go). Parts python and torch compare with
// the reference ways in Python (python.go, torch.go). Part latency asks over HTTP, alone and under load (latency.go). Part memory counts resident memory over a million texts
// (memory.go), part start the time to the first vector of a new process (start.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"jobstrom/bench/figures"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/embed"
)

// The parts, in the order of their output.
const (
	partStream  = "stream"
	partPython  = "python"
	partTorch   = "torch"
	partLatency = "latency"
	partMemory  = "memory"
	partStart   = "start"
)

var parts = figures.Parts{partStream, partPython, partTorch, partLatency, partMemory, partStart}

// options say what is measured, and how long.
type options struct {
	part              string
	encoder           embed.Options
	rounds, vacancies int
	profile           string
	torchTexts, texts int
	load              time.Duration
	child             string
}

func main() {
	o := options{}
	flag.StringVar(&o.part, "part", "", parts.Usage())
	flag.StringVar(&o.encoder.ModelDir, "encoder", "", "`folder` of the encoder, by default the program's")
	flag.StringVar(&o.encoder.Library, "onnxruntime", "", "shared `library` of ONNX Runtime, by default the program's")
	flag.StringVar((*string)(&o.encoder.Provider), "provider", "", fmt.Sprintf("what ONNX Runtime computes with, of %v, by default the program's", onnx.Providers))
	flag.IntVar(&o.rounds, "rounds", 3, "how often each side is measured")
	flag.IntVar(&o.vacancies, "vacancies", 2000, "vacancies of a round")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of stream's flow to this `file`, and say which packages take the time")
	flag.IntVar(&o.torchTexts, "torch-texts", 100, "texts of a round of torch")
	flag.IntVar(&o.texts, "texts", 1_000_000, "texts of memory")
	flag.DurationVar(&o.load, "load", 60*time.Second, "how long latency's load lasts")
	flag.StringVar(&o.child, "child", "", "internal: be the process that a part measures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-embed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if err := o.validate(); err != nil {
		return err
	}
	o.encoder.EnsureDefaults()
	if o.child != "" {
		return child(ctx, o)
	}
	b, err := load(o)
	if err != nil {
		return err
	}
	defer b.pipeline.Encoder.Close()
	card := b.pipeline.Encoder.Card()
	figures.Note("%s %s/%s, %d CPUs (%s), ONNX Runtime %s, encoder %s (%s), provider %s, %d workers × %d threads, at most %d tokens and %d rows a sub-batch, no cache", runtime.Version(), runtime.GOOS,
		runtime.GOARCH, runtime.NumCPU(), figures.Processor(), onnxruntime.GetVersion(), card.Name, card.Recipe.Graph, o.encoder.Provider, o.encoder.Workers, o.encoder.Threads, o.encoder.BatchTokens, o.encoder.MaxBatch)
	return parts.Measure(ctx, o.part, map[string]func(context.Context) error{
		partStream: b.stream, partPython: b.python, partTorch: b.torch, partLatency: b.latency, partMemory: b.memory, partStart: b.start,
	})
}

func (o options) validate() error {
	if err := parts.Check(o.part); err != nil {
		return err
	}
	for name, n := range map[string]int{"-rounds": o.rounds, "-vacancies": o.vacancies, "-torch-texts": o.torchTexts, "-texts": o.texts} {
		if n < 1 {
			return fmt.Errorf("%s (%d) must be at least 1", name, n)
		}
	}
	if o.load < time.Second {
		return fmt.Errorf("-load (%s) must be at least 1s", o.load)
	}
	return nil
}
