package trainer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"time"

	"jobstrom/models/onnx"
	"jobstrom/schemas"
)

// SweepOptions says which settings are tried and how.
type SweepOptions struct {
	// Categories counts the categories, those without examples too.
	Categories int
	// Settings are tried; of equal trials the one whose setting is first here ranks first. See ParseGrid.
	Settings []Setting
	// RankBy is RankLogLoss (default), RankTop1 or RankMacroF1.
	RankBy string
	// MaxIterations, Tolerance, Seed and Library are those of Options.
	MaxIterations int
	Tolerance     float64
	Seed          uint64
	Library       string
	// Threads bounds the cores. As many settings are fitted beside each other as far as there are enough, so memory is
	// needed for as many fits. The trials do not depend on it, but for their Seconds. Default: all cores.
	Threads int
	// Journal, where given, keeps finished trials, and those that it has of the same examples and options are not fitted
	// again.
	Journal *Journal
	// Logger is told of what a journal holds and of settings that fail. Default: nobody.
	Logger *slog.Logger
	// Progress, where given, is called when a setting is done, and at the start when the journal has any, with the best trial
	// so far, which has an Error as long as all failed. One call at a time.
	Progress func(done, total int, best Trial)
}

// EnsureDefaults fills the zero fields.
func (o *SweepOptions) EnsureDefaults() {
	if o.RankBy == "" {
		o.RankBy = RankLogLoss
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	fit := o.fit(Setting{}, o.Threads)
	fit.EnsureDefaults()
	o.MaxIterations, o.Tolerance, o.Library = fit.MaxIterations, fit.Tolerance, fit.Library
}

// Validate reports every violation at once.
func (o SweepOptions) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(o.Settings) > 0, "Settings are missing")
	seen := map[Setting]int{}
	for i, s := range o.Settings {
		if err := s.Validate(); err != nil {
			check(false, "Settings[%d]: %w", i, err)
		}
		first, twice := seen[s]
		check(!twice, "Settings[%d] (%s) must differ from Settings[%d]", i, s, first)
		seen[s] = i
	}
	check(slices.Contains(ranks, o.RankBy), "RankBy (%q) must be one of %q", o.RankBy, ranks)
	fit := o.fit(defaultSetting(MethodLBFGS), o.Threads)
	fit.AdamW.EnsureDefaults()
	return errors.Join(append(errs, fit.Validate())...)
}

// fit returns the options by which a setting is fitted.
func (o SweepOptions) fit(s Setting, threads int) Options {
	fit := Options{Categories: o.Categories, MaxIterations: o.MaxIterations, Tolerance: o.Tolerance, Seed: o.Seed, Threads: threads, Library: o.Library}
	s.Apply(&fit)
	return fit
}

// Sweep fits every setting on train and judges it on validation. It returns the trials, best first, those that failed last;
// the order depends on neither cores nor which fit ends first. The first has its classifier. A setting that cannot be
// fitted does not end the sweep, unless all fail. A sweep that is cancelled or killed goes on from its journal.
//
// Each fit starts afresh, though a penalty's would be done sooner from the weights of the one before: L-BFGS ends near the
// minimum, and where depends on the start, so a sweep that goes on would find other last digits than one that was never cut
// off. It also leaves every setting free to run beside any other.
func Sweep(ctx context.Context, train, validation Examples, o SweepOptions) ([]Trial, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	trials, err := sweep(ctx, train, validation, o)
	if err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	return trials, nil
}

func sweep(ctx context.Context, train, validation Examples, o SweepOptions) (_ []Trial, err error) {
	if err := train.validate(o.Categories); err != nil {
		return nil, err
	}
	if validation.Len() == 0 {
		return nil, fmt.Errorf("%w: there are none to judge by", ErrExamples)
	}
	if err := validation.validateBlock(o.Categories, len(train.Vectors[0])); err != nil {
		return nil, fmt.Errorf("those to judge by: %w", err)
	}
	if train.Offsets != nil {
		return nil, fmt.Errorf("%w: a classifier is judged without Offsets, so it must be fitted without", ErrExamples)
	}
	if err := onnx.Open(o.Library); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, onnx.Close()) }()
	s := &sweeping{SweepOptions: o, train: train, validation: validation, rarest: rarest(train, validation, o.Categories)}
	if err := s.resume(); err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s.rank(ctx)
}

// sweeping is a sweep on its way.
type sweeping struct {
	SweepOptions
	train, validation Examples
	rarest            int
	key               journalKey
	trials            []Trial // of Settings, as far as they are done
	waiting           []int   // positions of settings that are not
	best              int     // position of the best trial, -1: none is done
}

// resume takes over what the journal has.
func (s *sweeping) resume() error {
	s.trials, s.best = make([]Trial, len(s.Settings)), -1
	finished := map[Setting]Trial{}
	if s.Journal != nil {
		s.key = journalKey{
			Examples: fingerprint(s.Categories, s.train, s.validation), Seed: s.Seed, MaxIterations: s.MaxIterations, Tolerance: s.Tolerance, Recipe: recipe, Machine: runtime.GOARCH,
		}
		finished = s.Journal.finished(s.key, s.Logger)
	}
	for i, setting := range s.Settings {
		t, done := finished[setting]
		if !done {
			s.waiting = append(s.waiting, i)
			continue
		}
		s.settle(i, t)
	}
	if s.best >= 0 {
		s.Logger.Info("the sweep goes on", "finished", len(s.Settings)-len(s.waiting), "settings", len(s.Settings))
		s.report()
	}
	return nil
}

// settle enters a trial. The best one keeps its classifier.
func (s *sweeping) settle(i int, t Trial) {
	s.trials[i] = t
	worse := i
	if s.best < 0 {
		s.best = i
		return
	}
	if d := compareTrials(s.RankBy, t, s.trials[s.best]); d < 0 || d == 0 && i < s.best {
		worse, s.best = s.best, i
	}
	s.trials[worse].Classifier = nil
}

func (s *sweeping) report() {
	if s.Progress != nil {
		s.Progress(len(s.Settings)-len(s.waiting), len(s.Settings), s.trials[s.best])
	}
}

// run fits the settings that wait. Those that start share the threads that are free.
func (s *sweeping) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		position, threads int
		trial             Trial
	}
	ends := make(chan end)
	next, running, free := slices.Clone(s.waiting), 0, s.Threads
	var err error
	for {
		for free > 0 && len(next) > 0 && ctx.Err() == nil {
			threads, position := threadsFor(free, len(next)), next[0]
			next, free, running = next[1:], free-threads, running+1
			go func() { ends <- end{position, threads, s.try(ctx, s.Settings[position], threads)} }()
		}
		if running == 0 {
			return cmp.Or(err, ctx.Err())
		}
		e := <-ends
		free, running = free+e.threads, running-1
		if e.trial.Error != "" && ctx.Err() != nil {
			continue // It failed because it was cancelled.
		}
		if e.trial.Error != "" {
			s.Logger.Warn("a setting cannot be fitted", "setting", e.trial.Setting, "error", e.trial.Error)
		} else if s.Journal != nil && err == nil {
			if err = s.Journal.add(s.key, e.trial); err != nil {
				cancel()
				continue
			}
		}
		s.settle(e.position, e.trial)
		s.waiting = slices.DeleteFunc(s.waiting, func(i int) bool { return i == e.position })
		s.report()
	}
}

// threadsFor returns how many of the free threads the next of the waiting settings gets, so that none stays idle.
func threadsFor(free, waiting int) int {
	beside := min(free, waiting)
	return (free + beside - 1) / beside
}

// try fits and judges a setting.
func (s *sweeping) try(ctx context.Context, setting Setting, threads int) Trial {
	started := time.Now()
	t, err := s.judge(ctx, setting, threads)
	if err != nil {
		t = Trial{Setting: setting, Rarest: s.rarest, Error: err.Error()}
	}
	t.Seconds = time.Since(started).Seconds()
	return t
}

func (s *sweeping) judge(ctx context.Context, setting Setting, threads int) (Trial, error) {
	c, curve, err := fitCurve(ctx, s.train, s.fit(setting, threads))
	if err != nil {
		return Trial{}, err
	}
	for _, p := range curve.Points {
		if math.IsInf(p.Loss, 0) || math.IsInf(p.Gradient, 0) {
			return Trial{}, fmt.Errorf("the loss is not finite in step %d", p.Step)
		}
	}
	scores := Scores(c, s.validation.Vectors)
	for _, row := range scores {
		for _, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return Trial{}, errors.New("the scores of held-out vacancies are not finite")
			}
		}
	}
	temperature := Temperature(scores, s.validation.Categories)
	c.Temperature = float32(temperature)
	held := Evaluate(Probabilities(scores, temperature), s.validation.Categories, s.Categories)
	message, err := schemas.Encode(schemas.Protobuf, c)
	if err != nil {
		return Trial{}, err
	}
	digest := sha256.Sum256(message)
	t := Trial{
		Setting: setting, LogLoss: held.LogLoss, Top1: held.Top1, Top3: held.Top3, MacroF1: held.MacroF1, Balanced: held.Balanced, Rarest: s.rarest,
		Steps: curve.Points[len(curve.Points)-1].Step, Stopped: curve.Stopped, Curve: curve, Digest: hex.EncodeToString(digest[:]), Classifier: c,
	}
	if s.rarest >= 0 {
		t.RarestRecall = held.Categories[s.rarest].Recall
	}
	return t, nil
}

// rank orders the trials and sees to the best one's classifier, which a trial from the journal lacks.
func (s *sweeping) rank(ctx context.Context) ([]Trial, error) {
	rankTrials(s.trials, s.RankBy)
	best := &s.trials[0]
	if best.Error != "" {
		var errs []error
		for _, t := range s.trials {
			errs = append(errs, fmt.Errorf("%s: %s", t.Setting, t.Error))
		}
		return nil, fmt.Errorf("none of %d settings can be fitted: %w", len(errs), errors.Join(errs...))
	}
	if best.Classifier != nil {
		return s.trials, nil
	}
	again := s.try(ctx, best.Setting, s.Threads)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if again.Error != "" {
		return nil, fmt.Errorf("fitting %s, the best of the journal, again: %s", best.Setting, again.Error)
	}
	if again.Digest != best.Digest {
		return nil, fmt.Errorf("fitting %s, the best of the journal, again gives the classifier %.12s, the journal has %.12s: another kind of processor or ONNX Runtime wrote it; sweep with a new journal",
			best.Setting, again.Digest, best.Digest)
	}
	best.Classifier = again.Classifier
	return s.trials, nil
}
