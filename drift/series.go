package drift

import (
	"context"
	"fmt"
	"time"

	"jobstrom/warehouse"
)

// Step counts the values of a column in one step of time.
type Step struct {
	From time.Time
	// Counts are the rows that have each value.
	Counts map[string]uint64
}

// Series counts a column of categories step by step, the oldest first, over the whole hours that begin at since or later and before until. A step is whole hours, and begins at a multiple of
// them since 1970; steps without a row are left out. It reads the view drift_series, of every model and encoder.
func Series(ctx context.Context, w *warehouse.Warehouse, column string, since, until time.Time, step time.Duration) ([]Step, error) {
	var rows []struct {
		Begin time.Time `ch:"begin"`
		Value string    `ch:"value"`
		Rows  uint64    `ch:"rows"`
	}
	moment := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
	err := w.Conn().Select(ctx, &rows, fmt.Sprintf(`SELECT begin, toString(value) AS value, toUInt64(rows) AS rows
		FROM drift_series(column = '%s', first = '%s', last = '%s', hours = %d, model = '', encoder = '') ORDER BY begin, value`,
		column, moment(since), moment(until), int(step.Hours())))
	if err != nil {
		return nil, fmt.Errorf("counting %s over time: %w", column, warehouse.Explain(err))
	}
	var steps []Step
	for _, r := range rows {
		if len(steps) == 0 || !steps[len(steps)-1].From.Equal(r.Begin) {
			steps = append(steps, Step{r.Begin.UTC(), map[string]uint64{}})
		}
		steps[len(steps)-1].Counts[r.Value] += r.Rows
	}
	return steps, nil
}
