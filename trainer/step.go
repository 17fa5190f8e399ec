package trainer

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// The contrasts of categories are orthonormal, and orthogonal to the same number for all: columns 1 and up of the reflection
// I − 2 v vᵀ/‖v‖² that takes the first axis there, v = (1, …, 1)/√n − (1, 0, …, 0).

// toCategories writes what contrasts say of each category.
func toCategories(categories, contrasts []float64) {
	root, sum := math.Sqrt(float64(len(categories))), floats.Sum(contrasts)
	categories[0] = sum / root
	for a, v := range contrasts {
		categories[a+1] = v - sum/(root*(root-1))
	}
}

// toContrasts writes the contrasts of categories.
func toContrasts(contrasts, categories []float64) {
	root, sum := math.Sqrt(float64(len(categories))), floats.Sum(categories[1:])
	for a := range contrasts {
		contrasts[a] = categories[a+1] + categories[0]/root - sum/(root*(root-1))
	}
}

// step is the Newton step of one example, in contrasts. It is work space: what it holds is that of the last example.
type step struct {
	p, other []float64     // of the categories present
	w, a     *mat.SymDense // Wᵢ and Aᵢ
	g        *mat.VecDense // gᵢ
	system   *mat.Dense    // I − Wᵢ Aᵢ
	factor   mat.LU
	push     *mat.VecDense // (I − Wᵢ Aᵢ)⁻¹ gᵢ
	change   *mat.VecDense // of the scores
	space    *mat.VecDense
}

func newStep(l *leaver) *step {
	k := l.k
	return &step{
		p: make([]float64, k+1), other: make([]float64, k+1), w: mat.NewSymDense(k, nil), a: mat.NewSymDense(k, nil), g: mat.NewVecDense(k, nil),
		system: mat.NewDense(k, k, nil), push: mat.NewVecDense(k, nil), change: mat.NewVecDense(k, nil), space: mat.NewVecDense(k, nil),
	}
}

// softmax writes the probabilities of the categories present for an example's scores by the classifier of all, plus a change in contrasts,
// if not nil.
func (l *leaver) softmax(p []float64, i int, change []float64) {
	clear(p)
	if change != nil {
		toCategories(p, change)
	}
	for at, c := range l.present {
		p[at] += l.fitted[i][c]
	}
	norm := logSumExp(p)
	for at := range p {
		p[at] = math.Exp(p[at] - norm)
	}
}

// at takes pᵢ, gᵢ and Wᵢ of an example by the classifier of all.
func (s *step) at(l *leaver, i int) {
	l.softmax(s.p, i, nil)
	weight := l.examples.weight(i) / l.total
	copy(s.other, s.p)
	for at, c := range l.present {
		switch {
		case l.examples.Targets != nil:
			s.other[at] -= float64(l.examples.Targets[i][c])
		case l.examples.Categories[i] == c:
			s.other[at]--
		}
	}
	g, means := s.g.RawVector().Data, s.space.RawVector().Data
	toContrasts(g, s.other)
	floats.Scale(weight, g)
	toContrasts(means, s.p)
	// A contrast of categories a and b is (a = b) − d, with d for the reflection; the sum over the first category is 1/n.
	n := float64(len(s.p))
	root := math.Sqrt(n)
	d := 1 / (root * (root - 1))
	rest := s.p[0]/n + d*d*(1-s.p[0])
	for a := range l.k {
		for b := range a + 1 {
			v := rest - d*(s.p[a+1]+s.p[b+1]) - means[a]*means[b]
			if a == b {
				v += s.p[a+1]
			}
			s.w.SetSym(a, b, weight*v)
		}
	}
}

// without takes the step from the fit of all to that without example i, which is row r of the block.
func (s *step) without(l *leaver, i, r int) error {
	s.at(l, i)
	for pair := range l.block.a {
		a, b := place(pair)
		s.a.SetSym(a, b, l.block.a[pair][r])
	}
	s.system.Mul(s.w, s.a)
	s.system.Scale(-1, s.system)
	for k := range l.k {
		s.system.Set(k, k, 1+s.system.At(k, k))
	}
	s.factor.Factorize(s.system)
	if err := s.solve(s.push, s.g); err != nil {
		return fmt.Errorf("without example %d: %w", i, err)
	}
	s.change.MulVec(s.a, s.push)
	return nil
}

// solve writes (I − Wᵢ Aᵢ)⁻¹ v.
func (s *step) solve(to, v *mat.VecDense) error {
	var far mat.Condition
	err := s.factor.SolveVecTo(to, false, v)
	if errors.As(err, &far) && !math.IsInf(float64(far), 1) {
		return nil // An example that decides alone leaves few digits, not none.
	}
	return err
}

// move returns by how much the largest of an example's probabilities differs between two changes of its scores.
func (s *step) move(l *leaver, i int, from, to *mat.VecDense) float64 {
	l.softmax(s.p, i, nil)
	if from != nil {
		l.softmax(s.p, i, from.RawVector().Data)
	}
	l.softmax(s.other, i, to.RawVector().Data)
	return floats.Distance(s.p, s.other, math.Inf(1))
}
