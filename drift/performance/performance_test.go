package performance

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// window draws the probabilities of a classifier that is sometimes sure and sometimes not, and what it predicts, each
// row so many times.
func window(random *rand.Rand, rows, copies int) (probabilities [][]float32, predicted, blocks []int) {
	const k = 6
	for b := range rows {
		row, sum := make([]float32, k), float32(0)
		sharpness := 1 + 3*random.Float64()
		for j := range row {
			row[j] = float32(math.Exp(sharpness * random.NormFloat64()))
			sum += row[j]
		}
		best := 0
		for j := range row {
			row[j] /= sum
			if row[j] > row[best] {
				best = j
			}
		}
		for range copies {
			probabilities, predicted, blocks = append(probabilities, row), append(predicted, best), append(blocks, b)
		}
	}
	return probabilities, predicted, blocks
}

// truth draws labels that the probabilities are calibrated for, one for each block.
func truth(random *rand.Rand, probabilities [][]float32, blocks []int) []int {
	labels, u := make([]int, len(probabilities)), 0.0
	for i, row := range probabilities {
		if i == 0 || blocks[i] != blocks[i-1] {
			u = random.Float64()
		}
		sum := 0.0
		for j, p := range row {
			if sum += float64(p); u < sum || j == len(row)-1 {
				labels[i] = j
				break
			}
		}
	}
	return labels
}

func realised(predicted, labels []int) (accuracy, macroF1 float64) {
	var support, guessed, hits [6]float64
	for i, p := range predicted {
		guessed[p]++
		support[labels[i]]++
		if p == labels[i] {
			hits[p]++
			accuracy += 1 / float64(len(labels))
		}
	}
	counted := 0.0
	for j := range hits {
		if support[j]+guessed[j] > 0 {
			macroF1 += 2 * hits[j] / (support[j] + guessed[j])
			counted++
		}
	}
	return accuracy, macroF1 / counted
}

// The 95 % intervals hold what the labels show in 93 to 97 % of the windows; passing republished vacancies off as independent rows does not.
func TestIntervalsHoldTheRealisedFigures(t *testing.T) {
	f := func(rows, copies int, told bool) (accuracy, macroF1 float64) {
		t.Helper()
		const draws = 400
		random := rand.New(rand.NewPCG(1, 5))
		for i := range draws {
			probabilities, predicted, blocks := window(random, rows, copies)
			a, f1 := realised(predicted, truth(random, probabilities, blocks))
			if !told {
				blocks = nil
			}
			e, err := Estimate(probabilities, predicted, blocks, Options{Seed: uint64(i), Resamples: 200})
			if err != nil {
				t.Fatal(err)
			}
			if a >= e.AccuracyInterval.Low-1e-9 && a <= e.AccuracyInterval.High+1e-9 {
				accuracy += 1.0 / draws
			}
			if f1 >= e.MacroF1Interval.Low-1e-9 && f1 <= e.MacroF1Interval.High+1e-9 {
				macroF1 += 1.0 / draws
			}
		}
		return accuracy, macroF1
	}
	for _, copies := range []int{1, 4} {
		accuracy, macroF1 := f(60, copies, true)
		t.Logf("%d copies: accuracy %.3f, macro F1 %.3f", copies, accuracy, macroF1)
		if accuracy < .93 || accuracy > .97 || macroF1 < .93 || macroF1 > .97 {
			t.Errorf("%d copies: the intervals hold the accuracy in %.3f and macro F1 in %.3f of the windows", copies, accuracy, macroF1)
		}
	}
	if accuracy, _ := f(60, 4, false); accuracy > .8 {
		t.Errorf("untold copies: the interval holds the accuracy in %.3f of the windows, it should be too narrow", accuracy)
	}
}

// By hand: two vacancies of two categories.
func TestEstimateByHand(t *testing.T) {
	e, err := Estimate([][]float32{{.75, .25}, {.5, .5}}, []int{0, 1}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(e.Accuracy-.625) > 1e-9 {
		t.Errorf("the accuracy is %v, want 0.625", e.Accuracy)
	}
	want := []Category{{1, 1.25, .75, .6, 2 * .75 / 2.25}, {1, .75, .5, .5 / .75, 2 * .5 / 1.75}}
	for j, c := range e.Categories {
		for _, d := range []float64{c.Expected - want[j].Expected, c.Precision - want[j].Precision, c.Recall - want[j].Recall, c.F1 - want[j].F1} {
			if math.Abs(d) > 1e-9 || c.Predicted != 1 {
				t.Errorf("category %d is %+v, want %+v", j, c, want[j])
			}
		}
	}
	// Labels 00, 01, 10, 11 have probabilities 3/8, 3/8, 1/8, 1/8 and macro F1 1/3, 1, 0, 1/3.
	if math.Abs(e.MacroF1-(3.0/8/3+3.0/8+1.0/8/3)) > .05 {
		t.Errorf("macro F1 is %v", e.MacroF1)
	}
	if again, _ := Estimate([][]float32{{.75, .25}, {.5, .5}}, []int{0, 1}, nil, Options{}); !reflect.DeepEqual(e, again) {
		t.Errorf("the same seed gave %+v and %+v", e, again)
	}
	sure, err := Estimate([][]float32{{1, 0, 0}}, []int{0}, []int{7}, Options{})
	if err != nil || sure.Accuracy != 1 || sure.MacroF1 != 1 || sure.AccuracyInterval != (Interval{1, 1}) || sure.Categories[2] != (Category{}) {
		t.Errorf("a sure prediction: %+v, %v", sure, err)
	}
}

func TestEstimateRefusesWhatIsNoDistribution(t *testing.T) {
	nan := float32(math.NaN())
	f := func(probabilities [][]float32, predicted, blocks []int, o Options, says string) {
		t.Helper()
		if _, err := Estimate(probabilities, predicted, blocks, o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	f(nil, nil, nil, Options{}, "the window is empty")
	f([][]float32{{}}, []int{0}, nil, Options{}, "predicted category")
	f([][]float32{{.5, .5}}, nil, nil, Options{}, "1 rows of probabilities, 0 predictions")
	f([][]float32{{.5, .5}}, []int{0}, []int{1, 2}, Options{}, "2 blocks")
	f([][]float32{{.5, .5}, {1}}, []int{0, 0}, nil, Options{}, "row 1 has 1 probabilities")
	f([][]float32{{.5, .5}}, []int{2}, nil, Options{}, "the predicted category (2)")
	f([][]float32{{nan, .5}}, []int{0}, nil, Options{}, "category 0 (NaN)")
	f([][]float32{{-.5, 1.5}}, []int{0}, nil, Options{}, "category 0 (-0.5)")
	f([][]float32{{.3, .3}}, []int{0}, nil, Options{}, "together, they must be 1")
	f([][]float32{{.5, .5}}, []int{0}, nil, Options{Resamples: 1, Level: 2}, "Level (2)")
}

// Wilson's interval of 8 of 10 is 0.4902 to 0.9433 (Newcombe 1998 has 81 of 263: 0.2553 to 0.3662).
func TestLabelled(t *testing.T) {
	for _, want := range []Accuracy{{8, 10, .8, Interval{.4902, .9433}}, {81, 263, 81.0 / 263, Interval{.2553, .3662}}, {0, 20, 0, Interval{0, .1611}}} {
		a, err := Labelled(want.Right, want.Labelled, .95)
		if err != nil || math.Abs(a.Interval.Low-want.Interval.Low) > 1e-4 || math.Abs(a.Interval.High-want.Interval.High) > 1e-4 || a.Share != want.Share {
			t.Errorf("%+v, %v, want %+v", a, err, want)
		}
	}
	for _, wrong := range [][2]int{{0, 0}, {-1, 3}, {4, 3}} {
		if _, err := Labelled(wrong[0], wrong[1], .95); err == nil {
			t.Errorf("%v gives no error", wrong)
		}
	}
	if _, err := Labelled(1, 2, math.NaN()); err == nil {
		t.Error("a level of NaN gives no error")
	}
}
