package producers

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"jobstrom/schemas"
)

// options are those of the history in testdata, which make_history.py writes.
func options(t testing.TB) ReadOptions {
	t.Helper()
	categories, err := ReadCategoryMap("testdata/categories.csv", schemas.Jobnet())
	if err != nil {
		t.Fatal(err)
	}
	return ReadOptions{
		Columns:    map[string]string{"title": "stillingsbetegnelse", "text": "annoncetekst", "published_at": "startdt", "category": "label"},
		Attributes: []string{"erhvervsgruppe_txt", "region", "timer"}, Categories: categories, Taxonomy: schemas.Jobnet(),
	}
}

// readPath returns what a file says, a line for each vacancy and each bad line.
func readPath(path string, o ReadOptions) (got, bad []string, err error) {
	err = ReadFile(path, o, func(_ int, v *schemas.Vacancy) error {
		attributes, _ := json.Marshal(v.Attributes)
		date := ""
		if v.PublishedAt != nil {
			date = v.PublishedAt.AsTime().Format("2006-01-02T15:04:05.999")
		}
		got = append(got, fmt.Sprintf("%s %s|%s|%s|%s|%s", v.Id, date, v.Category, v.Title, v.Text, attributes))
		return nil
	}, func(b *BadLine) { bad = append(bad, b.Error()) })
	return got, bad, err
}

// The same history is the same vacancies, with the same ids, whatever it comes in.
func TestEveryFormatIsTheSameHistory(t *testing.T) {
	want := []string{
		"2022-01-31T08:00:00|Bygge og anlæg|Murer til facader|Vi søger en murer til facaderenovering i Vejle.\nDu murer og fuger.|" + `{"erhvervsgruppe_txt":"Byggeri","region":"Syddanmark","timer":"37"}`,
		"2022-05-02T00:00:00|Hotel, restauration, køkken, kantine|Kok|Vi søger en kok til vores restaurant; du laver mad til 40 gæster.|" + `{"erhvervsgruppe_txt":"Hotel","region":"Sjælland","timer":"32"}`,
		"2022-11-15T12:30:00|Sundhed, omsorg og personlig pleje|Sygeplejerske|Du giver \"god\" pleje på afdelingen, dag og aften.|" + `{"erhvervsgruppe_txt":"Sundhed","region":"Hovedstaden"}`,
		"2024-02-01T00:00:00|Salg, indkøb og markedsføring|Sælger|Du sælger løsninger til erhvervskunder.|" + `{"erhvervsgruppe_txt":"Handel","timer":"37"}`,
		"2024-03-20T07:15:00||Pædagog|Børnehaven søger en pædagog, der kan lide at være ude.|" + `{"erhvervsgruppe_txt":"Undervisning","region":"Midtjylland","timer":"30"}`,
		"2024-06-30T23:59:59|Transport, post, lager- og maskinførerarbejde|Chauffør|Du kører varer ud i hele landet.|" + `{"erhvervsgruppe_txt":"Transport","region":"Nordjylland","timer":"37"}`,
		"2024-12-24T00:00:00|Bygge og anlæg|Tømrer|Vi bygger tage og søger en tømrer med svendebrev.|" + `{"erhvervsgruppe_txt":"Byggeri","region":"Syddanmark","timer":"37"}`,
	}
	first, _, err := readPath("testdata/history.csv", options(t))
	if err != nil {
		t.Fatal(err)
	}
	said := make([]string, len(first))
	for i, line := range first {
		_, said[i], _ = strings.Cut(line, " ")
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Fatal(diff)
	}
	for _, name := range []string{"history-1252.csv", "history.tsv", "pandas.parquet", "zstd.parquet", "gzip.parquet", "lz4.parquet", "int96.parquet", "text.parquet", "ads"} {
		o := options(t)
		switch name {
		case "history-1252.csv":
			o.Encoding = "windows-1252"
		case "ads":
			o.Index = "testdata/ads.csv"
			delete(o.Columns, "title")
			delete(o.Columns, "text")
		}
		progress := ""
		o.Progress = func(_ string, done, of int64) { progress = fmt.Sprint(done == of, " ", done > 6) }
		got, bad, err := readPath("testdata/"+name, o)
		if err != nil || len(bad) > 0 || progress != "true true" {
			t.Errorf("%s: bad %q, %v; progress %s", name, bad, err, progress)
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	yaml, err := ReadCategoryMap("testdata/categories.yaml", schemas.Jobnet())
	if err != nil || yaml["frivilligt arbejde"] != "" || len(yaml) != 4 {
		t.Fatalf("%v, %v", yaml, err)
	}
	delete(yaml, "frivilligt arbejde")
	if diff := cmp.Diff(options(t).Categories, yaml); diff != "" {
		t.Error(diff)
	}
}

func TestParquetTypes(t *testing.T) {
	f := func(column string, want ...string) {
		t.Helper()
		var got []string
		err := ReadFile("testdata/types.parquet", ReadOptions{Columns: map[string]string{"title": column}}, func(_ int, v *schemas.Vacancy) error {
			got = append(got, v.Title)
			return nil
		}, func(b *BadLine) { got = append(got, "bad") })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v; want %q", column, got, err, want)
		}
	}
	f("boolean", "true", "false", "")
	f("int8", "-1", "2", "")
	f("uint32", "4294967295", "0", "")
	f("int64", "-9007199254740993", "5", "")
	f("uint64", "18446744073709551615", "5", "")
	f("float32", "0.1", "6", "")
	f("float64", "0.1", "6", "")
	f("decimal", "-12.50", "7", "")
	f("decimal32", "-12.5", "7", "")
	f("date", "2022-01-31", "1970-01-01", "")
	f("date64", "2022-01-31", "1970-01-01", "")
	f("timestamp", "2022-01-31T08:00:00.25Z", "1970-01-01T00:00:00Z", "")
	f("zone", "2022-01-31T08:00:00Z", "1970-01-01T00:00:00Z", "")
	f("binary", "æ", "b", "")
	f("fixed", "01ff", "6262", "")
	f("uuid", "00000000-0000-0000-0000-000000000007", "00000000-0000-0000-0000-000000000008", "")
	f("dictionary", "x", "y", "")
	f("empty", "", "", "")
	for _, column := range []string{"time", "list", "struct"} {
		if _, _, err := readPath("testdata/types.parquet", ReadOptions{Attributes: []string{column}}); err == nil || !strings.Contains(err.Error(), "column "+column+": it") {
			t.Errorf("%s: %v", column, err)
		}
	}
	if _, _, err := readPath("testdata/types.parquet", ReadOptions{Columns: map[string]string{"title": "latin"}}); err == nil || !strings.Contains(err.Error(), "as strings in UTF-8") {
		t.Errorf("latin: %v", err)
	}
}

func TestParseDate(t *testing.T) {
	f := func(want string, in ...string) {
		t.Helper()
		for _, s := range in {
			got, err := parseDate(s)
			if err != nil || got.Format("2006-01-02T15:04:05.999Z07:00") != want {
				t.Errorf("%q: got %v, %v; want %s", s, got, err, want)
			}
		}
	}
	f("2022-01-31T00:00:00Z", "2022-01-31", "31-01-2022", "31.01.2022", "31-1-2022", "20220131", "1643587200", "1643587200000", "1643587200000000", "1643587200000000000", " 2022-01-31 ")
	f("2022-01-31T08:05:00Z", "31-01-2022 08:05", "31.01.2022 08.05", "31.01.2022 08.05.00", "2022-01-31T08:05", "2022-01-31 08:05:00", "2022-01-31T09:05:00+01:00", "2022-01-31 08:05:00+00:00", "2022-01-31T09:05:00+0100")
	f("2022-01-31T08:05:00.25Z", "2022-01-31 08:05:00.25", "2022-01-31T08:05:00.250000Z")
	for _, s := range []string{"", "soon", "2022-13-45", "31-02-2022", "31/01/2022", "01/31/2022", "22", "1969-12-31", "2200-01-01", "0022-01-31", "99999999", "123456789012345", "31-01-22", "NaT"} {
		if got, err := parseDate(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
	path := func(path, want string) {
		t.Helper()
		date, found := dateOfPath(path)
		if got := date.Format("2006-01-02"); found != (want != "") || found && got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	path("2022/05/17/kok.txt", "2022-05-17")
	path("2022/05/kok.txt", "2022-05-01")
	path("2022/kok.txt", "2022-01-01")
	path("kok-2022-05-17.txt", "2022-05-17")
	path("2022/20220517_kok.txt", "2022-05-17")
	path("a/2022-05/kok 12345.txt", "2022-05-01")
	path("kok.txt", "")
	path("job-12022051.txt", "")
	path("2022.txt", "")
}

// file puts a file into a folder of its own.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// many writes a header and n rows.
func many(header string, n int, row func(i int) string) string {
	var b strings.Builder
	b.WriteString(header + "\n")
	for i := range n {
		b.WriteString(row(i) + "\n")
	}
	return b.String()
}

func TestBadFiles(t *testing.T) {
	o := ReadOptions{Columns: map[string]string{"text": "body", "published_at": "startdt"}, Attributes: []string{"gruppe"}, Taxonomy: schemas.Jobnet()}
	f := func(path string, change func(*ReadOptions), want ...string) {
		t.Helper()
		o := o
		o.Columns = maps.Clone(o.Columns)
		if change != nil {
			change(&o)
		}
		got, bad, err := readPath(path, o)
		if err == nil || len(got) > 0 || len(bad) > 0 {
			t.Fatalf("%s: got %q, bad %q, %v", path, got, bad, err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not say %q", path, err, w)
			}
		}
	}
	f(file(t, "empty.csv", ""), nil, "the file is empty")
	f(file(t, "header.csv", "body,startdt,gruppe\n"), nil, "the file is empty")
	f(file(t, "columns.csv", "tekst,Dato,gruppe\na,b,c\n"), nil, "no column body for text", "no column startdt for published_at", "its columns are tekst, Dato, gruppe")
	f(file(t, "attribute.csv", "body,startdt\na,2022-01-01\n"), nil, "no column gruppe for attribute gruppe")
	f(file(t, "twice.csv", "body,Body,startdt,gruppe\na,b,2022-01-01,c\n"), nil, "column body stands there 2 times")
	f(file(t, "headerless.csv", "Ring til Mette Hansen,22314456,x\n"), nil, "its columns are x and 2 that look like values: has it a header?")
	f(file(t, "utf16.csv", "\xff\xfeb\x00o\x00"), nil, "--encoding utf-16")
	f(file(t, "latin.csv", "body,startdt,gruppe\nk\xf8kken,2022-01-01,a\nkok,2022-01-01,a\nbl\xe5,2022-01-01,a\n"), nil, "2 of the first 3 rows are not UTF-8", "--encoding windows-1252")
	f(file(t, "unique.csv", many("body,startdt,gruppe", 2000, func(i int) string { return fmt.Sprintf("text %d,2022-01-01,nr %d", i, i) })), nil, "column gruppe is no attribute: 1000 of its first 1000 values differ")
	f(t.TempDir(), nil, "no file in it matches *.txt")
	f("testdata/ads", nil, "--index")
	f("testdata/ads", func(o *ReadOptions) { o.Index = "testdata/history.csv" }, "its index testdata/history.csv", "no column gruppe", "its columns are stillingsbetegnelse")
	f("testdata/ads", func(o *ReadOptions) {
		o.Index, o.Attributes = file(t, "index.csv", ""), nil
	}, "it is empty")
	f("testdata/ads", func(o *ReadOptions) { o.Pattern = "[" }, "pattern ([)")
	f("testdata/history.csv", func(o *ReadOptions) {
		o.Delimiter = '"'
		o.Encoding = "ebcdic"
		o.Columns = map[string]string{"body": "x"}
	}, "delimiter", "encoding (ebcdic)", "no field body", "published_at")
	f("testdata/empty.parquet", func(o *ReadOptions) { o.Columns, o.Attributes = nil, nil }, "the file is empty")
	f(file(t, "empty.parquet", ""), nil, "the file is empty")
	f(file(t, "text.parquet", "this is no such file"), nil, "no Parquet file or is damaged")
	whole, err := os.ReadFile("testdata/pandas.parquet")
	if err != nil {
		t.Fatal(err)
	}
	f(file(t, "half.parquet", string(whole[:len(whole)/2])), nil, "was it copied whole?")
	damaged := slices.Clone(whole)
	for i := range 400 {
		damaged[4+i] ^= 0x5a
	}
	f(file(t, "damaged.parquet", string(damaged)), func(o *ReadOptions) { *o = options(t) }, "damaged", "row 1")
	f("testdata/pandas.parquet", nil, "no column body", "erhvervsgruppe_txt")
	f("/nowhere/x.parquet", nil, "no such file")
}

func TestBadRows(t *testing.T) {
	f := func(name, content string, good int, wantBad ...string) {
		t.Helper()
		o := ReadOptions{Columns: map[string]string{"published_at": "dato"}, Attributes: []string{"gruppe"}, Taxonomy: schemas.Jobnet()}
		path := file(t, name, "text,dato,gruppe,category\n"+content)
		got, bad, err := readPath(path, o)
		if err != nil || len(got) != good || len(bad) != len(wantBad) {
			t.Fatalf("%s: got %q, bad %q, %v", name, got, bad, err)
		}
		for i, want := range wantBad {
			if !strings.HasPrefix(bad[i], path+":"+want) {
				t.Errorf("%s: bad %q, want %q …", name, bad[i], want)
			}
		}
	}
	const fine = "kok,2022-01-31,Hotel,4\n"
	f("ragged.csv", "kok,2022-01-31,Hotel\n"+fine+"a,b,c,d,e\n"+fine, 2, "2: malformed vacancy: wrong number of fields: 3, the header has 4", "4: malformed vacancy: wrong number of fields: 5")
	f("ragged-lines.csv", "\"a\nb,2022-01-31,Hotel,4\nc\",x\n"+fine, 1, "2: malformed vacancy: wrong number of fields: 2")
	f("unclosed.csv", fine+"\"kok,2022-01-31,Hotel,4\n"+fine+fine, 3, "3: malformed vacancy: a quote is opened and not closed")
	f("unclosed-and-closed.csv", "\"kok,2022-01-31,Hotel,4\n"+fine+"\"smed\nog kok\",2022-01-31,Jern,7\n"+fine, 3, "2: malformed vacancy: a quote inside")
	f("bare.csv", "5\" skærm og \"mus\",2022-01-31,Hotel,4\n\"en \"god\" kok\",2022-01-31,Hotel,4\n", 2)
	f("nul.csv", "k\x00k,2022-01-31,Hotel,4\n"+fine, 1, "2: malformed vacancy: column text: holds a NUL byte")
	f("byte.csv", fine+"blå,2022-01-31,Hotel,4\nbl\xe5,2022-01-31,Hotel,4\n", 2, "4: malformed vacancy: column text: not UTF-8: save the file as UTF-8")
	f("date.csv", "kok,2022-13-45,Hotel,4\nkok,,Hotel,4\n"+fine, 1, "2: malformed vacancy: column dato: not a date from 1970 to 2199", "3: malformed vacancy: column dato: is empty")
	f("category.csv", "kok,2022-01-31,Hotel,Mette Hansen\nkok,2022-01-31,Hotel,Kok\n"+fine, 1, "2: malformed vacancy: column category: unknown category: use a name, a code or an index of these, or map it with --category-map: Akademisk arbejde; Bygge", "3: malformed vacancy: column category: unknown category: map it with")
	f("long.csv", "kok,2022-01-31,"+strings.Repeat("æ", MaxAttribute+1)+",4\nkok,2022-01-31,"+strings.Repeat("æ", MaxAttribute)+",4\n", 1, "2: malformed vacancy: column gruppe: an attribute of 201 characters, the limit is 200")
	for kind, value := range map[string]string{"cpr": "240785-2316", "email": "mette@firma.dk", "phone": "22 31 44 56", "url": "https://firma.dk/?id=3", "name": "Mette Krogsgaard", "address": "Vestergade 12"} {
		f(kind+".csv", fine+"kok,2022-01-31,"+value+",4\n"+fine, 2, "3: malformed vacancy: column gruppe: looks like personal data ("+kind+"): leave")
	}
	f("fine.csv", fine+"\n\r\nkok,2022-01-31,,\n", 2)
	f("line.csv", strings.Repeat("x", maxLine+1)+",2022-01-31,a,4\n\"a\n"+strings.Repeat("x", maxLine+1)+"\nb\",2022-01-31,a,4\n"+fine, 1,
		"2: malformed vacancy: the line has more than", "3: malformed vacancy: a quote is opened", "4: malformed vacancy: the line has more than", "5: malformed vacancy: a quote inside")
	// The end of a text that was refused is no vacancy.
	f("end.csv", "\"en \"god\" kok\ntil \"os\"\",2022-01-31,Hotel,4\n"+fine, 1, "2: malformed vacancy: a quote is opened and not closed", "3: malformed vacancy: a quote inside")
	// Municipalities repeat; so does what few rows have.
	f("some.csv", strings.TrimPrefix(many("", 300, func(i int) string { return fmt.Sprintf("kok %d,2022-01-31,kommune %d,4", i, i*i%98) }), "\n"), 300)
	f("few.csv", strings.TrimPrefix(many("", 99, func(i int) string { return fmt.Sprintf("kok %d,2022-01-31,by %d,4", i, i) }), "\n"), 99)
}

// No report quotes what a file holds.
func TestBadRowsQuoteNothing(t *testing.T) {
	const secret = "Hemmelig Zyxersen"
	rows := []string{secret, "kok,2022-01-31,Hotel," + secret, "kok," + secret + ",Hotel,4", "kok,2022-01-31," + secret + " 240785-2316,4", "kok,2022-01-31," + strings.Repeat(secret, 50) + ",4", "\"" + secret + "\x00,2022-01-31,a,4"}
	_, bad, err := readPath(file(t, "x.csv", "text,published_at,gruppe,category\n"+strings.Join(rows, "\n")+"\n"), ReadOptions{Attributes: []string{"gruppe"}, Taxonomy: schemas.Jobnet()})
	if err != nil || len(bad) != len(rows) || strings.Contains(strings.Join(bad, ""), "Zyxersen") {
		t.Fatalf("%q, %v", bad, err)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"2022/05/kok.txt": "\ufeffKok\r\n\r\nVi søger en kok.\r\nDu laver mad.\r\n", "single.txt": "Vi søger en smed.", "2024-03-01.txt": "Smed\nDu svejser.",
		"nul.txt": "a\x00b", "empty.txt": "", "latin.txt": "bl\xe5b\xe6r", "large.txt": strings.Repeat("x", schemas.MaxText+schemas.MaxTitle+1), "notes.md": "no",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	f := func(o ReadOptions, want, wantBad []string) {
		t.Helper()
		got, bad, err := readPath(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			_, got[i], _ = strings.Cut(got[i], " ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if len(bad) != len(wantBad) {
			t.Fatalf("bad %q", bad)
		}
		for i := range bad {
			if !strings.HasPrefix(bad[i], filepath.Join(dir, wantBad[i])) && !strings.HasPrefix(bad[i], wantBad[i]) {
				t.Errorf("bad %q, want %q …", bad[i], wantBad[i])
			}
		}
	}
	f(ReadOptions{}, []string{"2022-05-01T00:00:00||Kok|Vi søger en kok.\nDu laver mad.|null", "2024-03-01T00:00:00||Smed|Du svejser.|null", "|||Vi søger en smed.|null"},
		[]string{"empty.txt: malformed vacancy: text is missing", "large.txt: malformed vacancy: text has more", "latin.txt: malformed vacancy: not UTF-8", "link.txt: ", "nul.txt: malformed vacancy: holds a NUL"})
	index := file(t, "index.csv", "File,title,x\n./2022/05/kok.txt,Chef,a\nsingle.txt,,b\nsingle.txt,,b\n../../etc/passwd,,c\nlatin.txt,,Mette Krogsgaard\nx\n")
	f(ReadOptions{Index: index, Attributes: []string{"x"}, Pattern: "*[ken].txt"}, []string{"2022-05-01T00:00:00||Chef|Kok\n\nVi søger en kok.\nDu laver mad.|" + `{"x":"a"}`, "|||Vi søger en smed.|" + `{"x":"b"}`},
		[]string{index + ":4: malformed vacancy: column file: a row before", index + ":5: malformed vacancy: column file: the folder has no such", index + ":6: malformed vacancy: column x: looks like", index + ":7: malformed vacancy: wrong number",
			"large.txt: malformed vacancy: the index", "link.txt: malformed vacancy: the index"})
}

// A history that is larger than what may be held at a time is streamed.
func TestParquetIsStreamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.parquet")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	type ad struct {
		Text   string `parquet:"text,snappy"`
		Gruppe string `parquet:"gruppe,dict"`
	}
	writer := parquet.NewGenericWriter[ad](out, parquet.MaxRowsPerRowGroup(1000))
	text := strings.Repeat("Vi søger en kok, der kan lave mad. ", 150)
	const rows = 20_000
	for i := range rows {
		if _, err := writer.Write([]ad{{fmt.Sprint(i, " ", text), fmt.Sprint("gruppe ", i%7)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	var largest, before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	err = ReadFile(path, ReadOptions{Attributes: []string{"gruppe"}}, func(line int, v *schemas.Vacancy) error {
		if n++; n != line || !strings.HasPrefix(v.Text, fmt.Sprint(n-1, " ")) || v.Attributes["gruppe"] != fmt.Sprint("gruppe ", (n-1)%7) {
			return fmt.Errorf("row %d is %.20q, %v", line, v.Text, v.Attributes)
		}
		if n%2000 == 0 {
			runtime.GC()
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > largest.HeapAlloc {
				largest = now
			}
		}
		return nil
	}, func(b *BadLine) { t.Error(b) })
	if err != nil || n != rows {
		t.Fatalf("%d rows, %v", n, err)
	}
	held := int64(largest.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d MB of text, %d MB held", rows*len(text)>>20, held>>20)
	if held > 40<<20 {
		t.Errorf("%d MB are held of %d MB", held>>20, rows*len(text)>>20)
	}
}
