package trainer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"jobstrom/schemas"
)

// Figures by which trials are ranked.
const (
	// RankLogLoss puts the lowest log loss first.
	RankLogLoss = "log_loss"
	// RankTop1 puts the highest accuracy first.
	RankTop1 = "top1"
	// RankMacroF1 puts the highest macro F1 first.
	RankMacroF1 = "macro_f1"
)

var ranks = []string{RankLogLoss, RankTop1, RankMacroF1}

// Trial is a setting that was tried, and how it did on vacancies that were held out, with the temperature that suits them.
type Trial struct {
	Setting Setting `json:"setting"`
	// The figures are those of Evaluation.
	LogLoss  float64 `json:"log_loss"`
	Top1     float64 `json:"top1"`
	Top3     float64 `json:"top3"`
	MacroF1  float64 `json:"macro_f1"`
	Balanced float64 `json:"balanced_accuracy"`
	// Rarest is the category with the fewest examples among those that occur in both parts, the first of several; -1: there is
	// none. RarestRecall is the share of its held-out vacancies that are found.
	Rarest       int     `json:"rarest"`
	RarestRecall float64 `json:"rarest_recall"`
	// Seconds is what fitting and judging took, beside whatever else ran.
	Seconds float64 `json:"seconds"`
	// Steps counts the iterations of L-BFGS or the epochs of AdamW; Stopped is Curve's.
	Steps   int    `json:"steps"`
	Stopped string `json:"stopped"`
	Curve   Curve  `json:"curve"`
	// Digest is the hex SHA-256 of the classifier before it has an encoder, a taxonomy and an id.
	Digest string `json:"digest"`
	// Error says why the setting has no classifier; the figures are 0 then.
	Error string `json:"error,omitempty"`
	// Classifier is given for the best trial alone; a sweep holds one at a time. It is calibrated and not sealed.
	Classifier *schemas.Classifier `json:"-"`
}

// rankTrials puts the best trial first and those that failed last. Equal ones keep their order.
func rankTrials(trials []Trial, by string) {
	slices.SortStableFunc(trials, func(a, b Trial) int { return compareTrials(by, a, b) })
}

// compareTrials is negative when a is better.
func compareTrials(by string, a, b Trial) int {
	if failed := (a.Error != ""); failed != (b.Error != "") {
		if failed {
			return 1
		}
		return -1
	}
	switch by {
	case RankTop1:
		return cmp.Compare(b.Top1, a.Top1)
	case RankMacroF1:
		return cmp.Compare(b.MacroF1, a.MacroF1)
	}
	return cmp.Compare(a.LogLoss, b.LogLoss)
}

// rarest returns the category with the fewest examples to train on among those that occur in both parts, -1 for none.
func rarest(train, validation Examples, categories int) int {
	counts, held := make([]int, categories), make([]int, categories)
	for _, c := range train.Categories {
		counts[c]++
	}
	for _, c := range validation.Categories {
		held[c]++
	}
	rarest := -1
	for c, n := range counts {
		if n > 0 && held[c] > 0 && (rarest < 0 || n < counts[rarest]) {
			rarest = c
		}
	}
	return rarest
}

// SweepTable renders trials for people, in their order, and below why settings failed.
func SweepTable(trials []Trial) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"", "setting", "log loss", "top-1", "top-3", "macro F1", "rarest recall", "seconds"})
	t.SetColumnConfigs(numbers(1, 3, 4, 5, 6, 7, 8))
	var failures strings.Builder
	for i, r := range trials {
		seconds := fmt.Sprintf("%.1f", r.Seconds)
		if r.Error != "" {
			t.AppendRow(table.Row{i + 1, r.Setting, "·", "·", "·", "·", "·", seconds})
			fmt.Fprintf(&failures, "\n%s: %s", r.Setting, r.Error)
			continue
		}
		recall := "·"
		if r.Rarest >= 0 {
			recall = fmt.Sprintf("%.3f", r.RarestRecall)
		}
		t.AppendRow(table.Row{
			i + 1, r.Setting, fmt.Sprintf("%.4f", r.LogLoss), fmt.Sprintf("%.3f", r.Top1), fmt.Sprintf("%.3f", r.Top3), fmt.Sprintf("%.3f", r.MacroF1), recall, seconds,
		})
	}
	return t.Render() + failures.String()
}
