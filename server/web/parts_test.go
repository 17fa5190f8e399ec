package web

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"

	"jobstrom/pipeline/extract"
	"jobstrom/schemas"
	"jobstrom/server/api"
)

// spell writes parts as text: entities in brackets with their labels, personal data as its kind in braces.
func spell(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		if p.Removed != "" {
			b.WriteString("{" + p.Removed + "}")
			continue
		}
		for range p.Marks {
			b.WriteString("[")
		}
		b.WriteString(p.Text)
		for i := len(p.Marks) - 1; i >= 0; i-- {
			b.WriteString("]")
			if p.Marks[i].Ends {
				b.WriteString(p.Marks[i].Label)
			}
		}
	}
	return b.String()
}

func TestMarks(t *testing.T) {
	f := func(source string, entities []api.Entity, removals []api.Removal, want string) {
		t.Helper()
		parts, _ := marked(source, entities, removals)
		if got := spell(parts); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	e := func(label string, start, end int) api.Entity { return api.Entity{Label: label, Start: start, End: end} }
	f("", nil, nil, "")
	f("æble og pære", []api.Entity{e("a", 0, 4), e("b", 8, 12)}, nil, "[æble]a og [pære]b")
	f("æble og pære", []api.Entity{e("a", 0, 12), e("b", 0, 4)}, nil, "[[æble]b][ og pære]a")
	f("æble og pære", []api.Entity{e("a", 0, 7), e("b", 5, 12)}, nil, "[æble ][[og]]a[ pære]b")
	f("ring ████████ nu", []api.Entity{e("a", 0, 4)}, []api.Removal{{Kind: "phone", Start: 5, End: 13}}, "[ring]a {phone} nu")
	f("ring ████████ nu", []api.Entity{e("a", 0, 16)}, []api.Removal{{Kind: "phone", Start: 5, End: 13}}, "[ring ]{phone}[ nu]a")
	f("████", nil, []api.Removal{{Kind: "cpr", Start: 0, End: 2}, {Kind: "name", Start: 2, End: 4}}, "{cpr}{name}")
	f("\n\nTekst", nil, nil, "Tekst")
	// Places that lie outside the text show nothing, and never panic.
	f("kort", []api.Entity{e("a", 2, 40), e("b", -1, 2), e("c", 3, 2), e("d", 0, 0)}, []api.Removal{{Kind: "phone", Start: 10, End: 12}, {Kind: "name", Start: -3, End: 2}, {Kind: "x", Start: 4, End: 1}}, "{name}rt")
}

func TestBarsAreSorted(t *testing.T) {
	bars := barsOf([]float64{0.1, 0.6, 0.3}, []string{"a", "b", "c", "d"})
	if got := fmt.Sprint(bars[0].Name, bars[1].Name, bars[2].Name, len(bars), bars[0].Width); got != "bca3 60" && got != "b c a 3 60" {
		t.Errorf("got %s", got)
	}
}

// files makes what a form with files would hold.
func files(t *testing.T, content map[string]string) []*multipart.FileHeader {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, text := range content {
		part, err := w.CreateFormFile("fil", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(part, text)
	}
	_ = w.Close()
	r := httptest.NewRequest("POST", "/fil", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	if err := parseForm(r); err != nil {
		t.Fatal(err)
	}
	return r.MultipartForm.File["fil"]
}

func TestInputs(t *testing.T) {
	f := func(name, content, want string) {
		t.Helper()
		inputs, err := readInputs(files(t, map[string]string{name: content}))
		var got []string
		for _, in := range inputs {
			if in.err != nil {
				got = append(got, fmt.Sprintf("%d bad", in.line))
			} else {
				got = append(got, fmt.Sprintf("%d %s|%s|%s", in.line, in.vacancy.Title, in.vacancy.Text, in.vacancy.Employer))
			}
		}
		if err != nil {
			got = append(got, failureOf(err).message)
		}
		if joined := strings.Join(got, "; "); joined != want {
			t.Errorf("%s: got %q, want %q", name, joined, want)
		}
	}
	windows, err := charmap.Windows1252.NewEncoder().String("tekst;stilling\nVi søger en kok på Ærø;Kok\n")
	if err != nil {
		t.Fatal(err)
	}
	f("a.csv", "title,text,employer\nKok,Vi søger,Kro\n", "2 Kok|Vi søger|Kro")
	f("a.csv", "\ufeffTitel;Tekst;Arbejdsgiver\r\nKok;\"Vi\nsøger\";Kro\r\n", "2 Kok|Vi\nsøger|Kro")
	f("a.CSV", windows, "2 Kok|Vi søger en kok på Ærø|")
	f("a.csv", "title,text\nKok,\nMurer,Vi søger\n", "2 bad; 3 Murer|Vi søger|")
	f("a.csv", "title,content\nKok,x\n", "error.file")
	f("a.jsonl", "{\"text\":\"Vi søger\"}\nnot json\n", "1 |Vi søger|; 2 bad")
	f("a.jsonl", "", "error.empty")
	f("a.txt", "Kok\nVi søger en kok\ntil kroen\n", "0 Kok|Vi søger en kok\ntil kroen|")
	f("a.txt", "Vi søger en kok", "0 |Vi søger en kok|")
	f("a.txt", " \n ", "0 bad")
	f("a.txt", "\xff\xfeK\x00", "0 bad")
	f("a.pdf", "%PDF", "error.format")
}

// A sheet is what a spreadsheet opens: no cell of it may be a formula, whatever a file says.
func TestSheet(t *testing.T) {
	for code, delimiter := range map[string]rune{"da": ';', "en": ','} {
		var out bytes.Buffer
		s, err := newSheet(&out, language(t, code), []string{"A;A,A", "=B"})
		if err != nil {
			t.Fatal(err)
		}
		var wrong []error
		for _, title := range []string{"=HYPERLINK(\"x\")", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "|calc", "%0A", "＝1", "Kok; \"den\ngode\""} {
			wrong = append(wrong, s.row(input{file: title, line: 2, vacancy: &schemas.Vacancy{Id: title, Title: title}}, api.Outcome{Answer: &api.Answer{CategoryLabel: "=B", CategoryIndex: 1, Distribution: []float64{0.25, 0.75}, Confidence: 0.75, Model: "-m"}}, nil))
		}
		wrong = append(wrong, s.row(input{file: "f", line: 3}, api.Outcome{}, fmt.Errorf("reading: %w", extract.ErrNothingExtracted)))
		s.Flush()
		for _, err := range append(wrong, s.Error()) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if !strings.HasPrefix(out.String(), "\ufeff") || !strings.Contains(out.String(), "\r\n") {
			t.Errorf("%s: it has no byte order mark or not Windows' line ends: %.60q", code, out.String())
		}
		reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(out.String(), "\ufeff")))
		reader.Comma = delimiter
		rows, err := reader.ReadAll()
		if err != nil || len(rows) != 12 {
			t.Fatalf("%s: %d rows, %v", code, len(rows), err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r|%") {
					t.Errorf("%s: the cell %q is a formula", code, cell)
				}
			}
		}
		if got, want := rows[1][6], map[string]string{"da": "0,7500", "en": "0.7500"}[code]; got != want {
			t.Errorf("%s: confidence %s, want %s", code, got, want)
		}
		if last := rows[11]; last[10] != language(t, code).Text("error.nothing") || last[4] != "" {
			t.Errorf("%s: got %q", code, last)
		}
	}
}

func TestChart(t *testing.T) {
	l := language(t, "da")
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	steps := []step{{noon, []uint64{1, 2, 3, 4, 5, 6, 7, 8}}, {noon.Add(time.Hour), nil}, {noon.Add(2 * time.Hour), []uint64{0, 0, 0, 0, 0, 0, 0, 4, 99}}} // one more than there are names
	c := newChart(l, steps, names, l.Minute)
	if c.Total != 40 || len(c.Columns) != 3 || len(c.Columns[1].Segments) != 0 || len(c.Legend) != series+1 || c.Legend[0].Name != "h" || c.Legend[0].N != 12 {
		t.Errorf("got %+v", c)
	}
	var share, height float64
	for _, s := range c.Legend {
		share += s.Share
	}
	for _, s := range c.Columns[0].Segments {
		height += s.Height
		if s.Y < 0 || s.Y+s.Height > chartHeight-chartBottom+1e-9 {
			t.Errorf("the segment %+v lies outside the chart", s)
		}
	}
	if share < 0.999 || share > 1.001 || height <= 0 {
		t.Errorf("the shares sum to %g, the column is %g high", share, height)
	}
	if empty := newChart(l, nil, names, l.Minute); empty.Total != 0 || len(empty.Legend) != 0 {
		t.Errorf("got %+v", empty)
	}
	trends := trendsOf(steps, names)
	if len(trends) != 8 || trends[0].Name != "h" || trends[0].Before != 8./36 || trends[0].After != 1 || !trends[0].Moved() || strings.Count(trends[0].Line, ",") != 3 {
		t.Errorf("got %+v", trends[0])
	}
	if one := trendsOf(steps[:1], names); strings.Count(one[0].Line, ",") != 2 {
		t.Errorf("one step draws %s", one[0].Line)
	}
}

func TestRound(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 2, 1: 2, 3: 4, 5: 10, 10: 10, 11: 20, 376: 400, 401: 1000, 1 << 60: round(1 << 60)} {
		if got := round(n); got != want {
			t.Errorf("round(%d) is %d, want %d", n, got, want)
		}
	}
}
