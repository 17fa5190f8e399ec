package trainer

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// uneven returns n vectors of length about 1 around centres of categories, of which the first has least of the n and the last many.
func uneven(n, dim, categories, least int, apart float64, seed uint64) Examples {
	random := rand.New(rand.NewPCG(seed, 1))
	centres := make([][]float64, categories)
	shares, total := make([]float64, categories), 0.0
	for c := range centres {
		for range dim {
			centres[c] = append(centres[c], apart*random.NormFloat64())
		}
		total += math.Sqrt(float64(1 + c))
		shares[c] = total
	}
	var e Examples
	for i := range n {
		c := i / least
		if c >= categories {
			u := random.Float64() * total
			for c = 0; shares[c] <= u; {
				c++
			}
		}
		v := make([]float32, dim)
		for j := range v {
			v[j] = float32((centres[c][j] + random.NormFloat64()) / math.Sqrt(float64(dim)))
		}
		e.Vectors, e.Categories = append(e.Vectors, v), append(e.Categories, c)
	}
	return e
}

// exact refits without each example in turn, in float64 and with a Hessian of its own, and certifies each fit by its gradient.
type exact struct {
	x             *mat.Dense // with a 1
	y             *mat.Dense
	weights       []float64
	offsets       [][]float64
	l2            float64
	k, dim        int
	theta         *mat.Dense    // of all examples
	hessian       *mat.SymDense // there
	inverse       *mat.Dense
	probabilities *mat.Dense
}

func newExact(t testing.TB, e Examples, k int, l2 float64) *exact {
	t.Helper()
	n, dim := e.Len(), len(e.Vectors[0])+1
	x := &exact{x: mat.NewDense(n, dim, nil), y: mat.NewDense(n, k, nil), weights: make([]float64, n), offsets: e.Offsets, l2: l2, k: k, dim: dim, theta: mat.NewDense(k, dim, nil), probabilities: mat.NewDense(n, k, nil)}
	mean, total := e.mean(), 0.0
	for i, v := range e.Vectors {
		for j := range v {
			x.x.Set(i, j, float64(v[j])-float64(mean[j]))
		}
		x.x.Set(i, dim-1, 1)
		if e.Targets == nil {
			x.y.Set(i, e.Categories[i], 1)
		} else {
			x.y.SetRow(i, widen(e.Targets[i]))
		}
		x.weights[i] = e.weight(i)
		total += e.weight(i)
	}
	for i := range x.weights {
		x.weights[i] /= total
	}
	// Newton's method needs a start that is near.
	c := fit(t, e, Options{Categories: k, L2: l2})
	for r := range k {
		x.theta.SetRow(r, append(widen(c.Weights[r*(dim-1):(r+1)*(dim-1)]), float64(c.Bias[r])))
	}
	for iteration := 0; ; iteration++ {
		gradient := x.gradient(x.theta, -1, x.probabilities)
		if mat.Norm(gradient, math.Inf(1)) < 1e-11 {
			return x
		}
		if iteration == 20 {
			t.Fatalf("Newton's method ended at the gradient %v", mat.Norm(gradient, math.Inf(1)))
		}
		x.factorize(t)
		x.descend(x.theta, gradient)
	}
}

// gradient is that of the loss without an example.
func (x *exact) gradient(theta *mat.Dense, without int, p *mat.Dense) *mat.Dense {
	p.Mul(x.x, theta.T())
	for i := range x.weights {
		row := p.RawRowView(i)
		if x.offsets != nil {
			floats.Add(row, x.offsets[i])
		}
		norm := logSumExp(row)
		for c := range row {
			row[c] = math.Exp(row[c] - norm)
		}
	}
	residual := mat.NewDense(len(x.weights), x.k, nil)
	for i, w := range x.weights {
		if i == without {
			continue
		}
		row, mine, target := residual.RawRowView(i), p.RawRowView(i), x.y.RawRowView(i)
		for c := range row {
			row[c] = w * (mine[c] - target[c])
		}
	}
	var gradient mat.Dense
	gradient.Mul(residual.T(), x.x)
	for c := range x.k {
		for j := range x.dim - 1 {
			gradient.Set(c, j, gradient.At(c, j)+x.l2*theta.At(c, j))
		}
	}
	return &gradient
}

// factorize takes the Hessian at the probabilities, and fixes the sum of the biases, which changes none.
func (x *exact) factorize(t testing.TB) {
	t.Helper()
	size := x.k * x.dim
	h := mat.NewSymDense(size, nil)
	scaled := mat.NewDense(len(x.weights), x.dim, nil)
	var block mat.Dense
	for a := range x.k {
		for b := range a + 1 {
			for i, w := range x.weights {
				p := x.probabilities.RawRowView(i)
				c := -p[a] * p[b]
				if a == b {
					c += p[a]
				}
				for j, v := range x.x.RawRowView(i) {
					scaled.Set(i, j, w*c*v)
				}
			}
			block.Mul(scaled.T(), x.x)
			for i := range x.dim {
				for j := range x.dim {
					v := block.At(i, j)
					if i == j {
						switch {
						case i == x.dim-1:
							v += .1
						case a == b:
							v += x.l2
						}
					}
					h.SetSym(a*x.dim+i, b*x.dim+j, v)
				}
			}
		}
	}
	var factor mat.Cholesky
	if !factor.Factorize(h) {
		t.Fatal("the Hessian is not positive definite")
	}
	var inverse mat.SymDense
	if err := factor.InverseTo(&inverse); err != nil {
		t.Fatal(err)
	}
	x.hessian, x.inverse = h, mat.DenseCopyOf(&inverse)
}

func (x *exact) descend(theta, gradient *mat.Dense) {
	var step mat.VecDense
	step.MulVec(x.inverse, mat.NewVecDense(x.k*x.dim, gradient.RawMatrix().Data))
	theta.Sub(theta, mat.NewDense(x.k, x.dim, step.RawVector().Data))
}

// without returns the probabilities of an example by the fit without it.
func (x *exact) without(i int) ([]float64, error) {
	theta, p := mat.DenseCopyOf(x.theta), mat.NewDense(len(x.weights), x.k, nil)
	for range 2000 {
		gradient := x.gradient(theta, i, p)
		if mat.Norm(gradient, math.Inf(1)) < 1e-8 {
			return p.RawRowView(i), nil
		}
		x.descend(theta, gradient)
	}
	return nil, errors.New("the refit does not end")
}

// each returns the probabilities of every so manieth example by the fit without it.
func (x *exact) each(t testing.TB, every int) [][]float64 {
	t.Helper()
	all := make([][]float64, len(x.weights))
	err := spread(t.Context(), runtime.GOMAXPROCS(0), (len(all)+every-1)/every, func(_, i int) (err error) {
		all[every*i], err = x.without(every * i)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// formula returns the probabilities of each example by one step with this matrix for the inverse Hessian.
func (x *exact) formula(t testing.TB, inverse *mat.Dense) [][]float64 {
	t.Helper()
	all := make([][]float64, len(x.weights))
	for i := range all {
		v, p := mat.NewVecDense(x.dim, x.x.RawRowView(i)), x.probabilities.RawRowView(i)
		a, w, g := mat.NewDense(x.k, x.k, nil), mat.NewDense(x.k, x.k, nil), mat.NewVecDense(x.k, nil)
		for r := range x.k {
			for c := range x.k {
				a.Set(r, c, mat.Inner(v, inverse.Slice(r*x.dim, (r+1)*x.dim, c*x.dim, (c+1)*x.dim), v))
				w.Set(r, c, -x.weights[i]*p[r]*p[c])
			}
			w.Set(r, r, w.At(r, r)+x.weights[i]*p[r])
			g.SetVec(r, x.weights[i]*(p[r]-x.y.At(i, r)))
		}
		var system mat.Dense
		system.Mul(w, a)
		for r := range x.k {
			for c := range x.k {
				system.Set(r, c, -system.At(r, c))
			}
			system.Set(r, r, 1+system.At(r, r))
		}
		var push, change mat.VecDense
		if err := push.SolveVec(&system, g); err != nil {
			t.Fatal(err)
		}
		change.MulVec(a, &push)
		row := make([]float64, x.k)
		for c := range row {
			row[c] = math.Log(p[c]) + change.AtVec(c)
		}
		norm := logSumExp(row)
		for c := range row {
			row[c] = math.Exp(row[c] - norm)
		}
		all[i] = row
	}
	return all
}

// largestGap compares probabilities of the examples that have both.
func largestGap(got, want [][]float64) (largest float64) {
	for i, row := range want {
		if row != nil {
			largest = math.Max(largest, floats.Distance(got[i], row, math.Inf(1)))
		}
	}
	return largest
}

func probabilitiesOf(scores [][]float64) (all [][]float64) {
	for _, row := range Probabilities(scores, 1) {
		all = append(all, widen(row))
	}
	return all
}

func leaveEachOut(t testing.TB, e Examples, o LeaveOneOutOptions) *LeftOut {
	t.Helper()
	left, err := LeaveOneOut(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// TestLeaveOneOutAgreesWithRefits compares every probability with that of an exact refit.
func TestLeaveOneOutAgreesWithRefits(t *testing.T) {
	f := func(e Examples, o Options, every int) *exact {
		t.Helper()
		weighted := e
		weighted.Weights = weigh(e, o.ClassWeights, o.Categories)
		x := newExact(t, weighted, o.Categories, o.L2)
		left := leaveEachOut(t, e, LeaveOneOutOptions{Fit: o})
		if gap := largestGap(probabilitiesOf(left.Scores), x.each(t, every)); gap > 1e-3 {
			t.Errorf("%d examples, %d corrected, the last by %v: the largest gap to a refit is %v", e.Len(), left.Corrected, left.Correction, gap)
		}
		return x
	}
	e := uneven(500, 24, 22, 3, 1, 1)
	x := f(e, Options{Categories: 22, L2: 1e-3, ClassWeights: WeightsNone}, 1)
	// The refits are those of Fit, with a penalty of the same size in all.
	for _, i := range []int{0, 250} {
		others := slices.Delete(positions(0, 500), i, i+1)
		c := fit(t, e.Select(others), Options{Categories: 22, L2: 1e-3 * 500 / 499, Tolerance: 1e-9})
		want, err := x.without(i)
		if err != nil {
			t.Fatal(err)
		}
		if gap := floats.Distance(probabilitiesOf(Scores(c, e.Vectors[i:i+1]))[0], want, math.Inf(1)); gap > 1e-5 {
			t.Errorf("Fit without example %d is %v beside the refit", i, gap)
		}
	}
	f(uneven(1000, 64, 5, 3, .5, 2), Options{Categories: 5, L2: 1e-3, ClassWeights: WeightsNone}, 1)
	f(uneven(500, 12, 6, 4, 1, 3), Options{Categories: 6, L2: 1e-3, ClassWeights: WeightsBalanced}, 1)

	e = uneven(600, 8, 4, 5, .7, 4)
	for i, c := range e.Categories {
		target := []float32{.125, .125, .125, .125}
		target[c] = .625
		e.Targets, e.Weights = append(e.Targets, target), append(e.Weights, float64(i%4))
		e.Offsets = append(e.Offsets, []float64{1, 0, float64(i%3) / 3, 0})
	}
	f(e, Options{Categories: 4, L2: 1e-3, ClassWeights: WeightsNone}, 1)
	f(uneven(500, tileSize+7, 2, 5, .5, 5), Options{Categories: 2, L2: 1e-2, ClassWeights: WeightsNone}, 25)  // two pieces
	f(uneven(leaveRows+100, 6, 3, 5, .5, 6), Options{Categories: 3, L2: 1e-3, ClassWeights: WeightsNone}, 50) // two blocks
}

// TestWholeHessianIsNeeded: the formula alone suffices for many examples of few categories, but not with the Hessian's blocks
// on the diagonal alone; and it does not for few examples of many categories, where the corrections do it.
func TestWholeHessianIsNeeded(t *testing.T) {
	e := uneven(500, 16, 5, 20, .5, 2)
	x := newExact(t, e, 5, 1e-2)
	want := x.each(t, 1)
	if gap := largestGap(x.formula(t, x.inverse), want); gap > 1e-3 {
		t.Errorf("the formula is off by %v", gap)
	}
	x.factorize(t)
	blocks := mat.NewDense(x.k*x.dim, x.k*x.dim, nil)
	for k := range x.k {
		from, to := k*x.dim, (k+1)*x.dim
		var block mat.Dense
		if err := block.Inverse(x.hessian.SliceSym(from, to)); err != nil {
			t.Fatal(err)
		}
		blocks.Slice(from, to, from, to).(*mat.Dense).Copy(&block)
	}
	if gap := largestGap(x.formula(t, blocks), want); gap < 2e-3 {
		t.Errorf("blocks on the diagonal do: they are off by %v", gap)
	}
	alone := leaveEachOut(t, e, LeaveOneOutOptions{Fit: Options{Categories: 5, L2: 1e-2}, Accuracy: 1})
	if gap := largestGap(probabilitiesOf(alone.Scores), x.formula(t, x.inverse)); gap > 1e-5 || alone.Corrected != 0 {
		t.Errorf("without corrections, of which there are %d, the formula is off its own by %v", alone.Corrected, gap)
	}
	many := uneven(200, 8, 12, 3, 1, 7)
	x = newExact(t, many, 12, 1e-3)
	if gap := largestGap(x.formula(t, x.inverse), x.each(t, 1)); gap < 2e-3 {
		t.Errorf("the formula does for rare categories: it is off by %v", gap)
	}
}

func TestLeaveOneOutIsDeterministic(t *testing.T) {
	e := uneven(leaveRows+70, tileSize+3, 3, 5, .3, 8)
	var first *LeftOut
	for _, threads := range []int{1, 3} {
		left := leaveEachOut(t, e, LeaveOneOutOptions{Fit: Options{Categories: 3, L2: 1e-2, Threads: threads}})
		if first == nil {
			first = left
		}
		if diff := cmp.Diff(first, left); diff != "" {
			t.Fatalf("%d threads give other scores:\n%s", threads, diff)
		}
	}
}

// TestLeaveOneOutRareCategories: a category without examples changes nothing and gets nothing, and the only example of one is
// predicted by a fit that has never heard of it.
func TestLeaveOneOutRareCategories(t *testing.T) {
	e := uneven(300, 6, 3, 5, .7, 9)
	want := probabilitiesOf(leaveEachOut(t, e, LeaveOneOutOptions{Fit: Options{Categories: 3, L2: 1e-3}}).Scores)
	apart := e.Select(positions(0, 300))
	for i, c := range apart.Categories {
		apart.Categories[i] = []int{1, 2, 4}[c]
	}
	got := probabilitiesOf(leaveEachOut(t, apart, LeaveOneOutOptions{Fit: Options{Categories: 6, L2: 1e-3}}).Scores)
	for i, row := range got {
		if math.Abs(row[1]-want[i][0])+math.Abs(row[2]-want[i][1])+math.Abs(row[4]-want[i][2]) > 1e-4 || row[0]+row[3]+row[5] > 1e-6 {
			t.Fatalf("example %d has probabilities %v, without empty categories %v", i, row, want[i])
		}
	}
	apart.Categories[7] = 5
	left := leaveEachOut(t, apart, LeaveOneOutOptions{Fit: Options{Categories: 6, L2: 1e-3}})
	c := fit(t, apart.Select(slices.Delete(positions(0, 300), 7, 8)), Options{Categories: 6, L2: 1e-3 * 300 / 299, Tolerance: 1e-8})
	if gap := floats.Distance(probabilitiesOf(left.Scores)[7], probabilitiesOf(Scores(c, apart.Vectors[7:8]))[0], math.Inf(1)); gap > 1e-5 || left.Refitted != 1 {
		t.Errorf("the only example of its category is %v beside a fit without it, %d were refitted", gap, left.Refitted)
	}
}

func TestLeaveOneOutProgress(t *testing.T) {
	var phases []string
	var last int64
	o := LeaveOneOutOptions{Fit: Options{Categories: 12, L2: 1e-3}, Progress: func(phase string, done, total int64) {
		if len(phases) == 0 || phases[len(phases)-1] != phase {
			phases = append(phases, phase)
		}
		if done <= last || done > total || phase == PhaseCorrect && done != total {
			t.Errorf("%s: %d of %d done after %d", phase, done, total, last)
		}
		last = done
	}}
	e := uneven(200, 8, 12, 3, 1, 7)
	leaveEachOut(t, e, o)
	if diff := cmp.Diff([]string{PhaseHessian, PhaseInverse, PhaseLeave, PhaseCorrect}, phases); diff != "" {
		t.Errorf("phases:\n%s", diff)
	}
	for _, at := range phases {
		ctx, cancel := context.WithCancel(t.Context())
		o.Progress = func(phase string, _, _ int64) {
			if phase == at {
				cancel()
			}
		}
		if _, err := LeaveOneOut(ctx, e, o); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while %s: %v", at, err)
		}
	}
}

func TestLeaveOneOutFailure(t *testing.T) {
	f := func(e Examples, o LeaveOneOutOptions, want ...string) {
		t.Helper()
		_, err := LeaveOneOut(t.Context(), e, o)
		for _, w := range append(want, "leaving one out: ") {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("LeaveOneOut = %v, want an error with %q", err, w)
			}
		}
	}
	f(Examples{}, LeaveOneOutOptions{Fit: Options{Categories: 2}}, "there are none")
	f(Examples{}, LeaveOneOutOptions{Fit: Options{Method: MethodAdamW}, Memory: -1, Accuracy: 2}, `Fit.Method ("adamw") must be lbfgs`, "Categories (0)", "Memory (-1)", "Accuracy (2)")
	f(uneven(44, 1024, 22, 2, 1, 1), LeaveOneOutOptions{Fit: Options{Categories: 22}, Memory: 1 << 29}, "22 categories × 1,024 components and 44 examples need 0.9 GiB", "the budget is 0.5 GiB: raise Memory (--memory)")
	f(Examples{Vectors: [][]float32{{1}, {2}, {3}}, Categories: []int{0, 0, 1}}, LeaveOneOutOptions{Fit: Options{Categories: 2}}, "without example 2, the only one of its category", "1 categories have examples")
	twins := clouds(200, 3, 2, 0, 1)
	for _, v := range twins.Vectors {
		v[0] *= 1000
		v[1] = v[0]
	}
	f(twins, LeaveOneOutOptions{Fit: Options{Categories: 2, L2: 1e-6, Tolerance: 1e-3}}, "inverting the Hessian", "rounding outweighs L2 (1e-06)")
}
