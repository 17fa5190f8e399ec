// Package health collects what is wrong in a process. The parts report and clear their problems on a Board; /readyz shows them.
package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Place says where a problem is; a place has one problem at a time.
type Place struct {
	// Part is one of Parts.
	Part  string `json:"part"`
	Stage string `json:"stage,omitempty"`
	// Worker is the name of a stage's worker.
	Worker string `json:"worker,omitempty"`
	Topic  string `json:"topic,omitempty"`
	// Partition counts when Topic is given.
	Partition int32 `json:"partition"`
}

func (p Place) String() string {
	var words []string
	for _, w := range []string{p.Stage, p.Part, p.Worker} {
		if w != "" {
			words = append(words, w)
		}
	}
	if p.Topic != "" {
		words = append(words, fmt.Sprintf("%d of %s", p.Partition, p.Topic))
	}
	return strings.Join(words, " ")
}

// Problem keeps a process from doing its work.
type Problem struct {
	Place
	Since time.Time `json:"since"`
	// Reason says what is wrong, Remedy what to do. Neither holds content or secrets.
	Reason string `json:"reason"`
	Remedy string `json:"remedy"`
}

func (p Problem) String() string {
	return fmt.Sprintf("%s, since %s: %s: %s", p.Place, p.Since.UTC().Format(time.RFC3339), p.Reason, p.Remedy)
}

// Board holds the problems of a process. A nil Board takes reports and shows nothing. Its methods may be called from any goroutine.
type Board struct {
	mu       sync.Mutex
	problems map[Place]entry
}

type entry struct {
	Problem
	shown time.Time // when it begins to count
}

// Report puts a problem up, or its newest reason. Without a Since it began with the place's first report. It counts once it has lasted for grace.
func (b *Board) Report(p Problem, grace time.Duration) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.problems == nil {
		b.problems = map[Place]entry{}
	}
	if p.Since.IsZero() {
		p.Since = time.Now()
		if before, ok := b.problems[p.Place]; ok {
			p.Since = before.Since
		}
	}
	b.problems[p.Place] = entry{p, p.Since.Add(grace)}
}

// Clear takes down a place's problem, if it has one.
func (b *Board) Clear(p Place) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.problems, p)
}

// ClearStage takes down the problems of a stage's workers.
func (b *Board) ClearStage(stage string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.problems {
		if p.Part == "worker" && p.Stage == stage {
			delete(b.problems, p)
		}
	}
}

// Problems returns those that count by now, the oldest first.
func (b *Board) Problems() []Problem {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Problem
	now := time.Now()
	for _, e := range b.problems {
		if !e.shown.After(now) {
			all = append(all, e.Problem)
		}
	}
	slices.SortFunc(all, func(x, y Problem) int {
		return cmp.Or(x.Since.Compare(y.Since), strings.Compare(x.Place.String(), y.Place.String()))
	})
	return all
}
