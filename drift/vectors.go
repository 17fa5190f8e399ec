package drift

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"jobstrom/warehouse"
)

// Vectors are those of a window, or of a sample of it, for what SQL cannot express.
type Vectors struct {
	Width int
	Data  []float32 // row-major: the components of Rows[i] are Data[i*Width:(i+1)*Width]
	Rows  []VectorRow
	Of    uint64 // rows of the window; more than len(Rows) if it was sampled
}

// VectorRow says whose a vector is, so that resampling can draw blocks of vacancies that belong together.
type VectorRow struct {
	VacancyID    string
	EmployerHash string // 32 hexadecimal digits or none
	PublishedAt  time.Time
}

// Day returns the day of publication, in UTC.
func (r VectorRow) Day() time.Time { return r.PublishedAt.UTC().Truncate(24 * time.Hour) }

// Row returns the components of a row.
func (v *Vectors) Row(i int) []float32 { return v.Data[i*v.Width : (i+1)*v.Width] }

// shuffled returns at most so many rows, in an order drawn by the seed: any first of them are a sample, too.
func (v *Vectors) shuffled(most int, seed uint64) *Vectors {
	s := &Vectors{Width: v.Width, Of: v.Of}
	for _, i := range rand.New(rand.NewPCG(seed, 0x6d6170)).Perm(len(v.Rows))[:min(most, len(v.Rows))] {
		s.Data, s.Rows = append(s.Data, v.Row(i)...), append(s.Rows, v.Rows[i])
	}
	return s
}

// ReadVectors reads the stream's vectors of a window, in the order of their coordinates. Beyond the limit it takes a sample: the rows whose coordinates hash lowest with
// the seed, so that the same seed takes the same rows of the same window. Without an encoder all vectors are read, which must then be of one; its error wraps
// ErrIncomparable if they are not, or are of unequal width.
func ReadVectors(ctx context.Context, w *warehouse.Warehouse, window Window, encoder string, limit int, seed uint64) (*Vectors, error) {
	return readVectors(ctx, w, window, warehouse.OriginStream, encoder, limit, seed)
}

func readVectors(ctx context.Context, w *warehouse.Warehouse, window Window, origin warehouse.Origin, encoder string, limit int, seed uint64) (*Vectors, error) {
	if err := window.Validate(); err != nil {
		return nil, fmt.Errorf("reading vectors: %w", err)
	}
	if limit < 1 {
		return nil, fmt.Errorf("reading vectors: limit (%d) must be at least 1", limit)
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{
		"from": parameter(window.From), "to": parameter(window.To), "encoder": encoder, "limit": strconv.Itoa(limit), "seed": strconv.FormatUint(seed, 10),
	}))
	chosen := `FROM ` + origin.View("embeddings") + `
		WHERE ({encoder:String} = '' OR encoder = {encoder:String}) AND published_at >= {from:DateTime64(3, 'UTC')} AND published_at < {to:DateTime64(3, 'UTC')}`
	var v Vectors
	var encoders []string
	if err := w.Conn().QueryRow(ctx, "SELECT count(), groupUniqArray(toString(encoder)) "+chosen).Scan(&v.Of, &encoders); err != nil {
		return nil, fmt.Errorf("counting vectors: %w", warehouse.Explain(err))
	}
	if len(encoders) > 1 {
		return nil, fmt.Errorf("reading vectors: %w: the window holds those of %d encoders, choose one", ErrIncomparable, len(encoders))
	}
	v.Rows = make([]VectorRow, 0, min(v.Of, uint64(limit)))
	rows, err := w.Conn().Query(ctx, `SELECT vacancy_id, employer_hash, published_at, vector `+chosen+`
		AND (raw_topic_id, raw_partition, raw_offset) IN
		(
			SELECT raw_topic_id, raw_partition, raw_offset `+chosen+`
			ORDER BY cityHash64(raw_topic_id, raw_partition, raw_offset, {seed:UInt64}) LIMIT {limit:UInt64}
		)
		ORDER BY raw_topic_id, raw_partition, raw_offset
		SETTINGS max_block_size = 8192, max_bytes_before_external_sort = 268435456`)
	if err != nil {
		return nil, fmt.Errorf("reading vectors: %w", warehouse.Explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		var row VectorRow
		var vector []float32
		if err := rows.Scan(&row.VacancyID, &row.EmployerHash, &row.PublishedAt, &vector); err != nil {
			return nil, fmt.Errorf("reading vectors: %w", err)
		}
		if v.Data == nil {
			v.Width = len(vector)
			v.Data = make([]float32, 0, cap(v.Rows)*v.Width)
		}
		if len(vector) != v.Width {
			return nil, fmt.Errorf("reading vectors: %w: that of vacancy %s has %d components, others have %d", ErrIncomparable, row.VacancyID, len(vector), v.Width)
		}
		v.Data, v.Rows = append(v.Data, vector...), append(v.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading vectors: %w", warehouse.Explain(err))
	}
	return &v, nil
}
