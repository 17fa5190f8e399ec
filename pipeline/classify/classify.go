// Package classify is the third stage: it turns vectors into predictions with a linear classifier.
//
// A classifier takes the vectors of one encoder and gives the categories of one taxonomy; anything else is
// refused. The same vector gives the same prediction, alone and in any batch. The package is pure: it
// knows nothing of Kafka, ClickHouse or HTTP.
package classify

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"jobstrom/models"
	"jobstrom/schemas"
)

var (
	// ErrOtherEncoder is returned for vectors of an encoder that the classifier was not trained on.
	ErrOtherEncoder = errors.New("the classifier takes the vectors of another encoder")
	// ErrOtherTaxonomy is returned by New for a classifier of other categories.
	ErrOtherTaxonomy = errors.New("the classifier has the categories of another taxonomy")
	// ErrBadVector is returned for a vector of another width or with numbers that are not finite.
	ErrBadVector = errors.New("not a vector of the encoder")
)

// Prediction is what a classifier says of one vector.
type Prediction struct {
	// Category is the index of the most probable category, the lower one of two equals.
	Category int
	// Confidence is its probability.
	Confidence float64
	// Probabilities holds one for each category; they sum to 1.
	Probabilities []float32
}

// Classifier is a classifier ready for use. It never changes and is safe for concurrent use.
type Classifier struct {
	id, encoder string
	trained     time.Time
	dim         int
	weights     weights
	bias        []float64 // one a row
	owners      []int     // the category of each row; nil: one row a category, in their order
	mean        []float32
	temperature float64
	shift       []float64 // of each category's score, by the prior
	spaces      sync.Pool // of *space, one for each call at a time
}

// Live holds the classifier in use. A worker loads it once a batch, so that it changes between two batches.
type Live struct {
	atomic.Pointer[Classifier]
	challengers atomic.Pointer[[]*Classifier]
}

// Challenge sets the classifiers that answer beside the one in use, for comparison alone.
func (l *Live) Challenge(challengers []*Classifier) { l.challengers.Store(&challengers) }

// Challengers returns them; none is the rule.
func (l *Live) Challengers() []*Classifier {
	if c := l.challengers.Load(); c != nil {
		return *c
	}
	return nil
}

// New prepares a sealed classifier for the categories of a taxonomy. Zero options get their defaults.
func New(c *schemas.Classifier, taxonomy *schemas.Taxonomy, opts Options) (*Classifier, error) {
	if err := models.VerifyClassifier(c); err != nil {
		return nil, fmt.Errorf("opening classifier: %w", err)
	}
	categories, dim := int(c.Categories), int(c.Dim)
	if c.Taxonomy != taxonomy.ID || categories != len(taxonomy.Categories) {
		return nil, fmt.Errorf("opening classifier %.12s: %w: %s with %d categories, not %s with %d; train one for these categories",
			c.Id, ErrOtherTaxonomy, c.Taxonomy, categories, taxonomy.ID, len(taxonomy.Categories))
	}
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("opening classifier %.12s: %w", c.Id, err)
	}
	shift, err := opts.shift(c)
	if err != nil {
		return nil, fmt.Errorf("opening classifier %.12s: %w", c.Id, err)
	}
	r := &Classifier{
		id: c.Id, encoder: c.Encoder, trained: c.TrainedAt.AsTime(), dim: dim, weights: newWeights(c), bias: make([]float64, models.Rows(c)),
		mean: slices.Clone(c.Mean), temperature: float64(c.Temperature), shift: shift,
	}
	for row, b := range c.Bias {
		r.bias[row] = float64(b)
	}
	for _, owner := range c.Owners {
		r.owners = append(r.owners, int(owner))
	}
	if len(r.mean) == 0 {
		r.mean = make([]float32, dim)
	}
	return r, nil
}

// Model returns the identity of the classifier.
func (c *Classifier) Model() string { return c.id }

// Encoder returns the identity of the encoder whose vectors it takes.
func (c *Classifier) Encoder() string { return c.encoder }

// TrainedAt returns when it was trained; 1970 where that is not known.
func (c *Classifier) TrainedAt() time.Time { return c.trained }

// WeightBytes returns the memory that its weights take.
func (c *Classifier) WeightBytes() int { return c.weights.bytes() }

// Sparse says whether weights of 0 are left out.
func (c *Classifier) Sparse() bool { _, ok := c.weights.(*sparseWeights); return ok }

// Dim returns the width of the vectors it takes.
func (c *Classifier) Dim() int { return c.dim }

// Classify returns a prediction for each vector of the named encoder, in their order.
func (c *Classifier) Classify(encoder string, vectors [][]float32) ([]Prediction, error) {
	if encoder != c.encoder {
		return nil, fmt.Errorf("classifying %d vectors: %w: model %.12s is for %.12q, the vectors are of %.12q", len(vectors), ErrOtherEncoder, c.id, c.encoder, encoder)
	}
	for i, v := range vectors {
		if len(v) != c.dim {
			return nil, fmt.Errorf("classifying vector %d of %d: %w: width %d, model %.12s takes %d", i+1, len(vectors), ErrBadVector, len(v), c.id, c.dim)
		}
	}
	s, _ := c.spaces.Get().(*space)
	if s == nil {
		s = &space{}
	}
	defer c.spaces.Put(s)
	return c.classify(vectors, s)
}

// classify is Classify for vectors of the right width. What it returns shares nothing with the work space.
func (c *Classifier) classify(vectors [][]float32, s *space) ([]Prediction, error) {
	rows, categories := len(c.bias), len(c.shift)
	predictions, probabilities := make([]Prediction, len(vectors)), make([]float32, len(vectors)*categories)
	for first := 0; first < len(vectors); first += vectorsAtOnce {
		part := vectors[first:min(first+vectorsAtOnce, len(vectors))]
		products := sized(&s.products, len(part)*rows)
		if bad := c.weights.multiply(products, part, c.mean, s); bad >= 0 {
			return nil, notFiniteError(first+bad, len(vectors))
		}
		for v := range part {
			i, own := first+v, products[v*rows:(v+1)*rows]
			for r, b := range c.bias {
				own[r] += b
			}
			p := probabilities[i*categories : (i+1)*categories : (i+1)*categories]
			best, confidence := softmax(p, c.score(own, s))
			if math.IsNaN(confidence) {
				return nil, notFiniteError(i, len(vectors))
			}
			predictions[i] = Prediction{Category: best, Confidence: confidence, Probabilities: p}
		}
	}
	return predictions, nil
}

func notFiniteError(i, n int) error {
	return fmt.Errorf("classifying vector %d of %d: %w: its numbers are not finite", i+1, n, ErrBadVector)
}

// score turns the rows' products into the categories' scores: log Σ exp over each category's rows, divided
// by the temperature, moved by the prior. They lie in the work space.
func (c *Classifier) score(products []float64, s *space) []float64 {
	scores := sized(&s.scores, len(c.shift))
	if c.owners == nil {
		for i, p := range products {
			scores[i] = p/c.temperature + c.shift[i]
		}
		return scores
	}
	highest := sized(&s.highest, len(scores))
	for i := range scores {
		highest[i], scores[i] = math.Inf(-1), 0
	}
	for row, p := range products {
		// A NaN must survive the comparison: it is looked for at the end.
		if owner := c.owners[row]; !(p <= highest[owner]) {
			highest[owner] = p
		}
	}
	for row, p := range products {
		owner := c.owners[row]
		scores[owner] += math.Exp(p - highest[owner])
	}
	for i := range scores {
		scores[i] = (highest[i]+math.Log(scores[i]))/c.temperature + c.shift[i]
	}
	return scores
}

// softmax writes the probabilities of scores, overwrites the scores and returns the best and its
// probability, NaN for scores without a finite highest.
func softmax(p []float32, scores []float64) (best int, confidence float64) {
	for i, s := range scores {
		if math.IsNaN(s) {
			return 0, s
		}
		if s > scores[best] {
			best = i
		}
	}
	highest := scores[best]
	if math.IsInf(highest, 0) {
		return best, math.NaN()
	}
	var sum float64
	for i, s := range scores {
		scores[i] = math.Exp(s - highest)
		sum += scores[i]
	}
	for i, e := range scores {
		p[i] = float32(e / sum)
	}
	return best, 1 / sum
}

// Top returns the indices of the k most probable categories, most probable first.
func Top(p Prediction, k int) []int {
	order := make([]int, len(p.Probabilities))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch pa, pb := p.Probabilities[a], p.Probabilities[b]; {
		case pa > pb:
			return -1
		case pa < pb:
			return 1
		}
		return 0
	})
	return order[:max(0, min(k, len(order)))]
}
