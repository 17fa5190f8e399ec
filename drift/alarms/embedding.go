package alarms

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// mostVectors is how many blocks of vectors a resample draws at most, for the reason that mostBursts gives.
const mostVectors = 2000

// Embedding compares the means of vectors of any width in two windows by their squared distance, a sum over all components.
//
// A changed mixture of categories moves the mean as well. In 60 draws of 150 against 1,000 synthetic embeddings the plain distance found a changed
// mixture in 30 and 15 % (of two kinds), 512 random Fourier features (MMD) in 28 and 20 %, and whitening by 16, 32 or 64 leading components or by all
// with a ridge in 7 to 22 %. So few draws do not tell the first two apart; the plain distance needs one sum for each block where the other
// needs every row. What leaves the mean where it is, such as a greater spread, it hardly sees: MMD and a domain classifier do.
//
// Effect is the distance of the means over the spread within the windows (the root of the mean squared distance from the mean), less what
// chance adds to it at these sizes; beside it stands the cosine distance of the means. Errors are of the options, and of windows of other widths.
func Embedding(reference, current *Vectors, o Options) (Result, error) {
	r, chance, err := compareVectors(reference, current, o)
	return chance.test(r), err
}

// DescribeEmbedding is Embedding without drawing: P and Q stay 1.
func DescribeEmbedding(reference, current *Vectors, o Options) (Result, error) {
	r, _, err := compareVectors(reference, current, o)
	return r, err
}

func compareVectors(reference, current *Vectors, o Options) (Result, null, error) {
	r := Result{StatisticName: "squared distance of means", EffectName: "distance of means over spread", P: 1, Q: 1, Reference: reference.size, Current: current.size}
	o, err := o.ensured()
	if err != nil {
		return r, null{}, err
	}
	r.Gate = o.VectorGate
	if r = r.comparable(o.Alpha); r.Reason != "" {
		return r, null{}, nil
	}
	if reference.dim != current.dim {
		return r, null{}, fmt.Errorf("comparing embeddings: the reference's have %d components, the current ones %d: compare vectors of one encoder", reference.dim, current.dim)
	}
	a, b := reference.total(), current.total()
	rows := float64(r.Reference.Rows + r.Current.Rows)
	mean := floats.AddTo(make([]float64, len(a)), a, b)
	floats.Scale(1/rows, mean)
	floats.Scale(1/float64(r.Reference.Rows), a)
	floats.Scale(1/float64(r.Current.Rows), b)
	between := floats.Distance(a, b, 2)
	r.Statistic = between * between
	weight := float64(r.Reference.Rows) * (float64(r.Current.Rows) / rows)
	spread := (reference.squares+current.squares)/rows - floats.Dot(mean, mean) - r.Statistic*weight/rows
	// What is left of equal vectors is rounding of their sums.
	if size := (reference.squares + current.squares) / rows; spread < 1e-6*size || size == 0 {
		return r.unknown("the vectors of each window do not differ from each other: check what embeds them"), null{}, nil
	}
	if lengths := floats.Norm(a, 2) * floats.Norm(b, 2); lengths > 0 {
		r.Beside = []Effect{{"cosine distance of means", max(0, 1-floats.Dot(a, b)/lengths)}}
	}
	p := newVectorPool(reference, current, mean, o.Seed, mostVectors)
	r.Effect = math.Sqrt(max(0, r.Statistic-p.expected()/weight) / spread)
	return r, null{r.Statistic * weight, o.Resamples, p.draw}, nil
}

// vectorPool draws blocks of both windows, as pool does, and adds up their vectors.
type vectorPool struct {
	sums  []blas32.Vector // less rows times the mean of all
	rows  []int
	all   int
	turn  []int
	draws int
	// squares is Σ|sum|².
	squares float64

	drawn  blas32.Vector
	random *rand.Rand
}

func newVectorPool(a, b *Vectors, mean []float64, seed uint64, most int) *vectorPool {
	p := &vectorPool{draws: min(a.size.Blocks, b.size.Blocks, most), all: a.size.Rows + b.size.Rows, random: rand.New(rand.NewPCG(seed, 1))}
	p.drawn = blas32.Vector{N: len(mean), Inc: 1, Data: make([]float32, len(mean))}
	for _, v := range []*Vectors{a, b} {
		for i, sum := range v.sums {
			// Less the mean, or rounding of what all vectors share would drown what they do not.
			centred := make([]float32, len(mean))
			for j, c := range sum {
				x := float64(c) - float64(v.rows[i])*mean[j]
				centred[j] = float32(x)
				p.squares += x * x
			}
			p.turn = append(p.turn, len(p.sums))
			p.sums, p.rows = append(p.sums, blas32.Vector{N: len(mean), Inc: 1, Data: centred}), append(p.rows, v.rows[i])
		}
	}
	return p
}

// draw returns the squared distance between the means of drawn blocks and of all others, times n·m/(n+m), which makes it comparable
// where the blocks hold more or fewer rows.
func (p *vectorPool) draw() float64 {
	clear(p.drawn.Data)
	rows := 0
	for i := range p.draws {
		j := i + p.random.IntN(len(p.turn)-i)
		p.turn[i], p.turn[j] = p.turn[j], p.turn[i]
		blas32.Axpy(1, p.sums[p.turn[i]], p.drawn)
		rows += p.rows[p.turn[i]]
	}
	// The centred sums of all blocks are 0 together: the others' mean is −drawn/m.
	squares := 0.0
	for _, c := range p.drawn.Data {
		squares += float64(c) * float64(c)
	}
	n := float64(rows)
	m := float64(p.all) - n
	return squares * (1/n + 1/m)
}

// expected returns the mean of all draws, exactly where all blocks hold as many rows. Of B blocks in N rows, k make a squared sum of
// k·(B−k) / (B·(B−1)) · Σ|sum|² on average (sampling without replacement), and n = k·N/B rows.
func (p *vectorPool) expected() float64 {
	blocks := float64(len(p.sums))
	return p.squares * blocks / ((blocks - 1) * float64(p.all))
}
