// Package view makes a page of vacancies with what an extractor found in them, for looking.
//
// The page is one file without scripts that needs nothing else. It shows a vacancy's source text with its entities marked, and where personal data stood the kind of it, never
// the data. Of names it removes what the extractor removes: most, never all.
package view

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"moment": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") },
	"score":  func(s float32) string { return fmt.Sprintf("%.2f", s) },
}).Parse(pageText))

// Page is what is shown.
type Page struct {
	// Extractor is the identity of what extracted.
	Extractor string
	Version   string
	Made      time.Time
	// More is how many vacancies there are that are not shown.
	More int

	vacancies []vacancy
	labels    []label
	removed   int
}

// vacancy is one of them.
type vacancy struct {
	ID       string
	Parts    []part
	Removed  []kindCount
	Text     string   // the encoder's
	Unplaced []markOf // without offsets
	Err      error
}

// kindCount counts the items of personal data of a kind.
type kindCount struct {
	Kind extract.Kind
	N    int
}

// label is what is looked for.
type label struct {
	Name  string
	Color int
	By    map[string]int // how many, by what found them
}

// colors is how many labels have a colour of their own.
const colors = 6

// part is a run of the source text with the entities that cover it, the longest first, or a removed item of personal data.
type part struct {
	Text    string
	Marks   []markOf
	Removed extract.Kind
}

// markOf is an entity, or its part in a run of text.
type markOf struct {
	*schemas.Entity
	Color int
	Ends  bool // with this run
}

// Add adds a vacancy with what became of it. scrubber is asked what personal data it holds.
func (p *Page) Add(v *schemas.Vacancy, r extract.Result, scrubber *extract.Scrubber) {
	source := extract.Source(v)
	personal := scrubber.Find(source, extract.Clean(v.Employer))
	out := vacancy{ID: v.Id, Text: r.Extraction.GetText(), Err: r.Err}
	p.removed += len(personal)
	for _, sp := range personal {
		at := slices.IndexFunc(out.Removed, func(c kindCount) bool { return c.Kind == sp.Kind })
		if at < 0 {
			at, out.Removed = len(out.Removed), append(out.Removed, kindCount{Kind: sp.Kind})
		}
		out.Removed[at].N++
	}
	var placed []markOf
	for _, e := range r.Extraction.GetEntities() {
		if m := (markOf{Entity: e, Color: p.count(e)}); e.End == 0 {
			out.Unplaced = append(out.Unplaced, m)
		} else {
			placed = append(placed, m)
		}
	}
	out.Parts = split(source, personal, placed)
	p.vacancies = append(p.vacancies, out)
}

// count counts an entity and returns its label's colour.
func (p *Page) count(e *schemas.Entity) int {
	at := slices.IndexFunc(p.labels, func(l label) bool { return l.Name == e.Label })
	if at < 0 {
		at, p.labels = len(p.labels), append(p.labels, label{Name: e.Label, Color: len(p.labels) % colors, By: map[string]int{}})
	}
	p.labels[at].By[e.By]++
	return p.labels[at].Color
}

// split cuts a source text wherever an entity or personal data begins or ends.
func split(source string, personal []extract.Span, entities []markOf) []part {
	places := make([]int, 0, len(source)+1) // the byte of each code point
	for i := range source {
		places = append(places, i)
	}
	places = append(places, len(source))
	byteOf := func(i uint32) int { return places[min(int(i), len(places)-1)] }
	slices.SortStableFunc(entities, func(a, b markOf) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End)) })
	cuts := []int{0, len(source)}
	for _, sp := range personal {
		cuts = append(cuts, sp.Start, sp.End)
	}
	for _, e := range entities {
		cuts = append(cuts, byteOf(e.Start), byteOf(e.End))
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var parts []part
	next, hidden := 0, 0 // the first entity and the first item that may be ahead
	var open []markOf
	for i := 0; i+1 < len(cuts); i++ {
		from, to := cuts[i], cuts[i+1]
		for hidden < len(personal) && personal[hidden].End <= from {
			hidden++
		}
		open = slices.DeleteFunc(open, func(m markOf) bool { return byteOf(m.End) <= from })
		for ; next < len(entities) && byteOf(entities[next].Start) <= from; next++ {
			open = append(open, entities[next])
		}
		if hidden < len(personal) && personal[hidden].Start <= from {
			if personal[hidden].Start == from {
				parts = append(parts, part{Removed: personal[hidden].Kind})
			}
			continue
		}
		run := part{Text: source[from:to], Marks: slices.Clone(open)}
		for k := range run.Marks {
			run.Marks[k].Ends = byteOf(run.Marks[k].End) == to
		}
		parts = append(parts, run)
	}
	for i := range parts { // a vacancy without a title begins with its text
		if parts[i].Text = strings.TrimLeft(parts[i].Text, "\n"); parts[i].Text != "" || parts[i].Removed != "" {
			break
		}
	}
	return parts
}

// HTML writes the page.
func (p *Page) HTML(w io.Writer) error {
	entities := 0
	for _, l := range p.labels {
		for _, n := range l.By {
			entities += n
		}
	}
	err := page.Execute(w, struct {
		*Page
		Vacancies []vacancy
		Labels    []label
		Removed   int
		Entities  int
	}{p, p.vacancies, p.labels, p.removed, entities})
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
