package main

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"jobstrom/pipeline"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/samples"
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
	if b.vacancies, err = vacancies(o.vacancies); err != nil {
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

// vacancies returns n vacancies whose texts differ: the samples, then each with the title of another of its category, so that lengths stay what they are.
func vacancies(n int) ([]*schemas.Vacancy, error) {
	var all []*schemas.Vacancy
	categories := map[string][]*schemas.Vacancy{}
	err := producers.Read(samples.Vacancies(), "samples", producers.JSONL, producers.ReadOptions{}, func(_ int, v *schemas.Vacancy) error {
		all, categories[v.Category] = append(all, v), append(categories[v.Category], v)
		return nil
	}, func(bad *producers.BadLine) { err := fmt.Errorf("reading samples: %v", bad); panic(err) })
	if err != nil {
		return nil, err
	}
	place := map[*schemas.Vacancy]int{}
	most := 0
	for _, of := range categories {
		for i, v := range of {
			place[v] = i
		}
		if most == 0 || len(of) < most {
			most = len(of)
		}
	}
	if n > most*len(all) {
		return nil, fmt.Errorf("-vacancies (%d) must be at most %d: %d titles for each of %d samples", n, most*len(all), most, len(all))
	}
	made := make([]*schemas.Vacancy, n)
	for i := range made {
		sample, turn := all[i%len(all)], i/len(all)
		of := categories[sample.Category]
		v := proto.Clone(sample).(*schemas.Vacancy)
		v.Title, v.Id = of[(place[sample]+turn)%len(of)].Title, fmt.Sprintf("%s-%d", sample.Id, turn)
		v.Category = "" // labels are no part of the flow
		made[i] = v
	}
	return made, nil
}
