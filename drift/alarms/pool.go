package alarms

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// mostBursts is how many bursts a resample draws at most. A larger window is compared with draws that are smaller than it: standardised by their
// own sizes, the statistics of so many blocks no longer change with their number, and what is left of skewness makes them cautious. A
// normal approximation would be as fast, but it needs the covariance of all categories and gives rare ones too thin tails.
const mostBursts = 20_000

// pool holds the blocks of both windows, and draws from them as many as the window with fewer blocks has.
type pool struct {
	counts []int // rows of each category, in both windows
	rows   int
	blocks int // to draw from
	draws  int // to draw

	singles []int // rows of each category that are blocks of one
	single  int   // their sum
	order   []int // categories, most singles first
	each    []int // a category for each single, where few rows are drawn from many categories

	bursts bursts
	turn   []int // bursts, in an order that the draws change

	drawn      []int // rows of each category drawn
	random     *rand.Rand
	factorials factorials
}

func newPool(a, b *Categories, seed uint64, most int) *pool {
	p := &pool{random: rand.New(rand.NewPCG(seed, 1)), rows: a.size.Rows + b.size.Rows, blocks: a.size.Blocks + b.size.Blocks, draws: min(a.size.Blocks, b.size.Blocks)}
	k := max(len(a.counts), len(b.counts))
	p.counts, p.singles, p.drawn = make([]int, k), make([]int, k), make([]int, k)
	for _, w := range []*Categories{a, b} {
		for c := range w.counts {
			p.counts[c] += w.counts[c]
			p.singles[c] += w.singles[c]
			p.single += w.singles[c]
		}
		for i := range w.blocks.len() {
			p.turn = append(p.turn, p.bursts.len())
			p.bursts.add(w.blocks.rows[i], w.blocks.of(i)...)
		}
	}
	if expected := float64(p.draws) * float64(p.bursts.len()) / float64(p.blocks); expected > float64(most) {
		p.draws = int(float64(p.draws) * float64(most) / expected)
	}
	if p.draws < 8*k && p.single <= mostCategories {
		for c, n := range p.singles {
			for range n {
				p.each = append(p.each, c)
			}
		}
	}
	for c, n := range p.singles {
		if n > 0 {
			p.order = append(p.order, c)
		}
	}
	slices.SortStableFunc(p.order, func(a, b int) int { return cmp.Compare(p.singles[b], p.singles[a]) })
	p.factorials = newFactorials(p.blocks)
	return p
}

// draw draws blocks without replacement and returns their rows of each category, until the next draw, and their sum.
func (p *pool) draw() (counts []int, rows int) {
	clear(p.drawn)
	n := hypergeometric(p.random, p.factorials, p.blocks, p.bursts.len(), p.draws)
	rows = p.draws - n
	for i := range n {
		// The first n of a shuffle, which goes on from the order that the last draw left.
		j := i + p.random.IntN(len(p.turn)-i)
		p.turn[i], p.turn[j] = p.turn[j], p.turn[i]
		for _, c := range p.bursts.of(p.turn[i]) {
			p.drawn[c.Category] += c.Rows
		}
		rows += p.bursts.rows[p.turn[i]]
	}
	if left := p.draws - n; p.each != nil {
		for i := range left {
			j := i + p.random.IntN(len(p.each)-i)
			p.each[i], p.each[j] = p.each[j], p.each[i]
			p.drawn[p.each[i]]++
		}
	} else {
		all := p.single
		for _, c := range p.order {
			if left == 0 {
				break
			}
			x := hypergeometric(p.random, p.factorials, all, p.singles[c], left)
			p.drawn[c] += x
			all, left = all-p.singles[c], left-x
		}
	}
	return p.drawn, rows
}
