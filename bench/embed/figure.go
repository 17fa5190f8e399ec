package main

import (
	"fmt"
	"slices"
)

// figure prints a line: a ratio that must reach its target.
func figure(name string, ratio, target float64) { line(name, ratio, target, ratio >= target) }

// bounded prints a line: a ratio that must not exceed its target.
func bounded(name string, ratio, target float64) { line(name, ratio, target, ratio <= target) }

func line(name string, ratio, target float64, ok bool) {
	verdict := "short"
	if ok {
		verdict = "ok"
	}
	fmt.Printf("%s\t%.3f\t%.2f\t%s\n", name, ratio, target, verdict)
}

func note(format string, values ...any) { fmt.Printf("# "+format+"\n", values...) }

// quantile returns the value that a share of the sorted values is below.
func quantile(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func median(values []float64) float64 { return quantile(values, .5) }
