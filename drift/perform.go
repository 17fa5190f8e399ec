package drift

import "jobstrom/drift/performance"

// Performance of a window's predictions.
type Performance struct {
	// Estimated is what their probabilities promise, without any label.
	Estimated performance.Estimation `json:"estimated"`
	// Labelled is what the labels say that have come; nil when none has.
	Labelled *performance.Accuracy `json:"labelled,omitempty"`
}

// level of the intervals.
const level = .95

// perform returns the performance of the predictions, nil without any.
func (f *frame) perform(blocks [][]int, seed uint64) (*Performance, error) {
	p := f.predictions
	if len(p.predicted) == 0 {
		return nil, nil
	}
	of := make([]int, f.rows)
	for block, rows := range blocks {
		for _, i := range rows {
			of[i] = block
		}
	}
	bursts, right, labelled := make([]int, len(p.of)), 0, 0
	for j, i := range p.of {
		bursts[j] = of[i]
		if p.right[j] != nil {
			labelled++
			if *p.right[j] {
				right++
			}
		}
	}
	estimated, err := performance.Estimate(p.probabilities, p.predicted, bursts, performance.Options{Level: level, Seed: seed})
	if err != nil {
		return nil, err
	}
	found := &Performance{Estimated: estimated}
	if labelled > 0 {
		accuracy, err := performance.Labelled(right, labelled, level)
		if err != nil {
			return nil, err
		}
		found.Labelled = &accuracy
	}
	return found, nil
}
