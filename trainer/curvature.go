package trainer

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
)

const (
	// sampleShare of the examples says how the loss is curved; below sampleLeast examples all of them do. Beyond sampleMost more of them say nothing new,
	// and the sample stays in memory when the examples do not.
	sampleShare = 0.05
	sampleLeast = 4096
	sampleMost  = 32768
	// sampleOfEach is how many of a category are sampled at least, as far as there are.
	sampleOfEach = 50
	// solveSteps and solveTo end the solution of the Newton equation: after so many products, or when the residual is
	// this share of the gradient. More accuracy is lost on the difference between sample and examples.
	solveSteps = 20
	solveTo    = 0.1
)

// curvature holds the second derivatives of the loss over a stratified sample. It is what makes L-BFGS take tens of
// passes over the examples instead of hundreds (Byrd, Chin, Neveitt and Nocedal 2011, "On the use of stochastic Hessian
// information in optimization methods for machine learning").
type curvature struct {
	objective     *objective // of the sample
	kernel        *kernel[float32]
	probabilities []float32 // of the sample where the curvature is taken
	squares       []float64 // mean square of each component
	diagonal      []float64 // approximates that of the second derivatives
	products      int
	// Work space of solve.
	solution, residual, scaled, way []float64
}

// newCurvature takes a sample of an objective's examples. It adds up in the objective's lanes: the two take turns.
func newCurvature(o *objective, seed uint64) (*curvature, error) {
	sample, mean, categories := sampleOf(o.examples, o.categories, seed), o.mean, o.categories
	// The sample is read most often, so it lies together and centred.
	dim := len(mean)
	data := make([]float32, sample.Len()*dim)
	c := &curvature{squares: make([]float64, dim), probabilities: make([]float32, sample.Len()*categories)}
	for i, v := range sample.Vectors {
		row := data[i*dim : (i+1)*dim]
		for j := range v {
			row[j] = v[j] - mean[j]
			c.squares[j] += sample.weight(i) * float64(row[j]) * float64(row[j])
		}
		sample.Vectors[i] = row
	}
	var err error
	if c.objective, err = newObjective(sample, categories, make([]float32, dim), o.l2, o.threads, o.lanes[:lanesFor(sample.Len())]); err != nil {
		return nil, err
	}
	floats.Scale(1/c.objective.total, c.squares)
	n := c.objective.parameters()
	c.diagonal, c.solution, c.residual, c.scaled, c.way = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	if c.kernel, err = curvatureKernel(dim, categories); err != nil {
		return nil, errors.Join(err, c.objective.close())
	}
	return c, nil
}

func (c *curvature) close() error { return errors.Join(c.kernel.close(), c.objective.close()) }

// sampleOf returns the sample. An example's weight makes up for those of its category that were left out.
func sampleOf(e Examples, categories int, seed uint64) Examples {
	members := make([][]int, categories)
	for i, c := range e.Categories {
		if e.weight(i) > 0 {
			members[c] = append(members[c], i)
		}
	}
	n := float64(e.Len())
	share := math.Min(math.Max(sampleShare, sampleLeast/n), sampleMost/n)
	random := rand.New(rand.NewPCG(seed, 2))
	var positions []int
	factor := make([]float64, categories)
	for c, all := range members {
		n := min(len(all), max(sampleOfEach, int(math.Ceil(share*float64(len(all))))))
		for i := range n {
			j := i + random.IntN(len(all)-i)
			all[i], all[j] = all[j], all[i]
		}
		positions = append(positions, all[:n]...)
		if n > 0 {
			factor[c] = float64(len(all)) / float64(n)
		}
	}
	slices.SortFunc(positions, cmp.Compare[int])
	sample := e.Select(positions)
	sample.Weights = make([]float64, len(positions))
	for i, p := range positions {
		sample.Weights[i] = e.weight(p) * factor[e.Categories[p]]
	}
	return sample
}

// at takes the curvature at x.
func (c *curvature) at(x []float64) error {
	o := c.objective
	if _, err := o.evaluate(x, c.scaled, false, c.probabilities); err != nil {
		return err
	}
	spread := make([]float64, o.categories)
	for i := range o.examples.Len() {
		w := o.examples.weight(i) / o.total
		for k, p := range c.probabilities[i*o.categories : (i+1)*o.categories] {
			spread[k] += w * float64(p) * (1 - float64(p))
		}
	}
	dim := len(o.mean)
	for k, s := range spread {
		for j, q := range c.squares {
			c.diagonal[k*dim+j] = s*q + o.l2
		}
		c.diagonal[o.categories*dim+k] = s + 1e-12
	}
	return nil
}

// product returns the second derivatives times v, until it is called again.
func (c *curvature) product(v []float64) ([]float64, error) {
	c.products++
	o := c.objective
	size := o.categories * len(o.mean)
	fill := func(b *block[float32], from int) {
		copy(b.inputs["p"], c.probabilities[from*o.categories:(from+b.rows)*o.categories])
		for r := range b.rows {
			b.inputs["weight"][r] = float32(o.examples.weight(from+r) / o.total)
		}
	}
	none := func(*block[float32], int) float64 { return 0 }
	if err := c.kernel.pass(o.examples.Vectors, v, o.threads, c.objective.lanes, fill, none); err != nil {
		return nil, err
	}
	product := c.objective.lanes[0].sums
	floats.AddScaled(product[:size], o.l2, v[:size])
	return product, nil
}

// solve returns about (second derivatives)⁻¹ · g until it is called again, by conjugate gradients with the diagonal for a preconditioner.
func (c *curvature) solve(g []float64) ([]float64, error) {
	x, r, z, p := c.solution, c.residual, c.scaled, c.way
	clear(x)
	copy(r, g)
	floats.DivTo(z, r, c.diagonal)
	copy(p, z)
	rz := floats.Dot(r, z)
	goal := solveTo * solveTo * rz
	for range solveSteps {
		if rz <= goal || rz == 0 {
			break
		}
		hp, err := c.product(p)
		if err != nil {
			return nil, err
		}
		bend := floats.Dot(p, hp)
		if !(bend > 0) { // Rounding is all that is left of this direction.
			break
		}
		step := rz / bend
		floats.AddScaled(x, step, p)
		floats.AddScaled(r, -step, hp)
		floats.DivTo(z, r, c.diagonal)
		next := floats.Dot(r, z)
		floats.AddScaledTo(p, z, next/rz, p)
		rz = next
	}
	if floats.Dot(x, g) <= 0 {
		floats.DivTo(x, g, c.diagonal)
	}
	return x, nil
}
