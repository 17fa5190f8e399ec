package trainer

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"jobstrom/schemas"
)

// completeCard adds to what a caller says how much history there was and when its vacancies came, how it was divided, how calibrated the test part is and what was
// trained on.
func completeCard(given *schemas.Card, o RunOptions, r *Result, train Examples, times []time.Time) *schemas.Card {
	card := &schemas.Card{}
	if given != nil {
		card = proto.Clone(given).(*schemas.Card)
	}
	if card.History == nil {
		card.History = &schemas.TrainingHistory{}
	}
	card.History.Rows = uint64(r.Train + r.Validation + r.Test)
	times = slices.DeleteFunc(slices.Clone(times), time.Time.IsZero)
	if len(times) > 0 {
		card.History.First, card.History.Last = schemas.Time(slices.MinFunc(times, time.Time.Compare)), schemas.Time(slices.MaxFunc(times, time.Time.Compare))
	}
	card.Split = &schemas.TrainingSplit{Train: uint64(r.Train), Validation: uint64(r.Validation), Test: uint64(r.Test), Seed: o.Seed, Method: o.method()}
	card.Calibration = calibration(r.Evaluation)
	card.Baseline = baseline(train, len(o.Taxonomy.Categories))
	return card
}

// method says how the history was divided.
func (o RunOptions) method() string {
	switch {
	case o.Repeat != nil:
		return "that of an earlier training"
	case o.Split == ByTime:
		return "the newest are tested on"
	case o.Split == ByVacancy:
		return "stratified"
	}
	return "stratified, no employer in two parts"
}

// calibration is what a card says of an evaluation.
func calibration(e Evaluation) *schemas.Calibration {
	c := &schemas.Calibration{Ece: e.ECE}
	for _, b := range e.Reliability {
		c.Bins = append(c.Bins, &schemas.CalibrationBin{Count: uint64(b.N), Confidence: b.Confidence, Accuracy: b.Accuracy})
	}
	return c
}

// baseline describes the vectors and categories that were trained on. Sums are in float64, in two passes, so that little is lost.
func baseline(e Examples, k int) *schemas.Baseline {
	b := &schemas.Baseline{Rows: uint64(e.Len())}
	if e.Len() == 0 {
		return b
	}
	n, dim := float64(e.Len()), len(e.Vectors[0])
	mean, variance, shares := make([]float64, dim), make([]float64, dim), make([]float64, k)
	for i, v := range e.Vectors {
		for j, x := range v {
			mean[j] += float64(x) / n
		}
		shares[e.Categories[i]] += 1 / n
	}
	for _, v := range e.Vectors {
		for j, x := range v {
			gap := float64(x) - mean[j]
			variance[j] += gap * gap / n
		}
	}
	b.Mean, b.Variance, b.Shares = narrow(mean), narrow(variance), narrow(shares)
	return b
}
