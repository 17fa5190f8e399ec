package producers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"jobstrom/schemas"
)

func readAll(format Format, in string) (got []string, bad []string, err error) {
	err = Read(strings.NewReader(in), "f", format, ReadOptions{}, func(line int, v *schemas.Vacancy) error {
		got = append(got, fmt.Sprintf("%d:%s/%s/%s", line, v.Title, v.Text, v.Category))
		return nil
	}, func(b *BadLine) { bad = append(bad, b.Error()) })
	return got, bad, err
}

func TestReadSuccess(t *testing.T) {
	f := func(format Format, in string, want ...string) {
		t.Helper()
		got, bad, err := readAll(format, in)
		if err != nil || len(bad) > 0 || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("reading %q: got %q, bad %q, %v; want %q", in, got, bad, err, want)
		}
	}
	f(JSONL, `{"text":"a"}`, "1:/a/")
	f(JSONL, "\ufeff{\"text\":\"a\"}\r\n\n{\"text\":\"b\",\"category\":\"Ledelse\"}\n", "1:/a/", "3:/b/Ledelse")
	f(CSV, "Title,text\nKok,\"linje 1\nlinje 2\"\nSmed,svejser\n", "2:Kok/linje 1\nlinje 2/", "4:Smed/svejser/")
	f(CSV, "title;text\na;b, c\n", "2:a/b, c/")
	f(CSV, "text,category,published_at,x\na,6,2026-01-31,y\n", "2:/a/6")
}

func TestReadReportsBadLinesAndGoesOn(t *testing.T) {
	f := func(format Format, in string, wantGood int, wantBad ...string) {
		t.Helper()
		got, bad, err := readAll(format, in)
		if err != nil || len(got) != wantGood || len(bad) != len(wantBad) {
			t.Fatalf("reading %.60q: got %d, bad %q, %v", in, len(got), bad, err)
		}
		for i, want := range wantBad {
			if !strings.HasPrefix(bad[i], want) {
				t.Fatalf("reading %.60q: got %q, want %q …", in, bad[i], want)
			}
		}
	}
	f(JSONL, "{\"text\":\"a\"}\n{\"text\":\nnonsense\n{\"text\":\"b\"}", 2, "f:2: malformed vacancy: not a JSON object", "f:3: malformed vacancy: not a JSON object")
	f(JSONL, `{"title":"a"}`, 0, "f:1: malformed vacancy: text is missing")
	f(JSONL, "{\"text\":\"a\xff\"}", 0, "f:1: malformed vacancy: byte 10 is not UTF-8")
	f(JSONL, `{"text":"`+strings.Repeat("x", 5<<20)+"\"}\n{\"text\":\"b\"}", 1, "f:1: malformed vacancy: text has 5242880 bytes, the limit is 1000000")
	f(JSONL, `{"text":"`+strings.Repeat("x", 9<<20)+"\"}\n{\"text\":\"b\"}", 1, "f:1: malformed vacancy: the line has more than")
	f(CSV, "text,title\na,b,c\nd,e\n,f\n", 1, "f:2: malformed vacancy: wrong number of fields", "f:4: malformed vacancy: text is missing")
	f(CSV, "text,published_at\na,soon\n", 0, "f:2: malformed vacancy: column published_at: not a date")
}

func TestReadFailure(t *testing.T) {
	f := func(format Format, in, want string) {
		t.Helper()
		_, _, err := readAll(format, in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("reading %q: got %v, want %q", in, err, want)
		}
	}
	f(JSONL, "", "the file is empty")
	f(CSV, "", "the file is empty")
	f(CSV, "text\n", "the file is empty")
	f(CSV, "title,body\na,b\n", "has no column text")
	if _, _, err := readAll(JSONL, "\n\n"); !errors.Is(err, ErrNoVacancies) {
		t.Fatalf("got %v, want ErrNoVacancies", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"text\na\n", "\"", "{}", "{\"text\":\"a\"}\n\x00", "a,text\n\"b\nc,d", "text;x\n\"a\"b\";c\n\"\n", "\xff\xfe"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, in string, isCSV bool) {
		format := JSONL
		if isCSV {
			format = CSV
		}
		got, bad, err := readAll(format, in)
		// Every line with something on it is in a vacancy or reported.
		if lines := len(strings.FieldsFunc(in, func(r rune) bool { return r == '\n' })); err == nil && len(got)+len(bad) > lines {
			t.Errorf("%d vacancies and %d bad lines of %d lines", len(got), len(bad), lines)
		}
	})
}

func FuzzReadParquet(f *testing.F) {
	for _, name := range []string{"pandas", "zstd", "int96", "text", "types", "empty"} {
		data, err := os.ReadFile("testdata/" + name + ".parquet")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	o := ReadOptions{Columns: map[string]string{"text": "annoncetekst"}, Attributes: []string{"startdt", "region", "timer"}, AttributesMayLack: true}
	o.EnsureDefaults()
	f.Fuzz(func(t *testing.T, in []byte) {
		// A damaged file is an error or bad rows, never a panic.
		_ = reading("x.parquet", o, func(int, *schemas.Vacancy) error { return nil }, func(*BadLine) {}, func(table *table) error {
			return readParquet(bytes.NewReader(in), int64(len(in)), table)
		})
	})
}
