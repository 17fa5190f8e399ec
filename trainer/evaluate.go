package trainer

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// CategoryEvaluation says how well one category is predicted.
type CategoryEvaluation struct {
	// Precision is the share of its predictions that are right, Recall the share of its vacancies that are
	// found; 0 where there are none. F1 is their harmonic mean.
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	// Support counts its vacancies.
	Support int `json:"support"`
}

// Evaluation says how good predictions are. Without vacancies all figures are 0.
type Evaluation struct {
	// N counts the vacancies.
	N int `json:"n"`
	// Top1 is the share whose category is the most probable one, Top3 the share where it is among three.
	Top1 float64 `json:"top1"`
	Top3 float64 `json:"top3"`
	// Top1Low and Top1High bound Top1 with 95 % confidence (Wilson's score interval).
	Top1Low  float64 `json:"top1_low"`
	Top1High float64 `json:"top1_high"`
	// Balanced is the mean recall of the categories that occur.
	Balanced float64 `json:"balanced_accuracy"`
	// MacroF1 is the mean F1 of the categories that occur or are predicted; WeightedF1 weighs each category by
	// its vacancies; MicroF1 counts all categories' hits together, which with one category a vacancy is Top1.
	MacroF1    float64 `json:"macro_f1"`
	WeightedF1 float64 `json:"weighted_f1"`
	MicroF1    float64 `json:"micro_f1"`
	// LogLoss is the mean −log of the true category's probability, in nats; probabilities count as 2⁻⁵² or more.
	LogLoss float64 `json:"log_loss"`
	// Brier is the mean squared distance between the probabilities and the truth, 0 to 2.
	Brier float64 `json:"brier"`
	// ECE is the expected calibration error: the mean gap between confidence and accuracy over ten equal
	// ranges of confidence, each with its lower end. AdaptiveECE has ten ranges with equally many vacancies.
	ECE         float64 `json:"ece"`
	AdaptiveECE float64 `json:"adaptive_ece"`
	// Reliability holds the ten equal ranges.
	Reliability []Bin `json:"reliability"`
	// Categories holds one for each category, in index order.
	Categories []CategoryEvaluation `json:"categories"`
	// Confusion counts vacancies: Confusion[true][predicted].
	Confusion [][]int `json:"confusion"`
}

// rarestProbability is what a probability of 0 counts as in the log loss, so that it has one.
const rarestProbability = 0x1p-52

// Evaluate compares probabilities with the true categories, 0 to k-1. Of two equal probabilities the lower
// index ranks first, as in a prediction.
func Evaluate(probabilities [][]float32, truth []int, k int) Evaluation {
	all := outcomes(probabilities, truth)
	positions := make([]int, len(all))
	for i := range positions {
		positions[i] = i
	}
	e := tally(all, k, positions)
	e.AdaptiveECE = calibrationError(equalCounts(all))
	return e
}

// outcome is what one prediction adds to an evaluation.
type outcome struct {
	truth, predicted int
	rank             int // of the true category, from 0
	confidence       float64
	loss, brier      float64
}

func outcomes(probabilities [][]float32, truth []int) []outcome {
	if len(probabilities) != len(truth) {
		panic(fmt.Sprintf("BUG: evaluating %d predictions against %d labels", len(probabilities), len(truth)))
	}
	all := make([]outcome, len(truth))
	for i, p := range probabilities {
		o := outcome{truth: truth[i]}
		for c, q := range p {
			if q > p[o.predicted] {
				o.predicted = c
			}
			if q > p[o.truth] || q == p[o.truth] && c < o.truth {
				o.rank++
			}
			gap := float64(q)
			if c == o.truth {
				gap--
			}
			o.brier += gap * gap
		}
		o.confidence = float64(p[o.predicted])
		o.loss = -math.Log(max(float64(p[o.truth]), rarestProbability))
		all[i] = o
	}
	return all
}

// tally evaluates the outcomes at these positions, which may repeat, without AdaptiveECE.
func tally(all []outcome, k int, positions []int) Evaluation {
	e := Evaluation{N: len(positions), Categories: make([]CategoryEvaluation, k), Confusion: make([][]int, k)}
	for c := range e.Confusion {
		e.Confusion[c] = make([]int, k)
	}
	e.Reliability = equalRanges()
	if e.N == 0 {
		return e
	}
	var right, among3 int
	for _, i := range positions {
		o := all[i]
		e.Confusion[o.truth][o.predicted]++
		if o.rank == 0 {
			right++
		}
		if o.rank < 3 {
			among3++
		}
		e.LogLoss += o.loss
		e.Brier += o.brier
		e.Reliability[rangeOf(o.confidence)].add(o)
	}
	n := float64(e.N)
	e.Top1, e.Top3 = float64(right)/n, float64(among3)/n
	e.LogLoss, e.Brier = e.LogLoss/n, e.Brier/n
	e.Top1Low, e.Top1High = wilson(right, e.N)
	for b := range e.Reliability {
		e.Reliability[b].close()
	}
	e.ECE = calibrationError(e.Reliability)
	e.perCategory()
	return e
}

// perCategory reads the categories' figures off the confusion matrix.
func (e *Evaluation) perCategory() {
	var occurring, counted, right int
	for c := range e.Categories {
		var support, predicted int
		for other := range e.Categories {
			support += e.Confusion[c][other]
			predicted += e.Confusion[other][c]
		}
		hits := float64(e.Confusion[c][c])
		r := &e.Categories[c]
		r.Support = support
		if predicted > 0 {
			r.Precision = hits / float64(predicted)
		}
		if support > 0 {
			r.Recall = hits / float64(support)
			e.Balanced += r.Recall
			occurring++
		}
		right += e.Confusion[c][c]
		if support+predicted > 0 {
			r.F1 = 2 * hits / float64(support+predicted)
			e.MacroF1 += r.F1
			e.WeightedF1 += r.F1 * float64(support) / float64(e.N)
			counted++
		}
	}
	e.MacroF1 /= float64(max(counted, 1))
	e.Balanced /= float64(max(occurring, 1))
	e.MicroF1 = float64(right) / float64(e.N)
}

// wilson returns the 95 % score interval of a share.
func wilson(hits, n int) (low, high float64) {
	const z = 1.959963984540054
	size, p := float64(n), float64(hits)/float64(n)
	middle := (p + z*z/(2*size)) / (1 + z*z/size)
	half := z / (1 + z*z/size) * math.Sqrt(p*(1-p)/size+z*z/(4*size*size))
	return max(0, middle-half), min(1, middle+half)
}

// Metrics returns the figures by their JSON names, as a classifier carries them.
func (e Evaluation) Metrics() map[string]float64 {
	return map[string]float64{
		"n": float64(e.N), "top1": e.Top1, "top1_low": e.Top1Low, "top1_high": e.Top1High, "top3": e.Top3,
		"balanced_accuracy": e.Balanced, "macro_f1": e.MacroF1, "weighted_f1": e.WeightedF1, "micro_f1": e.MicroF1,
		"log_loss": e.LogLoss, "brier": e.Brier, "ece": e.ECE, "adaptive_ece": e.AdaptiveECE,
	}
}

// Text renders the figures, the categories and the confusion matrix for people. Names are the categories'.
func (e Evaluation) Text(names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d vacancies: top-1 %.3f (95 %% between %.3f and %.3f), top-3 %.3f, balanced %.3f, macro F1 %.3f, weighted F1 %.3f, log loss %.3f, Brier %.3f, calibration error %.3f\n\n",
		e.N, e.Top1, e.Top1Low, e.Top1High, e.Top3, e.Balanced, e.MacroF1, e.WeightedF1, e.LogLoss, e.Brier, e.ECE)
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"", "category", "n", "precision", "recall", "F1"})
	t.SetColumnConfigs(numbers(1, 3, 4, 5, 6))
	for c, r := range e.Categories {
		t.AppendRow(table.Row{c, names[c], r.Support, fmt.Sprintf("%.2f", r.Precision), fmt.Sprintf("%.2f", r.Recall), fmt.Sprintf("%.2f", r.F1)})
	}
	b.WriteString(t.Render())
	b.WriteString("\n\nrows: the true category; columns: the predicted one\n")
	b.WriteString(e.confusionTable())
	b.WriteByte('\n')
	return b.String()
}

func (e Evaluation) confusionTable() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	header, columns := table.Row{""}, []int{1}
	for c := range e.Confusion {
		header, columns = append(header, strconv.Itoa(c)), append(columns, c+2)
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(numbers(columns...))
	for c, counts := range e.Confusion {
		row := table.Row{strconv.Itoa(c)}
		for _, n := range counts {
			if n == 0 {
				row = append(row, "·")
			} else {
				row = append(row, strconv.Itoa(n))
			}
		}
		t.AppendRow(row)
	}
	return t.Render()
}

// numbers aligns columns to the right.
func numbers(columns ...int) []table.ColumnConfig {
	var configs []table.ColumnConfig
	for _, c := range columns {
		configs = append(configs, table.ColumnConfig{Number: c, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}
