package cli

import (
	"context"

	"jobstrom/consumers"
	"jobstrom/server/api"
)

// feedSource gives a feed in the API's types.
type feedSource struct{ feed *consumers.Feed }

// Subscribe hands on events until ctx or the feed ends.
func (s feedSource) Subscribe(ctx context.Context) <-chan api.Event {
	in, out := s.feed.Subscribe(ctx), make(chan api.Event)
	go func() { // ends with the feed's channel, which ends with ctx
		defer close(out)
		for e := range in {
			select {
			case out <- api.Event(e):
			case <-ctx.Done():
			}
		}
	}()
	return out
}

func (s feedSource) Recent(most int) []api.Event {
	recent := s.feed.Recent(most)
	events := make([]api.Event, len(recent))
	for i, e := range recent {
		events[i] = api.Event(e)
	}
	return events
}

func (s feedSource) Stats() api.Stats {
	figures := s.feed.Stats()
	stats := api.Stats{
		Since: figures.Since, Rate: figures.Rate, P50: figures.P50, P99: figures.P99, Total: figures.Total, Refused: figures.Refused, Connected: figures.Connected,
		Minutes: make([]api.MinuteStat, len(figures.Minutes)),
	}
	for i, m := range figures.Minutes {
		stats.Minutes[i] = api.MinuteStat(m)
	}
	return stats
}
