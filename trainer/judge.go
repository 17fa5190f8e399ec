package trainer

import (
	"context"
	"fmt"
)

// WithoutEach is how good classifiers are on the one vacancy of the history that each of them has not seen.
type WithoutEach struct {
	// Evaluation is at temperature 1, like that of a CrossValidation.
	Evaluation Evaluation `json:"evaluation"`
	// Corrected, Refitted and Correction are those of LeftOut.
	Corrected  int     `json:"corrected"`
	Refitted   int     `json:"refitted"`
	Correction float64 `json:"correction"`
}

// Text renders it for people.
func (w WithoutEach) Text() string {
	e := w.Evaluation
	return fmt.Sprintf("each vacancy left out: top-1 %.3f, top-3 %.3f, macro F1 %.3f, log loss %.4f (%d vacancies; %d corrected, %d fitted anew)",
		e.Top1, e.Top3, e.MacroF1, e.LogLoss, e.N, w.Corrected, w.Refitted)
}

// judge holds out in turn what is asked for, and evaluates the best setting on it.
func (r *Result) judge(ctx context.Context, all Examples, o RunOptions) (err error) {
	sweep := o.sweep()
	sweep.EnsureDefaults()
	fit := sweep.fit(r.Trials[0].Setting, sweep.Threads)
	if o.Folds > 0 {
		grouped := all
		if o.Split == ByVacancy {
			grouped.Groups = nil
		}
		o.Progress("cross-validating", 0, o.Folds)
		r.CrossValidation, err = CrossValidate(ctx, grouped, CrossValidateOptions{
			Folds: o.Folds, Seed: o.Seed, Fit: fit, Progress: func(done, folds int) { o.Progress("cross-validating", done, folds) },
		})
		if err != nil {
			return err
		}
	}
	if !o.LeaveOneOut {
		return nil
	}
	fit.Tolerance = o.Tolerance // the function's own default is smaller
	const million = 1_000_000   // multiplications, too many to count on a bar
	left, err := LeaveOneOut(ctx, all, LeaveOneOutOptions{Fit: fit, Memory: o.Memory / 2, Progress: func(phase string, done, total int64) {
		o.Progress("leaving one out", int(done/million), int(total/million))
	}})
	if err != nil {
		return err
	}
	r.WithoutEach = &WithoutEach{
		Evaluation: Evaluate(Probabilities(left.Scores, 1), all.Categories, len(o.Taxonomy.Categories)),
		Corrected:  left.Corrected, Refitted: left.Refitted, Correction: left.Correction,
	}
	return nil
}
