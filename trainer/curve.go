package trainer

import "math"

// Point is a fit after one iteration of L-BFGS or one epoch of AdamW.
type Point struct {
	// Step counts iterations or epochs. 0 is the start, which AdamW does not evaluate.
	Step int `json:"step"`
	// Loss is the objective's of L-BFGS, and the epoch's mean over its batches, before each was learned from, of AdamW.
	Loss float64 `json:"loss"`
	// Gradient is its largest component of L-BFGS, and the mean length of the batches' gradients of AdamW.
	Gradient float64 `json:"gradient"`
	// Seconds have passed since the start.
	Seconds float64 `json:"seconds"`
	// Evaluations count passes over the examples, those on a sample aside.
	Evaluations int `json:"evaluations"`
}

// Curve says how a fit went.
type Curve struct {
	Points []Point `json:"points"`
	// Gradients counts the gradients of all steps (of AdamW: of all batches) by length.
	Gradients Histogram `json:"gradients"`
	// Stopped says why: "gradient" (small enough), "iterations" or "epochs" (no more allowed), "rounding" (as good as
	// rounding allows).
	Stopped string `json:"stopped"`
}

// Histogram counts values by their decimal logarithm, four bins a decade from 1e-12 to 1e4; what lies outside is in the
// first or last.
type Histogram struct {
	Counts [64]int `json:"counts"`
}

// Add counts a value.
func (h *Histogram) Add(v float64) {
	at := math.Floor((math.Log10(v) + 12) * 4)
	h.Counts[int(math.Max(0, math.Min(at, float64(len(h.Counts)-1))))]++
}

// Bounds returns the values between which bin i counts.
func (h *Histogram) Bounds(i int) (low, high float64) {
	return math.Pow(10, float64(i)/4-12), math.Pow(10, float64(i+1)/4-12)
}
