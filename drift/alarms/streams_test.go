package alarms

import (
	"math/rand/v2"
	"sort"
	"testing"
)

// history is how many vacancies of each category a real history has; see bench/imbalance.
var history = []float64{
	189, 434, 1077, 2057, 3825, 6100, 7300, 8600, 10000, 11700, 13700, 15900, 19200, 22512, 25300, 29500, 31700, 31867, 33289, 52519, 62441, 68614,
}

// stream draws windows of categories.
type stream struct {
	random *rand.Rand
	upTo   []float64
}

func newStream(weights []float64, seed uint64) *stream {
	s := &stream{random: rand.New(rand.NewPCG(seed, 2))}
	total := 0.0
	for _, w := range weights {
		total += w
		s.upTo = append(s.upTo, total)
	}
	return s
}

func (s *stream) category() int {
	u := s.random.Float64() * s.upTo[len(s.upTo)-1]
	return sort.Search(len(s.upTo)-1, func(c int) bool { return u < s.upTo[c] })
}

// independent draws rows that do not depend on each other.
func (s *stream) independent(t testing.TB, rows int) *Categories {
	t.Helper()
	w, counts := &Categories{}, make([]int, len(s.upTo))
	for range rows {
		counts[s.category()]++
	}
	for c, n := range counts {
		add(t, w.AddRows(c, n))
	}
	return w
}

// bursts draws employers who post 1 to 10 vacancies at a time, four of five of the employer's own category. Where they are
// not told, the rows are passed off as independent.
func (s *stream) bursts(t testing.TB, rows int, told bool) *Categories {
	t.Helper()
	w := &Categories{}
	for rows > 0 {
		own, block := s.category(), []Count{}
		for range min(rows, 1+s.random.IntN(10)) {
			c := own
			if s.random.IntN(5) == 0 {
				c = s.category()
			}
			block = append(block, Count{c, 1})
		}
		rows -= len(block)
		if told {
			add(t, w.AddBlock(block...))
			continue
		}
		for _, c := range block {
			add(t, w.AddRows(c.Category, 1))
		}
	}
	return w
}

// shifted returns the history's shares with some points more of one category, taken from all others alike.
func shifted(category int, points float64) []float64 {
	total := 0.0
	for _, w := range history {
		total += w
	}
	share := history[category] / total
	weights := make([]float64, len(history))
	for c, w := range history {
		weights[c] = w / total * (1 - share - points) / (1 - share)
	}
	weights[category] = share + points
	return weights
}

func add(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// alarmed returns the share of the p-values at or below alpha.
func alarmed(ps []float64, alpha float64) float64 {
	n := 0
	for _, p := range ps {
		if p <= alpha {
			n++
		}
	}
	return float64(n) / float64(len(ps))
}
