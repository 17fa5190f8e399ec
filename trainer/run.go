package trainer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"google.golang.org/protobuf/types/known/timestamppb"

	"jobstrom/models"
	"jobstrom/schemas"
)

// Row is one labelled vacancy of the history.
type Row struct {
	Vector   []float32
	Category int
	// Group keeps vacancies together, for example the keyed hash of the employer; may be empty.
	Group string
	// ID, Source and ReceivedAt say which vacancy it is, where it comes from and when it came; may be empty.
	ID, Source string
	ReceivedAt time.Time
}

// TestPart is the vacancies that a result was evaluated on. Every slice has one entry for each.
type TestPart struct {
	Examples
	IDs, Sources []string
	Times        []time.Time
	// Probabilities are what the classifier says.
	Probabilities [][]float32
}

// History streams labelled vacancies. It ends after its first error.
type History = iter.Seq2[Row, error]

// RunOptions says how a classifier is trained from history.
type RunOptions struct {
	// Encoder is the identity of the encoder that made the vectors.
	Encoder string
	// Taxonomy holds the categories.
	Taxonomy *schemas.Taxonomy
	// Method, ClassWeights and AdamW are those of Options.
	Method, ClassWeights string
	AdamW                AdamW
	// L2s are the penalties to try by L-BFGS, each from the weights of the one before. Default: 1e-3 to 1e-6 in steps
	// of √10.
	L2s []float64
	// Validation and Test are the shares held out to choose and to evaluate. Default: 0.15 each.
	Validation, Test float64
	// Seed decides the split, and what Options.Seed does.
	Seed uint64
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
	// Progress, where given, is called after every iteration of fit number of fits.
	Progress func(fit, fits, iteration int, loss float64)
}

// EnsureDefaults fills the zero fields.
func (o *RunOptions) EnsureDefaults() {
	if len(o.L2s) == 0 {
		o.L2s = []float64{1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6}
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
	for i, l2 := range o.L2s {
		check(l2 > 0, "L2s[%d] (%v) must be > 0", i, l2)
	}
	check(o.Validation > 0 && o.Test > 0 && o.Validation+o.Test < 1, "Validation (%v) and Test (%v) must be > 0 and leave a share for training", o.Validation, o.Test)
	return errors.Join(errs...)
}

// Candidate is one setting that was tried, and how it did on vacancies that were held out.
type Candidate struct {
	Setting string  `json:"setting"`
	LogLoss float64 `json:"log_loss"`
	Top1    float64 `json:"top1"`
	Top3    float64 `json:"top3"`
}

// Result is a trained classifier and how it came about.
type Result struct {
	// Classifier is sealed.
	Classifier *schemas.Classifier
	// Evaluation is that of the test part, which neither training nor choosing has seen.
	Evaluation Evaluation
	// Candidates are the penalties that were tried, judged on the validation part.
	Candidates []Candidate
	// Curves say how the candidates were fitted, in their order.
	Curves []Curve
	// Train, Validation and Test count the vacancies of each part.
	Train, Validation, Test int
	// TestPart is what Evaluation was measured on.
	TestPart TestPart
}

// Text renders the result for people.
func (r Result) Text(names []string) string {
	return fmt.Sprintf("trained on %d vacancies, chosen on %d, evaluated on %d: %s\n\n%s\n\n%s",
		r.Train, r.Validation, r.Test, r.Classifier.Id, candidateTable(r.Candidates), r.Evaluation.Text(names))
}

func candidateTable(candidates []Candidate) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"setting", "log loss", "top-1", "top-3"})
	t.SetColumnConfigs(numbers(2, 3, 4))
	for _, c := range candidates {
		t.AppendRow(table.Row{c.Setting, fmt.Sprintf("%.4f", c.LogLoss), fmt.Sprintf("%.3f", c.Top1), fmt.Sprintf("%.3f", c.Top3)})
	}
	return t.Render()
}

// Run trains a classifier from history: it splits, chooses the penalty with the lowest log loss on the
// validation part, calibrates there, and evaluates on the test part.
func Run(ctx context.Context, history History, o RunOptions) (*Result, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	e, from, err := read(ctx, history)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	k := len(o.Taxonomy.Categories)
	if err := e.validate(k); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	split, err := SplitExamples(e.Categories, e.Groups, o.Validation, o.Test, o.Seed)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	train, validation, test := e.Select(split.Train), e.Select(split.Validation), e.Select(split.Test)
	if validation.Len() == 0 || test.Len() == 0 {
		return nil, fmt.Errorf("training: %w: %d vacancies in too few groups leave %d to train on, %d to choose by and %d to evaluate on; label more vacancies, of more employers",
			ErrExamples, e.Len(), train.Len(), validation.Len(), test.Len())
	}
	r := &Result{Train: train.Len(), Validation: validation.Len(), Test: test.Len()}
	if err := r.choose(ctx, train, validation, o); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	c := r.Classifier
	r.TestPart = TestPart{
		Examples: test, IDs: pick(from.IDs, split.Test), Sources: pick(from.Sources, split.Test), Times: pick(from.Times, split.Test),
		Probabilities: Probabilities(Scores(c, test.Vectors), float64(c.Temperature)),
	}
	r.Evaluation = Evaluate(r.TestPart.Probabilities, test.Categories, k)
	c.Encoder, c.Taxonomy, c.TrainedAt, c.Metrics = o.Encoder, o.Taxonomy.ID, timestamppb.New(o.TrainedAt.UTC()), r.Evaluation.Metrics()
	for name, v := range map[string]int{"rows": e.Len(), "train": r.Train, "validation": r.Validation, "test": r.Test} {
		c.Training[name] = strconv.Itoa(v)
	}
	c.Training["seed"] = strconv.FormatUint(o.Seed, 10)
	c.Card = completeCard(o.Card, o, r, train, from.Times)
	if err := models.SealClassifier(c); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	return r, nil
}

// choose fits the candidates and takes the one with the lowest log loss on the validation part.
func (r *Result) choose(ctx context.Context, train, validation Examples, o RunOptions) error {
	k, fits, number := len(o.Taxonomy.Categories), len(o.L2s), 0
	fit := Options{
		Categories: k, Method: o.Method, ClassWeights: o.ClassWeights, AdamW: o.AdamW, MaxIterations: o.MaxIterations, Tolerance: o.Tolerance,
		Seed: o.Seed, Threads: o.Threads, Library: o.Library,
	}
	if o.Progress != nil {
		fit.Progress = func(iteration int, loss float64) { o.Progress(number, fits, iteration, loss) }
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

// read collects the history, and where its vacancies come from.
func read(ctx context.Context, history History) (Examples, TestPart, error) {
	var e Examples
	var from TestPart
	for row, err := range history {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return Examples{}, TestPart{}, fmt.Errorf("reading row %d of the history: %w", e.Len()+1, err)
		}
		e.Vectors = append(e.Vectors, row.Vector)
		e.Categories = append(e.Categories, row.Category)
		e.Groups = append(e.Groups, strings.TrimSpace(row.Group))
		from.IDs, from.Sources, from.Times = append(from.IDs, row.ID), append(from.Sources, row.Source), append(from.Times, row.ReceivedAt)
	}
	return e, from, nil
}
