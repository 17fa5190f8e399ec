package trainer

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Interval bounds a figure.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// BootstrapOptions says how confidence intervals are found.
type BootstrapOptions struct {
	// Resamples counts how often as many vacancies are drawn, with replacement. Default: 1,000.
	Resamples int
	// Level is how much an interval holds of the resamples' figures. Default: 0.95.
	Level float64
	// Seed decides the draws.
	Seed uint64
}

// EnsureDefaults fills the zero fields.
func (o *BootstrapOptions) EnsureDefaults() {
	if o.Resamples == 0 {
		o.Resamples = 1000
	}
	if o.Level == 0 {
		o.Level = .95
	}
}

// Bootstrap returns percentile intervals of the figures of Evaluate, by their names in Evaluation.Metrics.
// The same seed gives the same intervals. It returns nothing without vacancies.
func Bootstrap(probabilities [][]float32, truth []int, k int, o BootstrapOptions) map[string]Interval {
	o.EnsureDefaults()
	if len(truth) == 0 {
		return nil
	}
	all := outcomes(probabilities, truth)
	drawn := map[string][]float64{}
	positions := make([]int, len(all))
	random := rand.New(rand.NewPCG(o.Seed, 1))
	for range o.Resamples {
		for i := range positions {
			positions[i] = random.IntN(len(all))
		}
		e := tally(all, k, positions)
		for _, f := range []struct {
			name  string
			value float64
		}{
			{"top1", e.Top1}, {"top3", e.Top3}, {"balanced_accuracy", e.Balanced}, {"macro_f1", e.MacroF1}, {"weighted_f1", e.WeightedF1},
			{"micro_f1", e.MicroF1}, {"log_loss", e.LogLoss}, {"brier", e.Brier}, {"ece", e.ECE},
		} {
			drawn[f.name] = append(drawn[f.name], f.value)
		}
	}
	intervals := map[string]Interval{}
	for name, values := range drawn {
		slices.Sort(values)
		intervals[name] = Interval{Low: percentile(values, (1-o.Level)/2), High: percentile(values, (1+o.Level)/2)}
	}
	return intervals
}

// percentile interpolates linearly between the two nearest of the sorted values, as numpy does.
func percentile(sorted []float64, share float64) float64 {
	at := share * float64(len(sorted)-1)
	below := int(math.Floor(at))
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}
