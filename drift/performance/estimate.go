package performance

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Options say how intervals are found.
type Options struct {
	// Resamples is how often the labels are drawn. Default: 1,000.
	Resamples int
	// Level is how much an interval holds of the resamples' figures. Default: 0.95.
	Level float64
	// Seed decides the draws.
	Seed uint64
}

// EnsureDefaults fills the zero fields.
func (o *Options) EnsureDefaults() {
	if o.Resamples == 0 {
		o.Resamples = 1000
	}
	if o.Level == 0 {
		o.Level = .95
	}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(o.Resamples >= 100, "Resamples (%d) must be >= 100", o.Resamples)
	check(o.Level > 0 && o.Level < 1, "Level (%v) must be above 0 and below 1", o.Level)
	return errors.Join(wrong...)
}

// Category is what the probabilities promise of one category.
type Category struct {
	// Predicted is how many vacancies are predicted to be of it, Expected how many are.
	Predicted int     `json:"predicted"`
	Expected  float64 `json:"expected"`
	// Precision is 0 where nothing is predicted, Recall where nothing is expected.
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

// Estimation is what calibrated probabilities promise of a window without labels.
type Estimation struct {
	Rows             int        `json:"rows"`
	Accuracy         float64    `json:"accuracy"`
	AccuracyInterval Interval   `json:"accuracy_interval"`
	MacroF1          float64    `json:"macro_f1"`
	MacroF1Interval  Interval   `json:"macro_f1_interval"`
	Categories       []Category `json:"categories"`
}

// sumTolerance is how far the probabilities of a row may be from 1 together: float32 from a softmax is within 1e-5.
const sumTolerance = 1e-2

// Estimate returns the accuracy and macro F1 that a window's labels are expected to show, from the expected confusion matrix: confidence-based
// performance estimation (CBPE), as NannyML describes it. It is as right as the probabilities are calibrated, and does not see that
// the same text now belongs to another category.
//
// Probabilities are n × k, predicted holds n categories, and blocks n numbers: rows with equal numbers came in one burst. Nil blocks are independent rows.
//
// The intervals hold the figures that the window's own labels would show: labels are drawn from the probabilities again and
// again. The rows are not drawn anew: they are known, and an interval that allowed for other rows would be too wide for these (for
// confidences evenly spread over 0.3 to 1, by an eighth). Rows of a block are drawn by one random number, so that
// a vacancy that was published five times is right or wrong five times; for an employer's different vacancies that is cautious.
//
// Macro F1 is the mean of the categories that occur or are predicted, as in the trainer's evaluation; the estimate is the mean of the draws, because
// in a small window rare categories often do not occur. Errors say which row is no distribution.
func Estimate(probabilities [][]float32, predicted, blocks []int, o Options) (Estimation, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return Estimation{}, fmt.Errorf("estimating performance: %w", err)
	}
	cumulated, err := cumulate(probabilities, predicted, blocks)
	if err != nil {
		return Estimation{}, fmt.Errorf("estimating performance: %w", err)
	}
	k := len(probabilities[0])
	e := Estimation{Rows: len(predicted), Categories: make([]Category, k)}
	right := make([]float64, k)
	for i, c := range cumulated {
		for j := range c {
			e.Categories[j].Expected += share(c, j)
		}
		p := predicted[i]
		e.Categories[p].Predicted++
		right[p] += share(c, p)
		e.Accuracy += share(c, p) / float64(len(predicted))
	}
	for j := range e.Categories {
		c := &e.Categories[j]
		if c.Predicted > 0 {
			c.Precision = right[j] / float64(c.Predicted)
		}
		if c.Expected > 0 {
			c.Recall = right[j] / c.Expected
			c.F1 = 2 * right[j] / (float64(c.Predicted) + c.Expected)
		}
	}
	accuracies, f1s := realise(cumulated, predicted, blocks, e.Categories, o)
	e.MacroF1 = stat.Mean(f1s, nil)
	e.AccuracyInterval, e.MacroF1Interval = interval(accuracies, o.Level), interval(f1s, o.Level)
	return e, nil
}

// share returns the probability of category j.
func share(cumulated []float64, j int) float64 {
	if j == 0 {
		return cumulated[0]
	}
	return cumulated[j] - cumulated[j-1]
}

// cumulate returns each row's cumulated probabilities, the last of which is 1.
func cumulate(probabilities [][]float32, predicted, blocks []int) ([][]float64, error) {
	n := len(probabilities)
	if n == 0 {
		return nil, errors.New("the window is empty: choose other dates")
	}
	if len(predicted) != n || blocks != nil && len(blocks) != n {
		return nil, fmt.Errorf("%d rows of probabilities, %d predictions and %d blocks: there must be as many of each, or no blocks", n, len(predicted), len(blocks))
	}
	k := len(probabilities[0])
	all := make([]float64, n*k)
	rows := make([][]float64, n)
	for i, row := range probabilities {
		if len(row) != k {
			return nil, fmt.Errorf("row %d has %d probabilities, the first has %d", i, len(row), k)
		}
		if predicted[i] < 0 || predicted[i] >= k {
			return nil, fmt.Errorf("row %d: the predicted category (%d) must be 0 to %d", i, predicted[i], k-1)
		}
		c, sum := all[i*k:(i+1)*k], 0.0
		for j, p := range row {
			if !(p >= 0 && p <= 1+sumTolerance) {
				return nil, fmt.Errorf("row %d: the probability of category %d (%v) must be within 0 and 1", i, j, p)
			}
			sum += float64(p)
			c[j] = sum
		}
		if math.Abs(sum-1) > sumTolerance {
			return nil, fmt.Errorf("row %d: the probabilities are %v together, they must be 1: pass those of all categories", i, sum)
		}
		for j := range c {
			c[j] /= sum
		}
		rows[i] = c
	}
	return rows, nil
}

// realise draws labels and returns the accuracy and macro F1 of each draw.
func realise(cumulated [][]float64, predicted, blocks []int, categories []Category, o Options) (accuracies, f1s []float64) {
	random := rand.New(rand.NewPCG(o.Seed, 1))
	// One random number for each block, in the order in which they first occur.
	of, number := make([]int, len(predicted)), map[int]int{}
	for i := range of {
		of[i] = i
		if blocks != nil {
			if _, known := number[blocks[i]]; !known {
				number[blocks[i]] = len(number)
			}
			of[i] = number[blocks[i]]
		}
	}
	draws := make([]float64, len(predicted))
	if blocks != nil {
		draws = draws[:len(number)]
	}
	support, hits := make([]int, len(categories)), make([]int, len(categories))
	for range o.Resamples {
		for b := range draws {
			draws[b] = random.Float64()
		}
		clear(support)
		clear(hits)
		right := 0
		for i, c := range cumulated {
			u := draws[of[i]]
			// Most labels are what is predicted.
			label := predicted[i]
			if u >= c[label] || label > 0 && u < c[label-1] {
				label, _ = slices.BinarySearchFunc(c, u, func(upTo, u float64) int {
					if upTo <= u {
						return -1
					}
					return 1
				})
			}
			support[label]++
			if label == predicted[i] {
				hits[label]++
				right++
			}
		}
		f1, counted := 0.0, 0
		for j, c := range categories {
			if both := support[j] + c.Predicted; both > 0 {
				f1 += 2 * float64(hits[j]) / float64(both)
				counted++
			}
		}
		accuracies, f1s = append(accuracies, float64(right)/float64(len(predicted))), append(f1s, f1/float64(counted))
	}
	return accuracies, f1s
}

// interval returns what lies between the quantiles that leave out equally much on both sides.
func interval(values []float64, level float64) Interval {
	slices.Sort(values)
	return Interval{Low: stat.Quantile((1-level)/2, stat.Empirical, values, nil), High: stat.Quantile((1+level)/2, stat.Empirical, values, nil)}
}
