package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// figure prints a line: a ratio that must reach its target.
func figure(name string, ratio, target float64) {
	verdict := "short"
	if ratio >= target {
		verdict = "ok"
	}
	fmt.Printf("%s\t%.3f\t%.2f\t%s\n", name, ratio, target, verdict)
}

func note(format string, values ...any) { fmt.Printf("# "+format+"\n", values...) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// processor names the machine's, where Linux tells.
func processor() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for l := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
