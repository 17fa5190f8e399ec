package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"jobstrom/schemas"
	"jobstrom/trainer"
	"jobstrom/warehouse"
)

// training is what jobstrom train is asked for beside its report.
type training struct {
	filter                                       warehouse.HistoryFilter
	run                                          trainer.RunOptions
	out, since, until, source, splitFrom, memory string
	origin                                       string
	profile, promote                             string
	method, weights, sweep, journal              string
	l2s                                          []float64
	walk                                         trainer.AdamW
	seed                                         uint64
	dry                                          bool
	cause                                        string // what asked for it, where that was no person
}

// because begins the reason that the registry keeps.
func (t *training) because() string {
	if t.cause == "" {
		return "trained; "
	}
	return "trained because of " + t.cause + "; "
}

func (t *training) flags(cmd *cobra.Command) {
	f, o := cmd.Flags(), &t.run
	f.StringVar(&t.out, "out", "", "`file` of the classifier (default models/<id>.bin in the data folder)")
	f.StringVar(&t.since, "since", "", "first `day` of the history, like 2026-01-31 (default all)")
	f.StringVar(&t.until, "until", "", "`day` before which the history ends (default all)")
	f.StringVar(&t.source, "source", "", "only vacancies from this `source` (default all)")
	originFlag(cmd, &t.origin, "train on what `origin` answered: stream, api (feedback to the API) or all")
	f.Uint64Var(&t.seed, "seed", 1, "decides the split and every other draw")
	f.StringVar(&o.Split, "split", trainer.ByEmployer, "divide the history by employer (no employer in two parts), vacancy, or time (the newest are tested on)")
	f.Float64Var(&o.Validation, "validation", .15, "`share` of the history that settings are chosen by")
	f.Float64Var(&o.Test, "test", .15, "`share` of the history that the classifier is evaluated on")
	f.StringVar(&t.splitFrom, "split-from", "", "divide the history as an earlier training did: its .split.csv.gz `file`")
	f.StringVar(&t.memory, "memory", "4GiB", "`bytes` that the history may take in memory")
	f.IntVar(&o.Threads, "cores", 0, "cores to train on (default all); the result does not depend on it")
	f.StringVar(&t.method, "method", trainer.MethodLBFGS, "lbfgs finds the best weights, adamw walks over mini-batches")
	f.StringVar(&t.weights, "class-weights", trainer.WeightsEffective, "how much more a rare category counts: none, effective (enough to be found) or balanced (as much as all others)")
	f.Float64SliceVar(&t.l2s, "l2", trainer.DefaultL2s(), "`penalties` of lbfgs to choose from")
	f.Float64Var(&t.walk.LearningRate, "learning-rate", 1e-3, "`length` of a step of adamw")
	f.IntVar(&t.walk.Batch, "batch", 512, "`vacancies` of a step of adamw")
	f.IntVar(&t.walk.Epochs, "epochs", 15, "passes of adamw over the history")
	f.Float64Var(&t.walk.Decay, "decay", .01, "weight `decay` of adamw")
	f.StringVar(&t.sweep, "sweep", "", "try all settings of this YAML `file` instead, several beside each other: jobstrom train --help shows one")
	f.StringVar(&t.journal, "journal", "", "`file` from which an interrupted sweep goes on (default that of --sweep with .journal behind it)")
	f.StringVar(&o.RankBy, "rank", trainer.RankLogLoss, "take the best setting by this `figure` on the validation part: log_loss, top1 or macro_f1")
	f.IntVar(&o.Folds, "folds", 0, "also judge the best setting by so many `folds` of all the history")
	f.BoolVar(&o.LeaveOneOut, "leave-one-out", false, "also judge it on each vacancy without that one, by one fit and its Hessian: minutes at full size, within half of --memory")
	f.StringVar(&t.profile, "profile", "", "write pprof files of processor and memory into this `folder`")
	f.BoolVar(&t.dry, "dry-run", false, "train and evaluate, but register nothing")
	f.StringVar(&t.promote, "promote", promoteBetter, "make it the champion `when`: better (it is not worse than the champion on the same test vacancies), always or never; else it is a challenger")
	for flag, values := range map[string][]string{
		"promote": promotions, "split": trainer.Splits, "rank": {trainer.RankLogLoss, trainer.RankTop1, trainer.RankMacroF1}, "method": {trainer.MethodLBFGS, trainer.MethodAdamW},
		"class-weights": {trainer.WeightsNone, trainer.WeightsBalanced, trainer.WeightsEffective},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// resolve works out run and filter from what was given, and refuses what is wrong, all at once, before any history is read.
func (t *training) resolve() error {
	var errs []error
	if !slices.Contains(promotions, t.promote) {
		errs = append(errs, fmt.Errorf("--promote is %q: use better, always or never", t.promote))
	}
	o, filter := &t.run, &t.filter
	o.Seed, o.Taxonomy, filter.Source = t.seed, schemas.Jobnet(), t.source
	var err error
	if filter.Origin, err = parseOrigin(t.origin); err != nil {
		errs = append(errs, err)
	}
	for _, day := range []struct {
		name, value string
		to          *time.Time
	}{{"since", t.since, &filter.Since}, {"until", t.until, &filter.Until}} {
		if day.value == "" {
			continue
		}
		var err error
		if *day.to, err = time.Parse(time.DateOnly, day.value); err != nil {
			errs = append(errs, fmt.Errorf("--%s is %q: use a day like 2026-01-31", day.name, day.value))
		}
	}
	if !filter.Since.IsZero() && !filter.Until.IsZero() && !filter.Since.Before(filter.Until) {
		errs = append(errs, fmt.Errorf("--since %s must be before --until %s", t.since, t.until))
	}
	memory, err := humanize.ParseBytes(t.memory)
	if err != nil || memory > 1<<62 {
		errs = append(errs, fmt.Errorf("--memory is %q: use bytes like 4GiB", t.memory))
	}
	o.Memory = int64(max(memory, 1)) // 0 would be the default
	if o.Settings, err = t.settings(); err != nil {
		errs = append(errs, err)
	}
	if t.splitFrom != "" {
		if o.Repeat, err = readParts(t.splitFrom); err != nil {
			errs = append(errs, err)
		}
	}
	whole := *o
	whole.Encoder = "known later"
	whole.EnsureDefaults()
	if err := whole.Validate(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w (%w)", errors.Join(errs...), errUsage)
	}
	return nil
}

// settings returns what is tried.
func (t *training) settings() (all []trainer.Setting, err error) {
	if t.sweep != "" {
		data, err := os.ReadFile(t.sweep)
		if err != nil {
			return nil, fmt.Errorf("reading the grid: %w", err)
		}
		grid, err := trainer.ParseGrid(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.sweep, err)
		}
		return grid.Settings(), nil
	}
	if t.method == trainer.MethodAdamW {
		return []trainer.Setting{{
			Method: t.method, ClassWeights: t.weights, LearningRate: t.walk.LearningRate, Batch: t.walk.Batch, Epochs: t.walk.Epochs, Decay: t.walk.Decay,
		}}, nil
	}
	for _, l2 := range t.l2s {
		all = append(all, trainer.Setting{Method: t.method, ClassWeights: t.weights, L2: l2})
	}
	return all, nil
}

// openJournal opens what a sweep goes on from; nil without a sweep.
func (t *training) openJournal() (*trainer.Journal, error) {
	if t.sweep == "" {
		return nil, nil
	}
	return trainer.OpenJournal(cmp.Or(t.journal, t.sweep+".journal"))
}

func readParts(path string) (trainer.Parts, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the split: %w", err)
	}
	defer file.Close()
	parts, err := trainer.ReadParts(file)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return parts, nil
}
