package trainer

import (
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"jobstrom/schemas"
)

// TestPart is the vacancies that a result was evaluated on. Every slice has one entry for each.
type TestPart struct {
	Examples
	IDs, Sources []string
	Times        []time.Time
	// Probabilities are what the classifier says.
	Probabilities [][]float32
}

// Candidate is one setting that was tried, and how it did on vacancies that were held out.
type Candidate struct {
	Setting string  `json:"setting"`
	LogLoss float64 `json:"log_loss"`
	Top1    float64 `json:"top1"`
	Top3    float64 `json:"top3"`
}

// Result is a trained classifier and how it came about.
type Result struct {
	// Classifier is sealed.
	Classifier *schemas.Classifier
	// Evaluation is that of the test part, which neither training nor choosing has seen.
	Evaluation Evaluation
	// Candidates are the penalties that were tried, judged on the validation part.
	Candidates []Candidate
	// Curves say how the candidates were fitted, in their order.
	Curves []Curve
	// Train, Validation and Test count the vacancies of each part.
	Train, Validation, Test int
	// TestPart is what Evaluation was measured on.
	TestPart TestPart
	// Parts says in which part each vacancy was.
	Parts Parts
	// LeftOut counts vacancies of the history that the split to repeat does not name, Gone those that it names and the history lacks.
	LeftOut, Gone int

	history *collected
}

// Close frees the vectors. Those of the test part must not be touched afterwards.
func (r *Result) Close() error { return r.history.vectors.close() }

// Text renders the result for people.
func (r Result) Text(names []string) string {
	return fmt.Sprintf("trained on %d vacancies, chosen on %d, evaluated on %d: %s\n\n%s\n\n%s",
		r.Train, r.Validation, r.Test, r.Classifier.Id, candidateTable(r.Candidates), r.Evaluation.Text(names))
}

func candidateTable(candidates []Candidate) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"setting", "log loss", "top-1", "top-3"})
	t.SetColumnConfigs(numbers(2, 3, 4))
	for _, c := range candidates {
		t.AppendRow(table.Row{c.Setting, fmt.Sprintf("%.4f", c.LogLoss), fmt.Sprintf("%.3f", c.Top1), fmt.Sprintf("%.3f", c.Top3)})
	}
	return t.Render()
}
