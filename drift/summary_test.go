package drift

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"jobstrom/drift/alarms"
	"jobstrom/drift/stats"
)

// evidentlySummary is what Evidently's DataSummaryPreset shows of a window, by the names of its metrics.
type evidentlySummary struct {
	Columns map[string]struct {
		MissingValueCount int
		UniqueValueCount  *struct {
			Label           string
			Distinct, Count int
		}
		MinValue, MaxValue, MeanValue float64
		StdValue                      float64
		Q25                           float64 `json:"QuantileValue 0.25"`
		Median                        float64 `json:"QuantileValue 0.5"`
		Q75                           float64 `json:"QuantileValue 0.75"`
	}
	RowCount, DuplicatedRowCount, ConstantColumnsCount, EmptyColumnsCount, DatasetMissingValueCount int
	Numerical                                                                                       int `json:"ColumnCount Numerical"`
	Categorical                                                                                     int `json:"ColumnCount Categorical"`
}

// reported makes the rows of make_report.py.
func reported(t *testing.T, times int) *frames {
	t.Helper()
	fs := &frames{dictionaries: map[string]*dictionary{}}
	for _, f := range []*frame{&fs.reference, &fs.current} {
		*f = frame{words: map[string][]int32{}, numbers: map[string][]float64{}, models: map[string]int{}}
	}
	for i, s := range readSamples(t) {
		r := &row{Vacancy: uint64(i + 1), Source: s.Source, Language: s.Language, Truncated: s.Truncated, TextLength: s.TextLength, Tokens: s.Tokens, Attributes: map[string]string{"region": "Fyn"}}
		if i%7 != 0 {
			r.Model, r.Category, r.Index, r.Confidence = "m", s.Category, s.CategoryIndex, s.Confidence
			r.Occupations, r.Skills, r.Tasks = uint64(len(s.Occupations)), uint64(len(s.Skills)), uint64(len(s.Tasks))
		}
		if i%3 != 0 {
			r.Label = s.Label
		}
		f, copies := &fs.reference, times
		if !s.PublishedAt.Before(day(125, 0)) {
			f, copies = &fs.current, 1
		}
		if i%11 == 0 {
			copies *= 2
		}
		for range copies {
			fs.add(f, r)
		}
	}
	return fs
}

// What a report shows of the windows and of their columns, and the verdicts by Evidently's rules, are what Evidently shows of the same rows.
func TestReportGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var goldens []struct {
		Times              int
		Reference, Current evidentlySummary
		Drift              map[string]struct{ Score, Threshold float64 }
		Drifted            int
	}
	if err := json.Unmarshal(data, &goldens); err != nil {
		t.Fatal(err)
	}
	if len(goldens) != 2 {
		t.Fatalf("%d goldens", len(goldens))
	}
	for _, g := range goldens {
		none := 1. // the score of no difference: a p-value, or with many reference rows a distance
		if g.Times > 1 {
			none = 0
		}
		fs := reported(t, g.Times)
		o := Options{Preset: Evidently}
		o.EnsureDefaults()
		c := &Comparison{Preset: Evidently}
		drifted := 0
		for _, name := range fs.columns() {
			column, err := fs.compare(name, [2][][]int{fs.reference.blocks(), fs.current.blocks()}, o)
			if err != nil {
				t.Fatal(err)
			}
			c.Columns = append(c.Columns, column)
			theirs, known := g.Drift[name]
			switch constant := column.Summary[0].Distinct == 1 && column.Summary[1].Distinct == 1; {
			case !known:
				t.Errorf("Evidently says nothing of %s", name)
			case constant: // which is judged without a test here
				if column.Verdict != alarms.None || theirs.Score != none {
					t.Errorf("the constant %s: %s, in Evidently %v", name, column.Verdict, theirs.Score)
				}
			case !near(column.Effect, theirs.Score) || column.Gate != theirs.Threshold:
				t.Errorf("%d times: %s: score %v with the threshold %v, in Evidently %v and %v", g.Times, name, column.Effect, column.Gate, theirs.Score, theirs.Threshold)
			}
			if column.Verdict == alarms.Drift {
				drifted++
			}
		}
		if len(c.Columns) != len(g.Drift) || drifted != g.Drifted {
			t.Errorf("%d times: %d columns, %d with drift; in Evidently %d and %d", g.Times, len(c.Columns), drifted, len(g.Drift), g.Drifted)
		}
		s := fs.summarise(c.Columns)
		for side, theirs := range []evidentlySummary{g.Reference, g.Current} {
			ours := evidentlySummary{RowCount: s.Rows[side], DuplicatedRowCount: s.Repeated[side], ConstantColumnsCount: len(s.Constant[side]) + len(s.Empty[side]), EmptyColumnsCount: len(s.Empty[side]),
				DatasetMissingValueCount: s.Missing[side], Numerical: s.Columns[Numeric], Categorical: s.Columns[Categorical]}
			for _, column := range c.Columns {
				sameSummary(t, column.Name, column.Summary[side], theirs, side)
			}
			theirs.Columns = nil
			if fmt.Sprintf("%+v", ours) != fmt.Sprintf("%+v", theirs) {
				t.Errorf("%d times, window %d:\n%+v, in Evidently\n%+v", g.Times, side, ours, theirs)
			}
		}
	}
}

func sameSummary(t *testing.T, name string, ours *ColumnSummary, all evidentlySummary, side int) {
	t.Helper()
	theirs, known := all.Columns[name]
	if !known || ours.Missing != theirs.MissingValueCount || ours.Rows+ours.Missing != all.RowCount {
		t.Fatalf("%s, window %d: %+v, in Evidently %+v", name, side, ours, theirs)
	}
	if u := theirs.UniqueValueCount; u != nil {
		if ours.Distinct != u.Distinct || ours.MostCommonRows != u.Count || u.Label != "" && ours.MostCommon != u.Label || ours.MostCommonShare != float64(u.Count)/float64(ours.Rows) {
			t.Errorf("%s, window %d: %+v, in Evidently %+v", name, side, ours.CategorySummary, u)
		}
		return
	}
	for figure, pair := range map[string][2]float64{
		"mean": {ours.Mean, theirs.MeanValue}, "std": {*ours.Std, theirs.StdValue}, "min": {ours.Min, theirs.MinValue}, "max": {ours.Max, theirs.MaxValue},
		"q25": {ours.Q25, theirs.Q25}, "median": {ours.Median, theirs.Median}, "q75": {ours.Q75, theirs.Q75},
	} {
		if !near(pair[0], pair[1]) {
			t.Errorf("%s, window %d: %s is %v, in Evidently %v", name, side, figure, pair[0], pair[1])
		}
	}
}

// A window with one value or none has a summary without figures that are none.
func TestSmallSummaries(t *testing.T) {
	f := func(want string, got *ColumnSummary) {
		t.Helper()
		if data, err := json.Marshal(got); err != nil || string(data) != want {
			t.Errorf("%s, %v, want %s", data, err, want)
		}
	}
	f(`{"rows":0,"missing":3,"distinct":0}`, summariseNumbers(stats.NewSample(nil), 3))
	f(`{"rows":1,"missing":0,"distinct":1,"mean":7,"min":7,"q25":7,"median":7,"q75":7,"max":7}`, summariseNumbers(stats.NewSample([]float64{7}), 0))
	f(`{"rows":2,"missing":0,"distinct":2,"mean":2,"std":`+strconv.FormatFloat(math.Sqrt2, 'g', -1, 64)+`,"min":1,"q25":1.5,"median":2,"q75":2.5,"max":3}`, summariseNumbers(stats.NewSample([]float64{3, 1}), 0))
	f(`{"rows":0,"missing":2,"distinct":0}`, summariseCategories(nil, nil, 2))
	f(`{"rows":4,"missing":0,"distinct":2,"most_common":"b","most_common_rows":2,"most_common_share":0.5}`, summariseCategories([]string{"a", "b", "c"}, []int{0, 2, 2}, 0))
	fs := &frames{reference: frame{rows: 3, vacancy: []uint64{5, 6, 5}}}
	if s := fs.summarise([]Column{{Name: "a", Kind: Numeric, Summary: [2]*ColumnSummary{{Rows: 1, Missing: 2, Distinct: 1}, {}}}}); s.Repeated != [2]int{1, 0} || s.Missing != [2]int{2, 0} ||
		!near(s.MissingShare[0], 2./3) || s.MissingShare[1] != 0 || !slices.Equal(s.Constant[0], []string{"a"}) || !slices.Equal(s.Empty[1], []string{"a"}) {
		t.Errorf("%+v", s)
	}
}
