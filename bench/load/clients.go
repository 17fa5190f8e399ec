package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"jobstrom/schemas"
)

const route = "/v1/classify"

// arrivals are the times at which requests are due, from the first on. It is a vegeta.Pacer.
type arrivals []time.Duration

// Pace says how long to wait before the next request.
func (a arrivals) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= uint64(len(a)) {
		return 0, true
	}
	return max(0, a[hits]-elapsed), false
}

// Rate is for vegeta's plots, which nobody draws here.
func (a arrivals) Rate(time.Duration) float64 { return 0 }

// poisson returns the times of a Poisson process, the same ones in every run: nobody waits for anybody's answer.
func poisson(rate float64, span time.Duration) arrivals {
	random := rand.New(rand.NewPCG(1, 1))
	var a arrivals
	for due := 0.0; ; {
		if due += random.ExpFloat64() / rate; due > span.Seconds() {
			return a
		}
		a = append(a, time.Duration(due*float64(time.Second)))
	}
}

// seen is what clients saw of a server.
type seen struct {
	answers []float64 // seconds of each answered request; without a bound on clients, from when it was due
	refused int       // by 429
	hints   int       // refusals with Retry-After
	took    time.Duration
	bodies  [][]byte // of the answers, in the order of their requests; nil where refused
}

// throughput is the answers a second.
func (s seen) throughput() float64 { return float64(len(s.answers)) / s.took.Seconds() }

// patience is how long a client waits for an answer.
const patience = 2 * time.Minute

// attack sends requests when they are due, from as many clients as it takes but at most so many, and waits for all answers. Whatever is neither an answer nor a 429 is an error.
func (b *bench) attack(ctx context.Context, s *server, due arrivals, clients int) (seen, error) {
	header := http.Header{"Content-Type": {schemas.JSON}}
	var next atomic.Int64
	targets := func(t *vegeta.Target) error {
		t.Method, t.URL, t.Header = http.MethodPost, s.url+route, header
		t.Body = b.bodies[int(next.Add(1)-1)%len(b.bodies)]
		return nil
	}
	attacker := vegeta.NewAttacker(vegeta.Workers(min(64, uint64(clients))), vegeta.MaxWorkers(uint64(clients)), vegeta.Timeout(patience))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	began := time.Now()
	got := seen{bodies: make([][]byte, len(due))}
	var failed error
	for r := range attacker.Attack(targets, due, 0, "") {
		got.took = max(got.took, r.End().Sub(began))
		switch {
		case r.Code == http.StatusOK && r.Error == "":
			asked := r.Timestamp.Sub(began)
			if clients == unbounded {
				asked = due[r.Seq] // also when vegeta comes too late
			}
			got.answers = append(got.answers, (r.End().Sub(began) - asked).Seconds())
			got.bodies[r.Seq] = r.Body
		case r.Code == http.StatusTooManyRequests:
			got.refused++
			if r.Headers.Get("Retry-After") != "" {
				got.hints++
			}
		case failed == nil:
			failed = fmt.Errorf("asking %s: status %d, %s: %.300s", s.name, r.Code, r.Error, r.Body)
		}
	}
	if ctx.Err() != nil {
		return got, ctx.Err()
	}
	if failed == nil && len(got.answers)+got.refused != len(due) {
		failed = fmt.Errorf("asking %s: %d of %d requests were answered", s.name, len(got.answers)+got.refused, len(due))
	}
	return got, failed
}

// unbounded is the number of clients of a load that waits for nobody.
const unbounded = math.MaxInt32

// together asks about the first n vacancies, each client as soon as it has its last answer.
func (b *bench) together(ctx context.Context, s *server, n int) (seen, error) {
	got, err := b.attack(ctx, s, make(arrivals, n), b.clients)
	if err == nil && got.refused > 0 {
		err = fmt.Errorf("asking %s with %d clients: it refused %d of %d", s.name, b.clients, got.refused, n)
	}
	return got, err
}

// checked is how many answers of a peer are compared with ours.
const checked = 32

// least is the lowest probability that is compared.
const least = 1e-20

// same compares answers and returns the share of the same categories and the greatest difference of the logarithms of a probability.
func same(ours, theirs [][]byte) (categories, difference float64, err error) {
	for i := range ours {
		var a, b struct {
			Category     int       `json:"categori_idx"`
			Distribution []float64 `json:"probability_distribution"`
		}
		if err := json.Unmarshal(ours[i], &a); err != nil {
			return 0, 0, fmt.Errorf("reading our answer %d: %w", i, err)
		}
		if err := json.Unmarshal(theirs[i], &b); err != nil {
			return 0, 0, fmt.Errorf("reading the peer's answer %d: %w", i, err)
		}
		if len(a.Distribution) == 0 || len(a.Distribution) != len(b.Distribution) {
			return 0, 0, fmt.Errorf("comparing answers %d: %d probabilities of ours, %d of the peer", i, len(a.Distribution), len(b.Distribution))
		}
		if a.Category == b.Category {
			categories += 1 / float64(len(ours))
		}
		for k, p := range a.Distribution {
			difference = max(difference, math.Abs(math.Log(max(p, least))-math.Log(max(b.Distribution[k], least))))
		}
	}
	return categories, difference, nil
}
