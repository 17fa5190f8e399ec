package trainer

import (
	"cmp"
	"fmt"
	"slices"
)

// Mistake is a vacancy whose prediction is wrong.
type Mistake struct {
	// ID is the vacancy's.
	ID        string `json:"id"`
	True      int    `json:"true"`
	Predicted int    `json:"predicted"`
	// Confidence is the probability of the prediction, TrueProbability that of the true category.
	Confidence      float64 `json:"confidence"`
	TrueProbability float64 `json:"true_probability"`
}

// Mistakes returns the most confident wrong predictions, at most limit, the most confident first. Often it is
// the label that is wrong.
func Mistakes(ids []string, probabilities [][]float32, truth []int, limit int) []Mistake {
	if len(ids) != len(truth) {
		panic(fmt.Sprintf("BUG: %d ids of %d vacancies", len(ids), len(truth)))
	}
	var wrong []Mistake
	for i, predicted := range Predictions(probabilities) {
		if predicted != truth[i] {
			p := probabilities[i]
			wrong = append(wrong, Mistake{ID: ids[i], True: truth[i], Predicted: predicted, Confidence: float64(p[predicted]), TrueProbability: float64(p[truth[i]])})
		}
	}
	slices.SortStableFunc(wrong, func(a, b Mistake) int { return cmp.Compare(b.Confidence, a.Confidence) })
	return wrong[:min(limit, len(wrong))]
}
