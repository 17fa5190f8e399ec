package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"

	"jobstrom/bench/figures"
	"jobstrom/models"
	"jobstrom/pipeline/embed"
	"jobstrom/pipeline/extract"
	"jobstrom/producers"
	"jobstrom/samples"
	"jobstrom/schemas"
	"jobstrom/trainer"
)

// rarestFirst are the categories in the order of counts. Of the real history the five rarest and the five most common are
// known by name; the twelve between them stand in the order of their indices.
var rarestFirst = []int{17, 19, 2, 12, 9, 1, 3, 4, 5, 6, 7, 8, 11, 14, 18, 20, 21, 10, 15, 13, 0, 16}

// fewestSamples is how many vacancies the rarest category has at least: with fewer it would be in no test part.
const fewestSamples = 4

// sampled compares the methods on the sample vacancies, embedded by the real encoder and made imbalanced.
func sampled(ctx context.Context, o recipeOptions) error {
	taxonomy := schemas.Jobnet()
	rows, encoder, err := embedSamples(ctx, taxonomy)
	if err != nil {
		return err
	}
	figures.Note("the reference recipe and ours on the samples (vacancies.jsonl, history.jsonl), embedded by %s", encoder.Name)
	figures.Note("a category has as many of its 55 as the root of its share in the real history says, at least %d; which ones is drawn anew for each run; no employer is in two parts", fewestSamples)
	var c contest
	for draw := range o.draws {
		seed := uint64(draw + 1)
		if err := c.run(ctx, drawSamples(rows, seed), rarestFirst[0], trainer.RunOptions{Encoder: encoder.ID, Taxonomy: taxonomy, Seed: seed}); err != nil {
			return err
		}
	}
	c.report(partSamples, rarestFirst, o.draws)
	return nil
}

// drawSamples leaves out vacancies at random until the categories are as unequal as the roots of counts. The true shares
// would leave most categories with a handful of vacancies.
func drawSamples(rows []trainer.Row, seed uint64) []trainer.Row {
	random := rand.New(rand.NewPCG(seed, 2))
	of := make([]int, len(counts))
	for _, r := range rows {
		of[r.Category]++
	}
	most := counts[len(counts)-1]
	left := make([]int, len(counts))
	for i, k := range rarestFirst {
		left[k] = max(fewestSamples, int(math.Round(float64(of[k])*math.Sqrt(counts[i]/most))))
	}
	var drawn []trainer.Row
	for _, i := range random.Perm(len(rows)) {
		if k := rows[i].Category; left[k] > 0 {
			drawn = append(drawn, rows[i])
			left[k]--
		}
	}
	return drawn
}

// embedSamples extracts and embeds the labelled samples as the pipeline does.
func embedSamples(ctx context.Context, taxonomy *schemas.Taxonomy) ([]trainer.Row, models.EncoderCard, error) {
	more, err := os.ReadFile("samples/history.jsonl")
	if err != nil {
		return nil, models.EncoderCard{}, fmt.Errorf("reading the samples: %w; run it from the repository's folder", err)
	}
	var vacancies []*schemas.Vacancy
	var rows []trainer.Row
	for _, from := range []io.Reader{samples.Vacancies(), bytes.NewReader(more)} {
		var bad error
		err := producers.Read(from, "samples", producers.JSONL, producers.ReadOptions{}, func(_ int, v *schemas.Vacancy) error {
			category, err := taxonomy.Find(v.Category)
			if err != nil {
				return err
			}
			vacancies = append(vacancies, v)
			rows = append(rows, trainer.Row{Category: category.Index, Group: v.Employer, ID: v.Id})
			return nil
		}, func(line *producers.BadLine) { bad = line })
		if err == nil {
			err = bad
		}
		if err != nil {
			return nil, models.EncoderCard{}, fmt.Errorf("reading the samples: %w", err)
		}
	}
	extractor, err := extract.New(extract.Options{Taxonomy: taxonomy})
	if err != nil {
		return nil, models.EncoderCard{}, err
	}
	results, err := extractor.Extract(ctx, vacancies)
	if err != nil {
		return nil, models.EncoderCard{}, err
	}
	texts := make([]string, len(results))
	for i, r := range results {
		if r.Err != nil {
			return nil, models.EncoderCard{}, fmt.Errorf("extracting sample %s: %w", vacancies[i].Id, r.Err)
		}
		texts[i] = r.Extraction.Text
	}
	encoder, err := embed.New(embed.Options{})
	if err != nil {
		return nil, models.EncoderCard{}, err
	}
	defer encoder.Close()
	vectors, err := encoder.Embed(ctx, texts)
	if err != nil {
		return nil, models.EncoderCard{}, err
	}
	for i, v := range vectors {
		rows[i].Vector = v.Values
	}
	return rows, encoder.Card(), nil
}
