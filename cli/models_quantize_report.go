package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/samples"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

// quantizeReport says what a quantised encoder is worth beside its original.
type quantizeReport struct {
	Dir      string             `json:"dir"`
	Original string             `json:"original"` // identity
	Encoder  models.EncoderCard `json:"encoder"`
	Provider onnx.Provider      `json:"provider"`
	Threads  int                `json:"threads"`

	OriginalBytes int64    `json:"original_bytes"`
	Bytes         int64    `json:"bytes"`
	Products      int      `json:"products"`
	Embeddings    int      `json:"embeddings"`
	Left          []string `json:"left"`

	Texts  int `json:"texts"`
	Cosine struct {
		Lowest float64 `json:"lowest"`
		Mean   float64 `json:"mean"`
	} `json:"cosine"`
	Flips         int     `json:"flips"`
	OriginalRight float64 `json:"original_right"` // share of the samples
	Right         float64 `json:"right"`

	Alone        int     `json:"alone"` // texts that were embedded alone, too
	Batched      float64 `json:"batched"`
	BatchedFlips int     `json:"batched_flips"`
	MinBatched   float64 `json:"min_batched"`
	Holds        bool    `json:"holds"`

	OriginalPerSecond float64 `json:"original_texts_per_second"`
	PerSecond         float64 `json:"texts_per_second"`
	Speed             struct {
		Median  float64 `json:"median"`
		Lowest  float64 `json:"lowest"`
		Highest float64 `json:"highest"`
	} `json:"speed"`
}

func (r quantizeReport) kind() string {
	kind, _, _ := strings.Cut(r.Encoder.Recipe.Graph, ",")
	return kind
}

const (
	// speedRounds are the turns of a comparison of speeds, of speedTexts texts each.
	speedRounds, speedTexts = 5, 32
	// aloneTexts are about how many texts are embedded alone, from all over the list.
	aloneTexts  = 110
	maxOwnTexts = 100_000
)

// comparison compares encoders with an original on the samples and other texts.
type comparison struct {
	options  embed.Options // of the original
	taxonomy *schemas.Taxonomy
	samples  []trainer.Sample // with a label
	first    int              // of the samples are vacancies of the program's, the others unseen
	texts    []string         // of the samples, then others
}

// newComparison reads the samples, and the lines of a file if one is named.
func (a *app) newComparison(ctx context.Context, original, file string) (*comparison, error) {
	c := &comparison{options: a.config.embedOptions(), taxonomy: schemas.Jobnet()}
	c.options.ModelDir, c.options.CacheBytes = original, 0
	for _, in := range []io.Reader{samples.Vacancies(), samples.Unseen()} {
		c.first = len(c.samples)
		if err := c.read(ctx, in); err != nil {
			return nil, fmt.Errorf("reading the samples: %w", err)
		}
	}
	for _, s := range c.samples {
		c.texts = append(c.texts, s.Text)
	}
	if file == "" {
		return c, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading texts: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		if text := strings.TrimSpace(lines.Text()); text != "" {
			c.texts = append(c.texts, text)
		}
		if len(c.texts) > maxOwnTexts {
			return nil, fmt.Errorf("reading texts from %s: more than %d lines: fewer tell as much", file, maxOwnTexts)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading texts from %s: %w (a line is a text of at most 1 MiB)", file, err)
	}
	if len(c.texts) == len(c.samples) {
		return nil, fmt.Errorf("reading texts from %s: it has none: put one on each line", file)
	}
	return c, nil
}

// read reads labelled vacancies and extracts them by the rules, as the default classifier was trained.
func (c *comparison) read(ctx context.Context, in io.Reader) error {
	var vacancies []*schemas.Vacancy
	var bad error
	err := producers.Read(in, "samples", producers.JSONL, producers.ReadOptions{}, func(_ int, v *schemas.Vacancy) error {
		category, err := c.taxonomy.Find(v.Category)
		vacancies = append(vacancies, v)
		c.samples = append(c.samples, trainer.Sample{Category: category.Index, Employer: v.Employer})
		return err
	}, func(b *producers.BadLine) { bad = errors.Join(bad, b) })
	extractor, failed := extract.New(extract.Options{Taxonomy: c.taxonomy})
	if err := errors.Join(err, bad, failed); err != nil {
		return err
	}
	results, err := extractor.Extract(ctx, vacancies)
	if err != nil {
		return err
	}
	for i, r := range results {
		if r.Err != nil {
			return r.Err
		}
		c.samples[c.first+i].Text = r.Extraction.Text
	}
	return nil
}

// measure compares the encoder in a folder, computed with a provider, with the original.
func (c *comparison) measure(ctx context.Context, dir string, provider onnx.Provider, progress func(phase string, done, of int)) (quantizeReport, error) {
	r := quantizeReport{Provider: provider, Threads: c.options.Threads * c.options.Workers, Texts: len(c.texts)}
	original, err := embed.New(c.options)
	if err != nil {
		return r, err
	}
	defer original.Close()
	o := c.options
	o.ModelDir, o.Provider = dir, provider
	quantized, err := embed.New(o)
	if err != nil {
		return r, err
	}
	defer quantized.Close()
	every := max(len(c.texts)/aloneTexts, 1)
	var some []string
	for i := 0; i < len(c.texts); i += every {
		some = append(some, c.texts[i])
	}
	r.Alone = len(some)
	var vectors [3][][]float32
	for i, way := range []struct {
		encoder       *embed.Encoder
		texts         []string
		atOnce, calls int
		phase         string
	}{{original, c.texts, 64, 1, "original"}, {quantized, c.texts, 64, 1, "quantised, in batches"}, {quantized, some, 1, o.Workers, "quantised, one by one"}} {
		vectors[i], err = embedAll(ctx, way.encoder, way.texts, way.atOnce, way.calls, func(done int) { progress(way.phase, done, len(way.texts)) })
		if err != nil {
			return r, err
		}
	}
	r.Cosine.Lowest, r.Cosine.Mean = cosines(vectors[0], vectors[1])
	alone := slices.Clone(vectors[1]) // and batched, where it was not embedded alone
	for i, v := range vectors[2] {
		alone[i*every] = v
	}
	r.Batched, _ = cosines(vectors[1], alone)
	progress("making the original's classifiers", 0, 3)
	answers, err := c.judge(ctx, original, [][][]float32{vectors[0], vectors[1], alone}, progress)
	if err != nil {
		return r, err
	}
	for i, was := range answers[0] {
		if answers[1][i] != was {
			r.Flips++
		}
		if answers[1][i] != answers[2][i] {
			r.BatchedFlips++
		}
	}
	for i, s := range c.samples {
		for k, right := range []*float64{&r.OriginalRight, &r.Right} {
			if answers[k][i] == s.Category {
				*right += 1 / float64(len(c.samples))
			}
		}
	}
	r.MinBatched, r.Holds = .99999, true
	if provider != onnx.CPU { // whose kernels differ by the batch's shape
		r.MinBatched, r.Holds = .999, 1000*r.BatchedFlips <= r.Alone
	}
	r.Holds = r.Holds && r.Batched >= r.MinBatched
	return r, c.race(ctx, original, quantized, &r, progress)
}

// embedAll embeds texts so many at once, in as many calls at a time.
func embedAll(ctx context.Context, e *embed.Encoder, texts []string, atOnce, calls int, progress func(done int)) ([][]float32, error) {
	all := make([][]float32, len(texts))
	for first := 0; first < len(texts); first += atOnce * calls {
		group, ctx := errgroup.WithContext(ctx)
		for from := first; from < min(first+atOnce*calls, len(texts)); from += atOnce {
			group.Go(func() error {
				vectors, err := e.Embed(ctx, texts[from:min(from+atOnce, len(texts))])
				for i, v := range vectors {
					all[from+i] = v.Values
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		progress(min(first+atOnce*calls, len(texts)))
	}
	return all, nil
}

// cosines returns the lowest and the mean cosine of two vectors of a text.
func cosines(a, b [][]float32) (lowest, mean float64) {
	lowest = 1
	for i := range a {
		var ab, aa, bb float64
		for k := range a[i] {
			x, y := float64(a[i][k]), float64(b[i][k])
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		c := ab / math.Sqrt(aa*bb)
		if math.IsNaN(c) {
			c = -1 // a vector of zeros, or none: as far away as can be
		}
		lowest, mean = min(lowest, c), mean+c/float64(len(a))
	}
	return lowest, mean
}

// judge returns a category for each text and set of vectors. Every text is judged by a classifier that is made of the original's vectors of other samples.
func (c *comparison) judge(ctx context.Context, original *embed.Encoder, sets [][][]float32, progress func(phase string, done, of int)) ([][]int, error) {
	known := map[string][]float32{}
	for i, text := range c.texts {
		known[text] = sets[0][i]
	}
	answers := make([][]int, len(sets))
	for k := range answers {
		answers[k] = make([]int, len(c.texts))
	}
	for i, part := range []struct {
		made     []trainer.Sample
		from, to int
	}{{c.samples[:c.first], c.first, len(c.samples)}, {c.samples[c.first:], 0, c.first}, {c.samples, len(c.samples), len(c.texts)}} {
		if part.from == part.to {
			continue
		}
		made, _, err := trainer.Default(ctx, trainer.DefaultOptions{
			Embed: func(ctx context.Context, texts []string) ([][]float32, error) {
				return c.remember(ctx, original, known, texts)
			},
			Encoder: original.Card().ID, Taxonomy: c.taxonomy, Samples: part.made, Seed: 1, Folds: 2, Library: c.options.Library,
			Settings: []trainer.DefaultSetting{{Sharpness: 20, TaskWeight: 1, SampleWeight: 1, L2: 1e-4}},
		})
		if err != nil {
			return nil, err
		}
		classifier, err := classify.New(made, c.taxonomy, classify.Options{})
		if err != nil {
			return nil, err
		}
		for k, set := range sets {
			predictions, err := classifier.Classify(original.Card().ID, set[part.from:part.to])
			if err != nil {
				return nil, err
			}
			for j, p := range predictions {
				answers[k][part.from+j] = p.Category
			}
		}
		progress("making the original's classifiers", i+1, 3)
	}
	return answers, nil
}

// remember embeds the texts that are not known yet.
func (c *comparison) remember(ctx context.Context, e *embed.Encoder, known map[string][]float32, texts []string) ([][]float32, error) {
	missing := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return known[text] != nil })
	vectors, err := e.Embed(ctx, missing)
	if err != nil {
		return nil, err
	}
	for i, v := range vectors {
		known[missing[i]] = v.Values
	}
	all := make([][]float32, len(texts))
	for i, text := range texts {
		all[i] = known[text]
	}
	return all, nil
}

// race lets both encoders embed the same texts in turns.
func (c *comparison) race(ctx context.Context, original, quantized *embed.Encoder, r *quantizeReport, progress func(phase string, done, of int)) error {
	var ratios []float64
	var took [2]time.Duration
	count := 0
	for round := range speedRounds {
		first := round * speedTexts % len(c.texts)
		texts := c.texts[first:min(first+speedTexts, len(c.texts))]
		count += len(texts)
		var turn [2]time.Duration
		for k := range turn {
			at := (k + round) % 2 // who goes first changes
			began := time.Now()
			if _, err := []*embed.Encoder{original, quantized}[at].Embed(ctx, texts); err != nil {
				return err
			}
			turn[at] = max(time.Since(began), 1)
			took[at] += turn[at]
		}
		ratios = append(ratios, float64(turn[0])/float64(turn[1]))
		progress("comparing the speed, in turns", round+1, speedRounds)
	}
	slices.SortFunc(ratios, cmp.Compare[float64])
	r.Speed.Lowest, r.Speed.Median, r.Speed.Highest = ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1]
	r.OriginalPerSecond, r.PerSecond = float64(count)/took[0].Seconds(), float64(count)/took[1].Seconds()
	return nil
}
