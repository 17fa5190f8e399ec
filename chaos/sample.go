package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Sample is what was measured at one moment of an InTurn run.
type Sample struct {
	At time.Duration
	// Classified and Letters are how many there are so far.
	Classified, Letters int
	// Lag is how many records each stage has not committed of those that are there; a stage is missing while the brokers do not answer.
	Lag map[string]int
	// Parts holds what each running process takes.
	Parts map[string]Usage
}

// Usage is what a process takes. Goroutines are 0 where a process does not say.
type Usage struct {
	PID        int
	RSS        int64 // bytes
	Goroutines int
}

const sampleEvery = time.Second

// sample measures about once a second until ctx ends.
func (r *run) sample(ctx context.Context) []Sample {
	var all []Sample
	client := http.Client{Timeout: sampleEvery}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return all
		case <-tick.C:
			all = append(all, r.measure(ctx, &client))
		}
	}
}

func (r *run) measure(ctx context.Context, client *http.Client) Sample {
	s := Sample{At: time.Since(r.start), Lag: map[string]int{}, Parts: map[string]Usage{}}
	_, s.Classified, s.Letters = r.watch.counts()
	ctx, cancel := context.WithTimeout(ctx, 2*sampleEvery)
	defer cancel()
	var mu sync.Mutex // guards s
	var measuring sync.WaitGroup
	measuring.Go(func() {
		for _, reader := range r.watch.readers() {
			lag, err := r.watch.lag(ctx, reader)
			mu.Lock()
			if err == nil {
				s.Lag[reader.stage] += lag // the sink has two groups
			}
			mu.Unlock()
		}
	})
	for name, pid := range r.pids() {
		measuring.Go(func() {
			u := Usage{PID: pid}
			var err error
			if u.RSS, err = residentBytes(pid); err != nil {
				return // it has just ended
			}
			if addr := r.health(name); addr != "" {
				u.Goroutines, _ = goroutines(ctx, client, addr)
			}
			mu.Lock()
			defer mu.Unlock()
			s.Parts[name] = u
		})
	}
	measuring.Wait()
	return s
}

// pids are the ids of all processes that run now, by part.
func (r *run) pids() map[string]int {
	pids := map[string]int{"clickhouse": r.engine.pid()}
	for _, name := range r.fleet.names() {
		pids[name] = r.fleet.pid(name)
	}
	if r.cluster != nil {
		for i := range r.kafka.Brokers {
			pids[fmt.Sprintf("broker/%d", i)] = r.cluster.Pid(i)
		}
	}
	for name, pid := range pids {
		if pid == 0 {
			delete(pids, name)
		}
	}
	return pids
}

// residentBytes is a process's resident set, as /proc tells it.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("reading the memory of process %d: %q has no resident set", pid, text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err == nil && pages == 0 {
		err = errors.New("it is a zombie")
	}
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// goroutines asks a process's /metrics.
func goroutines(ctx context.Context, client *http.Client, addr string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, errors.Join(fmt.Errorf("reading the metrics of %s: no go_goroutines is there", addr), lines.Err())
}
