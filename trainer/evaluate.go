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
	// MacroF1 is the mean F1 of the categories that occur or are predicted.
	MacroF1 float64 `json:"macro_f1"`
	// LogLoss is the mean −log of the true category's probability, in nats; probabilities count as 1e-15 or more.
	LogLoss float64 `json:"log_loss"`
	// ECE is the expected calibration error: the mean gap between confidence and accuracy over ten equal
	// ranges of confidence.
	ECE float64 `json:"ece"`
	// Categories holds one for each category, in index order.
	Categories []CategoryEvaluation `json:"categories"`
	// Confusion counts vacancies: Confusion[true][predicted].
	Confusion [][]int `json:"confusion"`
}

// eceBins is the usual number of ranges of confidence.
const eceBins = 10

// Evaluate compares probabilities with the true categories, 0 to k-1. Of two equal probabilities the lower
// index ranks first, as in a prediction.
func Evaluate(probabilities [][]float32, truth []int, k int) Evaluation {
	if len(probabilities) != len(truth) {
		panic(fmt.Sprintf("BUG: evaluating %d predictions against %d labels", len(probabilities), len(truth)))
	}
	e := Evaluation{N: len(truth), Categories: make([]CategoryEvaluation, k), Confusion: make([][]int, k)}
	for c := range e.Confusion {
		e.Confusion[c] = make([]int, k)
	}
	if e.N == 0 {
		return e
	}
	var right, among3 int
	var loss float64
	var confidence, accuracy [eceBins]float64
	for i, p := range probabilities {
		best, rank := 0, 0
		for c, q := range p {
			if q > p[best] {
				best = c
			}
			if q > p[truth[i]] || q == p[truth[i]] && c < truth[i] {
				rank++
			}
		}
		e.Confusion[truth[i]][best]++
		bin := min(int(float64(p[best])*eceBins), eceBins-1)
		confidence[bin] += float64(p[best])
		if rank == 0 {
			right++
			accuracy[bin]++
		}
		if rank < 3 {
			among3++
		}
		loss -= math.Log(max(float64(p[truth[i]]), 1e-15))
	}
	n := float64(e.N)
	e.Top1, e.Top3, e.LogLoss = float64(right)/n, float64(among3)/n, loss/n
	e.Top1Low, e.Top1High = wilson(right, e.N)
	for bin := range confidence {
		e.ECE += math.Abs(confidence[bin]-accuracy[bin]) / n
	}
	e.perCategory()
	return e
}

// perCategory reads the categories' figures off the confusion matrix.
func (e *Evaluation) perCategory() {
	counted := 0
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
		}
		if support+predicted > 0 {
			r.F1 = 2 * hits / float64(support+predicted)
			e.MacroF1 += r.F1
			counted++
		}
	}
	e.MacroF1 /= float64(max(counted, 1))
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
		"macro_f1": e.MacroF1, "log_loss": e.LogLoss, "ece": e.ECE,
	}
}

// Text renders the figures, the categories and the confusion matrix for people. Names are the categories'.
func (e Evaluation) Text(names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d vacancies: top-1 %.3f (95 %% between %.3f and %.3f), top-3 %.3f, macro F1 %.3f, log loss %.3f, calibration error %.3f\n\n",
		e.N, e.Top1, e.Top1Low, e.Top1High, e.Top3, e.MacroF1, e.LogLoss, e.ECE)
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
