// Command hours measures drift's hourly states: how long categorical drift over many predictions takes once they exist. It prints one tab-separated line a figure: name, value,
// target, ok or short. Lines that begin with # say what was measured.
//
// The predictions are generated in ClickHouse, over a year of hours, in a folder that is deleted afterwards; 100 million take some 6 GB of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	"jobstrom/bench/database"
	"jobstrom/bench/figures"
	"jobstrom/drift"
	"jobstrom/warehouse"
)

const (
	targetSeconds = 1
	block         = 2_000_000 // predictions of one INSERT
	year          = 365 * 24 * time.Hour
	windows       = "ref_from = '2025-01-01', ref_to = '2025-07-02 12:00:00', cur_from = '2025-07-02 12:00:00', cur_to = '2026-01-01'"
)

func main() {
	database.RunEngine()
	rows := flag.Int("rows", 100_000_000, "predictions")
	dir := flag.String("dir", "", "make the database's folder in this `folder`, by default that of temporary files")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rows, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench-drift-hours:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rows int, dir string) (err error) {
	if rows < 1 {
		return fmt.Errorf("rows (%d) must be at least 1", rows)
	}
	d, err := database.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Stop(ctx)) }()
	w := d.Warehouse
	figures.Note("%d predictions over a year, one model, 22 categories; %s/%s, %d cores", rows, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())

	start := time.Now()
	if err := generate(ctx, w, rows); err != nil {
		return fmt.Errorf("generating predictions: %w", err)
	}
	figures.Note("generated in %.0f s", time.Since(start).Seconds())

	start = time.Now()
	done, err := drift.Recompute(ctx, w)
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	figures.Note("%d hours counted in %.0f s: %.0f predictions a second", done.Hours, took, float64(rows)/took)

	categories, err := median(ctx, w, "SELECT sum(reference + current), sum(psi) FROM drift_categories("+windows+", model = 'm')", rows)
	if err != nil {
		return err
	}
	figures.AtMost(fmt.Sprintf("categorical drift over %d predictions from hourly states, s", rows), categories, targetSeconds)
	columns, err := median(ctx, w, "SELECT sumIf(reference + current, column = 'category'), sumIf(psi, column = 'category') FROM drift_columns("+windows+", model = 'm', encoder = '')", rows)
	if err != nil {
		return err
	}
	figures.Note("every column of them by every statistic: %.2f s", columns)
	return nil
}

// generate inserts predictions whose coordinates follow the time of publication. Shares of categories are unequal, and those of the second half of the year are a little different.
func generate(ctx context.Context, w *warehouse.Warehouse, rows int) error {
	for first := 0; first < rows; first += block {
		err := w.Conn().Exec(ctx, fmt.Sprintf(`INSERT INTO prediction_rows (raw_topic_id, raw_partition, raw_offset, received_at, vacancy_id, model, encoder, category_index, category, confidence,
				occupations, skills, tasks, published_at)
			SELECT toUUID('00000000-0000-0000-0000-000000000001'), 0, number, published, toString(number), 'm', 'e', index, concat('category ', toString(index)),
				(cityHash64(number, 2) %% 100000) / 100000, arrayWithConstant(number %% 3, 'o'), arrayWithConstant(number %% 5, 's'), arrayWithConstant(number %% 4, 't'), published
			FROM
			(
				SELECT number, toDateTime64('2025-01-01', 3, 'UTC') + toIntervalMillisecond(intDiv(number * %d, %d)) AS published,
					toUInt16(22 * pow((cityHash64(number, 1) %% 1000000) / 1000000, if(number * 2 < %d, 2, 2.05))) AS index
				FROM numbers(%d, %d)
			)`, year.Milliseconds(), rows, rows, first, min(block, rows-first)))
		if err != nil {
			return err
		}
	}
	return w.Conn().Exec(ctx, "INSERT INTO touched_hour_rows (dataset, hour, touched_at) SELECT DISTINCT 'predictions', toStartOfHour(published_at), now64(3) - 60 FROM prediction_rows")
}

// median answers the query five times and returns the median of the seconds. The query says how many rows it compared, which must be all, and a PSI.
func median(ctx context.Context, w *warehouse.Warehouse, query string, rows int) (float64, error) {
	var seconds []float64
	for range 5 {
		start := time.Now()
		var compared uint64
		var psi *float64
		if err := w.Conn().QueryRow(ctx, query).Scan(&compared, &psi); err != nil {
			return 0, err
		}
		seconds = append(seconds, time.Since(start).Seconds())
		if compared != uint64(rows) || psi == nil || *psi <= 0 {
			return 0, fmt.Errorf("%s compared %d predictions of %d, with no PSI above 0", query, compared, rows)
		}
	}
	return figures.Median(seconds), nil
}
