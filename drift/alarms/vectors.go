package alarms

import (
	"fmt"

	"gonum.org/v1/gonum/floats"
)

// Vectors is a window of embeddings. Of each block it keeps the sum, which a database can compute as well. The zero value is empty.
type Vectors struct {
	dim     int
	sums    [][]float32
	rows    []int
	squares float64 // Σ|x|²
	size    Size
}

// Size returns how much the window holds.
func (v *Vectors) Size() Size { return v.size }

// AddRows adds rows that are independent of each other.
func (v *Vectors) AddRows(rows ...[]float32) error {
	for _, x := range rows {
		if err := v.AddBlock(x); err != nil {
			return err
		}
	}
	return nil
}

// AddBlock adds rows that came in one burst.
func (v *Vectors) AddBlock(rows ...[]float32) error {
	if len(rows) == 0 {
		return nil
	}
	sum, squares := make([]float32, len(rows[0])), 0.0
	for _, x := range rows {
		if len(x) != len(sum) {
			return fmt.Errorf("adding a vector to a block: it has %d components, the others have %d: compare vectors of one encoder", len(x), len(sum))
		}
		for j, c := range x {
			sum[j] += c
			squares += float64(c) * float64(c)
		}
	}
	return v.AddSum(sum, len(rows), squares)
}

// AddSum adds a block by the sum of its vectors, which it keeps, how many they are and the sum of their squared lengths.
func (v *Vectors) AddSum(sum []float32, rows int, squares float64) error {
	switch {
	case rows <= 0:
		return fmt.Errorf("adding vectors to a window: their number (%d) must be above 0", rows)
	case len(sum) == 0:
		return fmt.Errorf("adding vectors to a window: they have no components")
	case v.dim != 0 && len(sum) != v.dim:
		return fmt.Errorf("adding vectors to a window: they have %d components, the others have %d: compare vectors of one encoder", len(sum), v.dim)
	case !(squares >= 0 && squares <= mostNumber):
		return fmt.Errorf("adding vectors to a window: the sum of their squared lengths (%v) is no number within 0 and %g", squares, mostNumber)
	}
	for j, c := range sum {
		if !(c >= -mostComponent && c <= mostComponent) {
			return fmt.Errorf("adding vectors to a window: component %d (%v) is no number within ±%g", j, c, mostComponent)
		}
	}
	v.dim = len(sum)
	v.sums, v.rows, v.squares = append(v.sums, sum), append(v.rows, rows), v.squares+squares
	v.size.Rows += rows
	v.size.Blocks++
	return nil
}

// mostComponent keeps sums of vectors finite in float32.
const mostComponent = 1e30

// total returns the sum of all vectors.
func (v *Vectors) total() []float64 {
	total, wide := make([]float64, v.dim), make([]float64, v.dim)
	for _, sum := range v.sums {
		for j, c := range sum {
			wide[j] = float64(c)
		}
		floats.Add(total, wide)
	}
	return total
}
