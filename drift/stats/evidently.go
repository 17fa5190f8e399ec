package stats

// Column is what Evidently's preset says of one column.
type Column struct {
	// Test is Evidently's name of the test that its rule selects: "chisquare", "z", "ks", "jensenshannon" or "wasserstein".
	Test string
	// Score is the test's p-value or distance.
	Score float64
	// Threshold is the p-value below which, or the distance from which on, Evidently says drift.
	Threshold float64
	// Drifted is Evidently's verdict.
	Drifted bool
}

// Evidently's defaults (legacy/calculations/stattests/registry.py and the tests' default_threshold).
const (
	evidentlyFewRows   = 1000 // up to so many reference rows, p-values; beyond, distances
	evidentlyFewValues = 5    // up to so many different values in both windows, numbers are categories
	evidentlyP         = .05
	evidentlyArea      = .55
	evidentlyDistance  = .1
	evidentlyShare     = .5 // of columns that make a dataset drift
)

// EvidentlyCategorical applies the rule that Evidently 0.7.21 has for a categorical column: Jensen–Shannon distance of at least 0.1 when the reference has more than
// 1,000 rows, otherwise p < 0.05 of χ², or of the z test when no more than two values occur. Values must be in ascending order for Z's sign alone.
func EvidentlyCategorical(t Table) Column {
	switch {
	case t.n > evidentlyFewRows:
		d := t.JensenShannon()
		return Column{Test: "jensenshannon", Score: d, Threshold: evidentlyDistance, Drifted: d >= evidentlyDistance}
	case t.Values() > 2:
		p := t.ChiSquare().P
		return Column{Test: "chisquare", Score: p, Threshold: evidentlyP, Drifted: p < evidentlyP}
	}
	p := t.Z().P
	return Column{Test: "z", Score: p, Threshold: evidentlyP, Drifted: p < evidentlyP}
}

// EvidentlyNumeric applies the rule that Evidently 0.7.21 has for a numeric column: that of a categorical one when both windows together have at most 5 different
// values, otherwise Wasserstein distance of at least 0.1 reference standard deviations when the reference has more than 1,000 rows, else Kolmogorov–Smirnov p ≤ 0.05.
func EvidentlyNumeric(n Numbers) Column {
	switch {
	case n.Values() <= evidentlyFewValues:
		return EvidentlyCategorical(n.Table)
	case n.n > evidentlyFewRows:
		d := n.Wasserstein()
		return Column{Test: "wasserstein", Score: d, Threshold: evidentlyDistance, Drifted: d >= evidentlyDistance}
	}
	p := n.KolmogorovSmirnov().P
	return Column{Test: "ks", Score: p, Threshold: evidentlyP, Drifted: p <= evidentlyP}
}

// EvidentlyEmbeddings applies the rule that Evidently 0.7.21 has for embeddings, "model": a domain classifier whose area under the ROC curve exceeds 0.55 or, when the
// reference has fewer than 1,000 rows, the 95th percentile of random scorings. It fails as Embeddings.Domain does.
func EvidentlyEmbeddings(e Embeddings, seed uint64) (Column, error) {
	domain, err := e.Domain(seed)
	if err != nil {
		return Column{}, err
	}
	threshold := evidentlyArea
	if e.reference.Rows < evidentlyFewRows {
		threshold = domain.Random
	}
	return Column{Test: "model", Score: domain.AUC, Threshold: threshold, Drifted: domain.AUC > threshold}, nil
}

// EvidentlyDataset says which share of the columns has drifted and whether Evidently says that the dataset has: from a share of 0.5 on. No columns are no drift.
func EvidentlyDataset(columns []Column) (share float64, drifted bool) {
	if len(columns) == 0 {
		return 0, false
	}
	for _, c := range columns {
		if c.Drifted {
			share++
		}
	}
	share /= float64(len(columns))
	return share, share >= evidentlyShare
}
