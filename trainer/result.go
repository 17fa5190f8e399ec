package trainer

import (
	"fmt"
	"strings"
	"time"

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

// Result is a trained classifier and how it came about.
type Result struct {
	// Classifier is sealed.
	Classifier *schemas.Classifier
	// Evaluation is that of the test part, which neither training nor choosing has seen.
	Evaluation Evaluation
	// Trials are the settings that were tried, judged on the validation part, the best first.
	Trials []Trial
	// Train, Validation and Test count the vacancies of each part.
	Train, Validation, Test int
	// TestPart is what Evaluation was measured on.
	TestPart TestPart
	// CrossValidation and WithoutEach judge the best setting on all of the history; nil where that was not asked for.
	CrossValidation *CrossValidation
	WithoutEach     *WithoutEach
	// Parts says in which part each vacancy was.
	Parts Parts
	// LeftOut counts vacancies of the history that the split to repeat does not name, Gone those that it names and the history lacks.
	LeftOut, Gone int

	vectors *vectors
}

// Close frees the vectors. Those of the test part must not be touched afterwards.
func (r *Result) Close() error { return r.vectors.close() }

// Text renders the result for people.
func (r Result) Text(names []string) string {
	parts := []string{
		fmt.Sprintf("trained on %d vacancies, chosen on %d, evaluated on %d: %s", r.Train, r.Validation, r.Test, r.Classifier.Id),
		SweepTable(r.Trials), r.Evaluation.Text(names),
	}
	if r.CrossValidation != nil {
		parts = append(parts, r.CrossValidation.Text())
	}
	if r.WithoutEach != nil {
		parts = append(parts, r.WithoutEach.Text())
	}
	return strings.Join(parts, "\n\n")
}
