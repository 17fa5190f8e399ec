package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"jobstrom/pipeline"
	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// What the one who reads the page is told when a vacancy gets no category.
const (
	nothingFound = "Vi fandt hverken en stillingsbetegnelse, kvalifikationer eller arbejdsopgaver i teksten. Indsæt et mere beskrivende stillingsopslag."
	notReadable  = "Stillingsopslaget kan ikke læses. Det skal være almindelig tekst og må højst fylde 1.000.000 tegn."
)

// blank stands for a code point of personal data.
const blank = "█"

// Outcome is what became of one vacancy.
type Outcome struct {
	// Answer is there also beside an Err: it then says in Danish why nothing was found, and its distribution is uniform.
	Answer *Answer
	// Err wraps extract.ErrNothingExtracted or schemas.ErrMalformed, nil when the vacancy was classified.
	Err    error
	Vector []float32
	// Source is the text that places in the answer refer to, each code point of personal data blanked. Empty when the vacancy was not read.
	Source string
}

// ClassifyVacancies answers vacancies, in order, gives those without an id one, and keeps what was predicted (Sources.Record). Its error concerns all of them: too many, no
// room (pipeline.ErrOverloaded), no classifier, or ctx ended.
func (s *Service) ClassifyVacancies(ctx context.Context, vacancies []*schemas.Vacancy) ([]Outcome, error) {
	outcomes, results, err := s.classify(ctx, vacancies)
	if err == nil && s.Record != nil && len(results) > 0 {
		s.Record(results)
	}
	return outcomes, err
}

// classify returns also the results of those vacancies that were classified.
func (s *Service) classify(ctx context.Context, vacancies []*schemas.Vacancy) ([]Outcome, []pipeline.Result, error) {
	if len(vacancies) > s.MaxTexts {
		return nil, nil, tooMany(len(vacancies), s.MaxTexts)
	}
	began := time.Now()
	outcomes := make([]Outcome, len(vacancies))
	var asked []*schemas.Vacancy
	var place []int
	for i, v := range vacancies {
		if outcomes[i].Err = check(v); outcomes[i].Err == nil {
			asked, place = append(asked, v), append(place, i)
		}
	}
	var results, answered []pipeline.Result
	if len(asked) > 0 {
		var err error
		if results, err = s.Classify(ctx, asked); err != nil {
			return nil, nil, err
		}
		if len(results) != len(asked) {
			return nil, nil, fmt.Errorf("classifying %d vacancies: %d results", len(asked), len(results))
		}
	}
	total := Timings{Total: float64(time.Since(began).Microseconds()) / 1000}
	for k, i := range place {
		r, o := results[k], &outcomes[i]
		var removals []Removal
		o.Source, removals = redact(r.Source, r.Personal)
		if o.Err = r.Err; o.Err == nil {
			o.Answer, o.Vector = s.answer(r), r.Vector.Values
			answered = append(answered, r)
		} else {
			o.Answer = s.unanswered(vacancies[i], o.Err)
		}
		o.Answer.Redactions = removals
	}
	for i := range outcomes {
		if outcomes[i].Answer == nil {
			outcomes[i].Answer = s.unanswered(vacancies[i], outcomes[i].Err)
		}
		outcomes[i].Answer.Timings = total
	}
	return outcomes, answered, nil
}

// check says why a vacancy cannot be classified and gives it an id.
func check(v *schemas.Vacancy) error {
	if strings.TrimSpace(v.Text) == "" {
		if v.Id == "" {
			v.Id = schemas.ContentID(v)
		}
		return fmt.Errorf("%w: the text is empty", extract.ErrNothingExtracted)
	}
	return v.Normalize()
}

// answer renders a result.
func (s *Service) answer(r pipeline.Result) *Answer {
	c := pipeline.Classification(r.Extraction, r.Prediction, s.Taxonomy.Names(), r.Model, s.Encoder)
	a := &Answer{
		CategoryLabel: c.Category, CategoryIndex: int(c.CategoryIndex), Distribution: distribution(c.Probabilities),
		ID: c.Id, Occupations: c.Occupations, Skills: c.Skills, Tasks: c.Tasks,
		Model: c.Model, Encoder: c.Encoder, Truncated: r.Vector.Truncated,
	}
	a.Confidence = a.Distribution[a.CategoryIndex]
	for _, e := range r.Extraction.GetEntities() {
		a.Entities = append(a.Entities, Entity{Label: e.Label, Text: e.Text, Start: int(e.Start), End: int(e.End), Score: float64(e.Score), By: e.By})
	}
	return a
}

// unanswered is what the API says of a vacancy without a category. Nothing is known of it, so every category is as probable as every other, and the first one is named.
func (s *Service) unanswered(v *schemas.Vacancy, err error) *Answer {
	message := notReadable
	if errors.Is(err, extract.ErrNothingExtracted) {
		message = nothingFound
	}
	a := &Answer{
		CategoryLabel: s.Taxonomy.Categories[0].Name, Distribution: make([]float64, len(s.Taxonomy.Categories)),
		FrontendErrorMessage: &message, ID: strings.ToValidUTF8(v.Id, "\ufffd"), Encoder: s.Encoder,
	}
	for i := range a.Distribution {
		a.Distribution[i] = 1 / float64(len(a.Distribution))
	}
	a.Confidence = a.Distribution[0]
	return a
}

// distribution lets probabilities of single precision sum to 1 in double precision.
func distribution(probabilities []float32) []float64 {
	var sum float64
	for _, p := range probabilities {
		sum += float64(p)
	}
	out := make([]float64, len(probabilities))
	for i, p := range probabilities {
		out[i] = float64(p) / sum
	}
	return out
}

// redact blanks personal data and says where it stood, in code points.
func redact(source string, personal []extract.Span) (string, []Removal) {
	if len(personal) == 0 {
		return source, nil
	}
	var out strings.Builder
	removals := make([]Removal, len(personal))
	at, runes := 0, 0
	for i, sp := range personal {
		runes += utf8.RuneCountInString(source[at:sp.Start])
		out.WriteString(source[at:sp.Start])
		n := utf8.RuneCountInString(source[sp.Start:sp.End])
		out.WriteString(strings.Repeat(blank, n))
		removals[i] = Removal{Kind: string(sp.Kind), Start: runes, End: runes + n}
		at, runes = sp.End, runes+n
	}
	out.WriteString(source[at:])
	return out.String(), removals
}
