package extract

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"jobstrom/schemas"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata anew")

// smallTaxonomy has few titles, so that the golden files do not change with the titles.
func smallTaxonomy() *schemas.Taxonomy {
	return &schemas.Taxonomy{ID: "test", Categories: []schemas.Category{
		{Titles: []string{"kok", "sygeplejerske", "smed", "pædagog", "bogholder", "lagermedarbejder", "machine learning engineer"}},
	}}
}

// TestExtractGolden compares testdata/*.in.json, vacancies, with testdata/*.out.json, extractions.
func TestExtractGolden(t *testing.T) {
	x := newExtractor(t, Options{Taxonomy: smallTaxonomy(), EmployerKey: []byte("key"), Attributes: []string{"region", "contact"}})
	inputs, err := filepath.Glob("testdata/*.in.json")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, in := range inputs {
		data, err := os.ReadFile(in)
		if err != nil {
			t.Fatal(err)
		}
		v, err := schemas.DecodeVacancy(schemas.JSON, data)
		if err != nil {
			t.Fatalf("%s: %s", in, err)
		}
		results, err := x.Extract(t.Context(), []*schemas.Vacancy{v})
		if err != nil || results[0].Err != nil {
			t.Fatalf("%s: %v %v", in, err, results[0].Err)
		}
		got := results[0].Extraction
		out := strings.TrimSuffix(in, ".in.json") + ".out.json"
		if *rewrite {
			text := strings.ReplaceAll(protojson.MarshalOptions{Multiline: true, Indent: " ", UseProtoNames: true}.Format(got), `":  `, `": `)
			if err := os.WriteFile(out, []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want := &schemas.Extraction{}
		if data, err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
		if err := protojson.Unmarshal(data, want); err != nil {
			t.Fatalf("%s: %s", out, err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", out, protojson.Format(got), protojson.Format(want))
		}
	}
}

func TestExtractTooLittle(t *testing.T) {
	x := newExtractor(t, Options{Taxonomy: smallTaxonomy()})
	f := func(title, text string) {
		t.Helper()
		results, err := x.Extract(t.Context(), []*schemas.Vacancy{{Id: "1", Title: title, Text: text}})
		if err != nil {
			t.Fatal(err)
		}
		r := results[0]
		if !errors.Is(r.Err, ErrNothingExtracted) || r.Extraction != nil {
			t.Fatalf("%q: got %v, %v, want ErrNothingExtracted", text, r.Extraction, r.Err)
		}
		if !strings.Contains(r.Err.Error(), "at least 10") {
			t.Errorf("%q: %q does not name the limit", text, r.Err)
		}
	}
	f("", "kok")
	f("", "<p></p>")
	f("", "22 31 44 56, job@kroen.dk")
	f("Ring", "240785-2316")
}

// TestExtractLargeTexts holds texts at the limit that make careless loops quadratic. Linear ones need a tenth of a second.
func TestExtractLargeTexts(t *testing.T) {
	x := newExtractor(t, Options{Taxonomy: smallTaxonomy(), Attributes: []string{"a"}})
	f := func(part string) {
		t.Helper()
		text := strings.Repeat(part, schemas.MaxText/len(part))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		v := &schemas.Vacancy{Text: text, Employer: "Kroen", Attributes: map[string]string{"a": text}}
		if _, err := x.Extract(ctx, []*schemas.Vacancy{v}); err != nil || ctx.Err() != nil {
			t.Errorf("%q again and again: %v %v", part, err, ctx.Err())
		}
	}
	for _, part := range []string{"a", "a.", "<a ", "<p>", "&lt;", "@a", "(a)", "://", "www.", "1 ", "22 31 44 56 ", "Vej 1, ", "Mette ", "Kroen ", "-\n", "a\n\n", "asmed ", "+45"} {
		f(part)
	}
}

func TestExtractOrder(t *testing.T) {
	x := newExtractor(t, Options{})
	results, err := x.Extract(t.Context(), []*schemas.Vacancy{{Id: "a", Text: "Vi søger en kok til kroen."}, {Id: "b", Text: "?"}, {Id: "c", Text: "Vi søger en smed til værftet."}})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 3 || results[0].Extraction.GetId() != "a" || results[1].Err == nil || results[2].Extraction.GetId() != "c" {
		t.Errorf("got %v", results)
	}
}

func TestExtractCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newExtractor(t, Options{}).Extract(ctx, []*schemas.Vacancy{{Text: "Vi søger en kok."}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestEmployerHash(t *testing.T) {
	f := func(key, employer, want string) {
		t.Helper()
		x := newExtractor(t, Options{EmployerKey: []byte(key)})
		results, err := x.Extract(t.Context(), []*schemas.Vacancy{{Text: "Vi søger en kok til kroen.", Employer: employer}})
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(results[0].Extraction.EmployerHash); got != want {
			t.Errorf("key %q, employer %q: got %q, want %q", key, employer, got, want)
		}
	}
	f("", "Kroen", "")
	f("key", "", "")
	f("key", "The quick brown fox jumps over the lazy dog", "7486bd70e6574a2755b8ea4daeb283de") // lower-cased before it is hashed
	f("key", " the QUICK brown fox jumps over the lazy dog", "7486bd70e6574a2755b8ea4daeb283de")
}

func TestOptionsFailure(t *testing.T) {
	o := Options{MinLength: -1, Attributes: []string{"region", " "}}
	_, err := New(o)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"MinLength (-1)", "[1, 900]", "Attributes[1]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

// FuzzExtract holds for any text: no panic, valid UTF-8, bounded output, and nothing personal that has a form of its own.
func FuzzExtract(f *testing.F) {
	for _, seed := range []string{
		"", "<", "</", "<p", "&#", "ring 22 31 44 56", "22 31 a@b.dk44 56", "240785 2316-", "Vestergade 12, 2. tv, 5000 Odense", "www.", "://", "a@", "+45", "(+45) 2",
		"Dine opgaver:\n- lave mad\n\nVi tilbyder\n• løn", "Kontakt Mette\nHansen-", "\ufffc\ufffb", "<li><li>22<b>31</b>44 56", "00452231445600", "1 2 3 4 5 6 7 8",
	} {
		f.Add("Kok", seed)
	}
	x := newExtractor(f, Options{Taxonomy: smallTaxonomy(), Attributes: []string{"a"}})
	f.Fuzz(func(t *testing.T, title, text string) {
		results, err := x.Extract(t.Context(), []*schemas.Vacancy{{Title: title, Text: text, Attributes: map[string]string{"a": title}}})
		if err != nil {
			t.Fatal(err)
		}
		e := results[0].Extraction
		if results[0].Err != nil {
			return
		}
		if n := utf8.RuneCountInString(e.Text); n > maxText {
			t.Errorf("text has %d code points, the limit is %d", n, maxText)
		}
		for s := range strings.SplitSeq(held(e), "\n") {
			if !utf8.ValidString(s) || strings.ContainsRune(s, contactMark) || strings.ContainsRune(s, nameMark) {
				t.Errorf("%q is not clean", s)
			}
			for _, sp := range x.scrubber.Find(s) {
				if sp.Kind != Name {
					t.Errorf("%q holds %s %q", s, sp.Kind, s[sp.Start:sp.End])
				}
			}
		}
	})
}

// BenchmarkExtract reports vacancies a second on one core.
func BenchmarkExtract(b *testing.B) {
	x := newExtractor(b, Options{})
	vacancies := readVacancies(b, "../../samples/vacancies.jsonl")
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := x.Extract(b.Context(), vacancies); err != nil {
			b.Fatal(err)
		}
		n += len(vacancies)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "vacancies/s")
}
