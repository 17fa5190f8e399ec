package evaluate

import (
	"maps"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Score is how well one label is found, or all of them.
//
// Precision is the share of what is found that is right, recall the share of what is annotated that is found, F1 their harmonic mean; each is 0 where
// it would be 0/0.
type Score struct {
	Correct   int     `json:"correct"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	// Low and High bound F1 of other texts like these: the 2.5 % and 97.5 % quantiles of F1 over texts drawn anew (percentile bootstrap, Efron 1979). Of all labels
	// together and at least two texts alone.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}

func score(annotated, found, correct int) Score {
	s := Score{Correct: correct}
	if found > 0 {
		s.Precision = float64(correct) / float64(found)
	}
	if annotated > 0 {
		s.Recall = float64(correct) / float64(annotated)
	}
	if correct > 0 {
		s.F1 = 2 * s.Precision * s.Recall / (s.Precision + s.Recall)
	}
	return s
}

// Figures are the two measures.
//
// Exact is that of the CoNLL-2003 shared task (Tjong Kim Sang and De Meulder 2003): right is what has the label and both ends of an annotated entity. Overlap is "type" of SemEval-2013
// task 9.1 (Segura-Bedmar, Martínez and Herrero-Zazo 2013): right is what has the label of an annotated entity and at least one code point in common with it. In both an
// annotated entity and a found one make one pair at most, and as many pairs are made as can be: one long find is not right several times.
type Figures struct {
	Annotated int   `json:"annotated"`
	Found     int   `json:"found"`
	Exact     Score `json:"exact"`
	Overlap   Score `json:"overlap"`
}

// LabelFigures are those of one label.
type LabelFigures struct {
	Label string `json:"label"`
	Figures
}

// Kinds of examples.
const (
	Missed   = "missed"   // annotated, and nothing found there
	False    = "false"    // found, and nothing annotated there
	Boundary = "boundary" // found with other ends
)

// Example is something that was not found as it is annotated.
type Example struct {
	Kind  string `json:"kind"`
	Label string `json:"label"`
	// Line is where its text begins.
	Line      int    `json:"line"`
	Annotated string `json:"annotated,omitempty"`
	Found     string `json:"found,omitempty"`
}

// Evaluation says how well an extractor did.
type Evaluation struct {
	Extractor string `json:"extractor"`
	Texts     int    `json:"texts"`
	// Labels holds those that are annotated, in alphabetical order.
	Labels []LabelFigures `json:"labels"`
	// Micro counts all labels together, Macro is the mean of the labels' figures; its counts are sums.
	Micro Figures `json:"micro"`
	Macro Figures `json:"macro"`
	// Unplaced counts finds without offsets. They count as found and are never right.
	Unplaced int `json:"unplaced"`
	// Unasked counts finds of labels that no text annotates. They are left out.
	Unasked  map[string]int `json:"unasked,omitempty"`
	Examples []Example      `json:"examples"`
}

// counts are those of one text or of many.
type counts struct{ annotated, found, exact, overlap int }

func (c *counts) add(d counts) {
	c.annotated += d.annotated
	c.found += d.found
	c.exact += d.exact
	c.overlap += d.overlap
}

func (c counts) figures() Figures {
	return Figures{c.annotated, c.found, score(c.annotated, c.found, c.exact), score(c.annotated, c.found, c.overlap)}
}

// scorer collects what became of the texts.
type scorer struct {
	options  Options
	labels   map[string]bool
	sums     map[string]counts
	texts    []counts
	unplaced int
	unasked  map[string]int
	kept     map[[2]string]int // examples by kind and label
	examples []Example
}

func newScorer(o Options, labels map[string]bool) *scorer {
	return &scorer{options: o, labels: labels, sums: map[string]counts{}, unasked: map[string]int{}, kept: map[[2]string]int{}, examples: []Example{}}
}

// compare counts what of a text is right.
func (s *scorer) compare(line int, annotated, found map[string][]item) {
	var text counts
	for _, label := range slices.Sorted(maps.Keys(s.labels)) {
		a, f := annotated[label], found[label]
		near := func(ok func(a, b [2]int) bool) func(i, j int) bool {
			return func(i, j int) bool {
				return slices.ContainsFunc(a[i].places, func(p [2]int) bool { return slices.ContainsFunc(f[j].places, func(q [2]int) bool { return ok(p, q) }) })
			}
		}
		pair := make([]int, len(a))
		for i := range pair {
			pair[i] = -1
		}
		exactly := match(pair, len(f), near(func(p, q [2]int) bool { return p == q }))
		exact := slices.Clone(exactly)
		overlapping := match(pair, len(f), near(func(p, q [2]int) bool { return p[0] < q[1] && q[0] < p[1] }))
		c := counts{len(a), len(f), matched(exact), matched(overlapping)}
		text.add(c)
		sum := s.sums[label]
		sum.add(c)
		s.sums[label] = sum
		s.exemplify(line, label, a, f, overlapping, near(func(p, q [2]int) bool { return p == q }))
	}
	s.texts = append(s.texts, text)
}

// exemplify keeps the first examples of each kind.
func (s *scorer) exemplify(line int, label string, annotated, found []item, pair []int, same func(i, j int) bool) {
	keep := func(e Example) {
		key := [2]string{e.Kind, label}
		if s.kept[key] < s.options.Examples {
			s.kept[key]++
			e.Label, e.Line = label, line
			s.examples = append(s.examples, e)
		}
	}
	for i, j := range pair {
		switch {
		case j < 0:
			keep(Example{Kind: Missed, Annotated: annotated[i].text})
		case !same(i, j):
			keep(Example{Kind: Boundary, Annotated: annotated[i].text, Found: found[j].text})
		}
	}
	for j, f := range found {
		if !slices.Contains(pair, j) {
			keep(Example{Kind: False, Found: f.text})
		}
	}
}

func (s *scorer) evaluation(extractor string) *Evaluation {
	e := &Evaluation{Extractor: extractor, Texts: len(s.texts), Labels: []LabelFigures{}, Unplaced: s.unplaced, Unasked: s.unasked, Examples: s.examples}
	var all counts
	for _, label := range slices.Sorted(maps.Keys(s.labels)) {
		all.add(s.sums[label])
		e.Labels = append(e.Labels, LabelFigures{label, s.sums[label].figures()})
	}
	e.Micro, e.Macro = all.figures(), all.figures()
	mean := func(of func(Figures) Score) (m Score) {
		n := float64(len(e.Labels))
		for _, l := range e.Labels {
			f := of(l.Figures)
			m.Correct += f.Correct
			m.Precision += f.Precision / n
			m.Recall += f.Recall / n
			m.F1 += f.F1 / n
		}
		return m
	}
	e.Macro.Exact, e.Macro.Overlap = mean(func(f Figures) Score { return f.Exact }), mean(func(f Figures) Score { return f.Overlap })
	s.intervals(&e.Micro)
	order := map[string]int{Missed: 0, False: 1, Boundary: 2}
	slices.SortStableFunc(e.Examples, func(a, b Example) int { return order[a.Kind] - order[b.Kind] })
	return e
}

// intervals draws the texts anew, as many as there are, and again.
func (s *scorer) intervals(f *Figures) {
	if len(s.texts) < 2 {
		return
	}
	random := rand.New(rand.NewPCG(s.options.Seed, 0))
	exact, overlap := make([]float64, s.options.Resamples), make([]float64, s.options.Resamples)
	for i := range exact {
		var drawn counts
		for range s.texts {
			drawn.add(s.texts[random.IntN(len(s.texts))])
		}
		figures := drawn.figures()
		exact[i], overlap[i] = figures.Exact.F1, figures.Overlap.F1
	}
	bound := func(score *Score, of []float64) {
		slices.Sort(of)
		low, high := stat.Quantile(.025, stat.Empirical, of, nil), stat.Quantile(.975, stat.Empirical, of, nil)
		score.Low, score.High = &low, &high
	}
	bound(&f.Exact, exact)
	bound(&f.Overlap, overlap)
}
