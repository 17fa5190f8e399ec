package stats

import (
	"fmt"
	"math"
	"runtime"
	"sync"
)

// Matrix holds embeddings, one a row, row after row.
type Matrix struct {
	Rows, Columns int
	Data          []float32 // Rows × Columns
}

// row returns the embedding at a place.
func (m Matrix) row(i int) []float32 { return m.Data[i*m.Columns : (i+1)*m.Columns] }

// Embeddings compares the embeddings of two windows. It is valid whenever NewEmbeddings returned it.
type Embeddings struct {
	reference, current Matrix
	missing            [2]int
}

// NewEmbeddings compares n×d reference with m×d current embeddings, which it neither copies nor changes. A row with a NaN or an infinity is missing: dropped and counted.
// It returns ErrShape when the widths differ or the data do not have the rows and columns that they say, ErrEmpty when a window has no row.
func NewEmbeddings(reference, current Matrix) (Embeddings, error) {
	if reference.Columns != current.Columns || reference.Columns <= 0 {
		return Embeddings{}, fmt.Errorf("comparing embeddings of width %d with others of width %d (another encoder?): %w", reference.Columns, current.Columns, ErrShape)
	}
	e := Embeddings{reference: reference, current: current}
	for i, m := range []*Matrix{&e.reference, &e.current} {
		if m.Rows < 0 || len(m.Data) != m.Rows*m.Columns {
			return Embeddings{}, fmt.Errorf("comparing %d×%d embeddings of %d numbers: %w", m.Rows, m.Columns, len(m.Data), ErrShape)
		}
		all := m.Rows
		*m = m.complete()
		e.missing[i] = all - m.Rows
	}
	if e.reference.Rows == 0 || e.current.Rows == 0 {
		return Embeddings{}, fmt.Errorf("comparing %d reference with %d current embeddings, after %d and %d missing: %w", e.reference.Rows, e.current.Rows, e.missing[0], e.missing[1], ErrEmpty)
	}
	return e, nil
}

// complete returns the rows without a missing component: the matrix itself when that is all.
func (m Matrix) complete() Matrix {
	kept := Matrix{Columns: m.Columns}
	for i := range m.Rows {
		whole := true
		for _, v := range m.row(i) {
			if v-v != 0 { // NaN, or an infinity
				whole = false
				break
			}
		}
		switch {
		case whole && kept.Rows == i: // none was dropped so far
			kept.Data = m.Data[: (i+1)*m.Columns : (i+1)*m.Columns]
			kept.Rows++
		case whole:
			kept.Data = append(kept.Data, m.row(i)...) // copies, since no capacity is left
			kept.Rows++
		}
	}
	return kept
}

// Sizes returns how many embeddings the reference and the current window have.
func (e Embeddings) Sizes() (reference, current int) { return e.reference.Rows, e.current.Rows }

// Missing says how many rows of the reference and of the current window were dropped.
func (e Embeddings) Missing() (reference, current int) { return e.missing[0], e.missing[1] }

// Component is what the numeric tests say of one column of the embeddings.
type Component struct {
	KolmogorovSmirnov Test
	// Wasserstein is in standard deviations of the reference, see Numbers.Wasserstein.
	Wasserstein float64
	// Difference is the current mean less the reference mean.
	Difference float64
}

// Components tests every component by itself, on all processors. P-values are not adjusted for their number: see BenjaminiHochberg and Holm.
func (e Embeddings) Components() ([]Component, error) {
	components, errs := make([]Component, e.reference.Columns), make([]error, e.reference.Columns)
	var wait sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(components))
	for worker := range workers { // each ends with its share of the components
		wait.Go(func() {
			for c := worker; c < len(components); c += workers {
				components[c], errs[c] = e.component(c)
			}
		})
	}
	wait.Wait()
	for c, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("testing component %d: %w", c, err)
		}
	}
	return components, nil
}

func (e Embeddings) component(c int) (Component, error) {
	n, err := NewNumbers(e.reference.column(c), e.current.column(c))
	if err != nil {
		return Component{}, err
	}
	reference, current := n.Means()
	return Component{KolmogorovSmirnov: n.KolmogorovSmirnov(), Wasserstein: n.Wasserstein(), Difference: current - reference}, nil
}

func (m Matrix) column(c int) Sample {
	values := make([]float64, m.Rows)
	for i := range values {
		values[i] = float64(m.Data[i*m.Columns+c])
	}
	return NewSample(values)
}

// DriftedShare is the share of components whose Wasserstein distance is at least a threshold, Evidently's "ratio" with 0.1, which says drift beyond a share of 0.2.
func DriftedShare(components []Component, threshold float64) float64 {
	if len(components) == 0 {
		return 0
	}
	drifted := 0
	for _, c := range components {
		if c.Wasserstein >= threshold {
			drifted++
		}
	}
	return float64(drifted) / float64(len(components))
}

// MeanDistances are distances between the mean embeddings of the windows, as scipy.spatial.distance has them and Evidently's "distance" offers them.
type MeanDistances struct {
	Euclidean, Cityblock, Chebyshev float64
	// Cosine is 1 less the cosine of the angle, in [0, 2]; a mean of 0 has no angle: 0 when both are, otherwise 1.
	Cosine float64
}

// MeanDistances returns the distances between the windows' means; Evidently says drift when the one that was chosen, the Euclidean by default, exceeds 0.2.
func (e Embeddings) MeanDistances() (d MeanDistances) {
	reference, current := e.reference.mean(), e.current.mean()
	var squares, dot, square, squareCurrent float64
	for i, r := range reference {
		c := current[i]
		gap := math.Abs(r - c)
		squares, d.Cityblock, d.Chebyshev = squares+gap*gap, d.Cityblock+gap, max(d.Chebyshev, gap)
		dot, square, squareCurrent = dot+r*c, square+r*r, squareCurrent+c*c
	}
	d.Euclidean = math.Sqrt(squares)
	switch {
	case square > 0 && squareCurrent > 0:
		d.Cosine = min(2, max(0, 1-dot/(math.Sqrt(square)*math.Sqrt(squareCurrent))))
	case square > 0 || squareCurrent > 0:
		d.Cosine = 1
	}
	return d
}

func (m Matrix) mean() []float64 {
	mean := make([]float64, m.Columns)
	for i := range m.Rows {
		for c, v := range m.row(i) {
			mean[c] += float64(v)
		}
	}
	for c := range mean {
		mean[c] /= float64(m.Rows)
	}
	return mean
}
