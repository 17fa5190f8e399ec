package drift

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"jobstrom/warehouse"
)

// ErrIncomparable is wrapped by the errors of comparisons whose windows cannot carry one: empty, too small, overlapping, of several encoders, of unequal or
// not finite vectors. The error's text says which.
var ErrIncomparable = errors.New("the windows cannot be compared")

// EmbeddingWindows says which vectors are compared. Without an encoder all vectors are taken, which must then be of one.
type EmbeddingWindows struct {
	Reference, Current Window
	Encoder            string
}

// Validate reports every violation at once.
func (e EmbeddingWindows) Validate() error {
	return errors.Join(e.Reference.named("reference"), e.Current.named("current"))
}

// parameter writes a time as the views' parameters are read.
func parameter(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// embeddingWindows is how a query names the windows, whose values travel beside it.
const embeddingWindows = `ref_from = {ref_from:DateTime64(3, 'UTC')}, ref_to = {ref_to:DateTime64(3, 'UTC')},
	cur_from = {cur_from:DateTime64(3, 'UTC')}, cur_to = {cur_to:DateTime64(3, 'UTC')}, encoder = {encoder:String}`

// query returns a context whose queries know the windows, and more parameters.
func (e EmbeddingWindows) query(ctx context.Context, more clickhouse.Parameters) context.Context {
	parameters := clickhouse.Parameters{
		"ref_from": parameter(e.Reference.From), "ref_to": parameter(e.Reference.To), "cur_from": parameter(e.Current.From), "cur_to": parameter(e.Current.To), "encoder": e.Encoder,
	}
	for name, value := range more {
		parameters[name] = value
	}
	return clickhouse.Context(ctx, clickhouse.WithParameters(parameters))
}

// EmbeddingDistances says how far the mean of the vectors moved; see the view drift_embeddings for the formulas.
type EmbeddingDistances struct {
	N, M      uint64 // rows of the reference and of the current window
	Width     uint64 // components of a vector
	RefNorm   float64
	CurNorm   float64
	Euclidean float64
	Cosine    *float64 // nil where a mean is zero
	Cityblock float64
	Chebyshev float64
}

// CompareEmbeddings compares the means of the two windows. Its error wraps ErrIncomparable where they cannot be.
func CompareEmbeddings(ctx context.Context, w *warehouse.Warehouse, windows EmbeddingWindows) (*EmbeddingDistances, error) {
	if err := windows.Validate(); err != nil {
		return nil, fmt.Errorf("comparing embeddings: %w", err)
	}
	var d EmbeddingDistances
	var note string
	var width *uint64
	var refNorm, curNorm, euclidean, cityblock, chebyshev *float64
	err := w.Conn().QueryRow(windows.query(ctx, nil), `SELECT n, m, toNullable(width), toNullable(ref_norm), toNullable(cur_norm), toNullable(euclidean),
		toNullable(cosine), toNullable(cityblock), toNullable(chebyshev), note
		FROM drift_embeddings(`+embeddingWindows+`)`).Scan(&d.N, &d.M, &width, &refNorm, &curNorm, &euclidean, &d.Cosine, &cityblock, &chebyshev, &note)
	if err != nil {
		return nil, fmt.Errorf("comparing embeddings: %w", warehouse.Explain(err))
	}
	if note != "" {
		return nil, fmt.Errorf("comparing embeddings: %w: %s", ErrIncomparable, note)
	}
	d.Width, d.RefNorm, d.CurNorm, d.Euclidean, d.Cityblock, d.Chebyshev = *width, *refNorm, *curNorm, *euclidean, *cityblock, *chebyshev
	return &d, nil
}

// Example is a vacancy of the current window that shows what changed.
type Example struct {
	New         bool      `json:"along"` // it lies along the shift of the mean, else against it
	Position    uint64    `json:"position"`
	VacancyID   string    `json:"vacancy_id"`
	PublishedAt time.Time `json:"published_at"`
	Projection  float64   `json:"projection"` // onto the direction of the shift, from the reference's mean
	// Predicted is what Compare adds: the vacancy's newest classification.
	Predicted
}

// NearestToShift returns so many vacancies of the current window that lie farthest along the shift of the mean, and as many against it; none where the mean did
// not move or the windows cannot be compared, which CompareEmbeddings explains.
func NearestToShift(ctx context.Context, w *warehouse.Warehouse, windows EmbeddingWindows, examples uint32) ([]Example, error) {
	if err := windows.Validate(); err != nil {
		return nil, fmt.Errorf("finding examples of the shift: %w", err)
	}
	rows, err := w.Conn().Query(windows.query(ctx, clickhouse.Parameters{"examples": strconv.Itoa(int(examples))}),
		`SELECT side = 'new', toUInt64(position), vacancy_id, published_at, projection FROM drift_nearest(`+embeddingWindows+`, examples = {examples:UInt32})`)
	if err != nil {
		return nil, fmt.Errorf("finding examples of the shift: %w", warehouse.Explain(err))
	}
	defer rows.Close()
	var found []Example
	for rows.Next() {
		var e Example
		var side uint8
		if err := rows.Scan(&side, &e.Position, &e.VacancyID, &e.PublishedAt, &e.Projection); err != nil {
			return nil, fmt.Errorf("finding examples of the shift: %w", err)
		}
		e.New = side == 1
		found = append(found, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("finding examples of the shift: %w", warehouse.Explain(err))
	}
	return found, nil
}

// CategoryShift says how the vacancies of one predicted category moved.
type CategoryShift struct {
	CategoryIndex     uint16   `ch:"category_index" json:"category_index"`
	Category          string   `ch:"category" json:"category"`
	N                 uint64   `ch:"n" json:"n"`
	M                 uint64   `ch:"m" json:"m"`
	RefShare          float64  `ch:"ref_share" json:"reference_share"`
	CurShare          float64  `ch:"cur_share" json:"current_share"`
	EuclideanDistance *float64 `ch:"euclidean" json:"euclidean,omitempty"` // of the category's means; nil where a window has fewer than 10 of it
	CosineDistance    *float64 `ch:"cosine" json:"cosine,omitempty"`       // likewise, and nil where a mean is zero
}

// CategoryShifts returns a row a category that the model predicted in either window, the largest change of the share first; none where the windows cannot be
// compared.
func CategoryShifts(ctx context.Context, w *warehouse.Warehouse, windows EmbeddingWindows, model string) ([]CategoryShift, error) {
	if err := windows.Validate(); err != nil {
		return nil, fmt.Errorf("comparing the categories' embeddings: %w", err)
	}
	var shifts []CategoryShift
	err := w.Conn().Select(windows.query(ctx, clickhouse.Parameters{"model": model}), &shifts, `SELECT category_index, toString(category) AS category, n, m,
		ref_share, cur_share, toNullable(euclidean) AS euclidean, toNullable(cosine) AS cosine
		FROM drift_category_embeddings(`+embeddingWindows+`, model = {model:String}) ORDER BY abs(share_change) DESC, category_index`)
	if err != nil {
		return nil, fmt.Errorf("comparing the categories' embeddings: %w", warehouse.Explain(err))
	}
	return shifts, nil
}
