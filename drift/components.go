package drift

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"

	"jobstrom/drift/stats"
	"jobstrom/warehouse"
)

// Component is one component of the vectors, compared; see the view drift_components for the formulas.
type Component struct {
	Component   uint64   `ch:"component"` // from 1
	N           uint64   `ch:"n"`
	M           uint64   `ch:"m"`
	RefMean     float64  `ch:"ref_mean"`
	CurMean     float64  `ch:"cur_mean"`
	RefStd      float64  `ch:"ref_std"`
	CurStd      float64  `ch:"cur_std"`
	Wasserstein float64  `ch:"wasserstein"` // in standard deviations of the reference
	KS          float64  `ch:"ks"`
	KSP         float64  `ch:"ks_p"` // of the limit distribution
	KSQ         float64  // over all components
	Z           *float64 `ch:"z"` // of the means; nil if the component is constant in both windows
	ZP          float64  `ch:"z_p"`
	ZQ          float64  // over all components
}

// ComponentOptions bounds the memory that ClickHouse takes: for each query 300 MB to read vectors, and up to 15 bytes × Values.
type ComponentOptions struct {
	// Values is how many rows × components one query compares, 52,000,000 by default.
	Values int
	// Queries is how many run at once, 2 by default, each on one thread if there are several.
	Queries int
}

// EnsureDefaults fills the fields that are zero.
func (o *ComponentOptions) EnsureDefaults() {
	if o.Values == 0 {
		o.Values = 52_000_000
	}
	if o.Queries == 0 {
		o.Queries = 2
	}
}

// Validate reports every violation at once.
func (o *ComponentOptions) Validate() error {
	var errs []error
	if o.Values < 1 {
		errs = append(errs, fmt.Errorf("values of a query (%d) must be at least 1", o.Values))
	}
	if o.Queries < 1 {
		errs = append(errs, fmt.Errorf("queries at once (%d) must be at least 1", o.Queries))
	}
	return errors.Join(errs...)
}

// CompareComponents compares every component of the vectors of the two windows, in as many queries as the options need, and returns them in order. Its error
// wraps ErrIncomparable where the windows cannot be compared.
func CompareComponents(ctx context.Context, w *warehouse.Warehouse, windows EmbeddingWindows, o ComponentOptions) ([]Component, error) {
	o.EnsureDefaults()
	if err := errors.Join(windows.Validate(), o.Validate()); err != nil {
		return nil, fmt.Errorf("comparing the components of embeddings: %w", err)
	}
	rows, width, err := extent(ctx, w, windows)
	if err != nil {
		return nil, fmt.Errorf("comparing the components of embeddings: %w", err)
	}
	last := max(int(width), 1) // of empty windows the first query says why there is nothing
	step := min(max(o.Values/max(int(rows), 1), 1), last)
	if int(rows)*last >= divisible {
		step = min(step, (last+o.Queries-1)/o.Queries)
	}
	parts := make([][]Component, (last+step-1)/step)
	step = (last + len(parts) - 1) / len(parts) // as much for each
	threads := 0                                // as many as the server likes
	if len(parts) > 1 {
		threads = 1
	}
	work, shared := errgroup.WithContext(ctx)
	work.SetLimit(o.Queries)
	for i := range parts {
		work.Go(func() (err error) {
			parts[i], err = compareRange(shared, w, windows, i*step+1, min((i+1)*step, last), threads)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, fmt.Errorf("comparing the components of embeddings: %w", err)
	}
	components := slices.Concat(parts...)
	ks, z := make([]float64, last), make([]float64, last)
	for i, c := range components {
		ks[i], z[i] = c.KSP, c.ZP
	}
	ks, z = stats.BenjaminiHochberg(ks), stats.BenjaminiHochberg(z)
	for i := range components {
		components[i].KSQ, components[i].ZQ = ks[i], z[i]
	}
	return components, nil
}

// divisible is how many values take clearly longer to compare than another query takes to plan and to read.
const divisible = 2_000_000

// extent returns how many rows both windows hold together at most, as duplicates and erased rows that are there still count too, and the width of a vector. It
// returns 0 and 0 of empty windows.
func extent(ctx context.Context, w *warehouse.Warehouse, windows EmbeddingWindows) (rows, width uint64, err error) {
	err = w.Conn().QueryRow(windows.query(ctx, nil), `SELECT count(), max(length(vector)) FROM embedding_rows
		WHERE origin = 'stream' AND ({encoder:String} = '' OR encoder = {encoder:String})
			AND (published_at >= {ref_from:DateTime64(3, 'UTC')} AND published_at < {ref_to:DateTime64(3, 'UTC')}
				OR published_at >= {cur_from:DateTime64(3, 'UTC')} AND published_at < {cur_to:DateTime64(3, 'UTC')})`).Scan(&rows, &width)
	return rows, width, warehouse.Explain(err)
}

// figures is the query of the view drift_component_figures, which says why it is sent itself.
//
//go:embed sql/52_drift_component_figures.sql
var figures string

// compareRange compares the components from first to last, both included, in one query.
func compareRange(ctx context.Context, w *warehouse.Warehouse, windows EmbeddingWindows, first, last, threads int) ([]Component, error) {
	ctx = windows.query(ctx, clickhouse.Parameters{"component_from": strconv.Itoa(first), "component_to": strconv.Itoa(last)})
	_, query, _ := strings.Cut(figures, " AS\n")
	rows, err := w.Conn().Query(ctx, query+" SETTINGS max_threads = "+strconv.Itoa(threads))
	if err != nil {
		return nil, warehouse.Explain(err)
	}
	defer rows.Close()
	var components []Component
	for rows.Next() {
		var c Component
		var note string
		if err := rows.Scan(&c.Component, &c.N, &c.M, &c.RefMean, &c.CurMean, &c.RefStd, &c.CurStd, &c.Wasserstein, &c.KS, &c.KSP, &c.Z, &c.ZP, &note); err != nil {
			return nil, err
		}
		if note != "" {
			return nil, fmt.Errorf("%w: %s", ErrIncomparable, note)
		}
		components = append(components, c)
	}
	if err := rows.Err(); err != nil {
		return nil, warehouse.Explain(err)
	}
	// Not in the query, where the sort would come before the arithmetic and carry all arrays.
	slices.SortFunc(components, func(a, b Component) int { return cmp.Compare(a.Component, b.Component) })
	if len(components) != last-first+1 {
		return nil, fmt.Errorf("components %d to %d: the windows' vectors have fewer now: compare again", first, last)
	}
	return components, nil
}

// WassersteinDrift is the distance from which Evidently's method "ratio" counts a component as drifted.
const WassersteinDrift = 0.1

// DriftedShare returns the share of components whose normed Wasserstein distance is at least the threshold.
func DriftedShare(components []Component, threshold float64) float64 {
	drifted := 0
	for _, c := range components {
		if c.Wasserstein >= threshold {
			drifted++
		}
	}
	return float64(drifted) / float64(max(len(components), 1))
}
