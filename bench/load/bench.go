package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"jobstrom/bench/bare"
	"jobstrom/bench/vacancies"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// bench holds what the parts share.
type bench struct {
	options
	native string // folder
	folder string // of this run alone
	card   models.EncoderCard
	loop   *bare.Loop
	texts  []string // the extracted ones
	bodies [][]byte // of the requests, in the same order
}

// extracted is the attribute in which a request carries the extracted text to servers that have no extractor. Ours drops attributes that it was not told to keep.
const extracted = "extracted"

func prepare(o options) (_ *bench, err error) {
	o.encoder.EnsureDefaults()
	b := &bench{options: o}
	if b.native, err = models.NativeDir(); err != nil {
		return nil, err
	}
	if b.program, err = filepath.Abs(o.program); err != nil {
		return nil, err
	}
	if b.card, err = models.ReadEncoderCard(o.encoder.ModelDir); err != nil {
		return nil, err
	}
	if err := b.read(); err != nil {
		return nil, err
	}
	if b.folder, err = os.MkdirTemp("", "bench-load-*"); err != nil {
		return nil, err
	}
	if err := b.writeClassifier(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.folder))
	}
	if b.loop, err = bare.Open(o.encoder, nil); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.folder))
	}
	return b, nil
}

func (b *bench) close() {
	_ = b.loop.Close()
	_ = os.RemoveAll(b.folder)
}

// read makes the vacancies, their extracted texts and the requests.
func (b *bench) read() error {
	all, err := vacancies.Distinct(b.options.vacancies)
	if err != nil {
		return err
	}
	extractor, err := extract.New(extract.Options{Taxonomy: schemas.Jobnet()})
	if err != nil {
		return err
	}
	results, err := extractor.Extract(context.Background(), all)
	if err != nil {
		return err
	}
	for i, r := range results {
		v := all[i]
		if r.Err != nil {
			return fmt.Errorf("extracting %s: %w", v.Id, r.Err)
		}
		v.Attributes = map[string]string{extracted: r.Extraction.Text}
		body, err := schemas.Encode(schemas.JSON, v)
		if err != nil {
			return err
		}
		b.texts, b.bodies = append(b.texts, r.Extraction.Text), append(b.bodies, body)
	}
	return nil
}

// classifierFile is where peers read the classifier that ours answers with.
func (b *bench) classifierFile() string { return filepath.Join(b.folder, "classifier.json") }

func (b *bench) writeClassifier() error {
	c, err := classify.DefaultModel(b.card.ID)
	if err != nil {
		return err
	}
	weights, rows := models.Weights(c), make([][]float32, models.Rows(c))
	for r := range rows {
		rows[r] = weights[r*int(c.Dim) : (r+1)*int(c.Dim)]
	}
	mean := c.Mean
	if len(mean) == 0 {
		mean = make([]float32, c.Dim)
	}
	owners := c.Owners // the category of each row
	for r := 0; len(owners) < len(rows); r++ {
		owners = append(owners, uint32(r))
	}
	data, err := json.Marshal(map[string]any{
		"categories": schemas.Jobnet().Names(), "weights": rows, "bias": c.Bias, "owners": owners, "mean": mean, "temperature": c.Temperature,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(b.classifierFile(), data, 0o644)
}
