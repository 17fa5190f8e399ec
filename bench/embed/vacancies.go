package main

import (
	"context"
	"fmt"

	"jobstrom/bench/vacancies"
	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// bench holds what the parts share.
type bench struct {
	options
	pipeline  *pipeline.Pipeline
	vacancies []*schemas.Vacancy
	texts     []string // the extracted ones
}

func load(o options) (*bench, error) {
	taxonomy := schemas.Jobnet()
	extractor, err := extract.New(extract.Options{Taxonomy: taxonomy})
	if err != nil {
		return nil, err
	}
	encoder, err := embed.New(o.encoder)
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, pipeline: &pipeline.Pipeline{Extractor: extractor, Encoder: encoder, Live: &classify.Live{}, Taxonomy: taxonomy}}
	classifier, err := classify.Default(taxonomy, encoder.Card().ID)
	if err != nil {
		return nil, err
	}
	b.pipeline.Live.Store(classifier)
	if b.vacancies, err = vacancies.Distinct(o.vacancies); err != nil {
		return nil, err
	}
	results, err := extractor.Extract(context.Background(), b.vacancies)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for i, r := range results {
		id, text := b.vacancies[i].Id, r.Extraction.GetText()
		if r.Err != nil {
			return nil, fmt.Errorf("extracting %s: %w", id, r.Err)
		}
		if same, ok := ids[text]; ok {
			return nil, fmt.Errorf("extracting %s: its text is that of %s", id, same)
		}
		ids[text] = id
		b.texts = append(b.texts, text)
	}
	return b, nil
}
