package trainer

import (
	"context"
	"fmt"
	"math"

	"jobstrom/schemas"
)

// choose fits the candidates and takes the one with the lowest log loss on the validation part.
func (r *Result) choose(ctx context.Context, train, validation Examples, o RunOptions) error {
	k, fits, number := len(o.Taxonomy.Categories), len(o.L2s), 0
	fit := o.fit()
	fit.Progress = func(iteration int, _ float64) {
		o.Progress(fmt.Sprintf("fitting %d of %d", number, fits), iteration, 0)
	}
	best := math.Inf(1)
	judge := func(setting string, c *schemas.Classifier, curve Curve) {
		scores := Scores(c, validation.Vectors)
		temperature := Temperature(scores, validation.Categories)
		c.Temperature = float32(temperature)
		held := Evaluate(Probabilities(scores, temperature), validation.Categories, k)
		r.Candidates = append(r.Candidates, Candidate{Setting: setting, LogLoss: held.LogLoss, Top1: held.Top1, Top3: held.Top3})
		r.Curves = append(r.Curves, curve)
		if held.LogLoss < best {
			best, r.Classifier = held.LogLoss, c
		}
	}
	if o.Method == MethodAdamW {
		number, fits = 1, 1
		c, curve, err := FitEpochs(ctx, train.Epochs(o.Seed), fit)
		if err != nil {
			return err
		}
		judge(fmt.Sprintf("AdamW %s", c.Training["learning_rate"]), c, curve)
		return nil
	}
	f, err := NewFitter(train, fit)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, l2 := range o.L2s {
		number++
		c, curve, err := f.Fit(ctx, l2)
		if err != nil {
			return err
		}
		judge(fmt.Sprintf("L2 %g", l2), c, curve)
	}
	return nil
}
