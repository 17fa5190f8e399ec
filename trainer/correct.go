package trainer

import (
	"cmp"
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

const (
	// leaveBatch examples are corrected together, so that the vectors and the Hessian are read once for all of them.
	leaveBatch = 32
	// leaveSteps bounds the corrections of an example. Each is smaller than the one before by about the share that the example
	// has in what it decides.
	leaveSteps = 8
	// freely is how many multiplications corrections may take in any case: about a second.
	freely = 1e11
)

// parameters are those of several classifiers: weights and biases in contrasts, one matrix for each piece of the components,
// with all classifiers' rows of the first contrast first.
type parameters []matrix

func (l *leaver) newParameters(rows int) parameters {
	p := make(parameters, len(l.pieces))
	for i, size := range l.pieces {
		p[i] = matrix{make([]float32, l.k*rows*size), l.k * rows, size}
	}
	return p
}

// of returns the rows of a contrast.
func (p parameters) of(l *leaver, contrast, piece int) matrix {
	rows, size := p[piece].rows/l.k, p[piece].cols
	return matrix{p[piece].data[contrast*rows*size : (contrast+1)*rows*size], rows, size}
}

// correct takes further Newton steps for the examples that the formula may miss by most, until that is less than is asked for
// or costs more than everything before.
func (l *leaver) correct(ctx context.Context) error {
	if l.options.Accuracy == 1 {
		return nil
	}
	var order []int
	for i := range l.examples.Len() {
		if l.examples.weight(i) > 0 && !l.lone(i) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(l.strays[b], l.strays[a]) })
	before := l.work.done
	for batch := range slices.Chunk(order, leaveBatch) {
		largest, err := l.correctBatch(ctx, batch)
		if err != nil {
			return err
		}
		l.left.Corrected += len(batch)
		l.left.Correction = largest
		// The next examples are off by about as much or less.
		if largest < l.options.Accuracy/4 {
			break
		}
		if l.work.done-before > max(before, freely) {
			break
		}
	}
	return nil
}

// correctBatch corrects these examples and returns the largest change of a probability by the first correction.
func (l *leaver) correctBatch(ctx context.Context, batch []int) (largest float64, err error) {
	if err := l.load(ctx, batch); err != nil {
		return 0, err
	}
	if err := l.leverage(ctx); err != nil {
		return 0, err
	}
	own := make([]matrix, len(l.pieces)) // the vectors of the batch
	for i, piece := range l.block.pieces {
		own[i] = matrix{slices.Clone(piece.data[:piece.rows*piece.cols]), piece.rows, piece.cols}
	}
	steps, pushes := make([]*step, len(batch)), make([]*mat.VecDense, len(batch))
	for r, i := range batch {
		steps[r] = newStep(l)
		if err := steps[r].without(l, i, r); err != nil {
			return 0, err
		}
		pushes[r] = steps[r].push
	}
	moved, rest, back := l.newParameters(len(batch)), l.newParameters(len(batch)), l.newParameters(len(batch))
	l.outer(rest, own, pushes)
	if err := l.times(ctx, moved, rest); err != nil {
		return 0, err
	}
	for n := range leaveSteps {
		if err := l.residuals(ctx, rest, moved, own, steps, batch); err != nil {
			return 0, err
		}
		if err := l.times(ctx, back, rest); err != nil {
			return 0, err
		}
		// (H − xᵢ Wᵢ xᵢᵀ)⁻¹ r = H⁻¹ (r + xᵢ (I − Wᵢ Aᵢ)⁻¹ Wᵢ xᵢᵀ H⁻¹ r)
		var change float64
		for r, i := range batch {
			s := steps[r]
			score, before := mat.NewVecDense(l.k, nil), mat.VecDenseCopyOf(s.change)
			for k := range l.k {
				var sum float64
				for p := range l.pieces {
					sum += dot(back.of(l, k, p).row(r), own[p].row(r))
				}
				score.SetVec(k, sum)
			}
			s.space.MulVec(s.w, score)
			if err := s.solve(s.push, s.space); err != nil {
				return 0, err
			}
			s.space.MulVec(s.a, s.push)
			s.change.SubVec(s.change, score)
			s.change.SubVec(s.change, s.space)
			change = math.Max(change, s.move(l, i, before, s.change))
			l.scored(i, s.change)
		}
		multiplications := int64(len(batch)) * int64(l.k*(l.dim+1)) * int64(2*l.examples.Len()+2*l.k*(l.dim+1))
		l.work.total += multiplications
		l.worked(PhaseCorrect, multiplications)
		if n == 0 {
			largest = change
		}
		if change < l.options.Accuracy/16 {
			break
		}
		l.outer(rest, own, pushes)
		for p := range moved {
			add(moved[p].data, -1, back[p].data)
		}
		if err := l.times(ctx, back, rest); err != nil {
			return 0, err
		}
		for p := range moved {
			add(moved[p].data, -1, back[p].data)
		}
	}
	return largest, nil
}

// outer writes what each example pushes its classifier by.
func (l *leaver) outer(to parameters, own []matrix, pushes []*mat.VecDense) {
	for k := range l.k {
		for p := range l.pieces {
			rows := to.of(l, k, p)
			clear(rows.data)
			for r, push := range pushes {
				add(rows.row(r), float32(push.AtVec(k)), own[p].row(r))
			}
		}
	}
}

// times multiplies parameters by the inverse of the Hessian.
func (l *leaver) times(ctx context.Context, to, from parameters) error {
	m := len(l.pieces)
	space := make([][]float32, len(l.steps))
	return spread(ctx, len(l.steps), l.k*m, func(worker, row int) error {
		out := to.of(l, row/m, row%m)
		clear(out.data)
		if space[worker] == nil {
			space[worker] = make([]float32, leaveBatch*tileSize)
		}
		for col := range l.k * m {
			part := matrix{space[worker], out.rows, out.cols}
			session, tile := l.multiplier.product, matrix{}
			if col <= row {
				tile = l.hessian.at(row, col)
			} else {
				session, tile = l.multiplier.straight, l.hessian.at(col, row)
			}
			if err := multiply(session, part, from.of(l, col/m, col%m), tile); err != nil {
				return err
			}
			add(out.data, 1, part.data)
		}
		return nil
	})
}

// residuals writes, for each example of a batch, the gradient of the loss without it at the fit of all moved by so much:
// Σ wⱼ (pⱼ − those of the fit) xⱼ + l2 · moved − gᵢ xᵢ, because at the fit of all the gradient is 0.
func (l *leaver) residuals(ctx context.Context, to, moved parameters, own []matrix, steps []*step, batch []int) error {
	for p := range to {
		for k := range l.k {
			rest, move := to.of(l, k, p), moved.of(l, k, p)
			clear(rest.data)
			for r, s := range steps {
				row := rest.row(r)
				add(row, float32(l.options.Fit.L2), move.row(r))
				if p == len(to)-1 {
					row[len(row)-1] = 0 // The bias is not penalised.
				}
				add(row, -float32(s.g.AtVec(k)), own[p].row(r))
			}
		}
	}
	changes := make([]matrix, l.k) // of the block's probabilities by each classifier of the batch, in contrasts
	weights := make([]float32, min(leaveRows, l.examples.Len()))
	for k := range changes {
		changes[k] = matrix{data: make([]float32, len(weights)*len(batch)), cols: len(batch)}
	}
	const chunk = 256
	space := make([][]float32, len(l.steps))
	for worker := range space {
		space[worker] = make([]float32, max(chunk*leaveBatch, leaveBatch*tileSize))
	}
	return l.blocks(ctx, func() error {
		rows := len(l.block.positions)
		for r, i := range l.block.positions {
			weights[r] = float32(l.examples.weight(i) / l.total)
		}
		err := spread(ctx, len(l.steps), (rows+chunk-1)/chunk, func(worker, part int) error {
			first, end := part*chunk, min((part+1)*chunk, rows)
			for k := range changes {
				scores := changes[k].data[first*len(batch) : end*len(batch)]
				clear(scores)
				for p, piece := range l.block.pieces {
					some := matrix{piece.data[first*piece.cols : end*piece.cols], end - first, piece.cols}
					product := matrix{space[worker], end - first, len(batch)}
					if err := multiply(l.multiplier.product, product, some, moved.of(l, k, p)); err != nil {
						return err
					}
					add(scores, 1, product.data)
				}
			}
			l.changeOf(changes, batch, first, end)
			return nil
		})
		if err != nil {
			return err
		}
		return spread(ctx, len(l.steps), l.k*len(l.pieces), func(worker, unit int) error {
			k, p := unit/len(l.pieces), unit%len(l.pieces)
			sum := to.of(l, k, p)
			product := matrix{space[worker], sum.rows, sum.cols}
			change := matrix{changes[k].data, rows, len(batch)}
			if err := multiply(l.multiplier.weighted, product, change, matrix{weights, rows, 1}, l.block.pieces[p]); err != nil {
				return err
			}
			add(sum.data, 1, product.data)
			return nil
		})
	})
}

// changeOf replaces changes of scores, in the block's rows from first to before end, by those of probabilities. An example that
// is left out itself changes nothing.
func (l *leaver) changeOf(changes []matrix, batch []int, first, end int) {
	fitted, p, contrasts := make([]float64, l.k+1), make([]float64, l.k+1), make([]float64, l.k)
	for r := first; r < end; r++ {
		i := l.block.positions[r]
		l.softmax(fitted, i, nil)
		for c, other := range batch {
			at := r*len(batch) + c
			for k := range contrasts {
				contrasts[k] = float64(changes[k].data[at])
			}
			l.softmax(p, i, contrasts)
			for k := range p {
				p[k] -= fitted[k]
			}
			toContrasts(contrasts, p)
			if i == other {
				clear(contrasts)
			}
			for k, v := range contrasts {
				changes[k].data[at] = float32(v)
			}
		}
	}
}

func (m matrix) row(r int) []float32 { return m.data[r*m.cols : (r+1)*m.cols] }

func dot(a, b []float32) float64 {
	return blas32.DDot(blas32.Vector{N: len(a), Inc: 1, Data: a}, blas32.Vector{N: len(b), Inc: 1, Data: b})
}
