// Command speed measures how fast embeddings are compared inside ClickHouse, and prints one tab-separated line a figure: name, value, target, ok or short. Lines
// that begin with # say what was measured.
//
// Part preset compares windows of 5,000 × 100 by component (Wasserstein, KS, means) in the embedded ClickHouse and by Evidently's DataDriftPreset, on the same
// rows, in turns; and says what MMD takes on them. In the same turns it compares 10,000 × 1,024 with as many in ClickHouse alone: Evidently would take minutes
// and grows with the rows × columns, so its time for one is taken from 5,000 × 100. Part full compares 100,000 × 1,024 with as many, and watches the engine's
// memory.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/google/uuid"

	"jobstrom/bench/database"
	"jobstrom/bench/figures"
	"jobstrom/drift"
	"jobstrom/drift/stats"
	"jobstrom/warehouse"
)

const (
	targetRatio   = 200
	targetSeconds = 60
	targetMemory  = 1
	wideRows      = 10_000
	wideWidth     = 1024
	shifted       = 10 // so many components, the first, are shifted in the current window, by a quarter of the standard deviation
)

// The parts, in the order of their output.
const (
	partPreset = "preset"
	partFull   = "full"
)

var parts = figures.Parts{partPreset, partFull}

// Both windows, of a month each; rows are 20 s apart.
var (
	reference = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	current   = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	end       = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
)

func windows(encoder string) drift.EmbeddingWindows {
	return drift.EmbeddingWindows{Reference: drift.Window{From: reference, To: current}, Current: drift.Window{From: current, To: end}, Encoder: encoder}
}

func main() {
	database.RunEngine()
	part := flag.String("part", "", parts.Usage())
	python := flag.String("python", ".native/evidently/bin/python", "Python with Evidently, which setup.sh installs")
	rounds := flag.Int("rounds", 3, "how often each side of preset is measured")
	rows := flag.Int("rows", 100_000, "rows of a window of full")
	width := flag.Int("width", 1024, "components of a vector of full")
	flag.Parse()
	if err := run(context.Background(), *part, *python, *rounds, *rows, *width); err != nil {
		fmt.Fprintln(os.Stderr, "bench-drift:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, part, python string, rounds, rows, width int) (err error) {
	if err := parts.Check(part); err != nil {
		return err
	}
	if rounds < 1 || rows < 10 || width < 1 {
		return fmt.Errorf("rounds (%d) and width (%d) must be at least 1, rows (%d) 10", rounds, width, rows)
	}
	dir, err := os.MkdirTemp("", "jobstrom-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := database.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Stop(ctx)) }()
	w := d.Warehouse
	var version string
	if err := w.Conn().QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return err
	}
	figures.Note("%s %s/%s, %d cores, ClickHouse %s, embedded", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), version)
	return parts.Measure(ctx, part, map[string]func(context.Context) error{
		partPreset: func(ctx context.Context) error { return preset(ctx, w, dir, python, rounds, 5000, 100) },
		partFull:   func(ctx context.Context) error { return full(ctx, w, rows, width) },
	})
}

// preset measures both sides in turns; the median of each counts.
func preset(ctx context.Context, w *warehouse.Warehouse, dir, python string, rounds, rows, width int) error {
	if err := errors.Join(insertDrawn(ctx, w, dir, rows, width), insertMade(ctx, w, "wide", wideRows, wideWidth)); err != nil {
		return err
	}
	// Evidently's imports are not measured, and neither is the engine's first query, for which it reads its program.
	_, first, err := compare(ctx, w, "preset")
	if err != nil {
		return err
	}
	figures.Note("the first comparison in ClickHouse, which is not counted: %.3f s", first)
	var theirs, ours, wides []float64
	for i := range rounds {
		var said struct {
			Seconds                 float64
			Drifted                 int
			Version, Python, Pandas string
		}
		command := exec.CommandContext(ctx, python, "bench/drift/speed/evidently_preset.py", dir, strconv.Itoa(rows), strconv.Itoa(width))
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			return fmt.Errorf("running Evidently with %s: %w; bench/drift/speed/setup.sh installs it", python, err)
		}
		if err := json.Unmarshal(out, &said); err != nil {
			return fmt.Errorf("reading what Evidently says: %w", err)
		}
		drifted, took, err := compare(ctx, w, "preset")
		if err != nil {
			return err
		}
		if drifted != said.Drifted {
			return fmt.Errorf("we count %d drifted components, Evidently %d", drifted, said.Drifted)
		}
		found, wide, err := compare(ctx, w, "wide")
		if err != nil {
			return err
		}
		if found != shifted {
			return fmt.Errorf("%d components of the wide vectors drifted, want %d", found, shifted)
		}
		theirs, ours, wides = append(theirs, said.Seconds), append(ours, took), append(wides, wide)
		if i == 0 {
			figures.Note("preset: %d × %d twice, %d components shifted; Evidently %s, Python %s, pandas %s, %d rounds in turns", rows, width, shifted, said.Version, said.Python, said.Pandas, rounds)
		}
		figures.Note("round %d: Evidently %.2f s, ClickHouse %.3f s, both find %d drifted; ClickHouse %.2f s on %d × %d twice", i+1, said.Seconds, took, drifted, wide, wideRows, wideWidth)
	}
	values, wideValues := float64(2*rows*width), float64(2*wideRows*wideWidth)
	their, our, wide := figures.Median(theirs)/values, figures.Median(ours)/values, figures.Median(wides)/wideValues
	figures.Note("per row × column: Evidently %.3f µs, ClickHouse %.4f µs; on %d × %d %.4f µs", their*1e6, our*1e6, wideRows, wideWidth, wide*1e6)
	figures.AtLeast("components, Evidently's time / ours", their/our, targetRatio)
	figures.AtLeast(fmt.Sprintf("components at %d × %d, Evidently's time per row × column at %d × %d / ours", wideRows, wideWidth, rows, width), their/wide, targetRatio)
	return mmd(ctx, w, rows, width)
}

// compare returns how many components of an encoder's vectors drifted, and the seconds that took.
func compare(ctx context.Context, w *warehouse.Warehouse, encoder string) (drifted int, seconds float64, err error) {
	began := time.Now()
	components, err := drift.CompareComponents(ctx, w, windows(encoder), drift.ComponentOptions{})
	if err != nil {
		return 0, 0, err
	}
	return int(drift.DriftedShare(components, drift.WassersteinDrift)*float64(len(components)) + .5), time.Since(began).Seconds(), nil
}

// mmd says what MMD takes on the rows of preset, with all pairs and with random features.
func mmd(ctx context.Context, w *warehouse.Warehouse, rows, width int) error {
	began := time.Now()
	of := windows("preset")
	var sides [2]stats.Matrix
	for i, window := range []drift.Window{of.Reference, of.Current} {
		v, err := drift.ReadVectors(ctx, w, window, of.Encoder, rows, 1)
		if err != nil {
			return err
		}
		sides[i] = stats.Matrix{Rows: len(v.Rows), Columns: v.Width, Data: v.Data}
	}
	values := float64(2 * rows * width)
	took := time.Since(began).Seconds()
	figures.Note("reading both windows' vectors: %.2f s, %.4f µs per row × column", took, took/values*1e6)
	e, err := stats.NewEmbeddings(sides[0], sides[1])
	if err != nil {
		return err
	}
	for _, o := range []struct {
		name    string
		options stats.MMDOptions
	}{{"all pairs", stats.MMDOptions{Seed: 1}}, {"random features", stats.MMDOptions{Seed: 1, ExactRows: 2}}} {
		began := time.Now()
		found, err := e.MMD(o.options)
		if err != nil {
			return err
		}
		took := time.Since(began).Seconds()
		figures.Note("MMD² by %s: %.6f (standard error of the approximation %.6f), %.2f s, %.3f µs per row × column", o.name, found.Squared, found.StandardError, took, took/values*1e6)
	}
	return nil
}

// insertDrawn draws both windows, inserts them, and writes them into the folder for Evidently.
func insertDrawn(ctx context.Context, w *warehouse.Warehouse, dir string, rows, width int) error {
	random := rand.New(rand.NewPCG(6, 1))
	for i, name := range []string{"reference", "current"} {
		values := make([]float32, rows*width)
		inserted := make([]warehouse.EmbeddingRow, rows)
		for r := range inserted {
			vector := values[r*width : (r+1)*width]
			for j := range vector {
				vector[j] = float32(random.NormFloat64())
				if i == 1 && j < shifted {
					vector[j] += .25
				}
			}
			at := []time.Time{reference, current}[i].Add(time.Duration(r) * 20 * time.Second)
			inserted[r] = warehouse.EmbeddingRow{
				Coordinates: warehouse.Coordinates{TopicID: uuid.UUID{1}, Offset: int64(i*rows + r)}, ReceivedAt: at, PublishedAt: at,
				VacancyID: fmt.Sprint("v", i*rows+r), Encoder: "preset", Vector: vector,
			}
		}
		if err := w.InsertEmbeddings(ctx, inserted); err != nil {
			return err
		}
		data, err := binary.Append(nil, binary.LittleEndian, values)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".f32"), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// insertMade inserts both windows, whose vectors ClickHouse makes from hashes of their places. Each encoder has a topic of its own.
func insertMade(ctx context.Context, w *warehouse.Warehouse, encoder string, rows, width int) error {
	for i, first := range []time.Time{reference, current} {
		for from := 0; from < rows; from += 10_000 {
			err := w.Conn().Exec(ctx, fmt.Sprintf(`INSERT INTO embedding_rows (raw_topic_id, raw_partition, raw_offset, received_at, published_at, vacancy_id, encoder, vector)
				SELECT toUUID('%s'), number %% 4, number, addSeconds(toDateTime64('%s', 3, 'UTC'), number %% %d * 20) AS received_at, received_at, toString(number), '%s',
				arrayMap(j -> toFloat32(((cityHash64(number, j) %% 1000003 + cityHash64(j, number) %% 1000003) / 1000003 - 1 + %d * (j < %d)) * .05), range(%d))
				FROM numbers(%d, %d) SETTINGS max_block_size = 2000, min_insert_block_size_rows = 10000`,
				uuid.NewSHA1(uuid.Nil, []byte(encoder)), first.Format(time.DateTime), rows, encoder, i, shifted, width, i*rows+from, min(10_000, rows-from)))
			if err != nil {
				return warehouse.Explain(err)
			}
		}
	}
	return nil
}

// full compares large windows.
func full(ctx context.Context, w *warehouse.Warehouse, rows, width int) error {
	began := time.Now()
	if err := insertMade(ctx, w, "full", rows, width); err != nil {
		return err
	}
	figures.Note("full: %d × %d twice, %.0f MB of vectors, made in %.0f s", rows, width, float64(2*rows*width*4)/1e6, time.Since(began).Seconds())
	watched, stop := context.WithCancel(ctx)
	defer stop()
	peak := make(chan float64, 1)
	go func() { peak <- watch(watched, w) }() // ends with stop
	began = time.Now()
	distances, err := drift.CompareEmbeddings(ctx, w, windows("full"))
	if err != nil {
		return err
	}
	means := time.Since(began).Seconds()
	components, err := drift.CompareComponents(ctx, w, windows("full"), drift.ComponentOptions{})
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	stop()
	most := <-peak
	var limit uint64
	if err := w.Conn().QueryRow(ctx, "SELECT toUInt64(value) FROM system.server_settings WHERE name = 'max_server_memory_usage'").Scan(&limit); err != nil {
		return err
	}
	if drifted := drift.DriftedShare(components, drift.WassersteinDrift) * float64(width); drifted < shifted-.5 || drifted > shifted+.5 {
		return fmt.Errorf("%.0f components drifted, want %d", drifted, shifted)
	}
	figures.Note("Euclidean distance of the means %.4f in %.1f s; all components in %.1f s, %.4f µs per row × column; %.0f of %.0f MiB",
		distances.Euclidean, means, took-means, (took-means)/float64(2*rows*width)*1e6, most/(1<<20), float64(limit)/(1<<20))
	figures.AtMost("full width, seconds", took, targetSeconds)
	figures.Line("full width, peak memory / the engine's limit", most/float64(limit), targetMemory, most > 0 && most <= float64(limit)*targetMemory)
	return w.Conn().Exec(ctx, "TRUNCATE TABLE embedding_rows")
}

// watch looks at the memory that the engine counts against its limit, every 100 ms until the context ends, and returns the most. It returns 0 if it could not look.
func watch(ctx context.Context, w *warehouse.Warehouse) float64 {
	var most int64
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var now int64
		if err := w.Conn().QueryRow(ctx, "SELECT value FROM system.metrics WHERE metric = 'MemoryTracking'").Scan(&now); err != nil {
			if ctx.Err() == nil {
				return 0
			}
			return float64(most)
		}
		most = max(most, now)
		select {
		case <-ctx.Done():
			return float64(most)
		case <-tick.C:
		}
	}
}
