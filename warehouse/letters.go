package warehouse

import (
	"context"
	"fmt"
	"time"
)

// DeadLetterState is a dead letter and whether it was sent again.
type DeadLetterState struct {
	DeadLetterRow
	// ReplayedAt is nil until it was.
	ReplayedAt *time.Time `ch:"replayed_at"`
}

// ReadDeadLetters returns the newest letters that were written at since or later and whose place on Kafka is known, the newest first, and how many of all those wait for a
// replay. Of letters that tell of the same refusal there is one; those of erased vacancies are left out.
func (w *Warehouse) ReadDeadLetters(ctx context.Context, since time.Time, most int) (letters []DeadLetterState, waiting uint64, err error) {
	const chosen = " FROM dead_letters WHERE letter_offset >= 0 AND failed_at >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')"
	// Counted first: a letter that arrives meanwhile may be listed uncounted, but never counted without being there.
	err = w.conn.QueryRow(ctx, "SELECT countIf(replayed_at IS NULL)"+chosen, within(since).UnixMilli()).Scan(&waiting)
	if err == nil {
		err = w.conn.Select(ctx, &letters, "SELECT *"+chosen+" ORDER BY failed_at DESC, letter_partition, letter_offset DESC LIMIT ?", within(since).UnixMilli(), most)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading dead letters: %w", diagnose(Explain(err), w.options))
	}
	return letters, waiting, nil
}
