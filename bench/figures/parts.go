package figures

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Parts are the names of what a program measures, in the order of their output.
type Parts []string

// Usage is what --help says of the flag that chooses one.
func (p Parts) Usage() string { return "measure this part only: " + strings.Join(p, ", ") }

// Check returns an error unless the part is one of them, or empty, which means all.
func (p Parts) Check(part string) error {
	if part != "" && !slices.Contains(p, part) {
		return fmt.Errorf("-part is %q: use one of %s", part, strings.Join(p, ", "))
	}
	return nil
}

// Measure measures the part, or all of them when it is empty, and notes how long each took. A part without a function is left out.
func (p Parts) Measure(ctx context.Context, part string, measure map[string]func(context.Context) error) error {
	for _, name := range p {
		if measure[name] == nil || part != "" && part != name {
			continue
		}
		began := time.Now()
		if err := measure[name](ctx); err != nil {
			return fmt.Errorf("measuring %s: %w", name, err)
		}
		Note("part %s took %.0f s", name, time.Since(began).Seconds())
	}
	return nil
}
