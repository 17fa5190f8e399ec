package embed

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"jobstrom/models/repository"
)

func TestTune(t *testing.T) {
	dir := newRepository(t, "bert/mean", repository.Options{})
	done, of := 0, 0
	o := TuneOptions{Encoder: Options{ModelDir: dir, Threads: 2, Workers: 3, BatchTokens: 64}, Texts: texts(t)[:6], Measure: 10 * time.Millisecond, Rounds: 3}
	o.Progress = func(now, all int) {
		if now != done+1 || of != 0 && all != of {
			t.Errorf("progress %d of %d after %d of %d", now, all, done, of)
		}
		done, of = now, all
	}
	tuned, err := Tune(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if done != of || done == 0 {
		t.Errorf("%d of %d measurements were told", done, of)
	}
	if len(tuned) < 3 || !tuned[0].Best {
		t.Errorf("%+v: the best must come first", tuned)
	}
	current := slices.IndexFunc(tuned, func(c Tuned) bool { return c.Current })
	if current < 0 {
		t.Fatalf("%+v: the settings in use are missing", tuned)
	}
	if c := tuned[current]; c.Threads != 2 || c.Workers != 3 || c.BatchTokens != 64 || c.Ratio != 1 || c.Least != 1 || c.Most != 1 {
		t.Errorf("the settings in use are %+v", c)
	}
	for _, c := range tuned {
		if c.Throughput <= 0 || c.Alone <= 0 || c.Least > c.Ratio || c.Ratio > c.Most {
			t.Errorf("measured %+v", c)
		}
	}
}

func TestTuneRefuses(t *testing.T) {
	_, err := Tune(t.Context(), TuneOptions{Encoder: Options{Threads: -1}, Measure: time.Hour, Rounds: -1})
	for _, want := range []string{"Threads (-1)", "Texts is empty", "Measure (1h0m0s)", "Rounds (-1)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %s", err, want)
		}
	}
	if _, err := Tune(t.Context(), TuneOptions{Encoder: Options{ModelDir: t.TempDir()}, Texts: []string{"a"}}); err == nil || errors.Is(err, ErrClosed) {
		t.Errorf("an empty folder gives %v", err)
	}
}

// Of those about as fast as the fastest the one is best that answers a text alone soonest; the one in use is never left out.
func TestChoose(t *testing.T) {
	c := func(threads int, ratio float64, alone time.Duration, current bool) *candidate {
		return &candidate{Tuned: Tuned{Threads: threads, Current: current}, rates: []float64{10 * ratio}, ratios: []float64{ratio}, alone: []time.Duration{alone}}
	}
	sorted := []*candidate{c(1, 1.2, 50, false), c(2, 1.19, 30, false), c(4, 1.1, 10, false), c(8, 1.05, 5, false), c(16, 1, 60, true)}
	if kept := keepFaster(slices.Clone(sorted)); len(kept) != 3 || kept[0] != sorted[0] || kept[1] != sorted[1] || !kept[2].Current {
		t.Errorf("kept %v", kept)
	}
	tuned := choose(sorted)
	if len(tuned) != 5 || tuned[0].Threads != 2 || !tuned[0].Best || tuned[1].Threads != 1 || tuned[1].Best {
		t.Errorf("chose %+v", tuned)
	}
}
