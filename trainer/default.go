package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"

	"jobstrom/models"
	"jobstrom/schemas"
)

// Sample is a labelled vacancy as the encoder reads it.
type Sample struct {
	// Text is what was extracted of it.
	Text     string
	Category int
	// Employer keeps an employer's vacancies in one fold.
	Employer string
}

// DefaultSetting is one way to make a default classifier. It has a row for each name, title, task and sample: what rows say of
// a vacancy for a category is log Σ weight · exp(Sharpness · similarity), the weights of a category summing to 1. The
// similarity is the cosine, but for the vacancy's own length, whose mean stands in for it. Names and titles are centred
// on their own mean, tasks and vacancies on theirs: the kinds of text lie apart in the encoder's space, and only
// vacancies are classified.
type DefaultSetting struct {
	Sharpness float64
	// TaskWeight and SampleWeight say what a task and a sample count, a title counting 1.
	TaskWeight, SampleWeight float64
	// L2 adds a logistic regression with this penalty that learns from the samples what the rows get wrong. Being
	// linear it is added to every row of its category. 0: rows alone.
	L2 float64
}

// String names the setting in reports.
func (s DefaultSetting) String() string {
	return fmt.Sprintf("sharpness %g, task %g, sample %g, L2 %g", s.Sharpness, s.TaskWeight, s.SampleWeight, s.L2)
}

// The logistic regression learns beside the rows' scores divided by softness, so that it may overrule them, and those
// of each sample come from the rows of others: of innerFolds parts of the samples, those without its own.
const (
	softness   = .5
	innerFolds = 10
)

// DefaultOptions says what a default classifier is made of.
type DefaultOptions struct {
	// Embed returns a vector for each text, all of one width.
	Embed func(ctx context.Context, texts []string) ([][]float32, error)
	// Encoder is the identity of the encoder that Embed runs.
	Encoder string
	// Taxonomy gives names and titles.
	Taxonomy *schemas.Taxonomy
	// Samples are labelled vacancies.
	Samples []Sample
	// Settings are tried by cross-validation. Default: a grid.
	Settings []DefaultSetting
	// Folds divide the samples by employer. Default: 5.
	Folds int
	// Seed decides the folds.
	Seed uint64
	// Library is the file of ONNX Runtime, as in Options.
	Library string
}

// EnsureDefaults fills the zero fields.
func (o *DefaultOptions) EnsureDefaults() {
	if o.Folds == 0 {
		o.Folds = 5
	}
	if len(o.Settings) > 0 {
		return
	}
	for _, sharpness := range []float64{15, 20, 25} {
		for _, l2 := range []float64{0, 1e-4} {
			o.Settings = append(o.Settings, DefaultSetting{Sharpness: sharpness, TaskWeight: 1, SampleWeight: 1, L2: l2})
		}
	}
}

// Validate reports every violation at once.
func (o DefaultOptions) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Embed != nil, "Embed is missing")
	check(o.Encoder != "", "Encoder is empty")
	check(o.Taxonomy != nil, "Taxonomy is missing")
	check(o.Folds >= 2, "Folds (%d) must be >= 2", o.Folds)
	check(len(o.Samples) >= o.Folds, "Samples (%d) must be at least as many as Folds (%d)", len(o.Samples), o.Folds)
	for i, s := range o.Samples {
		check(o.Taxonomy == nil || s.Category >= 0 && s.Category < len(o.Taxonomy.Categories), "Samples[%d].Category (%d) is outside the taxonomy", i, s.Category)
	}
	for i, s := range o.Settings {
		check(s.Sharpness > 0 && s.L2 >= 0, "Settings[%d]: Sharpness (%v) must be > 0 and L2 (%v) >= 0", i, s.Sharpness, s.L2)
		check(s.TaskWeight >= 0 && s.SampleWeight >= 0, "Settings[%d]: TaskWeight (%v) and SampleWeight (%v) must be >= 0", i, s.TaskWeight, s.SampleWeight)
	}
	return errors.Join(errs...)
}

// DefaultReport says how a default classifier was chosen and how good it is.
type DefaultReport struct {
	// Evaluation is that of the chosen setting, each sample judged without its fold. The setting and the
	// temperature were chosen on the same samples, which flatters it a little.
	Evaluation Evaluation
	// Candidates are all settings, in the order they were tried.
	Candidates []Candidate
	// Chosen is the candidate with the lowest log loss.
	Chosen int
	// Titles and Samples count what it is made of.
	Titles, Samples int
}

// Text renders the report for people. Names are the categories'.
func (r DefaultReport) Text(names []string) string {
	return fmt.Sprintf("%d titles and %d samples; chosen: %s\n\n%s\n\n%s",
		r.Titles, r.Samples, r.Candidates[r.Chosen].Setting, candidateTable(r.Candidates), r.Evaluation.Text(names))
}

// Default makes a sealed classifier of category names, titles, tasks and samples. Setting and temperature are
// chosen by cross-validation on the samples, no employer in two folds; the setting with the lowest log loss
// wins. Its prior is uniform. The same input gives the same bytes.
func Default(ctx context.Context, o DefaultOptions) (*schemas.Classifier, DefaultReport, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, DefaultReport{}, fmt.Errorf("making a default classifier: %w", err)
	}
	c, report, err := makeDefault(ctx, o)
	if err != nil {
		return nil, DefaultReport{}, fmt.Errorf("making a default classifier: %w", err)
	}
	return c, report, nil
}

func makeDefault(ctx context.Context, o DefaultOptions) (*schemas.Classifier, DefaultReport, error) {
	m, err := gather(ctx, o)
	if err != nil {
		return nil, DefaultReport{}, err
	}
	k, samples := m.categories, m.samples
	report := DefaultReport{Titles: m.lexicon.Len() - k, Samples: samples.Len()}
	folds, err := Folds(samples.Categories, samples.Groups, o.Folds, o.Seed)
	if err != nil {
		return nil, DefaultReport{}, err
	}
	var temperature float64
	for i, s := range o.Settings {
		scores, err := OutOfFold(ctx, samples.Vectors, folds, func(ctx context.Context, train []int) (*schemas.Classifier, error) {
			return m.build(ctx, s, samples.Select(train))
		})
		if err != nil {
			return nil, DefaultReport{}, fmt.Errorf("%s: %w", s, err)
		}
		t := Temperature(scores, samples.Categories)
		e := Evaluate(Probabilities(scores, t), samples.Categories, k)
		report.Candidates = append(report.Candidates, Candidate{Setting: s.String(), LogLoss: e.LogLoss, Top1: e.Top1, Top3: e.Top3})
		if i == 0 || e.LogLoss < report.Candidates[report.Chosen].LogLoss {
			report.Chosen, report.Evaluation, temperature = i, e, t
		}
	}
	c, err := m.build(ctx, o.Settings[report.Chosen], samples)
	if err != nil {
		return nil, DefaultReport{}, err
	}
	c.Encoder, c.Taxonomy, c.Temperature, c.Metrics = o.Encoder, o.Taxonomy.ID, float32(temperature), report.Evaluation.Metrics()
	c.Training = map[string]string{
		"kind": "default", "setting": report.Candidates[report.Chosen].Setting, "titles": strconv.Itoa(report.Titles),
		"samples": strconv.Itoa(report.Samples), "folds": strconv.Itoa(o.Folds), "seed": strconv.FormatUint(o.Seed, 10),
	}
	models.Quantize(c)
	return c, report, models.SealClassifier(c)
}

// material is what default classifiers are made of.
type material struct {
	categories int
	library    string
	lexicon    Examples // the categories' names first, then their titles; centred, of length 1
	tasks      Examples // centred, of length 1
	samples    Examples
}

// gather embeds names, titles, tasks and samples.
func gather(ctx context.Context, o DefaultOptions) (material, error) {
	m := material{categories: len(o.Taxonomy.Categories), library: o.Library}
	texts := o.Taxonomy.Names()
	for c := range texts {
		m.lexicon.Categories = append(m.lexicon.Categories, c)
	}
	for c, category := range o.Taxonomy.Categories {
		for _, title := range category.Titles {
			texts, m.lexicon.Categories = append(texts, title), append(m.lexicon.Categories, c)
		}
	}
	titles := len(texts)
	for c, category := range o.Taxonomy.Categories {
		for _, task := range category.Tasks {
			texts, m.tasks.Categories = append(texts, task), append(m.tasks.Categories, c)
		}
	}
	tasks := len(texts)
	for _, s := range o.Samples {
		texts = append(texts, s.Text)
		m.samples.Categories, m.samples.Groups = append(m.samples.Categories, s.Category), append(m.samples.Groups, s.Employer)
	}
	vectors, err := o.Embed(ctx, texts)
	if err != nil {
		return material{}, err
	}
	if len(vectors) != len(texts) {
		return material{}, fmt.Errorf("embedding %d texts gave %d vectors", len(texts), len(vectors))
	}
	m.lexicon.Vectors, m.tasks.Vectors, m.samples.Vectors = vectors[:titles], vectors[titles:tasks], vectors[tasks:]
	all := Examples{Vectors: vectors, Categories: slices.Concat(m.lexicon.Categories, m.tasks.Categories, m.samples.Categories)}
	if err := all.validate(m.categories); err != nil {
		return material{}, err
	}
	m.lexicon.Vectors = unit(centre(m.lexicon.Vectors, m.lexicon.mean()))
	if len(m.tasks.Vectors) > 0 {
		m.tasks.Vectors = unit(centre(m.tasks.Vectors, m.tasks.mean()))
	}
	return m, nil
}

// build makes a classifier by one setting, with these samples only.
func (m material) build(ctx context.Context, s DefaultSetting, samples Examples) (*schemas.Classifier, error) {
	c := m.rows(s, samples)
	if s.L2 == 0 {
		return c, nil
	}
	folds, err := Folds(samples.Categories, samples.Groups, innerFolds, 1)
	if err != nil {
		return nil, err
	}
	offsets, err := OutOfFold(ctx, samples.Vectors, folds, func(_ context.Context, train []int) (*schemas.Classifier, error) {
		return m.rows(s, samples.Select(train)), nil
	})
	if err != nil {
		return nil, err
	}
	for _, scores := range offsets {
		for i := range scores {
			scores[i] /= softness
		}
	}
	vectors := centre(samples.Vectors, c.Mean)
	by := 1 / meanLength(vectors)
	for _, v := range vectors {
		scale(v, by)
	}
	linear, err := Fit(ctx, Examples{Vectors: vectors, Categories: samples.Categories, Offsets: offsets},
		Options{Categories: m.categories, L2: s.L2, Mean: make([]float32, len(c.Mean)), Tolerance: 1e-5, Library: m.library})
	if err != nil {
		return nil, err
	}
	dim := len(c.Mean)
	for row, owner := range c.Owners {
		c.Bias[row] += softness * linear.Bias[owner]
		for j, w := range linear.Weights[int(owner)*dim : (int(owner)+1)*dim] {
			c.Weights[row*dim+j] += float32(softness * by * float64(w))
		}
	}
	return c, nil
}

// rows makes a classifier with a row for each name, title, task and sample: sharpness times the vector, the log of its
// share of its category's weight as bias.
func (m material) rows(s DefaultSetting, samples Examples) *schemas.Classifier {
	mean := samples.mean()
	vacancies := centre(samples.Vectors, mean)
	c := &schemas.Classifier{Dim: uint32(len(mean)), Categories: uint32(m.categories), Mean: mean, Temperature: 1}
	mass := make([]float64, m.categories)
	add := func(vectors [][]float32, categories []int, weight float64) {
		if weight == 0 {
			return
		}
		for i, v := range vectors {
			c.Owners, c.Bias = append(c.Owners, uint32(categories[i])), append(c.Bias, float32(math.Log(weight)))
			c.Weights = append(c.Weights, v...)
			mass[categories[i]] += weight
		}
	}
	add(m.lexicon.Vectors, m.lexicon.Categories, 1)
	add(m.tasks.Vectors, m.tasks.Categories, s.TaskWeight)
	add(unit(vacancies), samples.Categories, s.SampleWeight)
	scale(c.Weights, s.Sharpness/meanLength(vacancies))
	for row, owner := range c.Owners {
		c.Bias[row] -= float32(math.Log(mass[owner]))
	}
	for range m.categories {
		c.Prior = append(c.Prior, 1/float32(m.categories))
	}
	return c
}

// centre returns the vectors minus their mean.
func centre(vectors [][]float32, mean []float32) [][]float32 {
	centred := make([][]float32, len(vectors))
	for i, v := range vectors {
		centred[i] = make([]float32, len(v))
		for j := range v {
			centred[i][j] = v[j] - mean[j]
		}
	}
	return centred
}

// unit returns the vectors at length 1; a zero vector stays.
func unit(vectors [][]float32) [][]float32 {
	units := make([][]float32, len(vectors))
	for i, v := range vectors {
		units[i] = append([]float32(nil), v...)
		if l := length(v); l > 0 {
			scale(units[i], 1/l)
		}
	}
	return units
}

func length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// meanLength returns the mean length, 1 where all vectors are zero.
func meanLength(vectors [][]float32) float64 {
	var sum float64
	for _, v := range vectors {
		sum += length(v)
	}
	if sum == 0 {
		return 1
	}
	return sum / float64(len(vectors))
}

func scale(v []float32, by float64) {
	for i := range v {
		v[i] = float32(float64(v[i]) * by)
	}
}

// Candidate is one setting that was tried, and how it did on vacancies that were held out.
type Candidate struct {
	Setting string  `json:"setting"`
	LogLoss float64 `json:"log_loss"`
	Top1    float64 `json:"top1"`
	Top3    float64 `json:"top3"`
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
