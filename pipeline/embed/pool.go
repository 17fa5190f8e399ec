package embed

import (
	"math"

	"jobstrom/models"
)

// pool makes one vector of a row's first n token vectors, [tokens, dim] one after another. The ways are those of sentence-transformers' Pooling.
func pool(way string, tokens []float32, n, dim int) []float32 {
	switch way {
	case models.PoolingCLS:
		return append([]float32(nil), tokens[:dim]...)
	case models.PoolingLastToken:
		return append([]float32(nil), tokens[(n-1)*dim:n*dim]...)
	case models.PoolingMax:
		most := append([]float32(nil), tokens[:dim]...)
		for i, x := range tokens[dim : n*dim] {
			most[i%dim] = max(most[i%dim], x)
		}
		return most
	case models.PoolingWeightedMean:
		sums := make([]float64, dim)
		for i, x := range tokens[:n*dim] {
			sums[i%dim] += float64(i/dim+1) * float64(x)
		}
		mean := make([]float32, dim)
		for i, s := range sums {
			mean[i] = float32(s / (float64(n) * float64(n+1) / 2))
		}
		return mean
	}
	return meanPool(tokens, n, dim)
}

// meanPool averages a row's token vectors, [tokens, dim] one after another, over its first n tokens.
func meanPool(tokens []float32, n, dim int) []float32 {
	sums := make([]float64, dim)
	for i, x := range tokens[:n*dim] {
		sums[i%dim] += float64(x)
	}
	mean := make([]float32, dim)
	for i, s := range sums {
		mean[i] = float32(s / float64(n))
	}
	return mean
}

// normalize brings a vector to length 1. A vector of zeros stays as it is.
func normalize(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for i := range v {
		v[i] = float32(float64(v[i]) * scale)
	}
}
