package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"jobstrom/pipeline/extract/gliner2"
	"jobstrom/schemas"
)

// finding is an entity with the list that it goes into, and how the list has it: the rules list what they understood, "smed", and the entity says
// what is written, "Smede".
type finding struct {
	field  Field
	listed string
	entity *schemas.Entity
}

// collect puts findings into an extraction. What a field holds already, in any case, is not listed again, and of the rules not an entity again;
// repeats lets the lists have repeats, as the rules alone make them.
func collect(e *schemas.Extraction, found []finding, repeats bool) {
	type key struct {
		field Field
		text  string
	}
	seen := map[key]bool{}
	lists := map[Field]*[]string{Occupations: &e.Occupations, Skills: &e.Skills, Tasks: &e.Tasks}
	for _, f := range found {
		listed, written := key{f.field, strings.ToLower(f.listed)}, key{f.field, strings.ToLower(f.entity.Text)}
		known := f.field != NoField && (seen[listed] || seen[written])
		seen[listed], seen[written] = true, true
		if list := lists[f.field]; list != nil && (repeats || !known) {
			*list = append(*list, f.listed)
		}
		if !known || f.entity.By == string(GLiNER2) {
			e.Entities = append(e.Entities, f.entity)
		}
	}
}

// ruled returns the entities of the rules, with the first place that says them.
func (x *Extractor) ruled(src *source, p *parts) []finding {
	var found []finding
	add := func(field Field, list []string) {
		for _, s := range list {
			e := &schemas.Entity{Label: string(field), Text: s, Score: 1, By: string(Rules)}
			if start, end, ok := src.find(s, 0, len(src.text)); ok {
				if written := src.text[start:end]; written == s || x.final(written, src.employer) == written {
					e.Text, e.Start, e.End = written, src.rune(start), src.rune(end)
				}
			}
			found = append(found, finding{field, s, e})
		}
	}
	add(Occupations, p.occupations)
	add(Skills, p.skills)
	add(Tasks, p.tasks)
	return found
}

// modelled returns the entities of GLiNER2 by label, free of personal data.
func (x *Extractor) modelled(src *source, entities []gliner2.Entity) []finding {
	var found []finding
	for i, label := range x.labels {
		for _, g := range entities {
			if g.Label != i {
				continue
			}
			text, start, end := x.released(src, g)
			if text == "" {
				continue
			}
			field := x.options.Fields[label.Name]
			e := &schemas.Entity{Label: label.Name, Text: text, Score: g.Score, By: string(GLiNER2)}
			if end > 0 {
				e.Start, e.End = src.rune(start), src.rune(end)
			}
			found = append(found, finding{field, text, e})
		}
	}
	return found
}

// least is the fewest code points that an entity must keep where personal data is cut from it.
const least = 3

// released returns what may leave of an entity, none when little is left, and its bytes in the source text. Both are 0 where what is left does not
// stand in one place.
func (x *Extractor) released(src *source, g gliner2.Entity) (text string, start, end int) {
	text = g.Text
	cut := src.personal(g.Start, g.End)
	if cut {
		text = strings.Trim(unmark(mark(src.text, src.spans, g.Start, g.End)), " \n.,:;!?-–—*•()\"»«")
	}
	if scrubbed, removed := x.scrubber.Remove(text, src.employer); removed > 0 {
		text, cut = strings.Trim(scrubbed, " ,"), true
	}
	if cut && (utf8.RuneCountInString(text) < least || !strings.ContainsFunc(text, unicode.IsLetter)) {
		return "", 0, 0
	}
	if at := strings.Index(src.text[g.Start:g.End], text); at >= 0 && !src.personal(g.Start+at, g.Start+at+len(text)) {
		start, end = g.Start+at, g.Start+at+len(text)
	}
	return text, start, end
}
