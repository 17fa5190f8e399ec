package trainer

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"jobstrom/schemas"
)

// OutOfFold scores every vector by a classifier that was fitted without its fold. fit gets the positions
// to train on and returns a classifier; folds are as Folds gives them.
func OutOfFold(ctx context.Context, vectors [][]float32, folds []int, fit func(ctx context.Context, train []int) (*schemas.Classifier, error)) ([][]float64, error) {
	k := 0
	for _, f := range folds {
		k = max(k, f+1)
	}
	scores := make([][]float64, len(vectors))
	for fold := range k {
		var train, held []int
		for i, f := range folds {
			if f == fold {
				held = append(held, i)
			} else {
				train = append(train, i)
			}
		}
		c, err := fit(ctx, train)
		if err != nil {
			return nil, fmt.Errorf("fold %d of %d: %w", fold+1, k, err)
		}
		for i, row := range Scores(c, pick(vectors, held)) {
			scores[held[i]] = row
		}
	}
	return scores, nil
}

// CrossValidateOptions says how examples are divided into folds and fitted.
type CrossValidateOptions struct {
	// Folds counts them. Default: 5.
	Folds int
	// Seed decides which example is in which.
	Seed uint64
	// Fit says how the classifier without a fold is fitted.
	Fit Options
	// Progress, where given, is called when so many folds are fitted.
	Progress func(done, folds int)
}

// EnsureDefaults fills the zero fields.
func (o *CrossValidateOptions) EnsureDefaults() {
	if o.Folds == 0 {
		o.Folds = 5
	}
	o.Fit.EnsureDefaults()
}

// Validate reports every violation at once.
func (o CrossValidateOptions) Validate() error {
	var errs []error
	if o.Folds < 2 {
		errs = append(errs, fmt.Errorf("Folds (%d) must be >= 2", o.Folds))
	}
	return errors.Join(append(errs, o.Fit.Validate())...)
}

// Fold is how good the classifier without a fold is on it.
type Fold struct {
	// Train counts the examples that were fitted, Held those of the fold.
	Train      int        `json:"train"`
	Held       int        `json:"held"`
	Evaluation Evaluation `json:"evaluation"`
}

// CrossValidation is what is predicted for each example by a classifier that was fitted without its fold.
type CrossValidation struct {
	Folds []Fold `json:"folds"`
	// Evaluation is that of all examples. Its probabilities, like those of the folds, are at temperature 1: a temperature that was fitted to
	// the scores would have seen what it is judged by.
	Evaluation Evaluation `json:"evaluation"`
	// Mean and Spread are the folds' figures by their names in Evaluation.Metrics: the mean and the standard deviation, each
	// fold counted alike. The folds share most of what they train on, so the spread is no confidence interval.
	Mean   map[string]float64 `json:"mean"`
	Spread map[string]float64 `json:"spread"`
	// Scores holds the scores of each example, its offsets included.
	Scores [][]float64 `json:"-"`
}

// CrossValidate fits without each of several folds, which are stratified and divide no group, and evaluates the fit on it.
// Examples that nothing can be learned from, or whose groups do not fill the folds, give an error that wraps ErrExamples.
func CrossValidate(ctx context.Context, e Examples, o CrossValidateOptions) (*CrossValidation, error) {
	o.EnsureDefaults()
	v, err := crossValidate(ctx, e, o)
	if err != nil {
		return nil, fmt.Errorf("cross-validating: %w", err)
	}
	return v, nil
}

func crossValidate(ctx context.Context, e Examples, o CrossValidateOptions) (*CrossValidation, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := e.validate(o.Fit.Categories); err != nil {
		return nil, err
	}
	folds, err := Folds(e.Categories, e.Groups, o.Folds, o.Seed)
	if err != nil {
		return nil, err
	}
	held := make([][]int, o.Folds)
	for i, f := range folds {
		held[f] = append(held[f], i)
	}
	for f, positions := range held {
		if len(positions) == 0 {
			return nil, fmt.Errorf("%w: fold %d of %d is empty; more examples, more groups or fewer folds are needed", ErrExamples, f+1, o.Folds)
		}
	}
	done := 0
	v := &CrossValidation{Mean: map[string]float64{}, Spread: map[string]float64{}}
	v.Scores, err = OutOfFold(ctx, e.Vectors, folds, func(ctx context.Context, train []int) (*schemas.Classifier, error) {
		c, err := Fit(ctx, e.Select(train), o.Fit)
		if done++; err == nil && o.Progress != nil {
			o.Progress(done, o.Folds)
		}
		return c, err
	})
	if err != nil {
		return nil, err
	}
	for i := range e.Offsets {
		floats.Add(v.Scores[i], e.Offsets[i])
	}
	probabilities := Probabilities(v.Scores, 1)
	v.Evaluation = Evaluate(probabilities, e.Categories, o.Fit.Categories)
	figures := map[string][]float64{}
	for _, positions := range held {
		fold := Fold{Train: e.Len() - len(positions), Held: len(positions)}
		fold.Evaluation = Evaluate(pick(probabilities, positions), pick(e.Categories, positions), o.Fit.Categories)
		v.Folds = append(v.Folds, fold)
		for name, figure := range fold.Evaluation.Metrics() {
			figures[name] = append(figures[name], figure)
		}
	}
	for name, all := range figures {
		v.Mean[name], v.Spread[name] = stat.MeanStdDev(all, nil)
	}
	return v, nil
}

// Text renders the folds, their mean and spread, and all examples together for people.
func (v CrossValidation) Text() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"fold", "train", "held out", "top-1", "top-3", "balanced", "macro F1", "log loss", "Brier", "calibration error"})
	t.SetColumnConfigs(numbers(2, 3, 4, 5, 6, 7, 8, 9, 10))
	row := func(name string, train, held any, metrics map[string]float64) table.Row {
		r := table.Row{name, train, held}
		for _, figure := range []string{"top1", "top3", "balanced_accuracy", "macro_f1", "log_loss", "brier", "ece"} {
			r = append(r, fmt.Sprintf("%.3f", metrics[figure]))
		}
		return r
	}
	for f, fold := range v.Folds {
		t.AppendRow(row(strconv.Itoa(f+1), fold.Train, fold.Held, fold.Evaluation.Metrics()))
	}
	t.AppendSeparator()
	t.AppendRow(row("mean", "", "", v.Mean))
	t.AppendRow(row("spread", "", "", v.Spread))
	t.AppendRow(row("all", "", v.Evaluation.N, v.Evaluation.Metrics()))
	return t.Render()
}
