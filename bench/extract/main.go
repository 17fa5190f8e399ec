// Command extract compares finding entities with GLiNER2 through jobstrom with the reference ways in Python and with its physical limit, and prints one tab-separated line a figure: name,
// ratio, target, ok or short. Lines that begin with # say what was measured and where.
//
// All sides read the same vacancies of 200 words, find three labels, and have as many threads; the model has random weights and the size of the published one. Sides are measured in
// turns in one run, because machines are shared and noisy; what counts is the median of the rounds' ratios. Part onnx compares with gliner2-onnx, one vacancy at a time, part torch with
// gliner2 on torch, one at a time or in batches of 8, whichever is faster, and part bare with a loop that only runs the same ONNX sessions (bare.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"jobstrom/bench/figures"
	"jobstrom/bench/peer"
	"jobstrom/models"
	"jobstrom/models/repository"
	"jobstrom/pipeline/extract/gliner2"
)

// The parts, in the order of their output.
const (
	partONNX  = "onnx"
	partTorch = "torch"
	partBare  = "bare"
)

var parts = figures.Parts{partONNX, partTorch, partBare}

const (
	targetONNX  = 1.5
	targetTorch = 3
	targetBare  = .9
)

// options say what is measured, and how long.
type options struct {
	part                     string
	extractor                gliner2.Options
	rounds, vacancies, words int
}

func main() {
	o := options{}
	flag.StringVar(&o.part, "part", "", parts.Usage())
	flag.StringVar(&o.extractor.Library, "onnxruntime", "", "shared `library` of ONNX Runtime, by default the program's")
	flag.IntVar(&o.extractor.Threads, "threads", 0, "threads of a run, by default the program's")
	flag.IntVar(&o.extractor.Workers, "workers", 0, "runs at once, by default the program's")
	flag.IntVar(&o.extractor.BatchTokens, "batch-tokens", 0, "padded tokens of a run at most, by default the program's")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each side is measured")
	flag.IntVar(&o.vacancies, "vacancies", 16, "vacancies of a round")
	flag.IntVar(&o.words, "words", 200, "words of a vacancy")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-extract:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	b, err := load(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.model.Close()) }()
	e := b.extractor
	figures.Note("%s %s/%s, %d CPUs (%s), ONNX Runtime %s, %d workers × %d threads, at most %d tokens a run", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), figures.Processor(),
		onnxruntime.GetVersion(), e.Workers, e.Threads, e.BatchTokens)
	for _, n := range b.model.Notes() {
		figures.Note("%s", n)
	}
	sides, stop, err := b.sides(ctx)
	if err != nil {
		return errors.Join(err, stop())
	}
	return errors.Join(b.compare(ctx, sides), stop())
}

func (o options) validate() error {
	if err := parts.Check(o.part); err != nil {
		return err
	}
	for name, n := range map[string]int{"-rounds": o.rounds, "-vacancies": o.vacancies, "-words": o.words} {
		if n < 1 {
			return fmt.Errorf("%s (%d) must be at least 1", name, n)
		}
	}
	return nil
}

// bench holds what the parts share.
type bench struct {
	options
	folder string // of Python, the checkpoint and the model
	model  *gliner2.Model
	texts  []string
	path   string // where peers read them
}

func load(o options) (*bench, error) {
	native, err := models.NativeDir()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, folder: filepath.Join(native, "bench-extract")}
	if b.texts, err = vacancies(o.vacancies, o.words); err != nil {
		return nil, err
	}
	b.extractor.Dir, b.extractor.MaxWords = filepath.Join(b.folder, "model"), -1 // Python cuts nothing
	b.extractor.EnsureDefaults()
	card, err := repository.Extractor(b.extractor.Dir, repository.Options{Name: "random", Source: "make_model.py"})
	if err != nil {
		return nil, fmt.Errorf("%w; `make bench-extract` makes it", err)
	}
	if err := models.WriteExtractorCard(b.extractor.Dir, card); err != nil {
		return nil, err
	}
	b.model, err = gliner2.Open(b.extractor)
	return b, err
}

// side is a way of finding entities that ours is compared with, and how much faster ours was in each round.
type side struct {
	name   string
	target float64
	take   func() (time.Duration, error)
	ratios []float64
}

// sides starts what ours is compared with.
func (b *bench) sides(ctx context.Context) (sides []*side, stop func() error, err error) {
	var stops []func() error
	stop = func() error {
		var errs []error
		for _, s := range slices.Backward(stops) {
			errs = append(errs, s())
		}
		return errors.Join(errs...)
	}
	ours, err := b.model.Extract(ctx, b.texts)
	if err != nil {
		return nil, stop, err
	}
	found := 0
	for _, e := range ours {
		found += len(e)
	}
	figures.Note("%d vacancies of %d words, %.1f entities each", len(b.texts), b.words, float64(found)/float64(len(b.texts)))
	path, remove, err := peer.WriteTexts(b.texts)
	if err != nil {
		return nil, stop, err
	}
	stops, b.path = append(stops, remove), path
	wanted := func(part string) bool { return b.part == "" || b.part == part }
	if wanted(partONNX) {
		p, err := b.startPeer(ctx, partONNX, b.extractor.Dir)
		if err != nil {
			return nil, stop, err
		}
		stops = append(stops, p.Stop)
		if err := b.checkONNX(ctx, p); err != nil {
			return nil, stop, err
		}
		sides = append(sides, &side{name: "ours / gliner2-onnx in Python, one vacancy at a time", target: targetONNX, take: fastest(p, "one")})
	}
	if !wanted(partTorch) && !wanted(partBare) {
		return sides, stop, nil
	}
	p, err := b.startPeer(ctx, "native", filepath.Join(b.folder, "checkpoint"))
	if err != nil {
		return nil, stop, err
	}
	stops = append(stops, p.Stop)
	var told answers
	if err := p.Ask(fmt.Sprintf("first %d", checked), &told); err != nil {
		return nil, stop, err
	}
	if err := told.check(ours); err != nil {
		return nil, stop, err
	}
	figures.Note("%s: the same entities in %d vacancies", told.Versions, len(told.Entities))
	if wanted(partTorch) {
		sides = append(sides, &side{name: "ours / gliner2 on torch", target: targetTorch, take: fastest(p, "one", "batch")})
	}
	if wanted(partBare) {
		bare, err := newBare(b.extractor, told.IDs, told.Words)
		if err != nil {
			return nil, stop, err
		}
		stops = append(stops, bare.Close)
		sides = append(sides, &side{name: "ours / the same ONNX sessions alone", target: targetBare, take: bare.run})
	}
	return sides, stop, nil
}

// compare measures all sides in turns.
func (b *bench) compare(ctx context.Context, sides []*side) error {
	n := float64(len(b.texts))
	for i := range b.rounds {
		began := time.Now()
		if _, err := b.model.Extract(ctx, b.texts); err != nil {
			return err
		}
		ours := time.Since(began)
		figures.Note("round %d: ours %.2f/s", i+1, n/ours.Seconds())
		for _, s := range sides {
			took, err := s.take()
			if err != nil {
				return err
			}
			figures.Note("round %d: %s: %.2f/s", i+1, s.name[len("ours / "):], n/took.Seconds())
			s.ratios = append(s.ratios, took.Seconds()/ours.Seconds())
		}
	}
	for _, s := range sides {
		figures.AtLeast(s.name+", throughput", figures.Median(s.ratios), s.target)
	}
	return nil
}
