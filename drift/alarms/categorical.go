package alarms

import "math"

// Categorical compares the shares of categories in two windows.
//
// A category's residual is the signed root of the deviance (the likelihood ratio of two binomials against one), over the root of
// its design effect. The statistic is the largest: what moves a single category is found more often than by the sum of
// squares that is χ², and the root of the deviance is close to normal even where a category is rare, so that rare and common
// categories compete on equal terms. The design effect is how much more a category's share varies than that of independent
// rows does, from the blocks of both windows (Rao and Scott 1981, at least 1): without it the categories that come in bursts would drown the others.
//
// Effect is the total variation, beside it stands Jensen and Shannon's distance (natural logarithm). Errors are of the options alone.
func Categorical(reference, current *Categories, o Options) (Result, error) {
	r := Result{StatisticName: "largest deviance residual", EffectName: "total variation", Reference: reference.size, Current: current.size}
	o, err := o.ensured()
	if err != nil {
		return r, err
	}
	r.Gate = o.CategoryGate
	if r = r.comparable(o.Alpha); r.Reason != "" {
		return r, nil
	}
	p := newPool(reference, current, o.Seed, mostBursts)
	s := newShares(p)
	smaller := current // the window that the draws stand for
	if current.size.Blocks > reference.size.Blocks {
		smaller = reference
	}
	r.describe(s, reference, current)
	if held := len(r.Differences); held < 2 {
		return r.unknown("all rows of both windows are of one category: there are no shares to compare"), nil
	}
	observed := make([]int, len(p.counts))
	copy(observed, smaller.counts)
	r.Statistic = s.largest(observed, smaller.size.Rows)
	r.P, r.Resamples = resample(r.Statistic, o.Resamples, func() float64 { return s.largest(p.draw()) })
	return r, nil
}

// describe fills effects and differences.
func (r *Result) describe(s shares, reference, current *Categories) {
	var variation, divergence float64
	for c := range s.counts {
		x, y := at(reference.counts, c), at(current.counts, c)
		if x+y == 0 {
			continue
		}
		p, q := float64(x)/float64(r.Reference.Rows), float64(y)/float64(r.Current.Rows)
		variation += math.Abs(p-q) / 2
		for _, v := range []float64{p, q} {
			if v > 0 {
				divergence += v * math.Log(2*v/(p+q)) / 2
			}
		}
		r.Differences = append(r.Differences, Difference{Category: c, Reference: p, Current: q, Residual: s.residual(c, y, r.Current.Rows)})
	}
	r.Effect = variation
	r.Beside = []Effect{{"Jensen-Shannon distance", math.Sqrt(max(0, divergence))}}
}

func at(counts []int, c int) int {
	if c < len(counts) {
		return counts[c]
	}
	return 0
}

// shares standardises how often categories are among some of the rows of both windows.
type shares struct {
	counts []int
	rows   int
	// scale is the root of each category's design effect.
	scale []float64
}

func newShares(p *pool) shares {
	s := shares{counts: p.counts, rows: p.rows, scale: make([]float64, len(p.counts))}
	// The sum over blocks of (x − share·rows)² is Σx² − 2·share·Σx·rows + share²·Σrows².
	squares, products, sizes := make([]float64, len(p.counts)), make([]float64, len(p.counts)), float64(p.single)
	for c, n := range p.singles {
		squares[c], products[c] = float64(n), float64(n)
	}
	for i := range p.bursts.len() {
		rows := float64(p.bursts.rows[i])
		sizes += rows * rows
		for _, n := range p.bursts.of(i) {
			x := float64(n.Rows)
			squares[n.Category] += x * x
			products[n.Category] += x * rows
		}
	}
	for c, n := range p.counts {
		share := float64(n) / float64(p.rows)
		s.scale[c] = 1
		if variance := float64(p.rows) * share * (1 - share); variance > 0 {
			s.scale[c] = math.Sqrt(max(1, (squares[c]-2*share*products[c]+share*share*sizes)/variance))
		}
	}
	return s
}

// largest returns the largest residual, whichever its sign, of rows with these counts against all others.
func (s *shares) largest(counts []int, rows int) (largest float64) {
	n := float64(rows)
	for c, x := range counts {
		// The deviance is at most twice Pearson's χ², which takes no logarithm and rules out most categories.
		share := float64(s.counts[c]) / float64(s.rows)
		off, variance, limit := float64(x)-n*share, n*share*(1-share)*float64(s.rows-rows)/float64(s.rows), largest*s.scale[c]
		if 2*off*off > limit*limit*variance {
			largest = max(largest, math.Abs(s.residual(c, x, rows)))
		}
	}
	return largest
}

// residual returns the residual of a category of which there are x among some rows: above 0 where it is more common there than elsewhere.
func (s *shares) residual(c, x, rows int) float64 {
	all, total := float64(s.rows), float64(s.counts[c])
	n, share := float64(rows), total/all
	m := all - n
	if share == 0 || share == 1 || n == 0 || m == 0 {
		return 0
	}
	a, b := float64(x), total-float64(x)
	deviance := 2 * (part(a, n*share) + part(n-a, n*(1-share)) + part(b, m*share) + part(m-b, m*(1-share)))
	return math.Copysign(math.Sqrt(max(0, deviance)), a/n-share) / s.scale[c]
}

// part returns observed · ln(observed / expected), which is 0 for none.
func part(observed, expected float64) float64 {
	if observed <= 0 {
		return 0
	}
	return observed * math.Log(observed/expected)
}
