package embed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// TuneOptions say what Tune measures with.
type TuneOptions struct {
	// Encoder are the options in use: what is compared with. Its Threads, Workers and BatchTokens are what Tune varies.
	Encoder Options
	// Texts to embed, of natural lengths. Each measurement takes as many of them, from the first on and again from the first, as its time allows.
	Texts []string
	// Measure is the time of one measurement. Default: 2 s.
	Measure time.Duration
	// Rounds in which every setting that is left is measured once, in turns. After each round but the last the slower half of them is left out, three
	// at least stay. Default: 4.
	Rounds int
	// Progress is called after each measurement with how many are done, of how many.
	Progress func(done, of int)
}

// EnsureDefaults fills the zero fields.
func (o *TuneOptions) EnsureDefaults() {
	o.Encoder.EnsureDefaults()
	o.Encoder.CacheBytes = 0 // what is measured is computing
	if o.Measure == 0 {
		o.Measure = 2 * time.Second
	}
	if o.Rounds == 0 {
		o.Rounds = 4
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
}

// Validate reports every violation at once.
func (o TuneOptions) Validate() error {
	errs := []error{o.Encoder.Validate()}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(o.Texts) > 0, "Texts is empty")
	check(o.Measure >= 10*time.Millisecond && o.Measure <= time.Minute, "Measure (%s) must be 10ms to 1m0s", o.Measure)
	check(o.Rounds >= 1 && o.Rounds <= 100, "Rounds (%d) must be 1 to 100", o.Rounds)
	return errors.Join(errs...)
}

// Tuned is what was measured of a setting.
type Tuned struct {
	Threads     int `json:"threads"`
	Workers     int `json:"workers"`
	BatchTokens int `json:"batch_tokens"`
	// Throughput is the median over the rounds, in texts a second.
	Throughput float64 `json:"texts_per_second"`
	// Ratio is the median over the rounds of its throughput to that of the setting in use; Least and Most are the extremes.
	Ratio float64 `json:"ratio"`
	Least float64 `json:"ratio_least"`
	Most  float64 `json:"ratio_most"`
	// Alone is the median time of a text that comes alone.
	Alone time.Duration `json:"alone_ns"`
	// Current marks the setting in use, Best the one to take.
	Current bool `json:"current"`
	Best    bool `json:"best"`
}

// even is how close to the fastest a setting must be for the time of a text alone to decide: machines are noisy, and a text that comes alone is somebody who waits.
const even = .02

// candidate is a setting and its measurements, one for each round.
type candidate struct {
	Tuned
	rates, ratios []float64
	alone         []time.Duration
}

// Tune measures which threads, workers and sub-batches embed the most texts a second on this machine. It returns the settings that came to the last
// round and the one in use, the best first.
func Tune(ctx context.Context, o TuneOptions) ([]Tuned, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("tuning: %w", err)
	}
	left := candidates(o.Encoder)
	encoders, err := openEach(o.Encoder, left)
	defer func() {
		for _, e := range encoders {
			_ = e.Close()
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("tuning: %w", err)
	}
	done, of := 0, measurements(len(left), o.Rounds)
	for round := range o.Rounds {
		for _, c := range left {
			if err := c.measure(ctx, encoders[c.Threads], o); err != nil {
				return nil, fmt.Errorf("tuning: %w", err)
			}
			done++
			o.Progress(done, of)
		}
		current := left[slices.IndexFunc(left, func(c *candidate) bool { return c.Current })]
		for _, c := range left {
			c.ratios = append(c.ratios, c.rates[round]/current.rates[round])
		}
		slices.SortStableFunc(left, func(a, b *candidate) int { return cmp.Compare(median(b.ratios), median(a.ratios)) })
		if round < o.Rounds-1 {
			left = keepFaster(left)
		}
	}
	return choose(left), nil
}

// candidates are the settings to measure, the one in use first.
func candidates(o Options) []*candidate {
	found := []*candidate{{Tuned: Tuned{Threads: o.Threads, Workers: o.Workers, BatchTokens: o.BatchTokens, Current: true}}}
	cpus := runtime.GOMAXPROCS(0)
	for threads := 1; threads <= cpus; threads *= 2 {
		for _, tokens := range []int{1, 256, 512, 1024, 2048} { // 1: each text alone
			c := &candidate{Tuned: Tuned{Threads: threads, Workers: max(1, cpus/threads), BatchTokens: tokens}}
			if f := found[0]; c.Threads != f.Threads || c.Workers != f.Workers || c.BatchTokens != f.BatchTokens {
				found = append(found, c)
			}
		}
	}
	return found
}

// openEach opens an encoder for each number of threads; those that were opened are returned with an error, too.
func openEach(o Options, of []*candidate) (map[int]*Encoder, error) {
	encoders := map[int]*Encoder{}
	for _, c := range of {
		if encoders[c.Threads] != nil {
			continue
		}
		o.Threads, o.Workers = c.Threads, c.Workers
		e, err := New(o)
		if err != nil {
			return encoders, err
		}
		encoders[c.Threads] = e
	}
	return encoders, nil
}

// measurements is how many a tuning takes.
func measurements(settings, rounds int) (n int) {
	for range rounds {
		n += settings
		settings = max((settings+1)/2, min(settings, 3))
	}
	return n
}

// keepFaster leaves out the slower half, but not the setting in use, with which the others are compared.
func keepFaster(sorted []*candidate) []*candidate {
	n := max((len(sorted)+1)/2, min(len(sorted), 3))
	if at := slices.IndexFunc(sorted, func(c *candidate) bool { return c.Current }); at >= n {
		sorted[n-1] = sorted[at]
	}
	return sorted[:n]
}

// measure embeds as many texts as the time allows, all at once, and a few alone.
func (c *candidate) measure(ctx context.Context, e *Encoder, o TuneOptions) error {
	e.restart(c.Workers, c.BatchTokens)
	const alone = 3
	for i := range alone {
		start := time.Now()
		if _, err := e.Embed(ctx, o.Texts[i%len(o.Texts):][:1]); err != nil {
			return err
		}
		c.alone = append(c.alone, time.Since(start))
	}
	n := int(float64(c.Workers) * float64(o.Measure) / float64(max(medianTime(c.alone), time.Microsecond)))
	n = min(max(n, 4*c.Workers), 1<<16)
	texts := make([]string, n)
	for i := range texts {
		texts[i] = o.Texts[i%len(o.Texts)]
	}
	start := time.Now()
	if _, err := e.Embed(ctx, texts); err != nil {
		return err
	}
	c.rates = append(c.rates, float64(n)/time.Since(start).Seconds())
	return nil
}

// restart gives the encoder other workers and sub-batches, while nothing is embedded.
func (e *Encoder) restart(workers, batchTokens int) {
	e.queue.end()
	e.workers.Wait()
	e.queue = newQueue(batchTokens, e.options.MaxBatch)
	for range workers {
		e.workers.Go(e.work)
	}
}

// choose marks the best: of those about as fast as the fastest the one whose texts alone take the least time.
func choose(sorted []*candidate) []Tuned {
	tuned, best := make([]Tuned, len(sorted)), 0
	for i, c := range sorted {
		tuned[i] = c.Tuned
		t := &tuned[i]
		t.Throughput, t.Ratio, t.Alone = median(c.rates), median(c.ratios), medianTime(c.alone)
		t.Least, t.Most = slices.Min(c.ratios), slices.Max(c.ratios)
		if t.Ratio >= tuned[0].Ratio*(1-even) && t.Alone < tuned[best].Alone {
			best = i
		}
	}
	first := tuned[best]
	first.Best = true
	return slices.Insert(slices.Delete(tuned, best, best+1), 0, first)
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func medianTime(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
