// Package figures prints what the programs of bench measure: one tab-separated line a figure, with its name, its value, its target, and ok or short. Lines that begin with # say what
// was measured and where.
package figures

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// AtLeast prints a value that must reach its target.
func AtLeast(name string, value, target float64) { Line(name, value, target, value >= target) }

// AtMost prints a value that must not exceed its target.
func AtMost(name string, value, target float64) { Line(name, value, target, value <= target) }

// Line prints a value that is ok by a rule of its own.
func Line(name string, value, target float64, ok bool) {
	verdict := "short"
	if ok {
		verdict = "ok"
	}
	fmt.Printf("%s\t%.4g\t%.4g\t%s\n", name, value, target, verdict)
}

// Note prints a line that says what was measured.
func Note(format string, values ...any) { fmt.Printf("# "+format+"\n", values...) }

// Quantile returns the value that a share of the sorted values is below. There must be at least one.
func Quantile(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// Median returns the value in the middle.
func Median(values []float64) float64 { return Quantile(values, .5) }

// Processor names the machine's, where Linux tells.
func Processor() string {
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
