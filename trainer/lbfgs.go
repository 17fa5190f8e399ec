package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/floats"
)

const (
	// memory is how many steps L-BFGS remembers.
	memory = 10
	// singleTo is the gradient down to which float32 is precise enough; from there on float64 multiplies.
	singleTo = 1e-6
	// patience is how many iterations may go by without a smaller gradient and without a loss that is lower by more than
	// lower of it, before rounding is to blame. Under a weak penalty gradients rise for a while as the loss falls.
	patience = 4
	lower    = 1e-7
)

// lbfgs minimises an objective by L-BFGS (Nocedal 1980), in the two-loop form of Nocedal and Wright, "Numerical
// Optimization", algorithm 7.4. Its initial matrix is the inverse curvature of a sample.
type lbfgs struct {
	objective     *objective
	curvature     *curvature
	maxIterations int
	tolerance     float64
	// record, where given, is called after every iteration.
	record func(Point)

	steps, changes [][]float64 // of parameters and of gradients, oldest first
}

// minimize improves x in place and returns how it ended.
func (m *lbfgs) minimize(ctx context.Context, x []float64) (stopped string, err error) {
	started := time.Now()
	gradient, precise := make([]float64, len(x)), false
	loss, err := m.objective.evaluate(x, gradient, precise, nil)
	if err != nil {
		return "", err
	}
	best, lowest, since := math.Inf(1), math.Inf(1), 0
	for iteration := 0; ; iteration++ {
		norm := largest(gradient)
		if math.IsNaN(loss) || math.IsNaN(norm) {
			return "", fmt.Errorf("the loss is not finite after %d iterations: components of the vectors are too large; scale them to about 1", iteration)
		}
		if m.record != nil {
			m.record(Point{Step: iteration, Loss: loss, Gradient: norm, Seconds: time.Since(started).Seconds(), Evaluations: m.objective.evaluations})
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		since++
		if norm < best || loss < lowest-lower*math.Abs(lowest) {
			since = 0
		}
		best, lowest = min(best, norm), min(lowest, loss)
		switch {
		case norm <= m.tolerance:
			return "gradient", nil
		case iteration == m.maxIterations:
			return "iterations", nil
		case !precise && (norm <= singleTo || since >= patience):
			precise, best, lowest, since = true, math.Inf(1), math.Inf(1), 0
			if loss, err = m.objective.evaluate(x, gradient, precise, nil); err != nil {
				return "", err
			}
		case since >= patience:
			return m.roundingEnds(norm, iteration)
		}
		direction, err := m.direction(x, gradient)
		if err != nil {
			return "", err
		}
		found, err := m.search(x, gradient, direction, &loss, precise)
		if err != nil {
			return "", err
		}
		if !found {
			// The next round is precise, or gives up.
			since = patience
			m.steps, m.changes = nil, nil
		}
	}
}

// roundingEnds judges a point at which no better one is found: it is as good as rounding allows, if its gradient says so.
func (m *lbfgs) roundingEnds(norm float64, iterations int) (string, error) {
	if norm <= math.Max(1e-5, 100*m.tolerance) {
		return "rounding", nil
	}
	return "", fmt.Errorf("L-BFGS stopped after %d iterations with gradient %.2g; a larger L2 or Tolerance may help", iterations, norm)
}

// direction returns the way down from x.
func (m *lbfgs) direction(x, gradient []float64) ([]float64, error) {
	if err := m.curvature.at(x); err != nil {
		return nil, err
	}
	q := slices.Clone(gradient)
	shares := make([]float64, len(m.steps))
	for i, s := range slices.Backward(m.steps) {
		shares[i] = floats.Dot(s, q) / floats.Dot(s, m.changes[i])
		floats.AddScaled(q, -shares[i], m.changes[i])
	}
	solution, err := m.curvature.solve(q)
	if err != nil {
		return nil, err
	}
	p := q
	copy(p, solution)
	for i, s := range m.steps {
		floats.AddScaled(p, shares[i]-floats.Dot(m.changes[i], p)/floats.Dot(s, m.changes[i]), s)
	}
	floats.Scale(-1, p)
	return p, nil
}

// search goes along the direction, at first the whole of it, to a point that is low enough (Armijo's rule), and remembers
// the step. x, gradient and loss become those of the point.
func (m *lbfgs) search(x, gradient, direction []float64, loss *float64, precise bool) (found bool, err error) {
	slope := floats.Dot(gradient, direction)
	if !(slope < 0) {
		return false, nil
	}
	noise := 1e-8 * math.Abs(*loss)
	if precise {
		noise = 1e-14 * math.Abs(*loss)
	}
	next, change := make([]float64, len(x)), make([]float64, len(x))
	for step, tries := 1.0, 0; tries < 20; tries++ {
		floats.AddScaledTo(next, x, step, direction)
		there, err := m.objective.evaluate(next, change, precise, nil)
		if err != nil {
			return false, err
		}
		end := floats.Dot(change, direction)
		// Where losses differ by rounding alone, the slopes decide (Hager and Zhang 2005, "approximate Wolfe conditions").
		if there <= *loss+1e-4*step*slope || there <= *loss+noise && math.Abs(end) <= .9*math.Abs(slope) {
			floats.Scale(step, direction)
			floats.Sub(change, gradient)
			floats.Add(gradient, change)
			copy(x, next)
			*loss = there
			m.remember(direction, change)
			return true, nil
		}
		// The lowest point of the parabola through both losses and the slope here, within bounds.
		shrink := -slope * step / (2 * (there - *loss - slope*step))
		if !(shrink > .1) {
			shrink = .1
		}
		step *= math.Min(shrink, .5)
	}
	return false, nil
}

// remember keeps a step along which the loss is curved upwards.
func (m *lbfgs) remember(step, change []float64) {
	if !(floats.Dot(step, change) > 1e-12*floats.Norm(step, 2)*floats.Norm(change, 2)) {
		return
	}
	if len(m.steps) == memory {
		m.steps, m.changes = m.steps[1:], m.changes[1:]
	}
	m.steps, m.changes = append(m.steps, step), append(m.changes, change)
}

func largest(v []float64) float64 { return floats.Norm(v, math.Inf(1)) }
