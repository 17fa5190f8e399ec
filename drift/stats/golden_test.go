package stats

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// figure is a number of a golden: JSON has no infinity.
type figure float64

func (f *figure) UnmarshalJSON(data []byte) error {
	if string(data) == `"Inf"` {
		*f = figure(math.Inf(1))
		return nil
	}
	return json.Unmarshal(data, (*float64)(f))
}

// column is what Evidently's own choice says of a golden.
type column struct {
	Test             string
	Score, Threshold figure
	Drifted          bool
}

// golden reads what testdata/make_goldens.py wrote.
func golden[Case any](t *testing.T, path string) []Case {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []Case
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s holds no case", path)
	}
	return cases
}

// near says whether two figures agree to a relative 1e-6, or to 1e-12 where both are nearly 0, or are both infinite: tails of distributions count, too.
func near(got, want float64) bool {
	return got == want || math.Abs(got-want) <= 1e-6*math.Abs(want)+1e-12
}

// checkFigures wants each figure of a golden to be computed, each that is computed to be in the golden, and both to be near.
func checkFigures(t *testing.T, got map[string]float64, want map[string]figure) {
	t.Helper()
	for name, w := range want {
		g, ok := got[name]
		switch {
		case !ok:
			t.Errorf("%s is not computed", name)
		case !near(g, float64(w)):
			t.Errorf("%s is %v, want %v", name, g, float64(w))
		}
	}
}

func checkColumn(t *testing.T, got Column, want column) {
	t.Helper()
	if got.Test != want.Test || !near(got.Score, float64(want.Score)) || got.Threshold != float64(want.Threshold) || got.Drifted != want.Drifted {
		t.Errorf("the preset says %+v, want %+v", got, want)
	}
}
