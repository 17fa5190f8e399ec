// Package pipeline is the three stages in one go: extract, embed, classify.
//
// It is pure: batches in, batches out; no Kafka, no ClickHouse, no HTTP. The stage runner, the API, the commands and the benchmarks call the same
// functions. It promises that a vacancy's answer does not depend on the batch it came in.
package pipeline

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"

	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// Pipeline holds the three stages, or those of them that a process needs.
type Pipeline struct {
	Extractor *extract.Extractor
	Encoder   *embed.Encoder
	// Live is the classifier, which may be swapped between two batches.
	Live *classify.Live
	// Taxonomy names the categories.
	Taxonomy *schemas.Taxonomy
}

// Result is the answer to one vacancy, or the reason why there is none.
type Result struct {
	Extraction *schemas.Extraction
	Vector     embed.Vector
	Prediction classify.Prediction
	// Model is the classifier that answered.
	Model string
	Err   error
	// Source is what the entities' places refer to, and Personal the personal data in it: to be blanked before it is shown.
	Source   string
	Personal []extract.Span
}

// Close closes the extractor's model and the encoder, those that are there.
func (p *Pipeline) Close() error {
	var err error
	if p.Extractor != nil {
		err = p.Extractor.Close()
	}
	if p.Encoder != nil {
		err = errors.Join(err, p.Encoder.Close())
	}
	return err
}

// Run answers each vacancy, in order. Its error concerns the whole batch.
func (p *Pipeline) Run(ctx context.Context, vacancies []*schemas.Vacancy) ([]Result, error) {
	within, span := part(ctx, "extract")
	extracted, err := p.Extractor.Extract(within, vacancies)
	span.End()
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(vacancies))
	texts, place := []string{}, []int{}
	for i, x := range extracted {
		results[i] = Result{Extraction: x.Extraction, Err: x.Err, Source: x.Source, Personal: x.Personal}
		if x.Err == nil {
			texts, place = append(texts, x.Extraction.Text), append(place, i)
		}
	}
	if len(texts) == 0 {
		return results, nil
	}
	within, span = part(ctx, "embed")
	span.SetAttributes(attribute.String("jobstrom.encoder", p.Encoder.Card().ID))
	vectors, err := p.Encoder.Embed(within, texts)
	span.End()
	if err != nil {
		return nil, err
	}
	classifier := p.Live.Load()
	if classifier == nil {
		return nil, ErrNoClassifier
	}
	values := make([][]float32, len(vectors))
	for k, v := range vectors {
		values[k] = v.Values
	}
	_, span = part(ctx, "classify")
	span.SetAttributes(attribute.String("jobstrom.model", classifier.Model()))
	predictions, err := classifier.Classify(p.Encoder.Card().ID, values)
	span.End()
	if err != nil {
		return nil, err
	}
	for k, i := range place {
		results[i].Vector, results[i].Prediction, results[i].Model = vectors[k], predictions[k], classifier.Model()
	}
	return results, nil
}

// ErrNoClassifier is returned while no classifier takes the encoder's vectors.
var ErrNoClassifier = errors.New("no classifier for this encoder: train one with jobstrom train")

// Classification joins an extraction with what the classifier says of it. Times and truncation are the caller's.
func Classification(x *schemas.Extraction, p classify.Prediction, names []string, model, encoder string) *schemas.Classification {
	return &schemas.Classification{
		Id: x.GetId(), Category: names[p.Category], CategoryIndex: uint32(p.Category),
		Confidence: p.Confidence, Probabilities: p.Probabilities,
		Occupations: x.GetOccupations(), Skills: x.GetSkills(), Tasks: x.GetTasks(),
		Model: model, Encoder: encoder, PublishedAt: x.GetPublishedAt(),
	}
}
