// Package evaluate says how well an extractor finds the entities that people marked in their own texts.
//
// Two measures are taken of each label: exact, as at CoNLL-2003, and overlap, as "type" at SemEval-2013. It does no I/O but reading from a reader, and keeps no state.
package evaluate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

// Options say how an extractor is evaluated.
type Options struct {
	// Labels give annotated labels other names: those of the extractor's labels, or of the fields that they go into. To "" leaves a label out.
	Labels map[string]string
	// Distinct counts what a text says several times, in any case, once for each label. Extractors give it once, at one of its places. Default: each place counts.
	Distinct bool
	// Examples is how many examples of each kind and label are kept. Default: 3; -1 keeps none.
	Examples int
	// Resamples is how often texts are drawn for the intervals. Default: 1,000.
	Resamples int
	// Seed decides what is drawn.
	Seed uint64
	// Progress hears how many texts are done.
	Progress func(done int)
}

// EnsureDefaults fills what is not set.
func (o *Options) EnsureDefaults() {
	if o.Examples == 0 {
		o.Examples = 3
	}
	if o.Resamples == 0 {
		o.Resamples = 1000
	}
	if o.Progress == nil {
		o.Progress = func(int) {}
	}
}

// Validate reports every violation.
func (o *Options) Validate() error {
	if o.Examples < -1 || o.Resamples < 1 {
		return fmt.Errorf("checking the options: Examples (%d) must be at least -1, Resamples (%d) at least 1", o.Examples, o.Resamples)
	}
	return nil
}

// batch is how many texts are extracted together.
const batch = 64

// item is an entity with the code points of the source text where it is: one place, or with Distinct all that say the same.
type item struct {
	text   string
	places [][2]int
}

// Run extracts texts and compares what is found with what is annotated. A text whose offsets mean nothing to the extractor goes to bad and is left out.
func Run(ctx context.Context, x *extract.Extractor, texts []Text, o Options, bad func(line int, err error)) (*Evaluation, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	texts = slices.Clone(texts)
	labels := map[string]bool{}
	for i := range texts {
		texts[i].Entities = slices.Clone(texts[i].Entities)
		for k, e := range texts[i].Entities {
			if name, named := o.Labels[e.Label]; named {
				texts[i].Entities[k].Label = name
			}
		}
		texts[i].Entities = slices.DeleteFunc(texts[i].Entities, func(e Entity) bool { return e.Label == "" })
		for _, e := range texts[i].Entities {
			labels[e.Label] = true
		}
	}
	s := newScorer(o, labels)
	for part := range slices.Chunk(texts, batch) {
		vacancies := make([]*schemas.Vacancy, len(part))
		for i, t := range part {
			vacancies[i] = &schemas.Vacancy{Text: t.Text}
		}
		results, err := x.Extract(ctx, vacancies)
		if err != nil {
			return nil, err
		}
		for i, t := range part {
			source := extract.Source(vacancies[i])
			places, err := align(t.Text, source)
			if err != nil {
				bad(t.Line, err)
				continue
			}
			s.add(x, t, []rune(source), places, results[i].Extraction.GetEntities())
		}
		o.Progress(len(part))
	}
	return s.evaluation(x.Identity()), nil
}

// add compares what is annotated in a text with what was found.
func (s *scorer) add(x *extract.Extractor, t Text, source []rune, places []int, found []*schemas.Entity) {
	annotated, answers := map[string][]item{}, map[string][]item{}
	put := func(of map[string][]item, label, text string, start, end int) {
		for i, known := range of[label] {
			if slices.Contains(known.places, [2]int{start, end}) && end > 0 {
				return
			}
			if s.options.Distinct && strings.EqualFold(known.text, text) {
				of[label][i].places = append(known.places, [2]int{start, end})
				return
			}
		}
		of[label] = append(of[label], item{text, [][2]int{{start, end}}})
	}
	text := []rune(t.Text)
	for _, e := range t.Entities {
		for e.Start < e.End && blank(text[e.Start]) {
			e.Start++
		}
		for e.Start < e.End && blank(text[e.End-1]) {
			e.End--
		}
		if e.Start < e.End { // what nobody sees is nothing to find
			start, end := places[e.Start], places[e.End-1]+1
			put(annotated, e.Label, string(source[start:end]), start, end)
		}
	}
	for _, e := range found {
		label := e.Label
		if field := string(x.Field(label)); !s.labels[label] {
			label = field
		}
		if !s.labels[label] {
			s.unasked[e.Label]++
			continue
		}
		if e.End == 0 {
			s.unplaced++
		}
		put(answers, label, e.Text, int(e.Start), int(e.End))
	}
	s.compare(t.Line, annotated, answers)
}
