// Command load asks `jobstrom serve` and other servers for the categories of vacancies over HTTP, as many clients do, and prints one tab-separated line a figure: name, value, target, ok
// or short. Lines that begin with # say what was measured and where.
//
// Every side runs in a process of its own on all processors of the machine, which the clients (vegeta's) share, gets the same requests over connections that stay open, is warm, and has
// as many threads. Sides that are compared are measured in turns in one run, because machines are shared and noisy; what counts is the median of the rounds' ratios.
//
// Part bare compares with a loop over the same ONNX session and the best batches of the same texts (bare.go). Part fastapi compares with FastAPI and onnxruntime with batches of several
// requests, throughput and latency at equal load, part torch with sentence-transformers on torch, one text at a time (peers.go). Part overload asks more than can be answered (overload.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"jobstrom/bench/figures"
	"jobstrom/pipeline/embed"
)

// The parts, in the order of their output.
const (
	partBare     = "bare"
	partFastAPI  = "fastapi"
	partTorch    = "torch"
	partOverload = "overload"
)

var parts = figures.Parts{partBare, partFastAPI, partTorch, partOverload}

// options say what is measured, and how long.
type options struct {
	part, program                          string
	encoder                                embed.Options
	rounds, vacancies, torchTexts, clients int
	underWay                               int
	load, overload                         time.Duration
}

func main() {
	o := options{}
	flag.StringVar(&o.part, "part", "", parts.Usage())
	flag.StringVar(&o.program, "jobstrom", "bin/jobstrom", "the `program` that serves")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each side is measured")
	flag.IntVar(&o.vacancies, "vacancies", 330, "vacancies of a round")
	flag.IntVar(&o.torchTexts, "torch-texts", 100, "vacancies of a round of torch")
	flag.IntVar(&o.clients, "clients", 64, "clients that ask at once when throughput is measured")
	flag.IntVar(&o.underWay, "under-way", 64, "vacancies that may wait in overload's server")
	flag.DurationVar(&o.load, "load", time.Minute, "how long the equal load of ours and of fastapi lasts")
	flag.DurationVar(&o.overload, "overload", 20*time.Second, "how long overload asks too much, twice")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if err := o.validate(); err != nil {
		return err
	}
	b, err := prepare(o)
	if err != nil {
		return err
	}
	defer b.close()
	e := b.encoder
	figures.Note("%s %s/%s, %d CPUs (%s), ONNX Runtime %s, encoder %s (%s), provider %s, %d workers × %d threads, at most %d tokens and %d rows a sub-batch, no cache", runtime.Version(), runtime.GOOS,
		runtime.GOARCH, runtime.NumCPU(), figures.Processor(), onnxruntime.GetVersion(), b.card.Name, b.card.Recipe.Graph, e.Provider, e.Workers, e.Threads, e.BatchTokens, e.MaxBatch)
	figures.Note("%d vacancies, %d clients, POST %s over 127.0.0.1, requests of %d bytes on average", len(b.texts), b.clients, route, len(slices.Concat(b.bodies...))/len(b.bodies))
	return parts.Measure(ctx, o.part, map[string]func(context.Context) error{
		partBare: b.compareBare, partFastAPI: b.compareFastAPI, partTorch: b.compareTorch, partOverload: b.overloaded,
	})
}

func (o options) validate() error {
	if err := parts.Check(o.part); err != nil {
		return err
	}
	for name, n := range map[string]int{"-rounds": o.rounds, "-vacancies": o.vacancies, "-torch-texts": o.torchTexts, "-clients": o.clients, "-under-way": o.underWay} {
		if n < 1 {
			return fmt.Errorf("%s (%d) must be at least 1", name, n)
		}
	}
	if o.underWay < o.clients {
		return fmt.Errorf("-under-way (%d) must be at least -clients (%d)", o.underWay, o.clients)
	}
	for name, d := range map[string]time.Duration{"-load": o.load, "-overload": o.overload} {
		if d < time.Second {
			return fmt.Errorf("%s (%s) must be at least 1s", name, d)
		}
	}
	return nil
}
