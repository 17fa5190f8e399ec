package drift

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"jobstrom/drift/alarms"
	"jobstrom/drift/stats"
	"jobstrom/warehouse"
)

// Presets decide what a verdict is made of.
const (
	// Calibrated asks what chance makes of these very windows: package alarms.
	Calibrated = "calibrated"
	// Evidently applies that tool's default rules: package stats.
	Evidently = "evidently"
)

// Presets lists them.
var Presets = []string{Calibrated, Evidently}

// Options say what is compared.
type Options struct {
	Reference, Current Window
	// Encoder whose embeddings are compared. Default: the one with most vacancies in the current window.
	Encoder string
	// Model whose predictions are compared. Default: of each vacancy the newest prediction, whichever model made it.
	Model string
	// Origin says whose answers are compared: the stream's (default), the API's or both. Of any but the stream's, what describes the embeddings
	// beside their verdict is left out: the views drift_ that compute it know the stream alone.
	Origin warehouse.Origin
	// Preset is Calibrated (the default) or Evidently.
	Preset string
	// Alarms are the options of Calibrated.
	Alarms alarms.Options
	// VerdictsOnly leaves out what describes the embeddings beside their verdict: components, MMD², domain classifier, map and examples, which take most of the time.
	VerdictsOnly bool
	// Progress is told what is done next. Nil is allowed.
	Progress func(step string)
}

// EnsureDefaults fills what is zero, but for the encoder, which only the database knows.
func (o *Options) EnsureDefaults() {
	if o.Preset == "" {
		o.Preset = Calibrated
	}
	if o.Origin == "" {
		o.Origin = warehouse.OriginStream
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	o.Alarms.EnsureDefaults()
}

// Validate reports every violation.
func (o Options) Validate() error {
	var wrong []error
	if err := errors.Join(o.Reference.named("reference"), o.Current.named("current")); err != nil {
		wrong = append(wrong, err)
	}
	if !slices.Contains(Presets, o.Preset) {
		wrong = append(wrong, fmt.Errorf("preset (%s) must be one of %v", o.Preset, Presets))
	}
	if err := errors.Join(o.Origin.Validate(), o.Alarms.Validate()); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) == 0 && o.Reference.Overlaps(o.Current) {
		wrong = append(wrong, fmt.Errorf("the windows %s and %s overlap: what is in both cannot differ from itself, choose other dates", o.Reference, o.Current))
	}
	return errors.Join(wrong...)
}

// Kind of a column.
type Kind string

// Kinds.
const (
	Categorical Kind = "categorical"
	Numeric     Kind = "numeric"
	Embedding   Kind = "embedding"
)

// Column is what became of one column.
type Column struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Result holds the verdict, its p, q and effect size. With the preset Evidently p and q are 1 where its rule is a distance.
	alarms.Result
	// Statistics are by their names: psi, jensen_shannon, wasserstein, …
	Statistics map[string]float64 `json:"statistics,omitempty"`
	// Values and their rows in each window: the categories, or the edges of a histogram's bins (one more than rows).
	Values          []string  `json:"values,omitempty"`
	Edges           []float64 `json:"edges,omitempty"`
	ReferenceShares []float64 `json:"reference_shares,omitempty"`
	CurrentShares   []float64 `json:"current_shares,omitempty"`
	// Missing counts the vacancies of each window that have no value.
	Missing [2]int `json:"missing"`
	// Summary describes the values of each window; nil of embeddings.
	Summary [2]*ColumnSummary `json:"summary"`
}

// Comparison is what Compare found.
type Comparison struct {
	Reference Window `json:"reference"`
	Current   Window `json:"current"`
	Encoder   string `json:"encoder"`
	// Origin of what was compared; empty is the stream.
	Origin warehouse.Origin `json:"origin,omitempty"`
	Preset string           `json:"preset"`
	// Vacancies in each window, and the bursts they came in.
	Vacancies [2]int `json:"vacancies"`
	Blocks    [2]int `json:"blocks"`
	// Models counts the predictions of each model, in each window.
	Models  [2]map[string]int `json:"models"`
	Summary Summary           `json:"summary"`
	Columns []Column          `json:"columns"`
	// Performance of the predictions in each window, nil where there are none.
	Performance [2]*Performance `json:"performance"`
	// Map of the embeddings of both windows, nil where they cannot be compared.
	Map *Map `json:"map,omitempty"`
	// Nearest are the vacancies of the current window farthest along and against the shift of the embeddings' mean.
	Nearest []Example `json:"nearest,omitempty"`
	// CategoryShifts says how the embeddings of each category moved that CategoryModel predicted; none where no model classified both windows.
	CategoryModel  string          `json:"category_model,omitempty"`
	CategoryShifts []CategoryShift `json:"category_shifts,omitempty"`
	// Verdict is the worst of the columns'.
	Verdict alarms.Verdict `json:"verdict"`
	// Notes say what limits the comparison.
	Notes []string `json:"notes,omitempty"`
}

// ErrNothing is returned when a window holds nothing to compare.
var ErrNothing = errors.New("nothing to compare")

// Compare compares two windows, column by column. Its error is ErrNothing, with what the database holds instead, when no embedding lies in one of them.
func Compare(ctx context.Context, w *warehouse.Warehouse, o Options) (*Comparison, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("comparing windows: %w", err)
	}
	if err := o.chooseEncoder(ctx, w); err != nil {
		return nil, err
	}
	o.Progress("reading vacancies")
	fs, err := readFrames(ctx, w, o)
	if err != nil {
		return nil, err
	}
	c := &Comparison{
		Reference: o.Reference, Current: o.Current, Encoder: o.Encoder, Preset: o.Preset, Vacancies: [2]int{fs.reference.rows, fs.current.rows},
		Models: [2]map[string]int{fs.reference.models, fs.current.models},
	}
	switch o.Origin {
	case warehouse.OriginAPI:
		c.Origin, c.Notes = o.Origin, append(c.Notes, "what the API answered is compared, not the stream")
	case warehouse.OriginAll:
		c.Origin, c.Notes = o.Origin, append(c.Notes, "what the stream and the API answered is compared together")
	}
	blocks := [2][][]int{fs.reference.blocks(), fs.current.blocks()}
	c.Blocks = [2]int{len(blocks[0]), len(blocks[1])}
	for _, name := range fs.columns() {
		o.Progress("comparing " + name)
		column, err := fs.compare(name, blocks, o)
		if err != nil {
			return nil, fmt.Errorf("comparing %s: %w", name, err)
		}
		c.Columns = append(c.Columns, column)
	}
	o.Progress("estimating performance")
	for side, f := range []*frame{&fs.reference, &fs.current} {
		if c.Performance[side], err = f.perform(blocks[side], o.Alarms.Seed); err != nil {
			c.Notes = append(c.Notes, fmt.Sprintf("%s: %v", []Window{o.Reference, o.Current}[side], err))
		}
	}
	o.Progress("comparing embeddings")
	sample, err := c.compareVectors(ctx, w, o)
	if err != nil {
		return nil, err
	}
	c.Summary = fs.summarise(c.Columns)
	switch {
	case o.VerdictsOnly:
	case o.Origin != warehouse.OriginStream:
		c.Notes = append(c.Notes, "no map, statistics or examples of embeddings: there are such of the stream alone")
	default:
		if err := c.describeVectors(ctx, w, o, sample); err != nil {
			return nil, err
		}
	}
	return c, c.judge(o)
}

// chooseEncoder takes the encoder with most vacancies in the current window, of equals the live one, and sees that both windows hold any.
func (o *Options) chooseEncoder(ctx context.Context, w *warehouse.Warehouse) error {
	type held struct {
		Encoder   string `ch:"encoder"`
		Reference uint64 `ch:"reference"`
		Current   uint64 `ch:"current"`
	}
	var all []held
	err := w.Conn().Select(ctx, &all, `SELECT encoder, countIf(published_at >= fromUnixTimestamp64Milli(toInt64(?), 'UTC') AND published_at < fromUnixTimestamp64Milli(toInt64(?), 'UTC')) AS reference,
		countIf(published_at >= fromUnixTimestamp64Milli(toInt64(?), 'UTC') AND published_at < fromUnixTimestamp64Milli(toInt64(?), 'UTC')) AS current
		FROM `+o.Origin.View("embeddings")+` GROUP BY encoder ORDER BY current DESC, encoder = (SELECT argMax(encoder, history_offset) FROM model_history WHERE action IN ('live', 'switch')) DESC, encoder`, o.Reference.From.UnixMilli(), o.Reference.To.UnixMilli(), o.Current.From.UnixMilli(), o.Current.To.UnixMilli())
	if err != nil {
		return fmt.Errorf("looking for embeddings: %w", err)
	}
	if o.Encoder == "" && len(all) > 0 {
		o.Encoder = all[0].Encoder
	}
	for _, h := range all {
		if h.Encoder != o.Encoder {
			continue
		}
		switch {
		case h.Reference == 0:
			return fmt.Errorf("the reference window %s holds no vacancy with an embedding by encoder %s, choose other dates or another encoder: %w", o.Reference, o.Encoder, ErrNothing)
		case h.Current == 0:
			return fmt.Errorf("the current window %s holds no vacancy with an embedding by encoder %s, choose other dates or another encoder: %w", o.Current, o.Encoder, ErrNothing)
		}
		return nil
	}
	if len(all) == 0 {
		if o.Origin == warehouse.OriginAPI {
			return fmt.Errorf("ClickHouse holds no answer of the API yet: %w", ErrNothing)
		}
		return fmt.Errorf("ClickHouse holds no embeddings yet, publish vacancies first: %w", ErrNothing)
	}
	names := make([]string, len(all))
	for i, h := range all {
		names[i] = h.Encoder
	}
	return fmt.Errorf("ClickHouse holds no embeddings by encoder %s, only by %v: %w", o.Encoder, names, ErrNothing)
}

// columns names the columns that either window has, predictions first.
func (fs *frames) columns() []string {
	order := []string{"category", "label", "confidence", "text_length", "tokens", "occupations", "skills", "tasks", "truncated", "language", "source"}
	rank := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order) // attributes
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(fs.dictionaries)), maps.Keys(fs.reference.numbers))
	names = slices.AppendSeq(names, maps.Keys(fs.current.numbers))
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return slices.Compact(names)
}

// compare compares one column.
func (fs *frames) compare(name string, blocks [2][][]int, o Options) (Column, error) {
	if fs.dictionaries[name] != nil {
		return fs.compareWords(name, blocks, o)
	}
	return fs.compareNumbers(name, blocks, o)
}

// judge gives the verdicts: the preset's, column by column, and the worst of them for the whole.
func (c *Comparison) judge(o Options) error {
	if o.Preset == Calibrated { // the other one's verdicts do not depend on each other
		results := make([]alarms.Result, len(c.Columns))
		for i, column := range c.Columns {
			results[i] = column.Result
		}
		if err := alarms.Judge(results, o.Alarms); err != nil {
			return err
		}
		for i, r := range results {
			c.Columns[i].Result = r
		}
	}
	rank := []alarms.Verdict{alarms.Unknown, alarms.None, alarms.Possible, alarms.Drift}
	c.Verdict = alarms.Unknown
	for _, column := range c.Columns {
		if slices.Index(rank, column.Verdict) > slices.Index(rank, c.Verdict) {
			c.Verdict = column.Verdict
		}
	}
	if a, b := c.Models[0], c.Models[1]; len(a) > 0 && len(b) > 0 && !slices.Equal(slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))) {
		c.Notes = append(c.Notes, "the windows were classified by different models: categories and confidences may differ for that alone; compare one model with --model, or classify again with jobstrom reprocess")
	}
	return nil
}

// evidently gives a description, whose p and q are 1, Evidently's verdict.
func evidently(r *alarms.Result, verdict stats.Column) {
	r.StatisticName, r.Statistic, r.EffectName, r.Effect, r.Gate = verdict.Test, verdict.Score, verdict.Test, verdict.Score, verdict.Threshold
	if verdict.Test == "chisquare" || verdict.Test == "z" || verdict.Test == "ks" {
		r.P, r.Q = verdict.Score, verdict.Score
	}
	r.Verdict = alarms.None
	if verdict.Drifted {
		r.Verdict = alarms.Drift
	}
}
