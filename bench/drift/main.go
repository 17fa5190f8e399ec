// Command drift measures what drift's alarms are worth, and prints one tab-separated line a figure: name, value, target, ok or
// short. Lines that begin with # say what was measured.
//
// Part alarms draws windows of categories without and with drift, and counts the alarms of the calibrated preset and of Evidently's (alarms.go). Part
// embeddings does the same with vectors (embeddings.go). Part watch counts the false alarms of years of looking every hour (watch.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"jobstrom/bench/figures"
)

// The parts, in the order of their output.
const (
	partAlarms     = "alarms"
	partEmbeddings = "embeddings"
	partWatch      = "watch"
)

var parts = figures.Parts{partAlarms, partEmbeddings, partWatch}

func main() {
	part := flag.String("part", "", parts.Usage())
	b := bench{}
	flag.IntVar(&b.workers, "workers", runtime.GOMAXPROCS(0), "how many draws at a time")
	flag.IntVar(&b.draws, "draws", 10_000, "windows without drift for each size")
	flag.IntVar(&b.shifts, "shifts", 1000, "windows with drift for each category")
	flag.IntVar(&b.vectors, "vector-draws", 500, "windows of embeddings without drift, and two fifths as many with each drift")
	flag.IntVar(&b.years, "years", 20, "years that are watched")
	flag.Parse()
	err := parts.Check(*part)
	if err == nil {
		err = parts.Measure(context.Background(), *part, map[string]func(context.Context) error{partAlarms: b.alarms, partEmbeddings: b.embeddings, partWatch: b.watch})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-drift:", err)
		os.Exit(1)
	}
}

// bench says how often to draw.
type bench struct{ workers, draws, shifts, vectors, years int }

// alarm is which presets say that a pair of windows differs.
type alarm struct{ calibrated, evidently, drift bool }

// shares draws pairs of windows and returns the shares of them that alarm. Each draw has its own seed, so that the shares do
// not depend on the workers.
func (b bench) shares(name string, draws int, draw func(*rand.Rand, uint64) (alarm, error)) (calibrated, evidently, drift float64, err error) {
	var counts [3]atomic.Int64
	start := time.Now()
	g := errgroup.Group{}
	next := atomic.Int64{}
	for range b.workers {
		g.Go(func() error {
			for i := next.Add(1); i <= int64(draws); i = next.Add(1) {
				a, err := draw(rand.New(rand.NewPCG(uint64(i), 11)), uint64(i))
				if err != nil {
					return err
				}
				for j, said := range []bool{a.calibrated, a.evidently, a.drift} {
					if said {
						counts[j].Add(1)
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, 0, 0, fmt.Errorf("measuring %s: %w", name, err)
	}
	fmt.Fprintf(os.Stderr, "%s: %d draws in %.1f s\n", name, draws, time.Since(start).Seconds())
	of := func(j int) float64 { return float64(counts[j].Load()) / float64(draws) }
	return of(0), of(1), of(2), nil
}
