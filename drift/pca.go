package drift

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Map shows both windows in the plane of their two principal components.
type Map struct {
	Reference, Current []Point
	Explained          [2]float64 // share of the variance along each axis
}

// Point is a vacancy on the map.
type Point struct {
	VacancyID string
	X, Y      float64
}

// NewMap projects the vectors of both windows onto the two directions in which all of them together vary most, found exactly from their covariance: give it
// samples of some thousands (ReadVectors), whose covariance is close to that of all. The axes' signs are such that the largest weight is positive. Vectors
// that do not vary lie in one point.
func NewMap(reference, current *Vectors) (*Map, error) {
	width, n := reference.Width, len(reference.Rows)+len(current.Rows)
	if width != current.Width || width < 2 || len(reference.Rows) == 0 || len(current.Rows) == 0 {
		return nil, fmt.Errorf("mapping vectors: %w: they are %d × %d and %d × %d, each must have rows and both one width of at least 2",
			ErrIncomparable, len(reference.Rows), width, len(current.Rows), current.Width)
	}
	values := make([]float64, 0, n*width)
	for _, v := range []*Vectors{reference, current} {
		for _, x := range v.Data {
			values = append(values, float64(x))
		}
	}
	centre(values, width)
	centred := mat.NewDense(n, width, values)
	var scatter mat.SymDense
	scatter.SymOuterK(1, centred.T())
	var trace float64
	for j := range width {
		trace += scatter.At(j, j)
	}
	if math.IsNaN(trace) || math.IsInf(trace, 0) {
		return nil, fmt.Errorf("mapping vectors: %w: they are not finite", ErrIncomparable)
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(&scatter, true) {
		return nil, fmt.Errorf("mapping vectors: the directions of their covariance were not found")
	}
	var vectors, projected mat.Dense
	eigen.VectorsTo(&vectors)
	axes := mat.NewDense(width, 2, nil)
	m := &Map{}
	for k := range 2 {
		from := width - 1 - k // eigenvalues ascend
		axes.SetCol(k, orient(mat.Col(nil, from, &vectors)))
		if trace > 0 {
			m.Explained[k] = max(eigen.Values(nil)[from], 0) / trace
		}
	}
	projected.Mul(centred, axes)
	point := func(row VectorRow, i int) Point { return Point{row.VacancyID, projected.At(i, 0), projected.At(i, 1)} }
	for i, row := range reference.Rows {
		m.Reference = append(m.Reference, point(row, i))
	}
	for i, row := range current.Rows {
		m.Current = append(m.Current, point(row, len(reference.Rows)+i))
	}
	return m, nil
}

// centre subtracts its mean from each column of row-major values.
func centre(values []float64, width int) {
	mean := make([]float64, width)
	for i, x := range values {
		mean[i%width] += x
	}
	rows := float64(len(values) / width)
	for i := range values {
		values[i] -= mean[i%width] / rows
	}
}

// orient gives a direction, whose sign is arbitrary, the sign that makes its largest weight positive.
func orient(axis []float64) []float64 {
	largest := 0.
	for _, x := range axis {
		if math.Abs(x) > math.Abs(largest) {
			largest = x
		}
	}
	if largest < 0 {
		for i := range axis {
			axis[i] = -axis[i]
		}
	}
	return axis
}
