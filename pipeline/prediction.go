package pipeline

import (
	"crypto/sha256"
	"time"

	"jobstrom/schemas"
)

// APIPredictions are what is kept of a request's answers, those of them that are no errors: vector and classification with the names of the categories and the identity of the
// encoder, and no text of the vacancy. At is when they were given; a vacancy that does not say when it was published counts as published then.
func APIPredictions(results []Result, names []string, encoder string, at time.Time) []*schemas.ApiPrediction {
	var kept []*schemas.ApiPrediction
	for _, r := range results {
		if r.Err != nil {
			continue
		}
		x := r.Extraction
		c := Classification(x, r.Prediction, names, r.Model, encoder)
		c.Truncated, c.ClassifiedAt = r.Vector.Truncated, schemas.Time(at)
		if c.PublishedAt == nil {
			c.PublishedAt = c.ClassifiedAt
		}
		p := &schemas.ApiPrediction{
			Embedding: &schemas.Embedding{
				Extraction: &schemas.Extraction{
					Id: x.GetId(), Source: x.GetSource(), Language: x.GetLanguage(), TextLength: x.GetTextLength(), EmployerHash: x.GetEmployerHash(),
					PublishedAt: c.PublishedAt, Attributes: x.GetAttributes(), Removed: x.GetRemoved(), Extractor: x.GetExtractor(),
				},
				Vector: r.Vector.Values, Encoder: encoder, Tokens: uint32(r.Vector.Tokens), Truncated: r.Vector.Truncated,
			},
			Classification: c,
		}
		if text := x.GetText(); text != "" {
			hash := sha256.Sum256([]byte(text))
			p.TextHash = hash[:]
		}
		kept = append(kept, p)
	}
	return kept
}
