package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"jobstrom/bench/figures"
	"jobstrom/bench/imbalance"
	"jobstrom/drift/alarms"
	"jobstrom/drift/watch"
)

const (
	watched  = 7 * 24 * time.Hour // the current window
	before   = 28 * 24 * time.Hour
	year     = 365 * 24 * time.Hour
	tolerate = 2 // false alarms a year of the watch's defaults
)

// burst is what an employer publishes at a time.
type burst struct {
	at    time.Duration
	block []alarms.Count
}

// stream returns the bursts of a year and of the reference before it, in order: at random times, as many vacancies a week.
func (c categories) stream(random *rand.Rand, perWeek int) (all []burst) {
	span := year + watched + before
	for rows := int(float64(perWeek) * float64(span) / float64(watched)); rows > 0; {
		b := burst{at: time.Duration(random.Int64N(int64(span)))}
		own := c.draw(random)
		for range min(rows, 1+random.IntN(mostInBurst)) {
			category := own
			if random.IntN(5) == 0 {
				category = c.draw(random)
			}
			b.block = append(b.block, alarms.Count{Category: category, Rows: 1})
		}
		rows -= len(b.block)
		all = append(all, b)
	}
	slices.SortFunc(all, func(x, y burst) int { return int(x.at/time.Second - y.at/time.Second) })
	return all
}

// window gathers the bursts of a span.
func window(all []burst, from, to time.Duration) (*alarms.Categories, error) {
	w := &alarms.Categories{}
	if err := w.AddRows(len(imbalance.Counts)-1, 0); err != nil { // categories that no vacancy is of count as well
		return nil, err
	}
	begin, _ := slices.BinarySearchFunc(all, from, func(b burst, at time.Duration) int { return int(b.at/time.Second - at/time.Second) })
	for _, b := range all[begin:] {
		if b.at >= to {
			break
		}
		if err := w.AddBlock(b.block...); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// ruled is a level and what raises and clears.
type ruled struct {
	alpha      float64
	hysteresis watch.Hysteresis
	open       time.Time
	raised     int
}

// watch counts the alarms of years without drift: the last 7 days are compared with the 28 before them every hour.
func (b bench) watch(context.Context) error {
	figures.Note("false alarms a year of a watch that compares categories of the last 7 days with the 28 before, every hour; employers who post 1 to %d at a time, without drift; %d years each", mostInBurst, b.years)
	all := newCategories(imbalance.Counts)
	defaults := watch.Options{}
	defaults.EnsureDefaults()
	for _, perWeek := range []int{300, 2000} {
		years := make([][]ruled, b.years)
		var group errgroup.Group
		group.SetLimit(b.workers)
		for i := range years {
			group.Go(func() (err error) {
				years[i], err = falseAlarms(all.stream(rand.New(rand.NewPCG(uint64(i), uint64(perWeek))), perWeek))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for r := range years[0] {
			sum := 0
			for _, y := range years {
				sum += y[r].raised
			}
			rate, rule := float64(sum)/float64(b.years), years[0][r]
			name := fmt.Sprintf("false alarms a year, %d a week, level %g, raised after %v and cleared after %v", perWeek, rule.alpha, rule.hysteresis.RaiseAfter, rule.hysteresis.ClearAfter)
			if rule.alpha == defaults.Alarms.Alpha && rule.hysteresis.RaiseAfter == defaults.RaiseAfter {
				figures.AtMost(name, rate, tolerate)
				continue
			}
			figures.Note("%s: %.2f", name, rate)
		}
	}
	return nil
}

// falseAlarms evaluates each hour of a year.
func falseAlarms(all []burst) ([]ruled, error) {
	var rules []ruled
	for _, alpha := range []float64{.05, .01, .001} {
		for _, hold := range []time.Duration{0, 2 * time.Hour, 12 * time.Hour, 24 * time.Hour} {
			rules = append(rules, ruled{alpha: alpha, hysteresis: watch.Hysteresis{RaiseAfter: hold, ClearAfter: 2 * hold}})
		}
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for now := before + watched; now < before+watched+year; now += time.Hour {
		reference, err := window(all, now-watched-before, now-watched)
		if err != nil {
			return nil, err
		}
		current, err := window(all, now-watched, now)
		if err != nil {
			return nil, err
		}
		found, err := alarms.Categorical(reference, current, alarms.Options{Resamples: 1999, Seed: uint64(now / time.Hour)})
		if err != nil {
			return nil, err
		}
		end := start.Add(now)
		for i := range rules {
			r, verdict := &rules[i], alarms.None
			switch {
			case found.Reason != "":
				verdict = alarms.Unknown
			case found.P <= r.alpha && found.Effect >= found.Gate:
				verdict = alarms.Drift
			case found.P <= r.alpha:
				verdict = alarms.Possible
			}
			switch r.hysteresis.See("category", r.open, verdict, end) {
			case watch.Raises:
				r.open = end
				r.raised++
			case watch.Clears:
				r.open = time.Time{}
			}
		}
	}
	return rules, nil
}
