package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consume prints id, category and confidence of classified vacancies, from the first one on; the next time, from behind what it has read.
func consume(ctx context.Context, out io.Writer) error {
	client, err := connect(
		kgo.ConsumeTopics("vacancies.classified"), kgo.ConsumerGroup(setting("GROUP", "example-go")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); errors.Is(err, context.Canceled) {
			return nil
		} else if err != nil {
			return fmt.Errorf("consuming: %w", err)
		}
		for record := range fetches.RecordsAll() {
			if record.Value == nil {
				continue // the vacancy was erased
			}
			var c struct {
				ID, Category string
				Confidence   float64
			}
			if err := json.Unmarshal(record.Value, &c); err != nil {
				return fmt.Errorf("reading an answer: %w", err)
			}
			fmt.Fprintf(out, "%s\t%s\t%.3f\n", c.ID, c.Category, c.Confidence)
		}
	}
}
