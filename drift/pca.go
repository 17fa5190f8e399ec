package drift

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/gonum/mat"
)

// Map shows both windows in the plane of their two principal components.
type Map struct {
	Reference []Point `json:"reference"`
	Current   []Point `json:"current"`
	// Means of the reference and of the current vectors that the plane was found from, and how many those were.
	Means   [2]Point `json:"means"`
	Vectors [2]int   `json:"vectors"`
	// Explained is the share of the variance along each axis.
	Explained [2]float64 `json:"explained"`
}

// Point is a vacancy on the map, or a mean.
type Point struct {
	VacancyID string  `json:"vacancy_id,omitempty"`
	X         float64 `json:"x"`
	Y         float64 `json:"y"`
	// Category is what Compare adds: the vacancy's newest classification.
	Category string `json:"category,omitempty"`
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
	m := &Map{Vectors: [2]int{len(reference.Rows), len(current.Rows)}}
	for k := range 2 {
		from := width - 1 - k // eigenvalues ascend
		axes.SetCol(k, orient(mat.Col(nil, from, &vectors)))
		if trace > 0 {
			m.Explained[k] = max(eigen.Values(nil)[from], 0) / trace
		}
	}
	projected.Mul(centred, axes)
	for side, v := range []*Vectors{reference, current} {
		points := make([]Point, len(v.Rows))
		for i, row := range v.Rows {
			at := i + side*len(reference.Rows)
			points[i] = Point{VacancyID: row.VacancyID, X: projected.At(at, 0), Y: projected.At(at, 1)}
			m.Means[side].X += points[i].X / float64(len(points))
			m.Means[side].Y += points[i].Y / float64(len(points))
		}
		*[]*[]Point{&m.Reference, &m.Current}[side] = points
	}
	return m, nil
}

// thin keeps the first points of each window, in four digits, which is more than a picture shows.
func (m *Map) thin(most int) {
	for _, points := range []*[]Point{&m.Reference, &m.Current} {
		*points = (*points)[:min(most, len(*points))]
		for i := range *points {
			(*points)[i].round()
		}
	}
	for i := range m.Means {
		m.Means[i].round()
	}
}

func (p *Point) round() {
	for _, v := range []*float64{&p.X, &p.Y} {
		*v, _ = strconv.ParseFloat(strconv.FormatFloat(*v, 'g', 4, 64), 64)
	}
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
