package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// caller asks the API as a client behind a load balancer does: where one process does not listen, the next one is asked. Half of its requests classify, half publish.
type caller struct {
	addrs []string
	http  http.Client
	// patience is how long a request to classify may fail before it counts as failed: no longer than a process is away, because another one is there.
	patience time.Duration

	mu       sync.Mutex // guards all below
	accepted []string   // ids of the vacancies published
	open     int        // publications without an answer: whether they were written, the raw topic tells
	answered int        // texts classified
	failures []string
}

const (
	apiPrefix   = "api-"
	apiPatience = 10 * time.Second
	apiTimeout  = 10 * time.Second
)

// call sends requests, each second so many, until over is closed or ctx ends.
func (c *caller) call(ctx context.Context, rate float64, over <-chan struct{}) error {
	c.http.Timeout = apiTimeout
	titles := titles()
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return nil
		case <-tick.C:
		}
		title, text := advertisement(n, titles)
		if n%2 == 0 {
			c.classify(ctx, text)
		} else {
			c.publish(ctx, fmt.Sprintf("%s%07d", apiPrefix, n), title, text)
		}
	}
}

// classify asks for a text's category, again and again of whoever listens: asking twice changes nothing.
func (c *caller) classify(ctx context.Context, text string) {
	var err error
	for deadline := time.Now().Add(c.patience); time.Now().Before(deadline); _ = wait(ctx, 50*time.Millisecond) {
		if err = c.ask(ctx, "/classify", map[string]string{"text": text}, http.StatusOK, true); err == nil {
			c.mu.Lock()
			c.answered++
			c.mu.Unlock()
			return
		}
	}
	c.fail("classifying", err)
}

// publish writes a vacancy by the API. What may have arrived is not sent again: its duplicate would be the caller's.
func (c *caller) publish(ctx context.Context, id, title, text string) {
	err := c.ask(ctx, "/v1/vacancies", map[string]string{"id": id, "title": title, "text": text, "published_at": time.Now().Add(-longAgo).UTC().Format(time.RFC3339)}, http.StatusAccepted, false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.accepted = append(c.accepted, id)
	} else {
		c.open++
	}
}

func (c *caller) fail(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, fmt.Sprintf("%s: no process answered in %v: %v", what, c.patience, err))
}

// ask posts to the first process that listens; where again is set, to the next one after any other error as well.
func (c *caller) ask(ctx context.Context, path string, body any, want int, again bool) error {
	value, err := json.Marshal(body)
	if err != nil {
		return err
	}
	for _, addr := range c.addrs {
		var dial *net.OpError
		if err = c.post(ctx, "http://"+addr+path, value, want); err == nil || !again && !(errors.As(err, &dial) && dial.Op == "dial") {
			return err
		}
	}
	return err
}

func (c *caller) post(ctx context.Context, url string, value []byte, want int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(value))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != want {
		err = fmt.Errorf("status %d: %.300s", response.StatusCode, text)
	}
	return err
}

// asked is what became of a caller's requests.
type asked struct {
	Answered, Open int
	Failures       []string
}

func (c *caller) seen() (asked, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return asked{c.answered, c.open, slices.Clone(c.failures)}, slices.Clone(c.accepted)
}
