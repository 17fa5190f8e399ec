package trainer

import (
	"math"

	"gonum.org/v1/gonum/blas/blas64"

	"jobstrom/models"
	"jobstrom/schemas"
)

// Bounds of a temperature. Beyond them the scores, not the temperature, are at fault.
const (
	minTemperature = 0.05
	maxTemperature = 20
)

// Scores returns the categories' scores of each vector before the temperature: log Σ exp over a category's
// rows of weights · (x − mean) + bias. Each vector has the classifier's width.
func Scores(c *schemas.Classifier, vectors [][]float32) [][]float64 {
	n, dim := models.Rows(c), int(c.Dim)
	weights := blas64.General{Rows: n, Cols: dim, Stride: dim, Data: widen(models.Weights(c))}
	bias, mean := widen(c.Bias), make([]float64, dim)
	copy(mean, widen(c.Mean))
	owned := make([][]float64, c.Categories)
	chunk := min(chunkRows, len(vectors))
	work, out := general(chunk, dim), general(chunk, n)
	all := make([][]float64, 0, len(vectors))
	for from := 0; from < len(vectors); from += chunkRows {
		part := vectors[from:min(from+chunkRows, len(vectors))]
		products := score(part, mean, weights, bias, work, out)
		for r := range part {
			for k := range owned {
				owned[k] = owned[k][:0]
			}
			for row, p := range products.Data[r*n : (r+1)*n] {
				owner := models.Owner(c, row)
				owned[owner] = append(owned[owner], p)
			}
			scores := make([]float64, c.Categories)
			for k := range scores {
				scores[k] = logSumExp(owned[k])
			}
			all = append(all, scores)
		}
	}
	return all
}

// Probabilities returns softmax(scores ÷ temperature) for each row of scores.
func Probabilities(scores [][]float64, temperature float64) [][]float32 {
	all := make([][]float32, len(scores))
	for i, row := range scores {
		scaled := make([]float64, len(row))
		for c, s := range row {
			scaled[c] = s / temperature
		}
		norm := logSumExp(scaled)
		for c, s := range scaled {
			scaled[c] = math.Exp(s - norm)
		}
		all[i] = narrow(scaled)
	}
	return all
}

// Temperature returns the temperature that makes held-out scores most probable (Guo et al. 2017, "On
// Calibration of Modern Neural Networks"), within 0.05 and 20; 1 without scores. It changes no ranking.
func Temperature(scores [][]float64, truth []int) float64 {
	if len(scores) == 0 {
		return 1
	}
	// The loss is convex in 1/temperature, so its slope has one zero.
	slope := func(inverse float64) (sum float64) {
		for i, row := range scores {
			highest := row[0]
			for _, s := range row {
				highest = max(highest, s)
			}
			var mass, mean float64
			for _, s := range row {
				e := math.Exp((s - highest) * inverse)
				mass += e
				mean += e * s
			}
			sum += mean/mass - row[truth[i]]
		}
		return sum
	}
	low, high := math.Log(1.0/maxTemperature), math.Log(1/minTemperature)
	for range 60 {
		if middle := (low + high) / 2; slope(math.Exp(middle)) <= 0 {
			low = middle
		} else {
			high = middle
		}
	}
	return math.Exp(-(low + high) / 2)
}
