package drift

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"jobstrom/drift/alarms"
	"jobstrom/drift/stats"
	"jobstrom/warehouse"
)

// mostVectors bounds the vacancies of a window whose vectors are compared. Of a larger window every so many blocks are taken.
const mostVectors = 50_000

// blocksQuery gives the sum of each block's vectors: ClickHouse adds, so that what comes here is one vector for each burst. A vacancy that is
// published again on another day is in both days' blocks. It takes the view of embeddings.
const blocksQuery = `
SELECT arrayMap(x -> toFloat32(x), sumForEach(vector)) AS sum, count() AS rows, sum(arraySum(x -> toFloat64(x) * x, vector)) AS squares
FROM
(
    SELECT vector, if(employer_hash = '', vacancy_id, concat(employer_hash, ' ', toString(toDate(published_at)))) AS block
    FROM %s
    WHERE published_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND published_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND encoder = {encoder:String}
        AND cityHash64(if(employer_hash = '', vacancy_id, employer_hash)) %% {every:UInt64} = 0
)
GROUP BY block
ORDER BY block`

// readBlocks reads the blocks of a window; every says that it took one employer in so many.
func readBlocks(ctx context.Context, w *warehouse.Warehouse, window Window, rows int, o Options) (vectors *alarms.Vectors, every int, err error) {
	every = (rows + mostVectors - 1) / mostVectors
	parameters := window.parameters(o.Encoder)
	parameters["every"] = fmt.Sprint(max(every, 1))
	found, err := w.Conn().Query(clickhouse.Context(ctx, clickhouse.WithParameters(parameters)), fmt.Sprintf(blocksQuery, o.Origin.View("embeddings")))
	if err != nil {
		return nil, 0, fmt.Errorf("reading the embeddings of %s: %w", window, err)
	}
	defer found.Close()
	vectors = &alarms.Vectors{}
	for found.Next() {
		var sum []float32
		var n uint64
		var squares float64
		if err := found.Scan(&sum, &n, &squares); err != nil {
			return nil, 0, fmt.Errorf("reading the embeddings of %s: %w", window, err)
		}
		if err := vectors.AddSum(sum, int(n), squares); err != nil {
			return nil, 0, fmt.Errorf("reading the embeddings of %s: %w", window, err)
		}
	}
	if err := found.Err(); err != nil {
		return nil, 0, fmt.Errorf("reading the embeddings of %s: %w", window, err)
	}
	return vectors, every, nil
}

// compareVectors compares the embeddings of both windows. It returns the sample that it has read of them, nil where the verdict needs none.
func (c *Comparison) compareVectors(ctx context.Context, w *warehouse.Warehouse, o Options) (*vectorSample, error) {
	var windows [2]*alarms.Vectors
	for side, window := range []Window{c.Reference, c.Current} {
		var every int
		var err error
		if windows[side], every, err = readBlocks(ctx, w, window, c.Vacancies[side], o); err != nil {
			return nil, err
		}
		if every > 1 {
			c.Notes = append(c.Notes, fmt.Sprintf("%s holds %d vacancies: the embeddings of one employer in %d were compared, all other columns in full", window, c.Vacancies[side], every))
		}
	}
	compare := alarms.Embedding
	if o.Preset == Evidently {
		compare = alarms.DescribeEmbedding
	}
	result, err := compare(windows[0], windows[1], o.Alarms)
	if err != nil {
		return nil, fmt.Errorf("comparing embeddings: %w", err)
	}
	var sample *vectorSample
	if o.Preset == Evidently && result.Reason == "" {
		if sample, err = c.sampled(ctx, w, o); err != nil {
			return nil, fmt.Errorf("comparing embeddings: %w", err)
		}
		verdict, err := stats.EvidentlyEmbeddings(sample.both, o.Alarms.Seed)
		if err != nil {
			return nil, fmt.Errorf("comparing embeddings: %w", err)
		}
		evidently(&result, verdict)
	}
	result.Column = "embedding"
	c.Columns = append(c.Columns, Column{Name: result.Column, Kind: Embedding, Result: result})
	return sample, nil
}

// domainVectors bounds the vectors of each window that are compared in pairs or taught to a classifier.
const domainVectors = 5000

// vectorSample is up to domainVectors of each window.
type vectorSample struct {
	windows [2]*Vectors
	both    stats.Embeddings
}

// sampled reads a sample, the same for the same seed.
func (c *Comparison) sampled(ctx context.Context, w *warehouse.Warehouse, o Options) (*vectorSample, error) {
	var s vectorSample
	var matrices [2]stats.Matrix
	for side, window := range []Window{c.Reference, c.Current} {
		v, err := readVectors(ctx, w, window, o.Origin, o.Encoder, domainVectors, o.Alarms.Seed)
		if err != nil {
			return nil, err
		}
		s.windows[side], matrices[side] = v, stats.Matrix{Rows: len(v.Rows), Columns: v.Width, Data: v.Data}
	}
	var err error
	s.both, err = stats.NewEmbeddings(matrices[0], matrices[1])
	return &s, err
}
