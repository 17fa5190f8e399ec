package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"jobstrom/pipeline"
	"jobstrom/schemas"
)

// What is kept of the API's answers is what the stages would have made of the vacancies, without a word of their text.
func TestAPIPredictionsHoldNoText(t *testing.T) {
	p := load(t)
	published := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	results, err := p.Run(t.Context(), []*schemas.Vacancy{
		{Id: "v-1", Title: "Murer", Text: "Vi søger en murer til facaderenovering i Vejle. Du skal mure og fuge.", Source: "jobnet", PublishedAt: schemas.Time(published)},
		{Id: "v-2", Text: "?"},
		{Id: "v-3", Text: "Kantinen mangler en kok, der kan lave grøn mad til 200 gæster hver dag."},
	})
	if err != nil {
		t.Fatal(err)
	}
	at := published.Add(time.Hour)
	kept := pipeline.APIPredictions(results, p.Taxonomy.Names(), p.Encoder.Card().ID, at)
	if len(kept) != 2 {
		t.Fatalf("%d predictions, want those of the two vacancies that were answered", len(kept))
	}
	for k, i := range []int{0, 2} {
		r, e, c := results[i], kept[k].Embedding, kept[k].Classification
		if c.Id != r.Extraction.Id || e.Extraction.Id != c.Id || c.Category != p.Taxonomy.Names()[r.Prediction.Category] || c.Model != r.Model || c.Encoder != p.Encoder.Card().ID || e.Encoder != c.Encoder {
			t.Errorf("got %v", c)
		}
		if !slices.Equal(e.Vector, r.Vector.Values) || int(e.Tokens) != r.Vector.Tokens || !c.ClassifiedAt.AsTime().Equal(at) {
			t.Errorf("got %v", e)
		}
		if hash := sha256.Sum256([]byte(r.Extraction.Text)); !bytes.Equal(kept[k].TextHash, hash[:]) {
			t.Errorf("hash %x, want %x", kept[k].TextHash, hash)
		}
		x := e.Extraction
		if x.Text != "" || len(x.Entities)+len(x.Occupations)+len(x.Skills)+len(x.Tasks) > 0 || x.TextLength == 0 {
			t.Errorf("got %v", x)
		}
		value, err := schemas.Encode(schemas.Protobuf, kept[k])
		if err != nil || bytes.Contains(value, []byte(r.Extraction.Text)) {
			t.Errorf("the record holds the text (%v)", err)
		}
	}
	if got := kept[0].Classification.PublishedAt.AsTime(); !got.Equal(published) || !kept[0].Embedding.Extraction.PublishedAt.AsTime().Equal(published) {
		t.Errorf("published at %v", got)
	}
	if got := kept[1].Classification.PublishedAt.AsTime(); !got.Equal(at) || !kept[1].Embedding.Extraction.PublishedAt.AsTime().Equal(at) {
		t.Errorf("a vacancy without a time was published at %v, want %v", got, at)
	}
}
