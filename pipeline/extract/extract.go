package extract

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"jobstrom/pipeline/extract/gliner2"
	"jobstrom/schemas"
)

// ErrNothingExtracted is wrapped by Result.Err when a vacancy holds too little to classify it. Trying again does not help.
var ErrNothingExtracted = errors.New("nothing extracted")

// Result is what became of one vacancy: an extraction or the reason why there is none. The reason never quotes the vacancy.
type Result struct {
	Extraction *schemas.Extraction
	Err        error
	// Source is what entities' places refer to, see the function Source, and Personal the personal data in it. Neither leaves the process.
	Source   string
	Personal []Span
}

// Extractor turns vacancies into extractions. It is safe for concurrent use.
type Extractor struct {
	options  Options
	scrubber *Scrubber
	titles   *titles
	labels   []gliner2.Label // the model's; nil without one
	identity string
}

// New makes an Extractor. The model is its own from now on, also after an error.
func New(o Options) (*Extractor, error) {
	o.EnsureDefaults()
	x := &Extractor{options: o, scrubber: NewScrubber(), titles: newTitles(o.Taxonomy), identity: string(o.Method)}
	if err := o.Validate(); err != nil {
		return nil, errors.Join(fmt.Errorf("making the extractor: %w", err), x.Close())
	}
	if o.GLiNER2 != nil {
		x.labels = o.GLiNER2.Labels()
	}
	if o.Method != Rules {
		x.identity += ":" + o.GLiNER2.ID()
	}
	return x, nil
}

// Identity says what extracts: "rules", "gliner2:ID" or "both:ID", with the identity of the model and of the settings that decide what it finds.
func (x *Extractor) Identity() string { return x.identity }

// Field returns the list that entities of a label go into. The rules' labels are the fields themselves.
func (x *Extractor) Field(label string) Field {
	if field, ok := x.options.Fields[label]; ok {
		return field
	}
	for _, field := range Fields {
		if label == string(field) {
			return field
		}
	}
	return NoField
}

// Close closes the model, if there is one.
func (x *Extractor) Close() error {
	if x.options.GLiNER2 == nil {
		return nil
	}
	return x.options.GLiNER2.Close()
}

// Extract returns one result for each vacancy, in order. Its error concerns all of them: ctx ended, or the model failed.
func (x *Extractor) Extract(ctx context.Context, vacancies []*schemas.Vacancy) ([]Result, error) {
	texts, sources := make([]string, len(vacancies)), make([]*source, len(vacancies))
	for i, v := range vacancies {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("extracting %d vacancies: %w", len(vacancies), err)
		}
		texts[i] = Clean(v.Text)
		sources[i] = sourceOf(v, texts[i])
		sources[i].spans = x.scrubber.Find(sources[i].text, sources[i].employer)
	}
	found := make([][]gliner2.Entity, len(vacancies))
	if x.options.Method != Rules {
		var err error
		if found, err = x.options.GLiNER2.Extract(ctx, textsOf(sources)); err != nil {
			return nil, fmt.Errorf("extracting %d vacancies: %w", len(vacancies), err)
		}
	}
	results := make([]Result, len(vacancies))
	for i, v := range vacancies {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("extracting %d vacancies: %w", len(vacancies), err)
		}
		results[i] = x.extract(v, texts[i], sources[i], found[i])
		results[i].Source, results[i].Personal = sources[i].text, sources[i].spans
	}
	return results, nil
}

// ErrNoModel is returned by Classify where no GLiNER2 model is open.
var ErrNoModel = errors.New("classifying without training needs a GLiNER2 model")

// Classify gives the probabilities of labels, for each vacancy len(labels) that sum to 1, by a model that was not trained on these labels.
func (x *Extractor) Classify(ctx context.Context, vacancies []*schemas.Vacancy, labels []string) ([][]float32, error) {
	if x.options.GLiNER2 == nil {
		return nil, ErrNoModel
	}
	sources := make([]*source, len(vacancies))
	for i, v := range vacancies {
		sources[i] = sourceOf(v, Clean(v.Text))
	}
	return x.options.GLiNER2.Classify(ctx, textsOf(sources), labels)
}

func textsOf(sources []*source) []string {
	texts := make([]string, len(sources))
	for i, s := range sources {
		texts[i] = s.text
	}
	return texts
}

// final scans a string that leaves.
func (x *Extractor) final(s, employer string) string {
	s, _ = x.scrubber.Remove(s, employer)
	return strings.Trim(s, " ,")
}

// extract takes one vacancy apart. text is its whole cleaned text, entities are what the model found in the source text.
func (x *Extractor) extract(v *schemas.Vacancy, text string, src *source, entities []gliner2.Entity) Result {
	e := &schemas.Extraction{
		Id: v.Id, Source: v.Source, PublishedAt: v.PublishedAt, Extractor: x.identity,
		Language:   language(text),
		TextLength: uint32(utf8.RuneCountInString(text)),
		Removed:    uint32(len(src.spans)),
	}
	var c composer
	found := x.modelled(src, entities)
	c.entities(found)
	if x.options.Method != GLiNER2 {
		p := x.read(src)
		found = append(found, x.ruled(src, p)...)
		c.sentences(p)
	}
	collect(e, found, x.options.Method == Rules)
	e.Text = x.final(c.out.String(), src.employer)
	if n := utf8.RuneCountInString(e.Text); n < x.options.MinLength {
		return Result{Err: fmt.Errorf("%w: %d characters, at least %d are needed", ErrNothingExtracted, n, x.options.MinLength)}
	}
	for _, name := range x.options.Attributes {
		value := clip(Clean(v.Attributes[name]), maxRead)
		spans := x.scrubber.Find(value, src.employer)
		e.Removed += uint32(len(spans))
		if value = x.final(unmark(mark(value, spans, 0, len(value))), src.employer); value != "" {
			if e.Attributes == nil {
				e.Attributes = map[string]string{}
			}
			e.Attributes[name] = value
		}
	}
	if src.employer != "" && len(x.options.EmployerKey) > 0 {
		mac := hmac.New(sha256.New, x.options.EmployerKey)
		mac.Write([]byte(strings.ToLower(src.employer)))
		e.EmployerHash = mac.Sum(nil)[:16]
	}
	return Result{Extraction: e}
}

// read takes a source text apart by the rules.
func (x *Extractor) read(src *source) *parts {
	title, text := src.marked()
	segments := parse(text)
	p := &parts{title: cleanTitle(title), occupations: x.titles.occupations(title, segments)}
	p.sort(segments)
	p.skills = proofsIn(p.skills, text)
	each := func(list []string) []string {
		var out []string
		for _, s := range list {
			if s = x.final(s, src.employer); s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	p.title, p.occupations, p.tasks, p.skills = x.final(p.title, src.employer), each(p.occupations), each(p.tasks), each(p.skills)
	return p
}
