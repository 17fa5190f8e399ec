package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"jobstrom/bench/figures"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

// recipeOptions says how much is measured beside the reference recipe.
type recipeOptions struct{ rows, dim, seeds, draws int }

// validate reports every violation at once, those of the other flags too.
func (o recipeOptions) validate(part string, rows, dim int) error {
	errs := []error{parts.Check(part)}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(rows >= len(counts), "-rows (%d) must be >= %d", rows, len(counts))
	check(dim >= 1, "-dim (%d) must be >= 1", dim)
	check(o.rows >= 1000, "-recipe-rows (%d) must be >= 1000", o.rows)
	check(o.dim >= 1, "-recipe-dim (%d) must be >= 1", o.dim)
	check(o.seeds >= 1, "-recipe-seeds (%d) must be >= 1", o.seeds)
	check(o.draws >= 1, "-recipe-draws (%d) must be >= 1", o.draws)
	return errors.Join(errs...)
}

// method is a way to train.
type method struct {
	name string
	// options sets it, for so many vacancies to train on.
	options func(o *trainer.RunOptions, train int)
	// reference leaves the temperature at 1: the recipe does not calibrate.
	reference bool
}

// The reference recipe: a linear layer, AdamW, cross-entropy, no class weights, no penalty to choose, no centring, no calibration.
var reference = trainer.Setting{Method: trainer.MethodAdamW, ClassWeights: trainer.WeightsNone, LearningRate: 1e-3, Batch: 512, Epochs: 15, Decay: .01}

// referenceSteps is how many steps it takes on 457,824 vacancies of which 70 % are trained on.
const referenceSteps = 15 * 626

// methods are compared in this order: two references, and three of ours.
var methods = []method{
	{"reference", func(o *trainer.RunOptions, _ int) {
		o.Settings = []trainer.Setting{reference}
	}, true},
	// On a small history 15 epochs are few steps. This one shows what the recipe lacks beyond patience.
	{"reference, longer", func(o *trainer.RunOptions, train int) {
		longer, steps := reference, (train+reference.Batch-1)/reference.Batch
		longer.Epochs = max(reference.Epochs, (referenceSteps+steps-1)/steps)
		o.Settings = []trainer.Setting{longer}
	}, true},
	{"default", func(*trainer.RunOptions, int) {}, false}, // its class weights are effective
	{"no weights", func(o *trainer.RunOptions, _ int) { o.Settings = weighted(trainer.WeightsNone) }, false},
	{"balanced", func(o *trainer.RunOptions, _ int) { o.Settings = weighted(trainer.WeightsBalanced) }, false},
}

// weighted is the default with other class weights.
func weighted(weights string) (all []trainer.Setting) {
	for _, l2 := range trainer.DefaultL2s() {
		all = append(all, trainer.Setting{Method: trainer.MethodLBFGS, ClassWeights: weights, L2: l2})
	}
	return all
}

const references = 2 // of the methods

// contest is what the methods say of the same test vacancies: those of every run, taken together.
type contest struct {
	truth []int
	// probabilities are by method, then by vacancy.
	probabilities [][][]float32
	// Of the last run: vacancies trained on, those of the rarest category among them, epochs of the longer reference.
	train, rarest, epochs int
}

// run trains by every method on one history, whose rarest category is first, and adds what they say of its test part.
func (c *contest) run(ctx context.Context, rows []trainer.Row, first int, o trainer.RunOptions) error {
	if c.probabilities == nil {
		c.probabilities = make([][][]float32, len(methods))
	}
	categories, groups := make([]int, len(rows)), make([]string, len(rows))
	for i, r := range rows {
		categories[i], groups[i] = r.Category, r.Group
	}
	o.EnsureDefaults()
	split, err := trainer.SplitExamples(categories, groups, o.Validation, o.Test, o.Seed)
	if err != nil {
		return err
	}
	c.train, c.rarest = len(split.Train), 0
	for _, i := range split.Train {
		if categories[i] == first {
			c.rarest++
		}
	}
	var ids []string
	for m, way := range methods {
		o := o
		way.options(&o, c.train)
		if way.reference {
			c.epochs = o.Settings[0].Epochs
			if m > 0 && c.epochs == reference.Epochs { // the history is long enough
				c.probabilities[m] = append(c.probabilities[m], c.probabilities[m-1][len(c.probabilities[m]):]...)
				continue
			}
		}
		fmt.Fprintf(os.Stderr, "seed %d: %s\n", o.Seed, way.name)
		r, err := trainer.Run(ctx, history(rows), o)
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		defer r.Close()
		if ids == nil {
			ids, c.truth = r.TestPart.IDs, append(c.truth, r.TestPart.Categories...)
		}
		if !slices.Equal(ids, r.TestPart.IDs) || r.Train != c.train {
			return fmt.Errorf("%s was tested on other vacancies than %s", way.name, methods[0].name)
		}
		said := r.TestPart.Probabilities
		if way.reference {
			said = trainer.Probabilities(trainer.Scores(r.Classifier, r.TestPart.Vectors), 1)
		}
		c.probabilities[m] = append(c.probabilities[m], said...)
	}
	return nil
}

// history streams rows.
func history(rows []trainer.Row) trainer.History {
	return func(yield func(trainer.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// rarest is how many categories count as the rarest ones.
const rarest = 5

// report prints the methods side by side, and ours over the references. Categories come rarest first.
func (c *contest) report(part string, order []int, runs int) {
	figures.Note("%s %s/%s, %d cores; runs %d, each trained on %d vacancies, %d of the rarest category; tested on %d in all, %d of the rarest category and %d of the %d rarest",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runs, c.train, c.rarest, len(c.truth), c.support(order[:1]), c.support(order[:rarest]), rarest)
	figures.Note("reference: AdamW %g, batches of %d, %d epochs (%d steps), no class weights, no calibration; longer: %d epochs, the steps that it takes on 457,824 vacancies",
		reference.LearningRate, reference.Batch, reference.Epochs, reference.Epochs*((c.train+reference.Batch-1)/reference.Batch), c.epochs)
	figures.Note("%-18s %9s %14s %17s %7s %9s %9s", "method", "macro F1", "rarest recall", "5 rarest, recall", "top-1", "balanced", "log loss")
	all := make([]score, len(methods))
	for m, way := range methods {
		all[m] = c.score(m, order)
		f := all[m]
		figures.Note("%-18s %9.3f %14.3f %17.3f %7.3f %9.3f %9.3f", way.name, f.MacroF1, f.rarest, f.fewest, f.Top1, f.Balanced, f.LogLoss)
	}
	for m := references; m < len(methods); m++ {
		for r := range references {
			ratio, gain := all[m].MacroF1/all[r].MacroF1, all[m].rarest-all[r].rarest
			figures.AtLeast(fmt.Sprintf("%s: macro F1, %s / %s", part, methods[m].name, methods[r].name), ratio, 1)
			figures.Line(fmt.Sprintf("%s: recall of the rarest category, %s − %s", part, methods[m].name, methods[r].name), gain, 0, gain > 0)
		}
	}
}

// score is what a method achieves.
type score struct {
	trainer.Evaluation
	// rarest is the recall of the rarest category, fewest the mean recall of the five rarest.
	rarest, fewest float64
}

func (c *contest) score(m int, order []int) score {
	f := score{Evaluation: trainer.Evaluate(c.probabilities[m], c.truth, len(order))}
	f.rarest = f.Categories[order[0]].Recall
	occur := 0
	for _, k := range order[:rarest] {
		if f.Categories[k].Support > 0 {
			f.fewest += f.Categories[k].Recall
			occur++
		}
	}
	f.fewest /= float64(max(occur, 1))
	return f
}

// support counts the test vacancies of categories.
func (c *contest) support(categories []int) int {
	n := 0
	for _, k := range c.truth {
		if slices.Contains(categories, k) {
			n++
		}
	}
	return n
}

// synthetic compares the methods on the examples of part speed, which are as imbalanced as the real history.
func synthetic(ctx context.Context, o recipeOptions) error {
	dir, remove, err := exampleFolder(o.rows, o.dim)
	if err != nil {
		return err
	}
	defer remove()
	e, err := readExamples(dir, o.dim)
	if err != nil {
		return err
	}
	rows, order := make([]trainer.Row, e.Len()), make([]int, len(counts))
	for i := range rows {
		rows[i] = trainer.Row{Vector: e.Vectors[i], Category: e.Categories[i], ID: fmt.Sprint(i)}
	}
	for k := range order {
		order[k] = k
	}
	figures.Note("the reference recipe and ours on a synthetic history of %d × %d, in the shares of the real one", o.rows, o.dim)
	var c contest
	for seed := range o.seeds {
		if err := c.run(ctx, rows, order[0], trainer.RunOptions{Encoder: "synthetic", Taxonomy: schemas.Jobnet(), Seed: uint64(seed + 1)}); err != nil {
			return err
		}
	}
	c.report(partSynthetic, order, o.seeds)
	return nil
}
