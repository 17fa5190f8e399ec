package embed

import (
	"math"
	"path/filepath"

	"jobstrom/models"
)

// dense is a layer y = activation(W·x + b) with its numbers.
type dense struct {
	layer   models.Dense
	weights []float32 // [out, in] row by row
	bias    []float32 // [out], or nil
}

// readDense reads the numbers of dense layers.
func readDense(dir string, layers []models.Dense) ([]dense, error) {
	var all []dense
	for _, l := range layers {
		weights, bias, err := l.Read(filepath.Join(dir, filepath.FromSlash(l.File.Name)))
		if err != nil {
			return nil, err
		}
		all = append(all, dense{layer: l, weights: weights, bias: bias})
	}
	return all, nil
}

// apply computes the layer of a vector. It costs nothing beside the graph: as much as one token's smallest matrix.
func (d dense) apply(x []float32) []float32 {
	y := make([]float32, d.layer.Out)
	for o := range y {
		var sum float64
		for i, w := range d.weights[o*d.layer.In : (o+1)*d.layer.In] {
			sum += float64(w) * float64(x[i])
		}
		if d.bias != nil {
			sum += float64(d.bias[o])
		}
		y[o] = float32(activate(d.layer.Activation, sum))
	}
	return y
}

func activate(activation string, x float64) float64 {
	switch activation {
	case models.ActivationTanh:
		return math.Tanh(x)
	case models.ActivationReLU:
		return max(x, 0)
	case models.ActivationSigmoid:
		return 1 / (1 + math.Exp(-x))
	case models.ActivationGELU:
		return x / 2 * (1 + math.Erf(x/math.Sqrt2))
	}
	return x
}
