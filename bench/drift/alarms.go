package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sort"

	"jobstrom/bench/figures"
	"jobstrom/bench/imbalance"
	"jobstrom/drift/alarms"
	"jobstrom/drift/stats"
)

const (
	level         = .05
	referenceRows = 10_000
	shift         = .05
	mostInBurst   = 10
)

// resamples is enough where only p ≤ level counts: more resolve smaller p.
const resamples = 999

// categories draws categories in unequal shares.
type categories []float64

func newCategories(weights []float64) (c categories) {
	total := 0.0
	for _, w := range weights {
		total += w
		c = append(c, total)
	}
	return c
}

func (c categories) draw(random *rand.Rand) int {
	u := random.Float64() * c[len(c)-1]
	return sort.Search(len(c)-1, func(i int) bool { return u < c[i] })
}

// shifted returns the history's shares with some points more of one category, taken from all others alike.
func shifted(category int, points float64) categories {
	total := 0.0
	for _, w := range imbalance.Counts {
		total += w
	}
	share := imbalance.Counts[category] / total
	weights := make([]float64, len(imbalance.Counts))
	for c, w := range imbalance.Counts {
		weights[c] = w / total * (1 - share - points) / (1 - share)
	}
	weights[category] = share + points
	return newCategories(weights)
}

// rows is a stream of independent rows.
func (c categories) rows(random *rand.Rand, rows int) (*alarms.Categories, error) {
	counts, w := make([]int, len(c)), &alarms.Categories{}
	for range rows {
		counts[c.draw(random)]++
	}
	for i, n := range counts {
		if err := w.AddRows(i, n); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// bursts is a stream of employers who post 1 to 10 vacancies at a time, each of which is of the employer's own category in four of five cases. The
// shares are those of rows.
func (c categories) bursts(random *rand.Rand, rows int, told bool) (*alarms.Categories, error) {
	w := &alarms.Categories{}
	// Categories that no vacancy is of count as well.
	if err := w.AddRows(len(c)-1, 0); err != nil {
		return nil, err
	}
	for rows > 0 {
		own, block := c.draw(random), []alarms.Count{}
		for range min(rows, 1+random.IntN(mostInBurst)) {
			category := own
			if random.IntN(5) == 0 {
				category = c.draw(random)
			}
			block = append(block, alarms.Count{Category: category, Rows: 1})
		}
		rows -= len(block)
		if told {
			if err := w.AddBlock(block...); err != nil {
				return nil, err
			}
			continue
		}
		for _, n := range block {
			if err := w.AddRows(n.Category, n.Rows); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}

// judged asks both presets.
func judged(reference, current *alarms.Categories, err error, seed uint64) (alarm, error) {
	if err != nil {
		return alarm{}, err
	}
	r, err := alarms.Categorical(reference, current, alarms.Options{Alpha: level, Resamples: resamples, Seed: seed})
	if err != nil {
		return alarm{}, err
	}
	if r.Reason != "" {
		return alarm{}, fmt.Errorf("comparing windows: %s", r.Reason)
	}
	t, err := stats.NewTable(reference.Counts(), current.Counts())
	if err != nil {
		return alarm{}, err
	}
	return alarm{calibrated: r.P <= level, evidently: stats.EvidentlyCategorical(t).Drifted, drift: r.P <= level && r.Effect >= r.Gate}, nil
}

func (b bench) alarms(context.Context) error {
	all := newCategories(imbalance.Counts)
	figures.Note("alarms on windows of %d categories in the shares of a real history, the reference of %d rows drawn anew each time; nominal level %g; %s/%s, %d CPUs",
		len(all), referenceRows, level, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	figures.Note("calibrated: p ≤ %g of the fourth-power norm of deviance residuals, up to %d resamples, before the gate of the effect size; evidently: its rule for categories, Jensen-Shannon distance ≥ 0.1 for references of more than 1,000 rows, else χ² p < 0.05", level, resamples)
	windows := []int{50, 100, 200, 500, 1000, 5000}

	figures.Note("without drift, independent rows: %d draws a size; the target is the nominal level, ok within 0.01 of it", b.draws)
	for _, n := range windows {
		name := fmt.Sprintf("false alarms, independent rows, n = %d", n)
		calibrated, evidently, _, err := b.shares(name, b.draws, func(random *rand.Rand, seed uint64) (alarm, error) {
			reference, err := all.rows(random, referenceRows)
			if err != nil {
				return alarm{}, err
			}
			current, err := all.rows(random, n)
			return judged(reference, current, err, seed)
		})
		if err != nil {
			return err
		}
		figures.Line(name+", calibrated", calibrated, level, calibrated >= level-.01 && calibrated <= level+.01)
		figures.Note("%s, evidently: %.4f", name, evidently)
	}
	name := "false alarms, independent rows, reference 1,000, n = 200"
	calibrated, evidently, _, err := b.shares(name, b.draws, func(random *rand.Rand, seed uint64) (alarm, error) {
		reference, err := all.rows(random, 1000)
		if err != nil {
			return alarm{}, err
		}
		current, err := all.rows(random, 200)
		return judged(reference, current, err, seed)
	})
	if err != nil {
		return err
	}
	figures.Line(name+", calibrated", calibrated, level, calibrated >= level-.01 && calibrated <= level+.01)
	figures.Note("%s, evidently: %.4f", name, evidently)

	figures.Note("without drift, employers who post 1 to %d vacancies at a time, four of five of their own category: %d draws a size; untold: the same stream passed off as independent rows, a tenth as many draws", mostInBurst, b.draws)
	for _, n := range windows {
		of := func(name string, draws int, told bool) (float64, float64, error) {
			calibrated, evidently, _, err := b.shares(name, draws, func(random *rand.Rand, seed uint64) (alarm, error) {
				reference, err := all.bursts(random, referenceRows, told)
				if err != nil {
					return alarm{}, err
				}
				current, err := all.bursts(random, n, told)
				return judged(reference, current, err, seed)
			})
			return calibrated, evidently, err
		}
		name := fmt.Sprintf("false alarms, bursts, n = %d", n)
		calibrated, evidently, err := of(name, b.draws, true)
		if err != nil {
			return err
		}
		figures.AtMost(name+", calibrated", calibrated, .07)
		untold, _, err := of(name+", untold", b.draws/10, false)
		if err != nil {
			return err
		}
		figures.Note("%s, evidently: %.4f; independent null: %.4f", name, evidently, untold)
	}

	figures.Note("%g points more of one category at n = 1,000, taken from the others alike: %d draws a category; drift: significant and total variation at the gate", 100*shift, b.shifts)
	total := 0.0
	for _, n := range imbalance.Counts {
		total += n
	}
	for c, n := range imbalance.Counts {
		share := n / total
		name := fmt.Sprintf("power, share %.2f %%", 100*share)
		calibrated, evidently, drift, err := b.power(name, all, shifted(c, shift), 1000)
		if err != nil {
			return err
		}
		target := .9
		if share > .1 {
			target = .8
		}
		figures.AtLeast(name+", calibrated", calibrated, target)
		figures.Note("%s: drift %.4f; evidently %.4f", name, drift, evidently)
	}

	weights := slices.Clone(imbalance.Counts)
	for c := 12; c < 18; c++ {
		weights[c] /= 2
	}
	name = "power, six categories of 4 to 7 % halved, n = 271"
	calibrated, evidently, drift, err := b.power(name, all, newCategories(weights), 271)
	if err != nil {
		return err
	}
	figures.Note("%s: significant %.4f, drift %.4f; evidently %.4f", name, calibrated, drift, evidently)
	return nil
}

// power compares windows of n rows of a changed stream with a reference of the stream before.
func (b bench) power(name string, before, after categories, n int) (calibrated, evidently, drift float64, err error) {
	return b.shares(name, b.shifts, func(random *rand.Rand, seed uint64) (alarm, error) {
		reference, err := before.rows(random, referenceRows)
		if err != nil {
			return alarm{}, err
		}
		current, err := after.rows(random, n)
		return judged(reference, current, err, seed)
	})
}
