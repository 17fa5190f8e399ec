package web

import (
	"cmp"
	"slices"
	"strings"

	"jobstrom/server/api"
)

// part is a run of a vacancy's text with the entities that cover it, the longest first, or an item of personal data.
type part struct {
	Text  string
	Marks []mark
	// Removed is the kind of an item of personal data; the part has no text then.
	Removed string
}

// mark is an entity, or its piece in a part.
type mark struct {
	Label string
	By    string
	Score float64
	// Color is that of the label, 0 to colors-1.
	Color int
	// Ends says that the entity ends with this part.
	Ends bool

	start, end int
}

// legend is a label, how many entities have it and its colour.
type legend struct {
	Label string
	Color int
	N     int
}

// colors is how many labels have a colour of their own.
const colors = 6

// marked cuts a source text wherever an entity or personal data begins or ends. Places are code points; what lies outside the text is left out.
func marked(source string, entities []api.Entity, removals []api.Removal) (parts []part, labels []legend) {
	text := []rune(source)
	marks, labels := marksOf(entities, len(text))
	cuts := []int{0, len(text)}
	for _, m := range marks {
		cuts = append(cuts, m.start, m.end)
	}
	hidden := make([]string, len(text)) // the kind of personal data at each place
	begins := make([]bool, len(text)+1)
	for _, r := range removals {
		from, to := min(max(r.Start, 0), len(text)), min(max(r.End, 0), len(text))
		for i := from; i < to; i++ {
			hidden[i] = r.Kind
		}
		begins[from] = true
		cuts = append(cuts, from, max(from, to))
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i := 0; i+1 < len(cuts); i++ {
		from, to := cuts[i], cuts[i+1]
		if kind := hidden[from]; kind != "" {
			if begins[from] {
				parts = append(parts, part{Removed: kind})
			}
			continue
		}
		run := part{Text: string(text[from:to])}
		for _, m := range marks {
			if m.start <= from && to <= m.end {
				m.Ends = m.end == to
				run.Marks = append(run.Marks, m)
			}
		}
		parts = append(parts, run)
	}
	if len(parts) > 0 { // a vacancy without a title begins with its text
		parts[0].Text = strings.TrimLeft(parts[0].Text, "\n")
	}
	return parts, labels
}

// marksOf returns the entities that stand in the text, the first and of these the longest first.
func marksOf(entities []api.Entity, end int) (marks []mark, labels []legend) {
	for _, e := range entities {
		at := slices.IndexFunc(labels, func(l legend) bool { return l.Label == e.Label })
		if at < 0 {
			at, labels = len(labels), append(labels, legend{Label: e.Label, Color: colorOf(e.Label, len(labels))})
		}
		labels[at].N++
		if e.Start < 0 || e.Start >= e.End || e.End > end {
			continue
		}
		marks = append(marks, mark{Label: e.Label, By: e.By, Score: e.Score, Color: labels[at].Color, start: e.Start, end: e.End})
	}
	slices.SortStableFunc(marks, func(a, b mark) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	return marks, labels
}

// colorOf gives the rules' labels always the same colour, others by the order in which they come.
func colorOf(label string, before int) int {
	if at := slices.Index([]string{"occupations", "skills", "tasks"}, label); at >= 0 {
		return at
	}
	return before % colors
}
