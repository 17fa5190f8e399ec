package trainer

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// chunkRows bounds what is widened to float64 at once, so that memory grows with the vectors alone.
const chunkRows = 1024

func general(rows, cols int) blas64.General {
	return blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: make([]float64, rows*cols)}
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
