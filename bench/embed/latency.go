package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"jobstrom/bench/bare"
	"jobstrom/bench/figures"
	"jobstrom/health"
	"jobstrom/pipeline"
	"jobstrom/schemas"
	"jobstrom/server"
	"jobstrom/server/api"
)

const (
	targetAlone = 1.15
	targetLoad  = 4.0
	// alone is how many vacancies are asked about one after another, the first of them to be warm.
	alone, warmAsks = 330, 5
	// callers ask at once when the capacity is measured, for capacityTime.
	callers      = 16
	capacityTime = 20 * time.Second
	// loadShare is the load's share of the capacity.
	loadShare = .8
)

// latency asks the HTTP server on this machine, which is joined to the pipeline as `jobstrom up` does it: alone, and under a load that does not wait for answers.
func (b *bench) latency(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loop, err := bare.Open(b.encoder, nil)
	if err != nil {
		return err
	}
	defer loop.Close()
	c, stop, err := b.serve(ctx)
	if err != nil {
		return err
	}
	return errors.Join(b.measureLatency(ctx, loop, c), stop())
}

func (b *bench) measureLatency(ctx context.Context, loop *bare.Loop, c *caller) error {
	if len(b.vacancies) <= warmAsks {
		return fmt.Errorf("-vacancies (%d) must be more than %d", len(b.vacancies), warmAsks)
	}
	var limits, posts []float64 // milliseconds
	for i := range min(alone, len(b.vacancies)) {
		began := time.Now()
		if _, err := loop.Do(b.texts[i : i+1]); err != nil {
			return err
		}
		middle := time.Now()
		if err := c.post(ctx, i); err != nil {
			return err
		}
		if i >= warmAsks {
			limits, posts = append(limits, 1e3*middle.Sub(began).Seconds()), append(posts, 1e3*time.Since(middle).Seconds())
		}
	}
	figures.Note("alone: bare tokenise and infer %.2f ms, 99 %%: %.2f ms; POST /classify %.2f ms, 99 %%: %.2f ms", figures.Median(limits), figures.Quantile(limits, .99), figures.Median(posts), figures.Quantile(posts, .99))
	figures.AtMost("POST /classify alone / bare tokenise and infer, medians", figures.Median(posts)/figures.Median(limits), targetAlone)

	capacity, err := c.capacity(ctx)
	if err != nil {
		return err
	}
	rate := loadShare * capacity
	answers, err := c.open(ctx, rate, b.load)
	if err != nil {
		return err
	}
	figures.Note("capacity with %d callers: %.1f/s; load: %.1f/s for %s, at random times, %d answers, median %.1f ms, 90 %%: %.1f ms, 99 %%: %.1f ms, that / bare 99 %% %.2f", callers, capacity, rate, b.load, len(answers),
		figures.Median(answers), figures.Quantile(answers, .9), figures.Quantile(answers, .99), figures.Quantile(answers, .99)/figures.Quantile(limits, .99))
	figures.Note("the same in theory, texts one by one to the first free of %d workers: 99 %% at %.2f of the bare median", b.encoder.Workers, waitingAlone(limits, b.encoder.Workers))
	figures.AtMost("POST /classify at 80 % of capacity, 99th percentile from when it was due / bare median", figures.Quantile(answers, .99)/figures.Median(limits), targetLoad)
	return nil
}

// waitingAlone simulates the same load for workers that cost nothing beside computing: texts come at random times and the first free worker takes the one that came
// first. It returns the 99th percentile of the times to an answer, over the median time of a text: no server on as many processors is better without computing several texts
// in less time than one by one.
func waitingAlone(times []float64, workers int) float64 {
	random := rand.New(rand.NewPCG(1, 2))
	var mean float64
	for _, t := range times {
		mean += t / float64(len(times))
	}
	now, free, answers := 0.0, make([]float64, workers), make([]float64, 200_000)
	for i := range answers {
		now += random.ExpFloat64() * mean / (loadShare * float64(workers))
		first := 0
		for w := range free {
			if free[w] < free[first] {
				first = w
			}
		}
		free[first] = max(now, free[first]) + times[random.IntN(len(times))]
		answers[i] = free[first] - now
	}
	return figures.Quantile(answers, .99) / figures.Median(times)
}

// caller asks a server.
type caller struct {
	client *http.Client
	url    string
	bodies [][]byte
}

// serve starts the HTTP server on a free port of this machine.
func (b *bench) serve(ctx context.Context) (_ *caller, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	handler, err := server.New(ctx, server.Options{
		API:      api.Options{Sources: api.Sources{Classify: pipeline.NewLimit(b.pipeline.Run, 512).Do, Taxonomy: b.pipeline.Taxonomy, Encoder: b.pipeline.Encoder.Card().ID}},
		Problems: func() []health.Problem { return nil },
	})
	if err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	web := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	c := &caller{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}, url: "http://" + listener.Addr().String() + "/classify"}
	for _, v := range b.vacancies {
		body, err := schemas.Encode(schemas.JSON, v)
		if err != nil {
			return nil, nil, errors.Join(err, web.Close())
		}
		c.bodies = append(c.bodies, body)
	}
	return c, func() error {
		c.client.CloseIdleConnections()
		err := web.Shutdown(context.WithoutCancel(ctx))
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	}, nil
}

// post asks about a vacancy and reads the answer.
func (c *caller) post(ctx context.Context, i int) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.bodies[i%len(c.bodies)]))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", schemas.JSON)
	answer, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("asking about vacancy %d: %s: %s", i, answer.Status, body)
	}
	return err
}

// capacity returns the answers a second to callers who ask again as soon as they are answered.
func (c *caller) capacity(ctx context.Context) (float64, error) {
	var next atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range callers {
		g.Go(func() error {
			for time.Since(began) < capacityTime {
				if err := c.post(ctx, int(next.Add(1)-1)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return float64(next.Load()) / time.Since(began).Seconds(), err
}

// open asks at the times of a Poisson process, the same ones in every run, whether or not others wait, and returns the milliseconds from when each was due to its answer.
func (c *caller) open(ctx context.Context, rate float64, span time.Duration) ([]float64, error) {
	random := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	var answers []float64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	var due time.Duration
	for i := 0; ; i++ {
		due += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
		if due > span {
			break
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), g.Wait())
		case <-time.After(due - time.Since(began)):
		}
		at := began.Add(due)
		g.Go(func() error {
			err := c.post(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, 1e3*time.Since(at).Seconds())
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		return nil, fmt.Errorf("asking %g times a second for %s: nothing was due", rate, span)
	}
	return answers, nil
}
