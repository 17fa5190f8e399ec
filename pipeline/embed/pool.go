package embed

import "math"

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
