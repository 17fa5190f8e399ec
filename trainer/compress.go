package trainer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"google.golang.org/protobuf/proto"

	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/schemas"
)

// Kinds of variants of a classifier.
const (
	Plain  = "plain"
	Int8   = "int8"   // weights in bytes
	Pruned = "pruned" // the weights nearest to 0 left out
	Both   = "both"   // pruned, then in bytes
)

// Kinds lists the variants in the order of their table.
var Kinds = []string{Plain, Int8, Pruned, Both}

// CompressOptions says how a classifier is made smaller, and how its variants are compared.
type CompressOptions struct {
	// Prune is the share of weights that is left out, in (0, 1). Default: 0.2.
	Prune float64
	// PerTensor gives all rows one scale instead of one each.
	PerTensor bool
	// Batches of Batch vectors are timed. Default: 100 of 512; negative: none.
	Batches, Batch int
}

// EnsureDefaults fills the zero fields.
func (o *CompressOptions) EnsureDefaults() {
	if o.Prune == 0 {
		o.Prune = .2
	}
	if o.Batches == 0 {
		o.Batches = 100
	}
	if o.Batch == 0 {
		o.Batch = 512
	}
}

// Validate reports every violation at once.
func (o CompressOptions) Validate() error {
	var errs []error
	if !(o.Prune > 0 && o.Prune < 1) {
		errs = append(errs, fmt.Errorf("prune (%v) must be > 0 and < 1", o.Prune))
	}
	if o.Batch < 1 {
		errs = append(errs, fmt.Errorf("batch (%d) must be >= 1", o.Batch))
	}
	return errors.Join(errs...)
}

// Compress returns a sealed variant of a sealed plain classifier, which stays as it is. The variant's settings name it and the classifier it
// was made of; its metrics are none, because they were not measured on it.
func Compress(c *schemas.Classifier, kind string, o CompressOptions) (*schemas.Classifier, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("compressing classifier %.12s: %w", c.Id, err)
	}
	if !slices.Contains(Kinds, kind) {
		return nil, fmt.Errorf("compressing classifier %.12s: no variant %q: use one of %v", c.Id, kind, Kinds)
	}
	v := proto.Clone(c).(*schemas.Classifier)
	if kind == Plain {
		return v, nil
	}
	v.Metrics = nil
	if v.Training == nil {
		v.Training = map[string]string{}
	}
	v.Training["variant"], v.Training["variant_of"] = kind, c.Id
	if kind == Pruned || kind == Both {
		models.Prune(v, o.Prune)
		v.Training["pruned"] = strconv.FormatFloat(o.Prune, 'g', -1, 64)
	}
	if kind == Int8 || kind == Both {
		scales := "row"
		if o.PerTensor {
			scales = "tensor"
			models.QuantizeTensor(v)
		} else {
			models.Quantize(v)
		}
		v.Training["int8_scale"] = scales
	}
	if err := models.SealClassifier(v); err != nil {
		return nil, fmt.Errorf("compressing classifier %.12s: %w", c.Id, err)
	}
	return v, nil
}

// Variant is a classifier in one form and how it does.
type Variant struct {
	// Kind is one of Kinds.
	Kind string `json:"kind"`
	// Model is its identity.
	Model string `json:"model"`
	// Bytes is its size as it travels, WeightBytes what its weights take in memory.
	Bytes       int `json:"bytes"`
	WeightBytes int `json:"weight_bytes"`
	// Zeros is the share of weights that are 0; Sparse says that they are left out of the computation.
	Zeros  float64 `json:"zeros"`
	Sparse bool    `json:"sparse"`
	// The figures are those of Evaluation, on the test part.
	Top1    float64 `json:"top1"`
	MacroF1 float64 `json:"macro_f1"`
	LogLoss float64 `json:"log_loss"`
	// Agreement is the share of predictions that are the plain classifier's.
	Agreement float64 `json:"agreement"`
	// BatchTime is the median time for a batch, TotalTime that for all of them; 0 where none were timed.
	BatchTime time.Duration `json:"batch_ns"`
	TotalTime time.Duration `json:"total_ns"`

	classifier    *schemas.Classifier
	probabilities [][]float32
	evaluation    Evaluation
}

// Classifier returns the variant itself, sealed, with its own metrics.
func (v Variant) Classifier() *schemas.Classifier { return v.classifier }

// Take makes a variant of the classifier the result.
func (r *Result) Take(v Variant) {
	r.Classifier, r.TestPart.Probabilities, r.Evaluation = v.classifier, v.probabilities, v.evaluation
}

// CompareWith sets what the test part's classifier says beside a champion, which takes the same vectors.
func CompareWith(champion *schemas.Classifier, taxonomy *schemas.Taxonomy, part TestPart) (Comparison, error) {
	opened, err := classify.New(champion, taxonomy, classify.Options{})
	if err != nil {
		return Comparison{}, fmt.Errorf("comparing with the champion: %w", err)
	}
	probabilities, err := classified(opened, part.Vectors)
	if err != nil {
		return Comparison{}, fmt.Errorf("comparing with the champion: %w", err)
	}
	return Compare(probabilities, part.Probabilities, part.Categories, len(taxonomy.Categories)), nil
}

// classified returns the probabilities of vectors as the pipeline computes them.
func classified(c *classify.Classifier, vectors [][]float32) ([][]float32, error) {
	predictions, err := c.Classify(c.Encoder(), vectors)
	if err != nil {
		return nil, err
	}
	probabilities := make([][]float32, len(predictions))
	for i, p := range predictions {
		probabilities[i] = p.Probabilities
	}
	return probabilities, nil
}

// Variants makes every variant of a sealed plain classifier and compares them on the same vacancies, as the pipeline would classify them.
// The variants' batches are timed in turns, so that what else the machine does hits all of them.
func Variants(ctx context.Context, c *schemas.Classifier, taxonomy *schemas.Taxonomy, test Examples, o CompressOptions) ([]Variant, error) {
	o.EnsureDefaults()
	var variants []Variant
	var opened []*classify.Classifier
	var plain []int
	for _, kind := range Kinds {
		v := Variant{Kind: kind}
		var err error
		if v.classifier, err = Compress(c, kind, o); err != nil {
			return nil, err
		}
		ready, err := classify.New(v.classifier, taxonomy, classify.Options{})
		if err != nil {
			return nil, fmt.Errorf("comparing variants: %w", err)
		}
		if v.probabilities, err = classified(ready, test.Vectors); err != nil {
			return nil, fmt.Errorf("comparing variants: %w", err)
		}
		v.evaluation = Evaluate(v.probabilities, test.Categories, int(c.Categories))
		predicted := Predictions(v.probabilities)
		if plain == nil {
			plain = predicted
		}
		if kind != Plain {
			v.classifier.Metrics = v.evaluation.Metrics()
			if v.classifier.Card != nil {
				v.classifier.Card.Calibration = calibration(v.evaluation)
			}
			if err := models.SealClassifier(v.classifier); err != nil {
				return nil, fmt.Errorf("comparing variants: %w", err)
			}
		}
		data, err := models.EncodeClassifier(v.classifier)
		if err != nil {
			return nil, fmt.Errorf("comparing variants: %w", err)
		}
		v.Model, v.Bytes, v.WeightBytes, v.Sparse = v.classifier.Id, len(data), ready.WeightBytes(), ready.Sparse()
		v.Top1, v.MacroF1, v.LogLoss = v.evaluation.Top1, v.evaluation.MacroF1, v.evaluation.LogLoss
		v.Agreement, v.Zeros = share(predicted, func(i int) bool { return predicted[i] == plain[i] }), zeros(v.classifier)
		variants, opened = append(variants, v), append(opened, ready)
	}
	return variants, timeVariants(ctx, variants, opened, test.Vectors, o)
}

// timeVariants lets each variant take a batch in turn.
func timeVariants(ctx context.Context, variants []Variant, opened []*classify.Classifier, vectors [][]float32, o CompressOptions) error {
	if len(vectors) == 0 {
		return nil
	}
	batch := make([][]float32, o.Batch)
	taken := make([][]time.Duration, len(variants))
	for b := range o.Batches {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range batch {
			batch[i] = vectors[(b*o.Batch+i)%len(vectors)]
		}
		for i := range opened {
			which := (b + i) % len(opened) // none is always the first to see the vectors
			start := time.Now()
			if _, err := opened[which].Classify(opened[which].Encoder(), batch); err != nil {
				return fmt.Errorf("timing variants: %w", err)
			}
			taken[which] = append(taken[which], time.Since(start))
		}
	}
	for i, times := range taken {
		if len(times) == 0 {
			continue
		}
		for _, t := range times {
			variants[i].TotalTime += t
		}
		slices.Sort(times)
		variants[i].BatchTime = times[len(times)/2]
	}
	return nil
}

func zeros(c *schemas.Classifier) float64 {
	weights := models.Weights(c)
	return share(weights, func(i int) bool { return weights[i] == 0 })
}

// share returns how many positions are chosen, of all.
func share[T any](all []T, chosen func(i int) bool) float64 {
	n := 0
	for i := range all {
		if chosen(i) {
			n++
		}
	}
	return float64(n) / float64(max(len(all), 1))
}

// VariantTable renders variants for people.
func VariantTable(variants []Variant) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"variant", "bytes", "in memory", "zeros", "top-1", "macro F1", "as plain", "batch"})
	t.SetColumnConfigs(numbers(2, 3, 4, 5, 6, 7, 8))
	for _, v := range variants {
		t.AppendRow(table.Row{
			v.Kind, v.Bytes, v.WeightBytes, fmt.Sprintf("%.1f %%", 100*v.Zeros), fmt.Sprintf("%.3f", v.Top1), fmt.Sprintf("%.3f", v.MacroF1),
			fmt.Sprintf("%.2f %%", 100*v.Agreement), v.BatchTime.Round(time.Microsecond),
		})
	}
	return t.Render()
}
