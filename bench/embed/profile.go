package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"jobstrom/bench/figures"
)

// profiles are those of the rounds.
type profiles []*bytes.Buffer

// next returns where the next round's goes.
func (p *profiles) next() io.Writer {
	*p = append(*p, &bytes.Buffer{})
	return (*p)[len(*p)-1]
}

// write joins the profiles in a file and prints the packages' shares.
func (p profiles) write(path string) error {
	var parsed []*profile.Profile
	for _, buffer := range p {
		one, err := profile.Parse(buffer)
		if err != nil {
			return fmt.Errorf("reading the profile: %w", err)
		}
		parsed = append(parsed, one)
	}
	all, err := profile.Merge(parsed)
	if err != nil {
		return fmt.Errorf("joining profiles: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := all.Write(f); err != nil {
		return err
	}
	times, sum := map[string]int64{}, int64(0)
	for _, s := range all.Sample {
		at := s.Value[len(s.Value)-1] // nanoseconds
		times[owner(s)] += at
		sum += at
	}
	for _, name := range slices.SortedFunc(maps.Keys(times), func(a, b string) int { return cmp.Compare(times[b], times[a]) }) {
		if share := 100 * float64(times[name]) / float64(sum); share >= .1 {
			figures.Note("profile: %5.1f %% %s", share, name)
		}
	}
	return f.Close()
}

// owner returns who a sample's time is spent for: of the packages on its stack the innermost that is not part of Go.
func owner(s *profile.Sample) string {
	var names []string // packages, innermost first
	for _, l := range s.Location {
		for _, line := range l.Line {
			switch {
			case line.Function == nil:
			case strings.HasPrefix(line.Function.Name, "runtime.gcBgMarkWorker"):
				return "garbage collection"
			case line.Function.Name == "runtime._ExternalCode":
				return "C without a stack: what ONNX Runtime and the tokenizer copy and allocate"
			default:
				names = append(names, packageOf(line.Function.Name))
			}
		}
	}
	for _, name := range names {
		if first, _, _ := strings.Cut(name, "/"); strings.Contains(first, ".") || first == "jobstrom" {
			return name
		}
	}
	if len(names) > 0 {
		return names[len(names)-1]
	}
	return "no stack"
}

// packageOf cuts a function's name.
func packageOf(function string) string {
	slash := strings.LastIndex(function, "/") + 1
	end := strings.Index(function[slash:], ".")
	if end < 0 {
		return function
	}
	return function[:slash+end]
}
