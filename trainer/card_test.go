package trainer

import (
	"math"
	"testing"
	"time"

	"jobstrom/schemas"
)

func TestBaseline(t *testing.T) {
	b := baseline(Examples{Vectors: [][]float32{{1, 2}, {3, 2}, {5, 2}, {7, 2}}, Categories: []int{0, 2, 2, 2}}, 3)
	if b.Rows != 4 || b.Mean[0] != 4 || b.Mean[1] != 2 || b.Variance[0] != 5 || b.Variance[1] != 0 || b.Shares[0] != .25 || b.Shares[1] != 0 || b.Shares[2] != .75 {
		t.Errorf("got %v", b)
	}
	if b := baseline(Examples{}, 3); b.Rows != 0 || len(b.Mean) != 0 {
		t.Errorf("of nothing: %v", b)
	}
}

func TestCompleteCard(t *testing.T) {
	o := RunOptions{Seed: 7, Taxonomy: &schemas.Taxonomy{Categories: make([]schemas.Category, 2)}}
	r := &Result{Train: 3, Validation: 2, Test: 1, Evaluation: Evaluate([][]float32{{.95, .05}}, []int{0}, 2)}
	given := &schemas.Card{EncoderName: "small", History: &schemas.TrainingHistory{Source: "jobnet"}}
	c := completeCard(given, o, r, Examples{Vectors: [][]float32{{1}}, Categories: []int{1}}, []time.Time{time.Unix(9, 0), {}, time.Unix(3, 0), time.Unix(5, 0)})
	if c.History.First.Seconds != 3 || c.History.Last.Seconds != 9 {
		t.Errorf("history from %v to %v", c.History.First, c.History.Last)
	}
	if c.EncoderName != "small" || c.History.Source != "jobnet" || c.History.Rows != 6 || c.Split.Seed != 7 || c.Split.Validation != 2 || c.Baseline.Shares[1] != 1 {
		t.Errorf("got %v", c)
	}
	if last := c.Calibration.Bins[9]; len(c.Calibration.Bins) != 10 || last.Count != 1 || last.Accuracy != 1 || math.Abs(c.Calibration.Ece-.05) > 1e-6 {
		t.Errorf("calibration is %v", c.Calibration)
	}
	if given.Split != nil || completeCard(nil, o, r, Examples{}, nil).History.Rows != 6 {
		t.Error("what was given has changed, or nothing given is no card")
	}
}
