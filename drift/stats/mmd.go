package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
)

// MMDOptions say how the maximum mean discrepancy is computed.
type MMDOptions struct {
	// Gamma is that of the kernel exp(−γ·‖x−y‖²); 0 takes the median heuristic.
	Gamma float64
	// ExactRows is up to how many rows a window may have for all pairs to be counted; 0 means 5,000.
	ExactRows int
	// Features is how many random frequencies stand for all pairs of more rows; 0 means 1,024.
	Features int
	// Seed makes the random choices.
	Seed uint64
}

// EnsureDefaults fills what is 0.
func (o *MMDOptions) EnsureDefaults() {
	if o.ExactRows == 0 {
		o.ExactRows = 5000
	}
	if o.Features == 0 {
		o.Features = 1024
	}
}

// Validate says what is out of bounds.
func (o MMDOptions) Validate() error {
	if !(o.Gamma >= 0) || math.IsInf(o.Gamma, 0) || o.ExactRows < 2 || o.Features < 2 {
		return fmt.Errorf("computing MMD with gamma %v, exact rows %d and %d features: gamma must be finite and at least 0, the others at least 2", o.Gamma, o.ExactRows, o.Features)
	}
	return nil
}

// MMD is a squared maximum mean discrepancy.
type MMD struct {
	// Squared is the unbiased estimate; it is negative about as often as not when there is no drift. Evidently's "mmd" shows at least 0 and says drift beyond 0.015.
	Squared float64
	// Gamma is that of the kernel.
	Gamma float64
	// StandardError is that of the approximation by random frequencies, 0 when all pairs were counted. It is not that of sampling the windows.
	StandardError float64
}

// medianRows is from how many rows of each window at most the median heuristic takes its pairs, as in Evidently.
const medianRows = 1000

// MMD returns the unbiased squared discrepancy (Gretton et al., A kernel two-sample test, 2012) with the kernel exp(−γ·‖x−y‖²). Without a gamma, γ is 1 over the squared
// median distance of reference to current rows (Evidently's MMDDriftMethod: pairs within a window do not count), from 1,000 rows of each chosen by the seed when there
// are more. Up to 5,000 rows a window all pairs are counted; beyond, random frequencies stand for the kernel (Rahimi and Recht, Random features for large-scale kernel
// machines, 2007), and the standard error says how far that is off. It returns ErrTooFew when a window has a single row, ErrConstant when the median distance is 0.
func (e Embeddings) MMD(o MMDOptions) (MMD, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return MMD{}, err
	}
	if min(e.reference.Rows, e.current.Rows) < 2 {
		return MMD{}, fmt.Errorf("computing MMD of %d and %d rows, of which 2 are needed each: %w", e.reference.Rows, e.current.Rows, ErrTooFew)
	}
	random := rand.New(rand.NewPCG(o.Seed, 0x6d6d64))
	if o.Gamma == 0 {
		median := e.medianDistance(random)
		if !(median > 0) {
			return MMD{}, fmt.Errorf("choosing MMD's gamma, the median distance between the windows being %v: %w", median, ErrConstant)
		}
		o.Gamma = 1 / median / median
	}
	if max(e.reference.Rows, e.current.Rows) <= o.ExactRows {
		return MMD{Squared: e.exactMMD(o.Gamma), Gamma: o.Gamma}, nil
	}
	return e.approximateMMD(o, random), nil
}

// medianDistance is the median Euclidean distance of reference to current rows.
func (e Embeddings) medianDistance(random *rand.Rand) float64 {
	center := e.reference.mean()
	x := e.reference.sampled(medianRows, random).centered(center)
	y := e.current.sampled(medianRows, random).centered(center)
	distances := squaredDistances(x, y, x.norms(), y.norms()).Data
	slices.Sort(distances)
	low, high := distances[(len(distances)-1)/2], distances[len(distances)/2]
	return (math.Sqrt(low) + math.Sqrt(high)) / 2
}

// sampled returns at most so many rows, chosen at random when there are more.
func (m Matrix) sampled(most int, random *rand.Rand) Matrix {
	if m.Rows <= most {
		return m
	}
	s := Matrix{Rows: most, Columns: m.Columns}
	for _, i := range random.Perm(m.Rows)[:most] {
		s.Data = append(s.Data, m.row(i)...)
	}
	return s
}

// wide is a matrix in float64.
type wide struct{ blas64.General }

// centered returns the rows less a point, in float64: distances stay, and the squares that they are computed from get small.
func (m Matrix) centered(center []float64) wide {
	w := wide{blas64.General{Rows: m.Rows, Cols: m.Columns, Stride: m.Columns, Data: make([]float64, len(m.Data))}}
	for i, v := range m.Data {
		w.Data[i] = float64(v) - center[i%m.Columns]
	}
	return w
}

// rows returns those from one place to before another, without copying.
func (w wide) rows(from, to int) wide {
	return wide{blas64.General{Rows: to - from, Cols: w.Cols, Stride: w.Stride, Data: w.Data[from*w.Stride : to*w.Stride]}}
}

// norms returns each row's sum of squares.
func (w wide) norms() []float64 {
	norms := make([]float64, w.Rows)
	for i := range norms {
		for _, v := range w.Data[i*w.Stride : i*w.Stride+w.Cols] {
			norms[i] += v * v
		}
	}
	return norms
}

// squaredDistances returns those of each row of x to each of y, from ‖x‖² + ‖y‖² − 2·x·y.
func squaredDistances(x, y wide, normsX, normsY []float64) blas64.General {
	d := blas64.General{Rows: x.Rows, Cols: y.Rows, Stride: y.Rows, Data: make([]float64, x.Rows*y.Rows)}
	blas64.Gemm(blas.NoTrans, blas.Trans, -2, x.General, y.General, 0, d)
	for i, nx := range normsX {
		row := d.Data[i*d.Stride : (i+1)*d.Stride]
		for j, ny := range normsY {
			row[j] = max(0, row[j]+nx+ny)
		}
	}
	return d
}

// blockRows is how many rows are multiplied at a time.
const blockRows = 512

// exactMMD counts all pairs, block by block.
func (e Embeddings) exactMMD(gamma float64) float64 {
	center := e.reference.mean()
	x, y := e.reference.centered(center), e.current.centered(center)
	normsX, normsY := x.norms(), y.norms()
	n, m := float64(x.Rows), float64(y.Rows)
	within := func(w wide, norms []float64) (sum float64) { // pairs of two different rows
		for from := 0; from < w.Rows; from += blockRows {
			to := min(w.Rows, from+blockRows)
			block := squaredDistances(w.rows(from, to), w.rows(from, w.Rows), norms[from:to], norms[from:])
			for i := range block.Rows {
				for _, d := range block.Data[i*block.Stride+i+1 : (i+1)*block.Stride] {
					sum += math.Exp(-gamma * d)
				}
			}
		}
		return 2 * sum
	}
	var between float64
	for from := 0; from < x.Rows; from += blockRows {
		to := min(x.Rows, from+blockRows)
		for _, d := range squaredDistances(x.rows(from, to), y, normsX[from:to], normsY).Data {
			between += math.Exp(-gamma * d)
		}
	}
	return within(x, normsX)/(n*(n-1)) + within(y, normsY)/(m*(m-1)) - 2*between/(n*m)
}

// approximateMMD takes the kernel for the mean of cos(w·(x−y)) over normal frequencies w with variance 2γ. Each frequency gives an unbiased estimate by itself from
// the sums of cos(w·x) and sin(w·x), so that their spread is the standard error.
func (e Embeddings) approximateMMD(o MMDOptions, random *rand.Rand) MMD {
	d := e.reference.Columns
	frequencies := blas32.General{Rows: o.Features, Cols: d, Stride: d, Data: make([]float32, o.Features*d)}
	for i := range frequencies.Data {
		frequencies.Data[i] = float32(random.NormFloat64() * math.Sqrt(2*o.Gamma))
	}
	center := e.reference.mean()
	cosX, sinX := e.reference.waves(frequencies, center)
	cosY, sinY := e.current.waves(frequencies, center)
	n, m := float64(e.reference.Rows), float64(e.current.Rows)
	estimates, mean := make([]float64, o.Features), 0.
	for f := range estimates {
		withinX := (cosX[f]*cosX[f] + sinX[f]*sinX[f] - n) / (n * (n - 1)) // less each row with itself
		withinY := (cosY[f]*cosY[f] + sinY[f]*sinY[f] - m) / (m * (m - 1))
		estimates[f] = withinX + withinY - 2*(cosX[f]*cosY[f]+sinX[f]*sinY[f])/(n*m)
		mean += estimates[f] / float64(o.Features)
	}
	var squares float64
	for _, x := range estimates {
		squares += (x - mean) * (x - mean)
	}
	return MMD{Squared: mean, Gamma: o.Gamma, StandardError: math.Sqrt(squares / float64(o.Features-1) / float64(o.Features))}
}

// waves sums the cosines and the sines of each frequency over the rows less a point.
func (m Matrix) waves(frequencies blas32.General, center []float64) (cos, sin []float64) {
	cos, sin = make([]float64, frequencies.Rows), make([]float64, frequencies.Rows)
	phases := blas32.General{Rows: blockRows, Cols: frequencies.Rows, Stride: frequencies.Rows, Data: make([]float32, blockRows*frequencies.Rows)}
	rows := blas32.General{Rows: blockRows, Cols: m.Columns, Stride: m.Columns, Data: make([]float32, blockRows*m.Columns)}
	for from := 0; from < m.Rows; from += blockRows {
		rows.Rows = min(blockRows, m.Rows-from)
		phases.Rows = rows.Rows
		for i, v := range m.Data[from*m.Columns : (from+rows.Rows)*m.Columns] {
			rows.Data[i] = float32(float64(v) - center[i%m.Columns])
		}
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, rows, frequencies, 0, phases)
		for i := range phases.Rows {
			for f, phase := range phases.Data[i*phases.Stride : (i+1)*phases.Stride] {
				s, c := math.Sincos(float64(phase))
				cos[f], sin[f] = cos[f]+c, sin[f]+s
			}
		}
	}
	return cos, sin
}
