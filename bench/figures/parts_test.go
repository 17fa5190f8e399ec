package figures

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestMeasure(t *testing.T) {
	parts := Parts{"speed", "memory", "on demand"}
	for _, c := range []struct {
		part     string
		measured []string
	}{
		{"", []string{"speed", "memory"}},
		{"memory", []string{"memory"}},
		{"on demand", nil},
	} {
		var measured []string
		of := func(name string) func(context.Context) error {
			return func(context.Context) error { measured = append(measured, name); return nil }
		}
		if err := parts.Measure(t.Context(), c.part, map[string]func(context.Context) error{"memory": of("memory"), "speed": of("speed")}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(measured, c.measured) {
			t.Errorf("part %q measures %q, want %q", c.part, measured, c.measured)
		}
	}
}

func TestMeasureEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	err := Parts{"speed", "memory"}.Measure(t.Context(), "", map[string]func(context.Context) error{
		"speed":  func(context.Context) error { return broken },
		"memory": func(context.Context) error { t.Error("memory was measured after speed failed"); return nil },
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "measuring speed") {
		t.Errorf("the error is %v", err)
	}
}

func TestCheckNamesTheParts(t *testing.T) {
	parts := Parts{"speed", "memory"}
	for _, part := range []string{"", "speed", "memory"} {
		if err := parts.Check(part); err != nil {
			t.Errorf("%q: %v", part, err)
		}
	}
	if err := parts.Check("sped"); err == nil || !strings.Contains(err.Error(), `"sped"`) || !strings.Contains(err.Error(), "speed, memory") {
		t.Errorf("the error is %v", err)
	}
}
