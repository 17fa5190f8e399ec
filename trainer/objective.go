package trainer

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// chunkRows bounds what is widened to float64 at once, so that memory grows with the vectors alone.
const chunkRows = 1024

// objective is the loss of a multinomial logistic regression with L2:
//
//	Σ weightᵢ · −log softmax(W (xᵢ − mean) + b + offsetᵢ)[categoryᵢ] ÷ Σ weightᵢ + l2/2 · ‖W‖²
//
// The loss is a mean, so an l2 means the same for any number of examples; b is not penalised. Parameters
// are W row by row, then b. Products of gonum add in an order that depends on the sizes alone, and chunks
// follow each other, so the numbers do not depend on the cores.
type objective struct {
	examples   Examples
	categories int
	dim        int
	mean       []float64
	l2         float64
	total      float64 // of the weights

	rows, scores blas64.General // of one chunk
	at, gradient []float64      // where the gradient was computed last, and that gradient
	loss         float64
}

func newObjective(e Examples, categories int, mean []float64, l2 float64) *objective {
	o := &objective{examples: e, categories: categories, dim: len(mean), mean: mean, l2: l2}
	for i := range e.Len() {
		o.total += e.weight(i)
	}
	rows := min(chunkRows, e.Len())
	o.rows = general(rows, o.dim)
	o.scores = general(rows, categories)
	o.gradient = make([]float64, categories*(o.dim+1))
	return o
}

func general(rows, cols int) blas64.General {
	return blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: make([]float64, rows*cols)}
}

// evaluate computes loss and gradient together: the scores serve both.
func (o *objective) evaluate(x []float64) {
	size := o.categories * o.dim
	weights := blas64.General{Rows: o.categories, Cols: o.dim, Stride: o.dim, Data: x[:size]}
	gradient := blas64.General{Rows: o.categories, Cols: o.dim, Stride: o.dim, Data: o.gradient[:size]}
	bias := o.gradient[size:]
	o.at = append(o.at[:0], x...)
	copy(gradient.Data, weights.Data)
	blas64.Scal(o.l2, blas64.Vector{N: size, Inc: 1, Data: gradient.Data})
	clear(bias)
	all := blas64.Vector{N: size, Inc: 1, Data: weights.Data}
	o.loss = o.l2 / 2 * blas64.Dot(all, all)
	for from := 0; from < o.examples.Len(); from += chunkRows {
		part := o.examples.Vectors[from:min(from+chunkRows, o.examples.Len())]
		scores := score(part, o.mean, weights, x[size:], o.rows, o.scores)
		for r := range part {
			i := from + r
			row := scores.Data[r*o.categories : (r+1)*o.categories]
			if o.examples.Offsets != nil {
				for c, s := range o.examples.Offsets[i] {
					row[c] += s
				}
			}
			o.loss += o.residual(i, row)
			for c, v := range row {
				bias[c] += v
			}
		}
		rows := blas64.General{Rows: len(part), Cols: o.dim, Stride: o.dim, Data: o.rows.Data[:len(part)*o.dim]}
		blas64.Gemm(blas.Trans, blas.NoTrans, 1, scores, rows, 1, gradient)
	}
}

// residual turns the scores of an example into its gradient, weight × (probabilities − target), and
// returns its share of the loss.
func (o *objective) residual(i int, row []float64) (loss float64) {
	weight := o.examples.weight(i) / o.total
	norm := logSumExp(row)
	for c, s := range row {
		var target float64
		switch {
		case o.examples.Targets != nil:
			target = float64(o.examples.Targets[i][c])
		case c == o.examples.Categories[i]:
			target = 1
		}
		loss += weight * target * (norm - s)
		row[c] = weight * (math.Exp(s-norm) - target)
	}
	return loss
}

// score returns weights · (x − mean) + bias for each vector. rows and scores are work space for as many.
func score(vectors [][]float32, mean []float64, weights blas64.General, bias []float64, rows, scores blas64.General) blas64.General {
	rows.Rows, scores.Rows = len(vectors), len(vectors)
	rows.Data, scores.Data = rows.Data[:len(vectors)*rows.Cols], scores.Data[:len(vectors)*scores.Cols]
	for r, v := range vectors {
		row := rows.Data[r*rows.Cols : (r+1)*rows.Cols]
		for j := range row {
			row[j] = float64(v[j]) - mean[j]
		}
		copy(scores.Data[r*scores.Cols:(r+1)*scores.Cols], bias)
	}
	blas64.Gemm(blas.NoTrans, blas.Trans, 1, rows, weights, 1, scores)
	return scores
}

func logSumExp(scores []float64) float64 {
	highest := scores[0]
	for _, s := range scores[1:] {
		highest = max(highest, s)
	}
	var sum float64
	for _, s := range scores {
		sum += math.Exp(s - highest)
	}
	return highest + math.Log(sum)
}
