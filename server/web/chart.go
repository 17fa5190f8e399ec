package web

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The room of a chart, in units of its drawing.
const (
	chartWidth, chartHeight = 720.0, 260.0
	chartLeft, chartBottom  = 54.0, 28.0
)

// series is how many categories have a colour of their own in a chart; the rest is one.
const series = 6

// step counts the categories of a span of time.
type step struct {
	From   time.Time
	Counts []uint64
}

// chart is stacked columns, one a step.
type chart struct {
	Columns []column
	Grid    []gridLine
	Ticks   []tick
	Legend  []share
	Total   uint64
}

type column struct {
	Title    string
	Segments []segment
}

type segment struct {
	X, Y, Width, Height float64
	Color               int
}

type gridLine struct {
	Y     float64
	Label string
}

type tick struct {
	X     float64
	Label string
}

// share is a category's part of the whole.
type share struct {
	Name  string
	Color int
	N     uint64
	Share float64
}

// newChart draws steps, the oldest first; label names a step's begin.
func newChart(l *Language, steps []step, names []string, label func(time.Time) string) chart {
	steps = known(steps, len(names))
	totals, order := totalsOf(steps, len(names))
	var c chart
	for _, n := range totals {
		c.Total += n
	}
	color := make([]int, len(names))
	rest := share{Name: l.Text("chart.rest"), Color: series}
	for rank, i := range order {
		color[i] = min(rank, series)
		s := share{Name: names[i], Color: color[i], N: totals[i]}
		if c.Total > 0 {
			s.Share = float64(s.N) / float64(c.Total)
		}
		if rank < series && s.N > 0 {
			c.Legend = append(c.Legend, s)
		} else if rank >= series {
			rest.N, rest.Share = rest.N+s.N, rest.Share+s.Share
		}
	}
	if rest.N > 0 {
		c.Legend = append(c.Legend, rest)
	}
	top := uint64(1)
	for _, s := range steps {
		top = max(top, sum(s.Counts))
	}
	top = round(top)
	height := func(n uint64) float64 { return float64(n) / float64(top) * (chartHeight - chartBottom - 12) }
	width := (chartWidth - chartLeft) / float64(max(len(steps), 1))
	for k, s := range steps {
		x := chartLeft + float64(k)*width
		stacked := make([]uint64, series+1)
		for i, n := range s.Counts {
			stacked[color[i]] += n
		}
		col, y := column{Title: label(s.From) + ": " + l.Whole(sum(s.Counts))}, chartHeight-chartBottom
		for hue, n := range stacked {
			if n > 0 {
				y -= height(n)
				col.Segments = append(col.Segments, segment{x + .12*width, y, .76 * width, height(n), hue})
			}
		}
		c.Columns = append(c.Columns, col)
		if every := max(len(steps)/6, 1); k%every == 0 && len(steps)-k > every/2 {
			c.Ticks = append(c.Ticks, tick{x + width/2, label(s.From)})
		}
	}
	for _, n := range []uint64{0, top / 2, top} {
		if n > 0 || len(c.Grid) == 0 {
			c.Grid = append(c.Grid, gridLine{chartHeight - chartBottom - height(n), l.Whole(n)})
		}
	}
	return c
}

// known leaves out what the taxonomy has no name for: the counts of another one.
func known(steps []step, n int) []step {
	out := make([]step, len(steps))
	for i, s := range steps {
		out[i] = step{s.From, s.Counts[:min(len(s.Counts), n)]}
	}
	return out
}

// totalsOf sums the steps and orders the categories by their totals.
func totalsOf(steps []step, n int) (totals []uint64, order []int) {
	totals, order = make([]uint64, n), make([]int, n)
	for _, s := range steps {
		for i, count := range s.Counts {
			totals[i] += count
		}
	}
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(totals[b], totals[a]) })
	return totals, order
}

// round returns the least of 2, 4, 10, 20, 40, 100, … that is not below n.
func round(n uint64) uint64 {
	for ten := uint64(1); ; ten *= 10 {
		for _, k := range []uint64{2, 4, 10} {
			if n <= k*ten || ten > 1<<56 {
				return k * ten
			}
		}
	}
}

func sum(counts []uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}

// trend is a category's share over time.
type trend struct {
	Name string
	N    uint64
	// Share of all, and of the first and the second half of the steps.
	Share, Before, After float64
	// Line is the points of a line through the shares, in a room of 100 by 24.
	Line string
}

// Moved says whether the share has changed by a percentage point or more.
func (t trend) Moved() bool { return math.Abs(t.Change()) >= 1 }

// Change is the second half's share less the first's, in percentage points.
func (t trend) Change() float64 { return 100 * (t.After - t.Before) }

// trendsOf returns the categories' shares over time, the largest first. Those without a vacancy are left out.
func trendsOf(steps []step, names []string) []trend {
	steps = known(steps, len(names))
	totals, order := totalsOf(steps, len(names))
	all := sum(totals)
	var trends []trend
	for _, i := range order {
		if totals[i] == 0 {
			continue
		}
		t := trend{Name: names[i], N: totals[i], Share: float64(totals[i]) / float64(all)}
		t.Before, t.After = shareIn(steps[:len(steps)/2], i), shareIn(steps[len(steps)/2:], i)
		t.Line = lineOf(steps, i)
		trends = append(trends, t)
	}
	return trends
}

func shareIn(steps []step, i int) float64 {
	var of, n uint64
	for _, s := range steps {
		of += sum(s.Counts)
		if i < len(s.Counts) {
			n += s.Counts[i]
		}
	}
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// lineOf draws the share of a category, from 0 to its highest.
func lineOf(steps []step, i int) string {
	shares, top := make([]float64, len(steps)), 0.0
	for k, s := range steps {
		shares[k] = shareIn([]step{s}, i)
		top = max(top, shares[k])
	}
	if len(shares) == 1 {
		shares = append(shares, shares[0])
	}
	points := make([]string, len(shares))
	for k, v := range shares {
		points[k] = fmt.Sprintf("%.1f,%.1f", 100*float64(k)/float64(len(shares)-1), 22-20*v/max(top, 1e-9))
	}
	return strings.Join(points, " ")
}
