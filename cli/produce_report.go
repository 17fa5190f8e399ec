package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"jobstrom/producers"
	"jobstrom/schemas"
)

// importReport is what produce says at its end; as JSON to machines.
type importReport struct {
	DryRun    bool `json:"dry_run"`
	Vacancies int  `json:"vacancies"` // that were fit to publish
	Published int  `json:"published"`
	Labelled  int  `json:"labelled"` // of a dry run, those that would be
	Outside   int  `json:"outside_window"`
	// Years counts vacancies by year, or "no date", and category, or "no label".
	Years   map[string]map[string]int `json:"years"`
	Columns []fileColumns             `json:"columns"`
	Bad     []*producers.BadLine      `json:"bad"`
}

type fileColumns struct {
	File    string              `json:"file"`
	Columns []producers.Mapping `json:"columns"`
}

func newImportReport(dry bool) *importReport {
	return &importReport{DryRun: dry, Years: map[string]map[string]int{}, Columns: []fileColumns{}, Bad: []*producers.BadLine{}}
}

func (r *importReport) columns(file string, columns []producers.Mapping) {
	r.Columns = append(r.Columns, fileColumns{file, columns})
}

func (r *importReport) count(v *schemas.Vacancy, category string) {
	r.Vacancies++
	if r.DryRun && category != "" {
		r.Labelled++
	}
	year := "no date"
	if v.PublishedAt != nil {
		year = v.PublishedAt.AsTime().Format("2006")
	}
	if category == "" {
		category = "no label"
	}
	if r.Years[year] == nil {
		r.Years[year] = map[string]int{}
	}
	r.Years[year][category]++
}

func (r *importReport) write(a *app, took time.Duration) {
	if a.format == "json" {
		_ = json.NewEncoder(a.out).Encode(r)
		return
	}
	published := fmt.Sprintf("%d published", r.Published)
	if r.DryRun {
		r.writeColumns(a)
		r.writeYears(a)
		published = fmt.Sprintf("%d would be published", r.Vacancies)
	}
	if r.Outside > 0 {
		published += fmt.Sprintf(", %d outside the window", r.Outside)
	}
	fmt.Fprintf(a.out, "%s, %d labelled, %d bad lines, %.1f s\n", published, r.Labelled, len(r.Bad), took.Seconds())
}

func (r *importReport) writeColumns(a *app) {
	for _, f := range r.Columns {
		fmt.Fprintln(a.out, f.File)
		for _, c := range f.Columns {
			use := strings.Join(c.Uses, ", ")
			if use == "" {
				use = "not published"
			}
			fmt.Fprintf(a.out, "  %s: %s\n", c.Column, use)
		}
	}
}

// writeYears shows a table of categories by years.
func (r *importReport) writeYears(a *app) {
	if r.Vacancies == 0 {
		return
	}
	years, categories := slices.Sorted(maps.Keys(r.Years)), map[string]bool{}
	header := []any{"category"}
	for _, year := range years {
		header = append(header, year)
		for category := range r.Years[year] {
			categories[category] = true
		}
	}
	t := a.table(header...)
	for _, category := range slices.Sorted(maps.Keys(categories)) {
		row := table.Row{category}
		for _, year := range years {
			row = append(row, r.Years[year][category])
		}
		t.AppendRow(row)
	}
	t.Render()
}
