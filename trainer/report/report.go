// Package report says on one page, and in numbers for programs, how good a trained classifier is and how it came about.
//
// The page needs no network and no script. Neither page nor numbers hold a vacancy's text: mistakes are named by id.
package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"jobstrom/models/convert"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

// Options is what a report tells beside the result.
type Options struct {
	// Taxonomy names the categories.
	Taxonomy *schemas.Taxonomy
	// Version is that of the program.
	Version string
	// Started and Finished bound the training.
	Started, Finished time.Time
	// Variants are the compressed forms; may be none.
	Variants []trainer.Variant
	// Champion is the identity of the live model and Comparison how it does on the same vacancies; nil: there is none.
	Champion   string
	Comparison *trainer.Comparison
	// Seed decides the draws of the confidence intervals, Resamples how many there are. Default: as trainer.Bootstrap.
	Seed      uint64
	Resamples int
	// Mistakes bounds how many are shown. Default: 25.
	Mistakes int
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	if o.Mistakes == 0 {
		o.Mistakes = 25
	}
}

// Report is everything that is told of a training. Its JSON is for programs.
type Report struct {
	// Model is the classifier's identity, the SHA-256 of its message; Encoder and Taxonomy are those of its vectors and categories.
	Model    string `json:"model"`
	Encoder  string `json:"encoder"`
	Taxonomy string `json:"taxonomy"`
	// Version is that of the program.
	Version  string    `json:"version,omitempty"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Train, Validation and Test count the vacancies of each part. The figures are of the test part.
	Train      int `json:"train"`
	Validation int `json:"validation"`
	Test       int `json:"test"`
	// Settings are the classifier's.
	Settings map[string]string `json:"settings"`
	// Categories are the categories' names, in index order.
	Categories []string           `json:"categories"`
	Evaluation trainer.Evaluation `json:"evaluation"`
	// Intervals bound the figures with 95 % confidence.
	Intervals   map[string]trainer.Interval `json:"intervals"`
	Temperature float64                     `json:"temperature"`
	// Trials are the settings that were tried, on the validation part, the best first: it is the classifier's.
	Trials   []trainer.Trial   `json:"trials"`
	Variants []trainer.Variant `json:"variants"`
	// CrossValidation and WithoutEach judge the best setting on all of the history; absent where that was not asked for.
	CrossValidation *trainer.CrossValidation `json:"cross_validation,omitempty"`
	WithoutEach     *trainer.WithoutEach     `json:"leave_one_out,omitempty"`
	Mistakes        []trainer.Mistake        `json:"mistakes"`
	// Champion is the identity of the model that was live, Comparison how the two do on the same vacancies; absent without one.
	Champion   string              `json:"champion,omitempty"`
	Comparison *trainer.Comparison `json:"comparison,omitempty"`
	BySource   []trainer.Slice     `json:"by_source"`
	ByTime     []trainer.Slice     `json:"by_time"`

	classifier *schemas.Classifier
}

// New makes the report of a result.
func New(r *trainer.Result, o Options) Report {
	o.EnsureDefaults()
	c, part, k := r.Classifier, r.TestPart, len(o.Taxonomy.Categories)
	return Report{
		Model: c.Id, Encoder: c.Encoder, Taxonomy: c.Taxonomy, Version: o.Version, Started: o.Started.UTC(), Finished: o.Finished.UTC(),
		Train: r.Train, Validation: r.Validation, Test: r.Test, Settings: c.Training, Categories: o.Taxonomy.Names(), Evaluation: r.Evaluation,
		Intervals:   trainer.Bootstrap(part.Probabilities, part.Categories, k, trainer.BootstrapOptions{Seed: o.Seed, Resamples: o.Resamples}),
		Temperature: float64(c.Temperature), Trials: r.Trials, CrossValidation: r.CrossValidation, WithoutEach: r.WithoutEach, Variants: o.Variants, Champion: o.Champion, Comparison: o.Comparison,
		Mistakes: trainer.Mistakes(part.IDs, part.Probabilities, part.Categories, o.Mistakes),
		BySource: trainer.SlicesBySource(part.Sources, part.Probabilities, part.Categories, k),
		ByTime:   trainer.SlicesByTime(part.Times, part.Probabilities, part.Categories, k), classifier: c,
	}
}

// Metrics returns the figures by name: those of the evaluation, the bounds of each, each variant's, and those of folds and of leaving one out.
func (r Report) Metrics() map[string]float64 {
	metrics := maps.Clone(r.Evaluation.Metrics())
	for name, i := range r.Intervals {
		metrics[name+"_low"], metrics[name+"_high"] = i.Low, i.High
	}
	if r.CrossValidation != nil {
		for name, value := range r.CrossValidation.Mean {
			metrics["folds_"+name] = value
		}
	}
	if r.WithoutEach != nil {
		for name, value := range r.WithoutEach.Evaluation.Metrics() {
			metrics["leave_one_out_"+name] = value
		}
	}
	for _, v := range r.Variants {
		for name, value := range map[string]float64{
			"bytes": float64(v.Bytes), "weight_bytes": float64(v.WeightBytes), "top1": v.Top1, "macro_f1": v.MacroF1, "agreement": v.Agreement,
			"batch_seconds": v.BatchTime.Seconds(),
		} {
			metrics[v.Kind+"_"+name] = value
		}
	}
	return metrics
}

// Names of the files that Write writes.
const (
	PageFile    = "report.html"
	NumbersFile = "report.json"
	ONNXFile    = "classifier.onnx"
)

// Write writes the page, the numbers and the classifier as ONNX into a folder, which is made where it is absent, and returns the files' paths.
func (r Report) Write(dir string) ([]string, error) {
	var page, onnx bytes.Buffer
	if err := r.HTML(&page); err != nil {
		return nil, err
	}
	numbers, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	if err := convert.WriteClassifier(&onnx, r.classifier); err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	var paths []string
	for _, f := range []struct {
		name string
		data []byte
	}{{PageFile, page.Bytes()}, {NumbersFile, append(numbers, '\n')}, {ONNXFile, onnx.Bytes()}} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, f.data, 0o644); err != nil {
			return nil, fmt.Errorf("writing the report: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// confusion is one kind of mistake: how many of a category are taken for another.
type confusion struct {
	True, Predicted string
	N               int
	Share           float64 // of the true category's vacancies
}

// confusions returns the most common kinds of mistakes.
func (r Report) confusions(limit int) []confusion {
	var all []confusion
	for t, row := range r.Evaluation.Confusion {
		for p, n := range row {
			if t != p && n > 0 {
				all = append(all, confusion{r.Categories[t], r.Categories[p], n, float64(n) / float64(r.Evaluation.Categories[t].Support)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b confusion) int { return cmp.Compare(b.N, a.N) })
	return all[:min(limit, len(all))]
}
