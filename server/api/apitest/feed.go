package apitest

import (
	"context"
	"slices"
	"time"

	"jobstrom/server/api"
)

// Happen tells those who follow of an event.
func (f *Flow) Happen(e api.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.events = append(f.events, e); len(f.events) > 1000 {
		f.events = f.events[1:]
	}
	for reader, missed := range f.readers {
		e.Missed = missed
		select {
		case reader <- e:
			f.readers[reader] = 0
		default:
			f.readers[reader]++
		}
	}
}

// Followers counts those who follow.
func (f *Flow) Followers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.readers)
}

// Subscribe is api.Feed's.
func (f *Flow) Subscribe(ctx context.Context) <-chan api.Event {
	reader := make(chan api.Event, 16)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers[reader] = 0
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.readers, reader)
		close(reader)
	})
	return reader
}

// Recent is api.Feed's.
func (f *Flow) Recent(most int) []api.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	recent := slices.Clone(f.events[max(0, len(f.events)-most):])
	slices.Reverse(recent)
	return recent
}

// Stats is api.Feed's.
func (f *Flow) Stats() api.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := api.Stats{Since: Began, Connected: true, P50: .1, P99: .1}
	minute := api.MinuteStat{Minute: time.Now().UTC().Truncate(time.Minute), Categories: make([]uint64, len(f.Taxonomy.Categories))}
	for _, e := range f.events {
		if e.Kind == "classified" {
			s.Total++
			minute.Classified++
			minute.Categories[e.CategoryIndex]++
		} else {
			s.Refused++
			minute.Refused++
		}
	}
	s.Rate, s.Minutes = float64(s.Total)/60, []api.MinuteStat{minute}
	return s
}
