package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jobstrom/kafka"
	"jobstrom/producers"
	"jobstrom/server/api"
)

// lettersInWarehouse lists dead letters by ClickHouse, which has them a second or two after Kafka.
func (s *apiSources) lettersInWarehouse(ctx context.Context, most int) (*api.DeadLetters, error) {
	asked, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	rows, waiting, err := s.warehouse.ReadDeadLetters(asked, time.Now().Add(-kafka.DeadLettersFor), most)
	if err != nil {
		return nil, s.warehouseAway(ctx, err)
	}
	all := &api.DeadLetters{Waiting: int(waiting)}
	for _, r := range rows {
		state := kafka.Waiting
		if r.ReplayedAt != nil {
			state = kafka.Replayed
		}
		all.Letters = append(all.Letters, api.Letter{
			LetterPlace: api.LetterPlace{Partition: r.LetterPartition, Offset: r.LetterOffset}, Stage: r.Stage, Class: r.Class, Reason: r.Reason,
			State: string(state), FailedAt: r.FailedAt, Attempts: r.Attempts, Replays: r.Replays,
		})
	}
	return all, nil
}

// lettersOnKafka reads the topic of the dead letters, for a process without ClickHouse.
func (s *apiSources) lettersOnKafka(ctx context.Context, most int) (*api.DeadLetters, error) {
	asked, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	letters, err := kafka.ReadLetters(asked, s.kafka, false)
	if err != nil {
		return nil, s.away(ctx, err)
	}
	all := &api.DeadLetters{}
	for _, l := range slices.Backward(letters.All) {
		if l.State == kafka.Waiting {
			all.Waiting++
		}
		if len(all.Letters) < most {
			m := l.Message
			all.Letters = append(all.Letters, api.Letter{
				LetterPlace: api.LetterPlace(l.Place), Stage: m.Stage, Class: m.Class, Reason: m.Reason, State: string(l.State), FailedAt: m.FailedAt.AsTime(), Attempts: m.Attempts, Replays: m.Replays,
			})
		}
	}
	return all, nil
}

// replay sends letters again, one replay at a time.
func (s *apiSources) replay(ctx context.Context, places []api.LetterPlace) (*api.Replayed, error) {
	work, cancel := context.WithTimeout(ctx, workWithin)
	defer cancel()
	if err := s.replays.Acquire(work, 1); err != nil {
		return nil, fmt.Errorf("another replay is at work: Kafka %w", api.ErrAway)
	}
	defer s.replays.Release(1)
	o := producers.ReplayOptions{Kafka: s.kafka, Logger: s.log}
	for _, p := range places {
		o.Filter.Places = append(o.Filter.Places, kafka.Place(p))
	}
	result, err := producers.Replay(work, o)
	switch {
	case errors.Is(err, producers.ErrNoLetter):
		return nil, fmt.Errorf("one of the letters is %w: it has expired, or never lay there", api.ErrUnknown)
	case errors.Is(err, producers.ErrReplayTakenOver):
		return nil, fmt.Errorf("another replay has begun meanwhile: Kafka %w", api.ErrAway)
	case err != nil:
		return nil, s.away(ctx, err)
	}
	replayed := &api.Replayed{Replayed: result.Replayed, Skipped: result.Skipped}
	for _, l := range result.Refused {
		if replayed.Refused == nil {
			replayed.Refused = map[string]int{}
		}
		replayed.Refused[l.Why]++
	}
	return replayed, nil
}
