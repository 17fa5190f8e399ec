package extract

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"jobstrom/schemas"
)

// ErrNothingExtracted is wrapped by Result.Err when a vacancy holds too little to classify it. Trying again does not help.
var ErrNothingExtracted = errors.New("nothing extracted")

// Options say how an Extractor works.
type Options struct {
	// Taxonomy gives the lexicon of job titles. Default: Jobnet's.
	Taxonomy *schemas.Taxonomy
	// EmployerKey is the key of the employer's hash; empty: no hash.
	EmployerKey []byte
	// Attributes are the names of the attributes that are kept, scrubbed. Default: none.
	Attributes []string
	// MinLength is the fewest code points that must be extracted, in [1, 900]. Default: 10.
	MinLength int
}

// EnsureDefaults fills what is not set.
func (o *Options) EnsureDefaults() {
	if o.Taxonomy == nil {
		o.Taxonomy = schemas.Jobnet()
	}
	if o.MinLength == 0 {
		o.MinLength = 10
	}
}

// Validate reports every violation.
func (o *Options) Validate() error {
	var wrong []error
	if o.Taxonomy == nil {
		wrong = append(wrong, errors.New("option Taxonomy is missing: use schemas.Jobnet()"))
	}
	if o.MinLength < 1 || o.MinLength > maxText {
		wrong = append(wrong, fmt.Errorf("option MinLength (%d) must be in [1, %d]", o.MinLength, maxText))
	}
	for i, name := range o.Attributes {
		if strings.TrimSpace(name) == "" {
			wrong = append(wrong, fmt.Errorf("option Attributes[%d] is empty, must be an attribute's name", i))
		}
	}
	return errors.Join(wrong...)
}

// Result is what became of one vacancy: an extraction or the reason why there is none. The reason never quotes the vacancy.
type Result struct {
	Extraction *schemas.Extraction
	Err        error
}

// Extractor turns vacancies into extractions. It is safe for concurrent use.
type Extractor struct {
	options  Options
	scrubber *Scrubber
	titles   *titles
}

// maxRead is how many code points of a text or an attribute are read. Advertisements are shorter; what is not read is not passed on.
const maxRead = 20_000

// New makes an Extractor.
func New(o Options) (*Extractor, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("making the extractor: %w", err)
	}
	return &Extractor{options: o, scrubber: NewScrubber(), titles: newTitles(o.Taxonomy)}, nil
}

// Extract returns one result for each vacancy, in order. It fails only when ctx ends.
func (x *Extractor) Extract(ctx context.Context, vacancies []*schemas.Vacancy) ([]Result, error) {
	results := make([]Result, len(vacancies))
	for i, v := range vacancies {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("extracting %d vacancies: %w", len(vacancies), err)
		}
		results[i] = x.extract(v)
	}
	return results, nil
}

func (x *Extractor) extract(v *schemas.Vacancy) Result {
	text := Clean(v.Text)
	read := clip(text, maxRead)
	e := &schemas.Extraction{
		Id: v.Id, Source: v.Source, PublishedAt: v.PublishedAt,
		Language:   language(text),
		TextLength: uint32(utf8.RuneCountInString(text)),
	}
	employer := Clean(v.Employer)
	// Title and text are searched together, so that a name from one is known in the other.
	title := strings.ReplaceAll(Clean(v.Title), "\n", " ")
	whole := title + "\n\n" + read
	spans := x.scrubber.Find(whole, employer)
	e.Removed = uint32(len(spans))
	title, read = mark(whole, spans, 0, len(title)), mark(whole, spans, len(title)+2, len(whole))

	segments := parse(read)
	p := &parts{title: cleanTitle(title), occupations: x.titles.occupations(title, segments)}
	p.sort(segments)
	p.skills = proofsIn(p.skills, read)

	final := func(s string) string {
		s, _ = x.scrubber.Remove(s, employer)
		return strings.Trim(s, " ,")
	}
	each := func(list []string) []string {
		var out []string
		for _, s := range list {
			if s = final(s); s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	p.title, p.occupations, p.tasks, p.skills = final(p.title), each(p.occupations), each(p.tasks), each(p.skills)
	e.Text = final(p.compose())
	e.Occupations, e.Tasks, e.Skills = p.occupations, p.tasks, p.skills
	if n := utf8.RuneCountInString(e.Text); n < x.options.MinLength {
		return Result{Err: fmt.Errorf("%w: %d characters, at least %d are needed", ErrNothingExtracted, n, x.options.MinLength)}
	}
	for _, name := range x.options.Attributes {
		value := clip(Clean(v.Attributes[name]), maxRead)
		spans := x.scrubber.Find(value, employer)
		e.Removed += uint32(len(spans))
		if value = final(unmark(mark(value, spans, 0, len(value)))); value != "" {
			if e.Attributes == nil {
				e.Attributes = map[string]string{}
			}
			e.Attributes[name] = value
		}
	}
	if employer != "" && len(x.options.EmployerKey) > 0 {
		mac := hmac.New(sha256.New, x.options.EmployerKey)
		mac.Write([]byte(strings.ToLower(employer)))
		e.EmployerHash = mac.Sum(nil)[:16]
	}
	return Result{Extraction: e}
}

// mark returns text[from:to] with a mark in place of every span.
func mark(text string, spans []Span, from, to int) string {
	var inside []Span
	for _, sp := range spans {
		if sp.Start < to && from < sp.End {
			inside = append(inside, Span{sp.Kind, max(sp.Start, from) - from, min(sp.End, to) - from})
		}
	}
	return cut(text[from:to], inside, func(kind Kind) string {
		if kind == Name || kind == Address {
			return string(nameMark)
		}
		return string(contactMark)
	})
}
