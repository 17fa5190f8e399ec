package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"

	"jobstrom/schemas"
)

// leaveRows are multiplied at once when the Hessian is built and read: so many that adding their product costs little beside it.
const leaveRows = 2048

// leaver leaves examples out by the formula of LeaveOneOut.
//
// The same number added to the scores of all categories changes no probability, so the Hessian is needed, and well conditioned,
// only across that direction: it is kept in contrasts of the categories, one fewer than those. Its blocks, one for each pair of contrasts a and b, are
// Σ wᵢ (diag pᵢ − pᵢ pᵢᵀ)ₐᵦ · xᵢ xᵢᵀ, each symmetric by itself, which halves the work. Blocks of rows are multiplied and added up in float32: the
// rounding, some 1e-7 of the entries, stays far below the penalty on the diagonal; what it may do to a probability the corrections would show, whose
// residuals come from the examples.
type leaver struct {
	examples   Examples // with the weights of the fit
	options    LeaveOneOutOptions
	mean       []float32
	total      float64 // of the weights
	dim        int
	prior      []float64
	present    []int // categories with examples
	k          int   // contrasts
	multiplier *multiplier

	pieces  []int       // of the components and the 1 for the bias
	hessian *tiles      // of contrast a and piece i in row a · pieces + i; later its inverse
	fitted  [][]float64 // scores by the classifier of all
	scores  [][]float64
	strays  []float64 // how far a score moves, times how far a probability does: about as the formula's error grows
	block   leaveBlock
	steps   []*step // one for each worker
	work    struct{ done, total int64 }
	left    *LeftOut
}

// leaveBlock holds what is known of some rows.
type leaveBlock struct {
	positions []int
	pieces    []matrix    // of the vectors
	w         [][]float32 // Wᵢ of every pair of contrasts
	a         [][]float64 // Aᵢ likewise
}

// sizesOf returns the rows of each row of tiles.
func (l *leaver) sizesOf() (sizes []int) {
	for range l.k {
		sizes = append(sizes, cut(l.dim+1)...)
	}
	return sizes
}

func (l *leaver) pairs() int { return l.k * (l.k + 1) / 2 }

// bytes is the memory that is needed beside the examples and the fit.
func (l *leaver) bytes() int64 {
	n, k, width, pairs := int64(l.examples.Len()), int64(l.k), int64(l.dim+1), int64(l.pairs())
	rows := min(n, leaveRows)
	scores := n * 2 * (8*int64(l.options.Fit.Categories) + 24)
	block := rows * (4*width + 12*pairs)
	worker := int64(4 * (3*tileSize*tileSize + 2*rows*tileSize))
	correction := 4 * leaveBatch * k * (4*width + 3*rows)
	return tilesBytes(l.sizesOf()) + scores + block + worker*int64(l.options.Fit.Threads) + correction
}

// run fills in the scores.
func (l *leaver) run(ctx context.Context, c *schemas.Classifier) error {
	n := l.examples.Len()
	l.fitted = l.scoresOf(c, 0, n)
	l.scores, l.strays = make([][]float64, n), make([]float64, n)
	for i, row := range l.fitted {
		l.scores[i] = append([]float64(nil), row...)
	}
	l.pieces = cut(l.dim + 1)
	l.hessian = newTiles(l.sizesOf())
	l.steps = make([]*step, l.options.Fit.Threads)
	for w := range l.steps {
		l.steps[w] = newStep(l)
	}
	sweep := int64(l.k*(l.dim+1)) * int64(l.k*(l.dim+1)) / 2 * int64(l.dim+1) / int64(len(l.pieces))
	l.work.total = 2*int64(n)*l.rowWork() + int64(len(l.hessian.sizes))*sweep
	if err := l.build(ctx); err != nil {
		return err
	}
	err := l.hessian.invert(ctx, l.multiplier, l.options.Fit.Threads, func(int) { l.worked(PhaseInverse, sweep) })
	if errors.Is(err, errIndefinite) {
		return fmt.Errorf("inverting the Hessian: %w: rounding outweighs L2 (%v); a larger one, or vectors scaled to about 1, may help", err, l.options.Fit.L2)
	}
	if err != nil {
		return err
	}
	if err := l.leave(ctx); err != nil {
		return err
	}
	return l.correct(ctx)
}

// rowWork counts the multiplications that building or reading the Hessian takes for one row.
func (l *leaver) rowWork() int64 {
	width, pieces := int64(l.dim+1), int64(len(l.pieces))
	return int64(l.pairs()) * width * width * (pieces + 1) / (2 * pieces)
}

func (l *leaver) worked(phase string, multiplications int64) {
	l.work.done += multiplications
	if l.options.Progress != nil {
		l.options.Progress(phase, l.work.done, l.work.total)
	}
}

// load takes the vectors at these positions.
func (l *leaver) load(ctx context.Context, positions []int) error {
	b := &l.block
	b.positions = positions
	if b.pieces == nil {
		rows := min(leaveRows, l.examples.Len())
		for _, size := range l.pieces {
			b.pieces = append(b.pieces, matrix{data: make([]float32, rows*size), cols: size})
		}
		for range l.pairs() {
			b.w, b.a = append(b.w, make([]float32, rows)), append(b.a, make([]float64, rows))
		}
	}
	for i := range b.pieces {
		b.pieces[i].rows = len(positions)
	}
	const rows = 64
	return spread(ctx, len(l.steps), (len(positions)+rows-1)/rows, func(_, part int) error {
		for r := part * rows; r < min((part+1)*rows, len(positions)); r++ {
			v, from := l.examples.Vectors[positions[r]], 0
			for _, piece := range b.pieces {
				row := piece.data[r*piece.cols : (r+1)*piece.cols]
				for j := range row {
					if from+j == l.dim {
						row[j] = 1
					} else {
						row[j] = v[from+j] - l.mean[from+j]
					}
				}
				from += piece.cols
			}
		}
		return nil
	})
}

// weigh fills in Wᵢ of the block's rows.
func (l *leaver) weigh(ctx context.Context) error {
	return spread(ctx, len(l.steps), len(l.block.positions), func(worker, r int) error {
		s := l.steps[worker]
		s.at(l, l.block.positions[r])
		for pair, w := range l.block.w {
			a, b := place(pair)
			w[r] = float32(s.w.At(a, b))
		}
		return nil
	})
}

// blocks calls do for all examples in their order, leaveRows at a time.
func (l *leaver) blocks(ctx context.Context, do func() error) error {
	for first := 0; first < l.examples.Len(); first += leaveRows {
		positions := make([]int, min(leaveRows, l.examples.Len()-first))
		for r := range positions {
			positions[r] = first + r
		}
		if err := l.load(ctx, positions); err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// build adds up the Hessian in one pass over the examples.
func (l *leaver) build(ctx context.Context) error {
	m := len(l.pieces)
	space := make([]matrix, len(l.steps))
	for w := range space {
		space[w].data = make([]float32, tileSize*tileSize)
	}
	err := l.blocks(ctx, func() error {
		if err := l.weigh(ctx); err != nil {
			return err
		}
		err := spread(ctx, len(l.steps), l.pairs()*m, func(worker, unit int) error {
			pair, i := unit/m, unit%m
			a, b := place(pair)
			weight := matrix{l.block.w[pair], l.block.pieces[i].rows, 1}
			for j := range i + 1 {
				tile := l.hessian.at(a*m+i, b*m+j)
				out := matrix{space[worker].data, tile.rows, tile.cols}
				if err := multiply(l.multiplier.weighted, out, l.block.pieces[i], weight, l.block.pieces[j]); err != nil {
					return err
				}
				add(tile.data, 1, out.data)
			}
			return nil
		})
		l.worked(PhaseHessian, int64(len(l.block.positions))*l.rowWork())
		return err
	})
	if err != nil {
		return err
	}
	for pair := range l.pairs() {
		a, b := place(pair)
		for i := range m {
			for j := range i {
				if a != b {
					transpose(l.hessian.at(a*m+j, b*m+i), l.hessian.at(a*m+i, b*m+j))
				}
			}
			if a != b {
				continue
			}
			tile := l.hessian.at(a*m+i, a*m+i)
			for r := range tile.rows {
				if i < m-1 || r < tile.rows-1 { // The bias, which comes last, is not penalised.
					tile.data[r*tile.cols+r] += float32(l.options.Fit.L2)
				}
			}
		}
	}
	return nil
}

// add adds factor times what to a sum.
func add(sum []float32, factor float32, what []float32) {
	blas32.Axpy(factor, blas32.Vector{N: len(sum), Inc: 1, Data: what}, blas32.Vector{N: len(sum), Inc: 1, Data: sum})
}

// leave applies the formula to all examples, in one pass.
func (l *leaver) leave(ctx context.Context) error {
	return l.blocks(ctx, func() error {
		if err := l.leverage(ctx); err != nil {
			return err
		}
		l.worked(PhaseLeave, int64(len(l.block.positions))*l.rowWork())
		return spread(ctx, len(l.steps), len(l.block.positions), func(worker, r int) error {
			i, s := l.block.positions[r], l.steps[worker]
			if err := s.without(l, i, r); err != nil {
				return err
			}
			l.scored(i, s.change)
			l.strays[i] = mat.Norm(s.change, math.Inf(1)) * s.move(l, i, nil, s.change)
			return nil
		})
	})
}

// scored writes the scores of an example that leaving it out changes by this, in contrasts.
func (l *leaver) scored(i int, change *mat.VecDense) {
	changes := make([]float64, l.k+1)
	toCategories(changes, change.RawVector().Data)
	for at, c := range l.present {
		l.scores[i][c] = l.fitted[i][c] + changes[at]
	}
}

// leverage fills in Aᵢ of the block's rows.
func (l *leaver) leverage(ctx context.Context) error {
	m, rows := len(l.pieces), len(l.block.positions)
	type space struct{ tile, products []float32 }
	spaces := make([]space, len(l.steps))
	return spread(ctx, len(l.steps), l.pairs(), func(worker, pair int) error {
		if spaces[worker].tile == nil {
			spaces[worker] = space{make([]float32, tileSize*tileSize), make([]float32, rows)}
		}
		s := spaces[worker]
		a, b := place(pair)
		clear(l.block.a[pair][:rows])
		for i := range m {
			for j := range i + 1 {
				// xᵢᵀ T xⱼ + xⱼᵀ U xᵢ = xᵢᵀ (T + Uᵀ) xⱼ
				tile := l.hessian.at(a*m+i, b*m+j)
				if i != j {
					sum := matrix{s.tile[:len(tile.data)], tile.rows, tile.cols}
					if a == b {
						copy(sum.data, tile.data)
					} else {
						transpose(sum, l.hessian.at(a*m+j, b*m+i))
					}
					add(sum.data, 1, tile.data)
					tile = sum
				}
				if err := multiply(l.multiplier.quadratic, matrix{s.products, rows, 1}, l.block.pieces[i], tile, l.block.pieces[j]); err != nil {
					return err
				}
				for r, v := range s.products[:rows] {
					l.block.a[pair][r] += float64(v)
				}
			}
		}
		return nil
	})
}
