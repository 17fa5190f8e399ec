package trainer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"jobstrom/models"
	"jobstrom/schemas"
)

// RunOptions says how a classifier is trained from history.
type RunOptions struct {
	// Encoder is the identity of the encoder that made the vectors.
	Encoder string
	// Taxonomy holds the categories.
	Taxonomy *schemas.Taxonomy
	// Settings are tried; the best on the validation part is taken. Default: L-BFGS with each of DefaultL2s, and
	// WeightsEffective: without weights the rarest categories of a real history are never predicted, with balanced ones too often.
	Settings []Setting
	// RankBy and Journal are those of SweepOptions.
	RankBy  string
	Journal *Journal
	// Split is ByEmployer (default), ByVacancy or ByTime.
	Split string
	// Validation and Test are the shares held out to choose and to evaluate. Default: 0.15 each.
	Validation, Test float64
	// Repeat, where given, is the split itself: that of an earlier training. Vacancies that it does not name are left out.
	Repeat Parts
	// Folds, where given, also judges the best setting by so many folds of all the history, see CrossValidate.
	Folds int
	// LeaveOneOut also judges it on each vacancy of the history without that one, see the function of that name, within half of Memory.
	LeaveOneOut bool
	// Seed decides the split, and what Options.Seed does.
	Seed uint64
	// Memory bounds, in bytes, what the history takes; the program itself takes some 300 MiB beside. Vectors that half of it does not hold are read once and
	// lie in a file in Dir from then on. Default: 4 GiB.
	Memory int64
	// Dir is a folder for that file. Default: the system's for temporary files.
	Dir string
	// Threads and Library are those of Options.
	Threads int
	Library string
	// MaxIterations and Tolerance are those of Options.
	MaxIterations int
	Tolerance     float64
	// Card is what the caller says of the encoder, the version and which history was asked for; the rest of the classifier's card is added.
	Card *schemas.Card
	// TrainedAt is written into the classifier. Default: now.
	TrainedAt time.Time
	// Logger is that of SweepOptions.
	Logger *slog.Logger
	// Rows is how many vacancies the history has, for Progress alone; 0: nobody knows.
	Rows int
	// Progress, where given, is told what is being done, how much of it is done, and of how much; of 0: nobody knows.
	Progress func(phase string, done, of int)
}

// EnsureDefaults fills the zero fields.
func (o *RunOptions) EnsureDefaults() {
	if len(o.Settings) == 0 {
		for _, l2 := range DefaultL2s() {
			o.Settings = append(o.Settings, Setting{Method: MethodLBFGS, ClassWeights: WeightsEffective, L2: l2})
		}
	}
	if o.Split == "" {
		o.Split = ByEmployer
	}
	if o.Memory == 0 {
		o.Memory = 4 << 30
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if o.Validation == 0 {
		o.Validation = .15
	}
	if o.Test == 0 {
		o.Test = .15
	}
	if o.TrainedAt.IsZero() {
		o.TrainedAt = time.Now()
	}
}

// Validate reports every violation at once.
func (o RunOptions) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Encoder != "", "Encoder is empty")
	check(o.Taxonomy != nil, "Taxonomy is missing")
	check(o.Validation > 0 && o.Test > 0 && o.Validation+o.Test < 1, "Validation (%v) and Test (%v) must be > 0 and leave a share for training", o.Validation, o.Test)
	if o.Taxonomy != nil {
		sweep := o.sweep()
		sweep.EnsureDefaults()
		errs = append(errs, sweep.Validate())
	}
	check(o.Folds == 0 || o.Folds >= 2, "Folds (%d) must be 0 or >= 2", o.Folds)
	if i := slices.IndexFunc(o.Settings, func(s Setting) bool { return s.Method != MethodLBFGS }); o.LeaveOneOut && i >= 0 {
		check(false, "LeaveOneOut needs %s, and Settings[%d] is %s", MethodLBFGS, i, o.Settings[i])
	}
	check(slices.Contains(Splits, o.Split), "Split (%q) must be one of %q", o.Split, Splits)
	check(o.Memory >= leastMemory, "Memory (%d bytes) must be >= %d", o.Memory, leastMemory)
	return errors.Join(errs...)
}

// sweep returns how the settings are tried.
func (o RunOptions) sweep() SweepOptions {
	return SweepOptions{
		Categories: len(o.Taxonomy.Categories), Settings: o.Settings, RankBy: o.RankBy, Journal: o.Journal, MaxIterations: o.MaxIterations, Tolerance: o.Tolerance,
		Seed: o.Seed, Threads: o.Threads, Library: o.Library, Logger: o.Logger,
	}
}

// DefaultL2s returns the penalties that are tried where none are given, from the strongest to the weakest.
func DefaultL2s() []float64 { return []float64{1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6} }

// leastMemory holds a few thousand vectors: less would be spent on the way.
const leastMemory = 16 << 20

// Run trains a classifier from history: it splits, tries the settings and takes the best on the validation part, calibrates there, and evaluates on
// the test part. The result holds the test part's vectors until it is closed.
func Run(ctx context.Context, history History, o RunOptions) (_ *Result, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("training: %w", err)
		}
	}()
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	h, err := collect(ctx, history, o)
	if err != nil {
		return nil, err
	}
	r := &Result{vectors: h.vectors, LeftOut: h.leftOut, Gone: h.gone}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	k := len(o.Taxonomy.Categories)
	if err := h.validate(k); err != nil {
		return nil, err
	}
	split, err := o.split(h)
	if err != nil {
		return nil, err
	}
	train, validation, test := h.Select(split.Train), h.Select(split.Validation), h.Select(split.Test)
	r.Train, r.Validation, r.Test, r.Parts = train.Len(), validation.Len(), test.Len(), partsOf(split, h.ids)
	sweep := o.sweep()
	sweep.Progress = func(done, total int, _ Trial) { o.Progress("trying settings", done, total) }
	o.Progress("trying settings", 0, len(o.Settings))
	if r.Trials, err = Sweep(ctx, train, validation, sweep); err != nil {
		return nil, err
	}
	c := r.Trials[0].Classifier
	r.Classifier = c
	r.TestPart = TestPart{
		Examples: test, IDs: pick(h.ids, split.Test), Sources: pick(h.sources, split.Test), Times: pick(h.times, split.Test),
		Probabilities: Probabilities(Scores(c, test.Vectors), float64(c.Temperature)),
	}
	r.Evaluation = Evaluate(r.TestPart.Probabilities, test.Categories, k)
	c.Encoder, c.Taxonomy, c.TrainedAt, c.Metrics = o.Encoder, o.Taxonomy.ID, timestamppb.New(o.TrainedAt.UTC()), r.Evaluation.Metrics()
	for name, v := range map[string]int{"rows": h.Len(), "train": r.Train, "validation": r.Validation, "test": r.Test} {
		c.Training[name] = strconv.Itoa(v)
	}
	c.Training["seed"] = strconv.FormatUint(o.Seed, 10)
	if err := r.judge(ctx, h.Examples, o); err != nil {
		return nil, err
	}
	c.Card = completeCard(o.Card, o, r, train, h.times)
	return r, models.SealClassifier(c)
}

// split divides the history as it is asked for.
func (o RunOptions) split(h *collected) (s Split, err error) {
	switch {
	case o.Repeat != nil:
		s = o.Repeat.split(h.ids)
	case o.Split == ByTime:
		s, err = SplitByTime(h.times, o.Validation, o.Test)
	case o.Split == ByVacancy:
		s, err = SplitExamples(h.Categories, nil, o.Validation, o.Test, o.Seed)
	default:
		s, err = SplitExamples(h.Categories, h.Groups, o.Validation, o.Test, o.Seed)
	}
	if err == nil && (len(s.Train) == 0 || len(s.Validation) == 0 || len(s.Test) == 0) {
		err = fmt.Errorf("%w: %d vacancies in too few groups leave %d to train on, %d to choose by and %d to evaluate on; label more vacancies, of more employers",
			ErrExamples, h.Len(), len(s.Train), len(s.Validation), len(s.Test))
	}
	return s, err
}
