package cli

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/kafka"
	"jobstrom/schemas"
)

// historyFlags map the columns of the history that the producers' tests read.
var historyFlags = []string{
	"--columns", "title=stillingsbetegnelse,text=annoncetekst,published_at=startdt,category=label", "--category-map", "../producers/testdata/categories.yaml",
}

func TestProduceDryRun(t *testing.T) {
	history := append([]string{"produce", "--dry-run", "../producers/testdata/pandas.parquet"}, historyFlags...)
	has(t, 0, []string{"  startdt: published_at\n", "  timer: not published\n", "2022", "2024", "no label", "7 would be published, 6 labelled, 0 bad lines"}, nil, history...)
	has(t, 0, []string{"  region: attribute region\n", "4 would be published, 3 outside the window, 3 labelled"}, nil, append(history, "--attributes", "region", "--since", "2024-01-01", "--until", "2025-01-01")...)
	out := has(t, 0, nil, nil, append(history, "--format", "json")...)
	var report importReport
	must(t, json.Unmarshal([]byte(out), &report))
	if report.Vacancies != 7 || report.Published != 0 || report.Years["2022"]["Bygge og anlæg"] != 1 || report.Years["2024"]["no label"] != 1 || len(report.Columns) != 1 || len(report.Columns[0].Columns) != 7 {
		t.Errorf("%s", out)
	}
	// What is bad is said by line and column to people and machines, and does not stop the rest.
	bad := write(t, "bad.csv", "text;gruppe;published_at\nkok;240785-2316;2022-01-01\nsmed;Jern;2022-13-45\nmurer;Byg;2022-01-01\nmaler;Byg;\n")
	out = has(t, 3, []string{`"vacancies":2`, `"line":2,"column":"gruppe","error":"malformed vacancy: column gruppe: looks like personal data (cpr)`, `"line":3,"column":"published_at"`},
		[]string{"bad.csv:2: ", "bad.csv:3: "}, "produce", bad, "--dry-run", "--attributes", "gruppe", "--format", "json")
	if strings.Contains(strings.ReplaceAll(out, bad, ""), "2316") { // a temporary folder's name may hold it
		t.Errorf("%s", out)
	}
	has(t, 3, []string{"2 would be published, 0 labelled, 2 bad lines"}, []string{"bad.csv:5: malformed vacancy: published_at is missing"}, "produce", bad, "--dry-run", "--since", "2022-01-01")
	// Of a folder, it is said by file or the index's line.
	index := write(t, "index.csv", "file,category\n2022/05/ad-1.txt,4\n2022/01/ad-0.txt,\n2022/11/ad-2.txt,2\n2024/02/ad-3.txt,nobody\n")
	has(t, 3, []string{"1 would be published, 1 outside the window, 1 labelled, 2 bad lines"}, []string{"index.csv:4: malformed vacancy: column file", "index.csv:5: malformed vacancy: column category: unknown category"},
		"produce", "../producers/testdata/ads", "--dry-run", "--index", index, "--pattern", "ad-[013].txt", "--since", "2022-05-01", "--until", "2022-06-01")
}

func TestProduceRefusesFlags(t *testing.T) {
	file := write(t, "a.csv", "text,Omr\na,b\n")
	f := func(status int, want string, args ...string) {
		t.Helper()
		has(t, status, nil, []string{want}, append([]string{"produce", "--dry-run", file}, args...)...)
	}
	f(2, "use FIELD=COLUMN", "--columns", "text")
	f(2, "there is no field body: the fields are id, title, text", "--columns", "body=a")
	f(2, "names text twice", "--columns", "text=a,text=b")
	f(2, "use one ASCII character or tab", "--delimiter", "æ")
	f(2, "encoding (ebcdic) must be utf-8, latin1", "--encoding", "ebcdic")
	f(2, "must be before --until", "--since", "2024-01-01", "--until", "2022-01-01")
	f(2, "--since is \"soon\"", "--since", "soon")
	f(1, "no column dato for published_at; its columns are text, Omr", "--columns", "published_at=dato")
	f(1, "no column region for attribute region", "--attributes", "region")
	f(1, "no such file", "--category-map", "/nowhere.csv")
	f(1, `line 3: unknown category "Kok"`, "--category-map", write(t, "map.csv", "own,category\nx,4\ny,Kok\n"))
	f(1, `"x" stands there twice`, "--category-map", write(t, "map.csv", "own,category\nx,4\nX,5\n"))
	f(1, "it is empty", "--category-map", write(t, "map.csv", "own,category\n"))
	f(1, "not a list of own name: category", "--category-map", write(t, "map.yaml", "[a, b]\n"))
}

// Who imports an attribute that only the command line names is told that the flow may drop it.
func TestProduceSaysWhichAttributesAFlowMayDrop(t *testing.T) {
	f := func(want, settings, environment string, args ...string) {
		t.Helper()
		t.Chdir(t.TempDir())
		must(t, os.WriteFile("a.csv", []byte("text,omr,grp\na,b,c\n"), 0o644))
		if settings != "" {
			must(t, os.WriteFile(configFile, []byte(settings), 0o644))
		}
		if environment != "" {
			t.Setenv("JOBSTROM_ATTRIBUTES", environment)
			defer os.Unsetenv("JOBSTROM_ATTRIBUTES")
		}
		status, out, errOut := jobstrom(t, "", append([]string{"produce", "a.csv", "--dry-run"}, args...)...)
		if note, _, _ := strings.Cut(errOut, " only"); status != 0 || note != want {
			t.Errorf("settings %q, environment %q, %v: status %d, %q, want %q", settings, environment, args, status, errOut, want)
		}
		if !strings.Contains(out, "omr: attribute omr") {
			t.Errorf("settings %q, environment %q, %v: %s", settings, environment, args, out)
		}
	}
	const note = "note: a flow keeps the attributes "
	f(note+"omr,grp", "", "", "--attributes", "omr,grp")
	f(note+"grp", "attributes: [omr]\n", "", "--attributes", "omr,grp")
	f("", "attributes: [omr, grp, other]\n", "")
	f("", "", "omr,other")
	f("", "attributes: [omr]\n", "", "--attributes", "omr")
}

// What is published is what was read, and its labels; a file that ends the import leaves what went before.
func TestProduceImports(t *testing.T) {
	clustertest.Each(t, func(t *testing.T, addrs []string) {
		client, err := kafka.NewClient(kafka.Options{Brokers: addrs})
		must(t, err)
		defer client.Close()
		must(t, kafka.EnsureTopics(t.Context(), client, strings.Repeat("e", 64), kafka.Layout{Partitions: 2, Replication: 1}))
		args := append([]string{"produce", "../producers/testdata/zstd.parquet", write(t, "half.parquet", "PAR1 and no more"), "--brokers", strings.Join(addrs, ","), "--attributes", "region"}, historyFlags...)
		has(t, 1, []string{"7 published, 6 labelled, 0 bad lines"}, []string{"half.parquet: the file is no Parquet file"}, args...)
		counts, regions, years := map[string]int{}, map[string]int{}, map[int]int{}
		must(t, kafka.Scan(t.Context(), kafka.Options{Brokers: addrs}, kafka.ScanOptions{Topics: []string{kafka.Raw, kafka.Labels}, Whole: true}, func(r *kgo.Record) error {
			counts[r.Topic]++
			if r.Topic == kafka.Raw {
				v, err := schemas.DecodeVacancy(kafka.Header(r, kafka.ContentType), r.Value)
				if err != nil {
					return err
				}
				regions[v.Attributes["region"]]++
				years[v.PublishedAt.AsTime().Year()]++
			}
			return nil
		}))
		if counts[kafka.Raw] != 7 || counts[kafka.Labels] != 6 || regions["Syddanmark"] != 2 || regions[""] != 1 || years[2022] != 3 || years[2024] != 4 {
			t.Errorf("%v %v %v", counts, regions, years)
		}
	})
}
