package drift

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"jobstrom/drift/stats"
	"jobstrom/warehouse"
)

// Bounds of the map and of the examples.
const (
	mapVectors   = 2000 // of each window, from which the plane is found
	mapPoints    = 400  // of each window, which are kept
	mostExamples = 5    // along the shift, and as many against it
)

// describeVectors puts beside the embeddings' verdict how far they moved, the map, and what changed most. Windows that cannot carry that get a note instead. The sample is nil
// where none has been read.
func (c *Comparison) describeVectors(ctx context.Context, w *warehouse.Warehouse, o Options, sample *vectorSample) error {
	column := &c.Columns[slices.IndexFunc(c.Columns, func(c Column) bool { return c.Kind == Embedding })]
	windows := EmbeddingWindows{Reference: c.Reference, Current: c.Current, Encoder: o.Encoder}
	o.Progress("comparing the means of embeddings")
	distances, err := CompareEmbeddings(ctx, w, windows)
	if errors.Is(err, ErrIncomparable) {
		c.Notes = append(c.Notes, fmt.Sprintf("no map, statistics or examples of embeddings: %v", err))
		return nil
	}
	if err != nil {
		return err
	}
	column.Statistics = map[string]float64{"euclidean": distances.Euclidean, "cityblock": distances.Cityblock, "chebyshev": distances.Chebyshev}
	if distances.Cosine != nil {
		column.Statistics["cosine"] = *distances.Cosine
	}
	o.Progress("comparing the components of embeddings")
	components, err := CompareComponents(ctx, w, windows, ComponentOptions{})
	if err != nil {
		return err
	}
	drifted := 0
	for _, component := range components {
		if component.KSQ <= o.Alarms.Alpha {
			drifted++
		}
	}
	column.Statistics["drifted_components"] = float64(drifted) / float64(max(len(components), 1))
	column.Statistics["drifted_components_evidently"] = DriftedShare(components, WassersteinDrift)
	if sample == nil {
		o.Progress("reading embeddings")
		if sample, err = c.sampled(ctx, w, o); err != nil {
			return err
		}
	}
	c.describeSample(sample, o, column)
	o.Progress("finding what changed most")
	if c.Nearest, err = NearestToShift(ctx, w, windows, mostExamples); err != nil {
		return err
	}
	if c.CategoryModel = c.commonModel(); c.CategoryModel != "" {
		if c.CategoryShifts, err = CategoryShifts(ctx, w, windows, c.CategoryModel); err != nil {
			return err
		}
	}
	column.finite()
	return c.classify(ctx, w, o)
}

// describeSample computes what needs the vectors themselves, from a sample where a window holds many.
func (c *Comparison) describeSample(sample *vectorSample, o Options, column *Column) {
	vectors, both := sample.windows, sample.both
	for side, window := range []Window{c.Reference, c.Current} {
		if v := vectors[side]; v.Of > uint64(len(v.Rows)) {
			c.Notes = append(c.Notes, fmt.Sprintf("%s holds %d embeddings: their MMD², domain classifier and map come from %d that the seed draws, all else from all", window, v.Of, len(v.Rows)))
		}
	}
	// What cannot be computed leaves a note: the rest of the report is worth having.
	note := func(name string, err error) {
		c.Notes = append(c.Notes, fmt.Sprintf("no %s of the embeddings: %v", name, err))
	}
	o.Progress("computing the maximum mean discrepancy of embeddings")
	if mmd, err := both.MMD(stats.MMDOptions{Seed: o.Alarms.Seed}); err != nil {
		note("MMD²", err)
	} else {
		column.Statistics["mmd2"], column.Statistics["mmd2_error"] = mmd.Squared, mmd.StandardError
	}
	o.Progress("telling the windows' embeddings apart")
	if column.StatisticName == "model" { // the preset's verdict is that already
		column.Statistics["roc_auc"], column.Statistics["roc_auc_gate"] = column.Effect, column.Gate
	} else if domain, err := stats.EvidentlyEmbeddings(both, o.Alarms.Seed); err != nil {
		note("domain classifier", err)
	} else {
		column.Statistics["roc_auc"], column.Statistics["roc_auc_gate"] = domain.Score, domain.Threshold
	}
	o.Progress("mapping embeddings")
	var err error
	if c.Map, err = NewMap(vectors[0].shuffled(mapVectors, o.Alarms.Seed), vectors[1].shuffled(mapVectors, o.Alarms.Seed)); err != nil {
		note("map", err)
		return
	}
	c.Map.thin(mapPoints)
}

// commonModel is the one that classified most vacancies in the window where it classified fewer; none where no model has classified both windows.
func (c *Comparison) commonModel() (model string) {
	most := 0
	for _, name := range slices.Sorted(maps.Keys(c.Models[0])) {
		if n := min(c.Models[0][name], c.Models[1][name]); n > most {
			model, most = name, n
		}
	}
	return model
}

// Predicted is what a model says of a vacancy; empty where none has classified it.
type Predicted struct {
	Category   string  `json:"category,omitempty" ch:"category"`
	Confidence float32 `json:"confidence,omitempty" ch:"confidence"`
}

// classify adds the predictions to the points of the map and to the examples.
func (c *Comparison) classify(ctx context.Context, w *warehouse.Warehouse, o Options) error {
	points := [2][]Point{}
	if c.Map != nil {
		points = [2][]Point{c.Map.Reference, c.Map.Current}
	}
	for side, window := range []Window{c.Reference, c.Current} {
		var ids []string
		for _, p := range points[side] {
			ids = append(ids, p.VacancyID)
		}
		if side == 1 {
			for _, e := range c.Nearest {
				ids = append(ids, e.VacancyID)
			}
		}
		found, err := readPredicted(ctx, w, window, o, ids)
		if err != nil {
			return err
		}
		for i, p := range points[side] {
			points[side][i].Category = found[p.VacancyID].Category
		}
		if side == 1 {
			for i, e := range c.Nearest {
				c.Nearest[i].Predicted = found[e.VacancyID]
			}
		}
	}
	return nil
}

// readPredicted returns the newest prediction of each of the vacancies in a window that has one.
func readPredicted(ctx context.Context, w *warehouse.Warehouse, window Window, o Options, ids []string) (map[string]Predicted, error) {
	found := map[string]Predicted{}
	if len(ids) == 0 {
		return found, nil
	}
	var rows []struct {
		VacancyID string `ch:"vacancy_id"`
		Predicted
	}
	err := w.Conn().Select(ctx, &rows, `SELECT vacancy_id, toString(category) AS category, confidence FROM predictions
		WHERE published_at >= fromUnixTimestamp64Milli(toInt64(?), 'UTC') AND published_at < fromUnixTimestamp64Milli(toInt64(?), 'UTC') AND encoder = ? AND (? = '' OR model = ?) AND vacancy_id IN (?)
		ORDER BY classified_at DESC, model LIMIT 1 BY vacancy_id`, window.From.UnixMilli(), window.To.UnixMilli(), o.Encoder, o.Model, o.Model, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the predictions of %s: %w", window, warehouse.Explain(err))
	}
	for _, r := range rows {
		found[r.VacancyID] = r.Predicted
	}
	return found, nil
}
