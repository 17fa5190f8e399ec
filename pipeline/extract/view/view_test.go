package view

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
)

func extractor(t *testing.T) *extract.Extractor {
	t.Helper()
	x, err := extract.New(extract.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// made returns the page of vacancies.
func made(t *testing.T, x *extract.Extractor, scrubber *extract.Scrubber, vacancies []*schemas.Vacancy, change func(*schemas.Extraction)) string {
	t.Helper()
	results, err := x.Extract(t.Context(), vacancies)
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{Extractor: x.Identity(), Version: "test", Made: time.Date(2026, 2, 9, 7, 45, 0, 0, time.UTC), More: 3}
	for i, r := range results {
		if change != nil {
			change(r.Extraction)
		}
		p.Add(vacancies[i], r, scrubber)
	}
	var out strings.Builder
	if err := p.HTML(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func readLines[T any](t *testing.T, path string, decode func([]byte) (T, error)) (rows []T) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	for sc.Buffer(nil, 1<<21); sc.Scan(); {
		row, err := decode(sc.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// text returns what a browser shows, and fails where the page is not well formed.
func text(t *testing.T, page string) string {
	t.Helper()
	var open []string
	var out strings.Builder
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			out.WriteString(string(z.Text()))
		case html.StartTagToken:
			name, _ := z.TagName()
			switch n := string(name); n {
			case "script", "img", "link", "iframe":
				t.Errorf("the page has <%s>", n)
			case "mark", "section", "div", "span":
				open = append(open, n)
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			switch n := string(name); n {
			case "mark", "section", "div", "span":
				if len(open) == 0 || open[len(open)-1] != n {
					t.Fatalf("</%s> ends %v", n, open)
				}
				open = open[:len(open)-1]
			}
		}
	}
}

func TestPage(t *testing.T) {
	page := made(t, extractor(t), extract.NewScrubber(), []*schemas.Vacancy{
		{Id: "a<b>", Title: "Kok & <smed>", Text: "Vi søger en kok til kroen. Kørekort B er et krav. <script>alert(1)</script> Ring til Mette Holm på 22 31 44 56."},
		{Id: "none", Text: "22 31 44 56"},
	}, func(e *schemas.Extraction) {
		if e != nil {
			e.Entities = append(e.Entities, &schemas.Entity{Label: `x" onload="y`, Text: "sammensat <i>", Score: .25, By: "gliner2"})
		}
	})
	shown := text(t, page)
	for _, want := range []string{"Kok & <smed>", "2 vacancies, ", "3 more vacancies are not shown", "nothing extracted", "sammensat <i>", "Removed: 1 phone"} {
		if !strings.Contains(html.UnescapeString(shown), want) {
			t.Errorf("the page does not show %q:\n%s", want, shown)
		}
	}
	for _, want := range []string{
		`<mark class="c0 rules end" data-label="occupations" title="occupations, by rules, score 1.00">Kok</mark>`,
		`<mark class="c1 rules" data-label="skills" title="skills, by rules, score 1.00"><mark class="c1 rules end" data-label="skills" title="skills, by rules, score 1.00">Kørekort</mark></mark>`,
		`<span class="gone">phone</span>`, `<span class="gone">name</span>`, "prefers-color-scheme: dark", "a&lt;b&gt;",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, never := range []string{"Mette", "Holm", "22 31 44 56", "http", "url(", "<script", ` onload="y"`} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
}

// Of the personal data in the samples, the page shows what the scrubber does not know alone.
func TestPersonalDataOfPage(t *testing.T) {
	type planted struct {
		ID, Kind, Text string
	}
	vacancies := readLines(t, "../../../samples/unseen.jsonl", func(line []byte) (*schemas.Vacancy, error) { return schemas.DecodeVacancy(schemas.JSON, line) })
	items := readLines(t, "../../../samples/planted-unseen.jsonl", func(line []byte) (p planted, err error) { return p, json.Unmarshal(line, &p) })
	x, scrubber, shown := extractor(t), extract.NewScrubber(), 0
	pages := map[string]string{}
	for _, v := range vacancies {
		pages[v.Id] = html.UnescapeString(made(t, x, scrubber, []*schemas.Vacancy{v}, nil))
	}
	for _, item := range items {
		if !strings.Contains(pages[item.ID], item.Text) {
			continue
		}
		shown++
		if item.Kind != "name" && item.Kind != "address" {
			t.Errorf("%s shows %s %q", item.ID, item.Kind, item.Text)
		}
		for _, v := range vacancies {
			if known, _ := scrubber.Remove(extract.Source(v), extract.Clean(v.Employer)); v.Id == item.ID && !strings.Contains(known, item.Text) {
				t.Errorf("%s shows %s %q", item.ID, item.Kind, item.Text)
			}
		}
	}
	t.Logf("%d of %d are shown", shown, len(items))
}

// Whatever overlaps whatever, all of the text is shown, in its order, and marks nest.
func TestSplit(t *testing.T) {
	const source = "\n\nÅbøger og kød 🐟 i lange baner"
	runes := []rune(source)
	for a := range runes {
		for b := a; b < len(runes); b++ {
			entities := []markOf{
				{Entity: &schemas.Entity{Label: "x", Start: uint32(a), End: uint32(b + 1)}},
				{Entity: &schemas.Entity{Label: "y", Start: uint32(a / 2), End: uint32(len(runes)*2) / 3}},
				{Entity: &schemas.Entity{Label: "z", Start: 3, End: 9}},
			}
			var out strings.Builder
			ends := map[string]int{}
			for _, p := range split(source, nil, entities) {
				out.WriteString(p.Text)
				for _, m := range p.Marks {
					if m.Ends {
						ends[m.Label]++
					}
				}
			}
			if out.String() != strings.TrimLeft(source, "\n") || fmt.Sprint(ends) != "map[x:1 y:1 z:1]" {
				t.Fatalf("%d to %d: %q, %v", a, b, out.String(), ends)
			}
		}
	}
	hidden := split("Ring 22 31 44 56 nu", []extract.Span{{Kind: extract.Phone, Start: 5, End: 16}}, []markOf{{Entity: &schemas.Entity{Label: "x", Start: 0, End: 19}}, {Entity: &schemas.Entity{Label: "y", Start: 7, End: 9}}})
	if got := fmt.Sprintf("%d %q %s %q %q", len(hidden), hidden[0].Text, hidden[1].Removed, hidden[1].Text, hidden[2].Text); got != `3 "Ring " phone "" " nu"` {
		t.Errorf("got %s", got)
	}
}
