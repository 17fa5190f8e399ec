package models

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"jobstrom/schemas"
)

// Weights returns rows × dim numbers, row by row, from whatever holds them. They are not to be changed.
func Weights(c *schemas.Classifier) []float32 {
	if len(c.Scales) == 0 {
		return unfold(c, c.Weights)
	}
	dim, bytes := int(c.Dim), Weights8(c)
	weights := make([]float32, len(bytes))
	for i, b := range bytes {
		weights[i] = float32(int8(b)) * c.Scales[i/dim]
	}
	return weights
}

// Weights8 returns rows × dim signed bytes, row by row, or nil where the weights are no bytes. They are not to be changed.
func Weights8(c *schemas.Classifier) []byte {
	if len(c.Scales) == 0 {
		return nil
	}
	return unfold(c, c.Weights8)
}

// unfold puts zeros where present names no weight.
func unfold[T any](c *schemas.Classifier, held []T) []T {
	if len(c.Present) == 0 {
		return held
	}
	all := make([]T, Rows(c)*int(c.Dim))
	next := 0
	for i := range all {
		if c.Present[i/8]>>(i%8)&1 == 1 {
			all[i] = held[next]
			next++
		}
	}
	return all
}

// countBits counts the bits that are set.
func countBits(b []byte) uint64 {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return uint64(n)
}

// Quantize replaces the weights of a valid classifier by bytes, a quarter of the size. A weight moves by at
// most 1/254 of the largest in its row.
func Quantize(c *schemas.Classifier) {
	quantize(c, int(c.Dim))
}

// QuantizeTensor does it with one scale for all rows: a weight moves by at most 1/254 of the largest of all.
func QuantizeTensor(c *schemas.Classifier) {
	quantize(c, Rows(c)*int(c.Dim))
}

// quantize gives every so many weights a scale.
func quantize(c *schemas.Classifier, together int) {
	dim, weights := int(c.Dim), Weights(c)
	c.Weights8, c.Scales = make([]byte, len(weights)), make([]float32, Rows(c))
	for from := 0; from < len(weights); from += together {
		part := weights[from : from+together]
		var largest float64
		for _, w := range part {
			largest = max(largest, math.Abs(float64(w)))
		}
		for r := range together / dim {
			c.Scales[from/dim+r] = float32(largest / 127)
		}
		for i, w := range part {
			if largest > 0 {
				c.Weights8[from+i] = byte(int8(math.Round(float64(w) / largest * 127)))
			}
		}
	}
	c.Weights, c.Present = nil, nil
	compact(c)
}

// Prune sets the weights of a valid classifier that are nearest to 0 to 0: this share of all of them, wherever they are. The
// count is rounded half to even; of equal weights the first go first. What is 0 is left out where that makes the model smaller.
func Prune(c *schemas.Classifier, share float64) {
	if len(c.Scales) > 0 {
		c.Weights8 = slices.Clone(Weights8(c))
		prune(c.Weights8, share, func(b byte) float64 { return math.Abs(float64(int8(b))) })
	} else {
		c.Weights = slices.Clone(Weights(c))
		prune(c.Weights, share, func(w float32) float64 { return math.Abs(float64(w)) })
	}
	c.Present = nil
	compact(c)
}

func prune[T any](weights []T, share float64, size func(T) float64) {
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(weights[a]), size(weights[b])) })
	var zero T
	for _, i := range order[:int(math.RoundToEven(share*float64(len(weights))))] {
		weights[i] = zero
	}
}

// compact leaves zeros out of the weights that are all held, where the bits that name the others take less.
func compact(c *schemas.Classifier) {
	if len(c.Scales) > 0 {
		c.Weights8, c.Present = fold(c.Weights8, 1)
	} else {
		c.Weights, c.Present = fold(c.Weights, 4)
	}
}

// fold returns the weights that are not 0 and the bits that name them, or all of them where that is not larger.
func fold[T comparable](all []T, bytes int) (held []T, present []byte) {
	var zero T
	present = make([]byte, (len(all)+7)/8)
	for i, w := range all {
		if w != zero {
			held = append(held, w)
			present[i/8] |= 1 << (i % 8)
		}
	}
	if len(held)*bytes+len(present) >= len(all)*bytes {
		return all, nil
	}
	return held, present
}
