package trainer

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// McNemarTest compares two classifiers on the same vacancies by those that only one of them gets right.
type McNemarTest struct {
	// FirstOnly and SecondOnly count the vacancies that only the first or the second gets right.
	FirstOnly  int `json:"first_only"`
	SecondOnly int `json:"second_only"`
	// Exact says that the exact binomial test was made, as it is for fewer than 25 such vacancies; otherwise
	// it is the χ² test with continuity correction.
	Exact bool `json:"exact"`
	// Statistic is the smaller count for the exact test, otherwise χ².
	Statistic float64 `json:"statistic"`
	// P is how likely a difference as large is between two that are equally good.
	P float64 `json:"p"`
}

// fewDiscordant is the usual bound below which χ² is no good approximation.
const fewDiscordant = 25

// McNemar compares two predictions of the same vacancies.
func McNemar(first, second, truth []int) McNemarTest {
	if len(first) != len(truth) || len(second) != len(truth) {
		panic(fmt.Sprintf("BUG: comparing %d and %d predictions of %d vacancies", len(first), len(second), len(truth)))
	}
	var t McNemarTest
	for i, category := range truth {
		switch {
		case first[i] == category && second[i] != category:
			t.FirstOnly++
		case first[i] != category && second[i] == category:
			t.SecondOnly++
		}
	}
	n := float64(t.FirstOnly + t.SecondOnly)
	if n < fewDiscordant {
		t.Exact, t.Statistic, t.P = true, float64(min(t.FirstOnly, t.SecondOnly)), 1
		if n > 0 {
			t.P = min(1, 2*distuv.Binomial{N: n, P: .5}.CDF(t.Statistic))
		}
		return t
	}
	gap := math.Abs(float64(t.FirstOnly-t.SecondOnly)) - 1
	t.Statistic = gap * gap / n
	t.P = distuv.ChiSquared{K: 1}.Survival(t.Statistic)
	return t
}

// Predictions returns the most probable category of each row, the lower index of two equals.
func Predictions(probabilities [][]float32) []int {
	all := make([]int, len(probabilities))
	for i, p := range probabilities {
		for c, q := range p {
			if q > p[all[i]] {
				all[i] = c
			}
		}
	}
	return all
}
