package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"jobstrom/bench/figures"
	"jobstrom/bench/imbalance"
	"jobstrom/drift/alarms"
)

// vectorDim is the width of the encoder that comes with jobstrom.
const vectorDim = 384

// embedder draws vectors that resemble embeddings: of length 1, around a mean that all share and centres that the categories have, spread widely in few
// directions and little in most.
type embedder struct {
	centres [][]float64
	spread  []float64
}

func newEmbedder() *embedder {
	random := rand.New(rand.NewPCG(1, 1))
	e := &embedder{spread: make([]float64, vectorDim)}
	mean, spreads, means := make([]float64, vectorDim), 0.0, 0.0
	for j := range mean {
		e.spread[j], mean[j] = 1/math.Sqrt(float64(1+j)), random.NormFloat64()
		spreads, means = spreads+e.spread[j]*e.spread[j], means+mean[j]*mean[j]
	}
	for range imbalance.Counts {
		centre, length := make([]float64, vectorDim), 0.0
		for j := range centre {
			centre[j] = random.NormFloat64() * e.spread[j] * e.spread[j]
			length += centre[j] * centre[j]
		}
		for j := range centre {
			centre[j] = .22*centre[j]/math.Sqrt(length) + .85*mean[j]/math.Sqrt(means)
		}
		e.centres = append(e.centres, centre)
	}
	for j := range e.spread {
		e.spread[j] *= .45 / math.Sqrt(spreads)
	}
	return e
}

// draw returns a vector of a category, around a centre that is moved.
func (e *embedder) draw(random *rand.Rand, category int, moved []float64) []float32 {
	wide, length := make([]float64, vectorDim), 0.0
	for j := range wide {
		wide[j] = e.centres[category][j] + e.spread[j]*random.NormFloat64()
		if moved != nil {
			wide[j] += moved[j]
		}
		length += wide[j] * wide[j]
	}
	x := make([]float32, vectorDim)
	for j := range x {
		x[j] = float32(wide[j] / math.Sqrt(length))
	}
	return x
}

// window draws rows, or bursts of employers whose vacancies share half of their variance: the employer's own vector is mixed in.
func (e *embedder) window(random *rand.Rand, c categories, rows int, moved []float64, burst bool, told bool) (*alarms.Vectors, error) {
	w := &alarms.Vectors{}
	for rows > 0 {
		block, own := [][]float32{}, []float32(nil)
		size, category := 1, c.draw(random)
		if burst {
			size, own = min(rows, 1+random.IntN(mostInBurst)), e.draw(random, category, moved)
		}
		for range size {
			x := e.draw(random, category, moved)
			for j := range own {
				x[j] = (x[j] + own[j]) / 2
			}
			block = append(block, x)
		}
		rows -= size
		var err error
		if told {
			err = w.AddBlock(block...)
		} else {
			err = w.AddRows(block...)
		}
		if err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (b bench) embeddings(context.Context) error {
	e, all := newEmbedder(), newCategories(imbalance.Counts)
	const reference, rows = 2000, 500
	// A direction of its own, as of a phrase that all new texts hold, 0.15 of the spread long.
	random := rand.New(rand.NewPCG(2, 1))
	moved, length := make([]float64, vectorDim), 0.0
	for j := range moved {
		moved[j] = random.NormFloat64()
		length += moved[j] * moved[j]
	}
	for j := range moved {
		moved[j] *= .15 * .45 / math.Sqrt(length)
	}
	figures.Note("alarms on embeddings of %d components: a reference of %d rows against %d, drawn anew each time; squared distance of means, nominal level %g, up to %d resamples; %d draws without drift, %d with each drift",
		vectorDim, reference, rows, level, resamples, b.vectors, 2*b.vectors/5)
	of := func(name string, draws int, after categories, moved []float64, burst, told bool) (float64, float64, error) {
		significant, _, drift, err := b.shares(name, draws, func(random *rand.Rand, seed uint64) (alarm, error) {
			before, err := e.window(random, all, reference, nil, burst, told)
			if err != nil {
				return alarm{}, err
			}
			current, err := e.window(random, after, rows, moved, burst, told)
			if err != nil {
				return alarm{}, err
			}
			r, err := alarms.Embedding(before, current, alarms.Options{Alpha: level, Resamples: resamples, Seed: seed})
			if err != nil {
				return alarm{}, err
			}
			if r.Reason != "" {
				return alarm{}, fmt.Errorf("comparing windows: %s", r.Reason)
			}
			return alarm{calibrated: r.P <= level, drift: r.P <= level && r.Effect >= r.Gate}, nil
		})
		return significant, drift, err
	}
	// The share of alarms among so few draws is off by 0.02 now and then.
	for _, burst := range []bool{false, true} {
		name := "embeddings, false alarms, independent rows"
		if burst {
			name = "embeddings, false alarms, bursts"
		}
		share, _, err := of(name, b.vectors, all, nil, burst, true)
		if err != nil {
			return err
		}
		figures.AtMost(name, share, .07)
	}
	untold, _, err := of("embeddings, bursts untold", 2*b.vectors/5, all, nil, true, false)
	if err != nil {
		return err
	}
	figures.Note("embeddings, bursts, independent null: %.4f", untold)
	for _, d := range []struct {
		name  string
		after categories
		moved []float64
	}{
		{"embeddings, power, mean moved by 0.15 of the spread", all, moved},
		{"embeddings, power, 10 points more of the largest category", shifted(len(all)-1, .1), nil},
		{"embeddings, power, 10 points more of a rare category", shifted(4, .1), nil},
		{"embeddings, power, 20 points more of the largest category", shifted(len(all)-1, .2), nil},
	} {
		share, drift, err := of(d.name, 2*b.vectors/5, d.after, d.moved, false, true)
		if err != nil {
			return err
		}
		figures.Note("%s: significant %.4f, drift %.4f", d.name, share, drift)
	}
	return nil
}
