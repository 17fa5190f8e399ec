package schemas

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestGeneratedCodeIsCurrent(t *testing.T) {
	out, err := exec.Command("go", "run", "./generate", "-check").CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v", out, err)
	}
}

func TestDecodeVacancySuccess(t *testing.T) {
	f := func(contentType, in, wantID, wantText string) {
		t.Helper()
		v, err := DecodeVacancy(contentType, []byte(in))
		if err != nil {
			t.Fatalf("decoding %s: %v", in, err)
		}
		if v.Text != wantText || (wantID != "" && v.Id != wantID) || v.Id == "" {
			t.Fatalf("decoding %s: got id %q, text %q", in, v.Id, v.Text)
		}
	}
	f(JSON, `{"id":"a","text":"Kok søges"}`, "a", "Kok søges")
	f("", ` {"text":"Kok søges","unknown":{"x":1}}`, "", "Kok søges")
	f("application/json; charset=utf-8", `{"text":"x","published_at":"2026-01-02T03:04:05Z","attributes":{"a":"b"}}`, "", "x")
	binary, err := Encode(Protobuf, &Vacancy{Id: "b", Text: "Smed"})
	if err != nil {
		t.Fatal(err)
	}
	f(Protobuf, string(binary), "b", "Smed")
	f("", string(binary), "b", "Smed")
}

// Reasons reach logs, ClickHouse and the dead letters' reason: none may hold what the publisher wrote.
func TestDecodeVacancyFailure(t *testing.T) {
	f := func(contentType, in, want string) {
		t.Helper()
		_, err := DecodeVacancy(contentType, []byte(in))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Fatalf("decoding %.60q: got %v, want malformed … %q", in, err, want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Fatalf("the error quotes content: %v", err)
		}
	}
	f(JSON, `{"text":"secret"`, "not a JSON object: unexpected end of JSON input at byte 16 of 16")
	f(JSON, `secret`, "not a JSON object")
	f(JSON, `["secret"]`, "not a JSON object")
	f("", ``, "not a JSON object")
	f(JSON, "{\"text\":\"secret\xff\"}", "byte 15 is not UTF-8")
	f(JSON, `{"text":{"secret":1}}`, `field "text" has a value of the wrong type`)
	f(JSON, `{"published_at":"secret","text":"x"}`, `field "published_at"`)
	f(JSON, `{}`, "text is missing or empty")
	f(JSON, `{"text":" \n "}`, "text is missing or empty")
	f(JSON, `{"text":"`+strings.Repeat("x", MaxText+1)+`","id":"`+strings.Repeat("y", MaxID+1)+`"}`, "text has 1000001 bytes, the limit is 1000000; id has 201 bytes")
	f("text/plain", `secret`, "unknown content-type")
	f(Protobuf, "\xff\xff", "not a Protobuf message")
}

func TestContentIDNamesTheContent(t *testing.T) {
	a := &Vacancy{Text: "Kok søges", Title: "Kok"}
	b := &Vacancy{Text: "Kok søges", Title: "Kok"}
	c := &Vacancy{Text: "søges", Title: "KokKok "}
	if ContentID(a) != ContentID(b) || ContentID(a) == ContentID(c) {
		t.Fatalf("ids %s %s %s: the first two must be equal, the third another", ContentID(a), ContentID(b), ContentID(c))
	}
}

func FuzzDecodeVacancy(f *testing.F) {
	for _, s := range []string{`{"text":"x"}`, `{`, "\x12\x01x", "", "\ufeff{}", `{"attributes":{"a":1}}`} {
		f.Add("", []byte(s))
	}
	f.Fuzz(func(t *testing.T, contentType string, value []byte) {
		v, err := DecodeVacancy(contentType, value)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("an unclassified error: %v", err)
			}
			return
		}
		again, err := Encode(JSON, v)
		if err != nil {
			t.Fatalf("a decoded vacancy cannot be written: %v", err)
		}
		back, err := DecodeVacancy(JSON, again)
		if err != nil || !proto.Equal(v, back) {
			t.Fatalf("round trip: %v", err)
		}
	})
}

func TestJobnetCategories(t *testing.T) {
	taxonomy := Jobnet()
	if len(taxonomy.Categories) != 22 {
		t.Fatalf("%d categories, want 22", len(taxonomy.Categories))
	}
	owner := map[string]string{}
	for _, c := range taxonomy.Categories {
		if len(c.Titles) < 40 {
			t.Errorf("%s has %d titles, at least 40 are needed", c.Name, len(c.Titles))
		}
		for _, title := range c.Titles {
			if other, taken := owner[title]; taken {
				t.Errorf("title %q stands in %s and %s", title, other, c.Name)
			}
			owner[title] = c.Name
		}
	}
}

func TestFindCategory(t *testing.T) {
	f := func(label string, want int) {
		t.Helper()
		c, err := Jobnet().Find(label)
		if err != nil || c.Index != want {
			t.Fatalf("finding %q: got %d, %v; want %d", label, c.Index, err, want)
		}
	}
	f("Akademisk arbejde", 0)
	f("  it OG teleteknik ", 6)
	f("110000", 6)
	f("21", 21)
	if _, err := Jobnet().Find("Astronaut"); !errors.Is(err, ErrUnknownCategory) {
		t.Fatalf("got %v, want ErrUnknownCategory", err)
	}
}

func TestParseTaxonomyReportsEveryViolation(t *testing.T) {
	_, err := ParseTaxonomy([]byte(`[{"index":1,"name":"A","code":"1"},{"index":1,"name":"a","code":"2"}]`))
	if err == nil || !strings.Contains(err.Error(), "its place is 0") || !strings.Contains(err.Error(), `"a" is empty or that of category 0`) {
		t.Fatalf("got %v, want both violations", err)
	}
}

// Protobuf may begin with a line feed, and what follows is then a length, not JSON.
func TestContentTypeIsGuessed(t *testing.T) {
	f := func(want bool, value string) {
		t.Helper()
		if got := looksLikeJSON([]byte(value)); got != want {
			t.Errorf("%.20q: got %v", value, got)
		}
	}
	f(true, `{"text":"x"}`)
	f(true, "\n\t {}")
	f(true, "\ufeff{}")
	f(true, "")
	f(true, "text")
	for _, length := range []int{1, 9, 32, 36, 123, 200} { // 123 is a brace
		v := &Vacancy{Id: strings.Repeat("a", length), Text: "x"}
		value, err := Encode(Protobuf, v)
		if err != nil {
			t.Fatal(err)
		}
		f(false, string(value))
		got := &Vacancy{}
		if err := Decode("", value, got); err != nil || !proto.Equal(got, v) {
			t.Errorf("an id of %d bytes: %v, %v", length, got, err)
		}
	}
}

func TestUnframe(t *testing.T) {
	f := func(contentType, value, want string) {
		t.Helper()
		if got := string(Unframe(contentType, []byte(value))); got != want {
			t.Errorf("%s %q: got %q, want %q", contentType, value, got, want)
		}
	}
	f(JSON, "{}", "{}")
	f(JSON, "\x00\x00\x00\x00\x07{}", "{}")
	f("application/json; charset=utf-8", "\x00\x00\x00\x00\x07{}", "{}")
	f("", "\x00\x00\x00\x00\x07{}", "{}")
	f(Protobuf, "\x00\x00\x00\x00\x07\x00\x0a\x01a", "\x0a\x01a")
	f(Protobuf, "\x00\x00\x00\x00\x07\x02\x04\x0a\x01a", "\x0a\x01a")
	f("", "\x00\x00\x00\x00\x07\x04\x02\x04\x0a\x01a", "\x0a\x01a")
	f(Protobuf, "\x0a\x01a", "\x0a\x01a")
	f(Protobuf, "\x00\x00", "\x00\x00")
	f(Protobuf, "\x00\x00\x00\x00\x07\x06\x02", "\x00\x00\x00\x00\x07\x06\x02") // cut off
	f(Protobuf, "\x00\x00\x00\x00\x07\x01a", "\x00\x00\x00\x00\x07\x01a")       // minus one messages
}
