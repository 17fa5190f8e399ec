package report

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"jobstrom/drift"
	"jobstrom/drift/alarms"
	"jobstrom/drift/performance"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

var made = time.Date(2026, 4, 1, 9, 30, 0, 0, time.UTC)

func months(t *testing.T, names ...string) (windows [2]drift.Window) {
	t.Helper()
	for i, name := range names {
		var err error
		if windows[i], err = drift.ParseWindow(name, made); err != nil {
			t.Fatal(err)
		}
	}
	return windows
}

// categorical makes a column of shares in percent; residuals are a tenth of their difference's percents.
func categorical(name string, values []string, reference, current []float64) drift.Column {
	c := drift.Column{Name: name, Kind: drift.Categorical, Values: values, Result: alarms.Result{
		Column: name, StatisticName: "fourth-power norm of deviance residuals", EffectName: "total variation", Gate: .05, P: 1, Q: 1, Resamples: 999, Verdict: alarms.None,
		Reference: alarms.Size{Rows: 12000, Blocks: 4100}, Current: alarms.Size{Rows: 1500, Blocks: 510},
	}}
	for i, r := range reference {
		c.ReferenceShares, c.CurrentShares = append(c.ReferenceShares, r/100), append(c.CurrentShares, current[i]/100)
		c.Differences = append(c.Differences, alarms.Difference{Category: i, Reference: r / 100, Current: current[i] / 100, Residual: current[i] - r})
		c.Effect += math.Abs(current[i]-r) / 200
		c.Statistic = max(c.Statistic, math.Abs(current[i]-r))
	}
	return c
}

// compared is a comparison of every kind of column and verdict.
func compared(t *testing.T) *drift.Comparison {
	t.Helper()
	w := months(t, "2024", "2026-03")
	category := categorical("category", []string{
		"Akademisk arbejde", "Bygge og anlæg", "Landbrug, skovbrug, gartneri, fiskeri og dyrepleje", "Pædagogisk, socialt og kirkeligt arbejde", "Salg, indkøb og markedsføring", "Tekstil og beklædning",
	}, []float64{30, 20, 5, 25, 19.5, .5}, []float64{26, 19, 5.5, 23, 26.5, 0})
	category.Verdict, category.P, category.Q = alarms.Drift, .001, .004
	category.Beside = []alarms.Effect{{Name: "Jensen-Shannon distance", Value: .0812}}
	category.Statistics = map[string]float64{"psi": .0512, "kl": .0249, "jensen_shannon": .0812, "hellinger": .083, "total_variation": .075, "chi_square": 85.31, "chi_square_p": 1e-12, "contingency": 71.2, "contingency_p": 2e-10}
	language := categorical("language", []string{"", "da", "en"}, []float64{1, 90, 9}, []float64{1, 88, 11})
	language.Verdict, language.P, language.Q, language.Missing = alarms.Possible, .01, .02, [2]int{12, 3}
	source := categorical("source", []string{"jobindex & co", "jobnet"}, []float64{40, 60}, []float64{40.2, 59.8})
	source.P, source.Q = .71, .8
	source.Statistics = map[string]float64{"z": -.15, "z_p": .88, "chi_square_p": 0, "new_measure": 3}
	label := categorical("label", []string{"Ledelse"}, []float64{100}, []float64{0})
	label.Differences, label.Verdict, label.Reason, label.Missing = nil, alarms.Unknown, "the current window is empty: choose other dates", [2]int{11000, 1500}
	label.Column, label.Result.Reference.Rows, label.Result.Current = "label", 1000, alarms.Size{}
	length := drift.Column{Name: "text_length", Kind: drift.Numeric, Result: alarms.Result{
		StatisticName: "Kolmogorov-Smirnov", Statistic: .21, EffectName: "normed Wasserstein distance", Effect: .42, Gate: .1, P: .001, Q: .004, Verdict: alarms.Drift, Resamples: 999,
		Beside: []alarms.Effect{{Name: "difference of means", Value: .41}}, Reference: alarms.Size{Rows: 12000, Blocks: 4100}, Current: alarms.Size{Rows: 1500, Blocks: 510},
	}, Statistics: map[string]float64{"ks": .21, "ks_p": 3e-40, "wasserstein": .42, "mann_whitney": 8123456, "mann_whitney_p": 2e-30, "reference_mean": 1840.4, "current_mean": 2205.9, "psi": .19, "jensen_shannon": .15},
		Edges: []float64{120, 720, 1320, 1920, 2520, 3120, 3720, 4320, 4920, 5520, 6120}, ReferenceShares: []float64{.08, .2, .27, .2, .12, .07, .03, .02, .01, 0}, CurrentShares: []float64{.03, .12, .23, .22, .17, .11, .06, .03, .02, .01}, Missing: [2]int{0, 2}}
	confidence := drift.Column{Name: "confidence", Kind: drift.Numeric, Result: alarms.Result{
		StatisticName: "Kolmogorov-Smirnov", Statistic: .011, EffectName: "normed Wasserstein distance", Effect: .02, Gate: .1, P: .34, Q: .45, Verdict: alarms.None, Resamples: 999,
		Beside: []alarms.Effect{{Name: "difference of means", Value: -.02}}, Reference: alarms.Size{Rows: 12000, Blocks: 4100}, Current: alarms.Size{Rows: 1500, Blocks: 510},
	}, Statistics: map[string]float64{"ks": .011, "ks_p": .4, "reference_mean": .812, "current_mean": .8093}, Edges: []float64{.2, .4, .6, .8, 1}, ReferenceShares: []float64{.05, .15, .3, .5}, CurrentShares: []float64{.05, .16, .3, .49}}
	embedding := drift.Column{Name: "embedding", Kind: drift.Embedding, Result: alarms.Result{
		StatisticName: "squared distance of means", Statistic: .0123, EffectName: "distance of means over spread", Effect: .14, Gate: .1, P: .001, Q: .004, Verdict: alarms.Drift, Resamples: 999,
		Beside: []alarms.Effect{{Name: "cosine distance of means", Value: .0087}}, Reference: alarms.Size{Rows: 12000, Blocks: 4100}, Current: alarms.Size{Rows: 1500, Blocks: 510},
	}}
	embedding.Statistics = map[string]float64{"euclidean": .0834, "cosine": .0087, "cityblock": 1.31, "chebyshev": .021, "drifted_components": .314, "drifted_components_evidently": .52, "mmd2": .00213, "mmd2_error": .00004, "roc_auc": .8132, "roc_auc_gate": .55}
	std, other := 941.25, 1003.5
	length.Summary = [2]*drift.ColumnSummary{
		{Rows: 12000, Distinct: 3104, NumberSummary: &drift.NumberSummary{Mean: 1840.4, Std: &std, Min: 120, Q25: 1105.5, Median: 1690, Q75: 2401.25, Max: 6120}},
		{Rows: 1498, Missing: 2, Distinct: 911, NumberSummary: &drift.NumberSummary{Mean: 2205.9, Std: &other, Min: 188, Q25: 1400, Median: 2011.5, Q75: 2888, Max: 6033}},
	}
	label.Summary = [2]*drift.ColumnSummary{{Rows: 1000, Missing: 11000, Distinct: 1, CategorySummary: &drift.CategorySummary{MostCommon: "Ledelse", MostCommonRows: 1000, MostCommonShare: 1}}, {Missing: 1500}}
	return &drift.Comparison{
		Reference: w[0], Current: w[1], Encoder: strings.Repeat("e5", 32), Preset: drift.Calibrated, Vacancies: [2]int{12000, 1500}, Blocks: [2]int{4100, 510},
		Map: mapped(400, .8), Nearest: nearest(), CategoryModel: strings.Repeat("ab", 32), CategoryShifts: []drift.CategoryShift{
			{Category: "Tekstil og beklædning", N: 60, M: 0, RefShare: .005},
			{Category: "Salg, indkøb og markedsføring", N: 2340, M: 80, RefShare: .195, CurShare: .265, EuclideanDistance: pointer(.0712), CosineDistance: pointer(.0031)},
			{Category: "Ledelse", N: 30, M: 12, RefShare: .0025, CurShare: .04, EuclideanDistance: pointer(.214)},
		},
		Summary: drift.Summary{Rows: [2]int{12000, 1500}, Repeated: [2]int{301, 0}, Columns: map[drift.Kind]int{drift.Categorical: 4, drift.Numeric: 2, drift.Embedding: 1}, Missing: [2]int{11012, 1505}, MissingShare: [2]float64{.153, .167},
			Constant: [2][]string{{"label"}, nil}, Empty: [2][]string{nil, {"label"}}},
		Performance: [2]*drift.Performance{
			{Estimated: performance.Estimation{Rows: 12000, Accuracy: .912, AccuracyInterval: performance.Interval{Low: .907, High: .917}, MacroF1: .871, MacroF1Interval: performance.Interval{Low: .86, High: .88}},
				Labelled: &performance.Accuracy{Right: 450, Labelled: 500, Share: .9, Interval: performance.Interval{Low: .871, High: .923}}},
			{Estimated: performance.Estimation{Rows: 1500, Accuracy: .853, AccuracyInterval: performance.Interval{Low: .836, High: .87}, MacroF1: .802, MacroF1Interval: performance.Interval{Low: .77, High: .83}}},
		},
		Models: [2]map[string]int{{strings.Repeat("ab", 32): 12000}, {strings.Repeat("ab", 32): 300, strings.Repeat("cd", 32): 1200}}, Verdict: alarms.Drift,
		Columns: []drift.Column{category, label, confidence, length, language, source, embedding},
		Notes:   []string{"the windows were classified by different models: categories and confidences may differ for that alone; compare one model with --model, or classify again with jobstrom reprocess"},
	}
}

func pointer(v float64) *float64 { return &v }

// mapped is a map of two clouds, the second of which lies so far to the right.
func mapped(n int, shift float64) *drift.Map {
	random := rand.New(rand.NewPCG(1, 1))
	m := &drift.Map{Means: [2]drift.Point{{}, {X: shift, Y: -shift / 4}}, Vectors: [2]int{2000, 1500}, Explained: [2]float64{.2134, .1071}}
	for range n {
		m.Reference = append(m.Reference, drift.Point{VacancyID: "r", X: random.NormFloat64(), Y: random.NormFloat64() / 2})
		m.Current = append(m.Current, drift.Point{VacancyID: "c", X: shift + random.NormFloat64(), Y: random.NormFloat64()/2 - shift/4, Category: "Ledelse"})
	}
	return m
}

// nearest are examples along the shift and against it.
func nearest() (all []drift.Example) {
	for i := range 4 {
		e := drift.Example{New: i < 2, Position: uint64(i%2 + 1), VacancyID: fmt.Sprintf("0b5c7f6e-91d4-4c1b-8a77-2f6d3e9a10%02d", i), PublishedAt: time.Date(2026, 3, 2+i, 9, 0, 0, 0, time.UTC), Projection: .31 - .2*float64(i)}
		if i != 1 {
			e.Predicted = drift.Predicted{Category: "Pædagogisk, socialt og kirkeligt arbejde", Confidence: .75}
		}
		all = append(all, e)
	}
	return all
}

// hostile is a comparison with whatever a publisher may write into attributes.
func hostile(t *testing.T) *drift.Comparison {
	t.Helper()
	w := months(t, "2026-01", "2026-02")
	values := []string{"", "<script>alert(1)</script>", strings.Repeat("æ", 10_000), "\x1b[2J\x1b[31mred", "a\nb\tc", "\u202egnorw", "$1 & \"quoted\"", "\xff\xfe"}
	var reference, current []float64
	for i := len(values); i < 2000; i++ {
		values = append(values, fmt.Sprintf("value %04d", i))
	}
	for i := range values {
		r, c := .03, .03
		if i < 8 {
			r, c = 5, 3
		}
		reference, current = append(reference, r), append(current, c)
	}
	many := categorical("<script>\x1b[31m $0 </style>", values, reference, current)
	many.Verdict, many.Reason = alarms.Unknown, "the rows came in 1 and 1 bursts: <b>few</b>"
	constant := drift.Column{Name: "con\"st$1ant<", Kind: drift.Numeric, Edges: []float64{-.5, .5}, ReferenceShares: []float64{1}, CurrentShares: []float64{1}, Result: alarms.Result{Verdict: alarms.None, EffectName: "<i>", P: 1, Q: 1}}
	huge := drift.Column{Name: "huge", Kind: drift.Numeric, Edges: []float64{1e300, 1.5e300, 2e300}, ReferenceShares: []float64{0, 0}, CurrentShares: []float64{1, 0}, Result: alarms.Result{Verdict: alarms.None, EffectName: "e", Effect: 1e300, Gate: 0, P: 0, Q: 0}}
	close := drift.Column{Name: "close", Kind: drift.Numeric, Edges: []float64{1, 1, math.Nextafter(math.Nextafter(1, 2), 2)}, ReferenceShares: []float64{.5, .5}, CurrentShares: []float64{1, 0}, Result: alarms.Result{Verdict: alarms.Possible, EffectName: "e", P: 1e-300, Q: 1e-9}}
	bare := drift.Column{Name: "bare", Kind: drift.Numeric, Result: alarms.Result{Verdict: alarms.Unknown, Reason: "the reference window is empty: choose other dates"}}
	return &drift.Comparison{Reference: w[0], Current: w[1], Encoder: "<e>", Preset: drift.Calibrated, Vacancies: [2]int{100, 100}, Columns: []drift.Column{many, constant, huge, close, bare}, Verdict: alarms.Possible, Models: [2]map[string]int{{"<m>": 1}, nil}, Notes: []string{"\x1b[1m<note>"},
		Map:     &drift.Map{Reference: []drift.Point{{VacancyID: "<p>", X: 1e99, Y: 1e99}}, Means: [2]drift.Point{{X: 1e99, Y: 1e99}, {X: 1e99, Y: 1e99}}},
		Nearest: []drift.Example{{New: true, VacancyID: "<script>\x1b[31m" + strings.Repeat("v", 1000), Predicted: drift.Predicted{Category: "\u202e<b>"}}}, CategoryModel: "\x1b<m>",
		CategoryShifts: []drift.CategoryShift{{Category: "", M: 1 << 40, EuclideanDistance: pointer(1e300), CosineDistance: pointer(0)}},
		Summary:        drift.Summary{Columns: map[drift.Kind]int{"<k>": -1}, Repeated: [2]int{-5, 1 << 40}, Constant: [2][]string{{"<script>", "\x1b", "", "a", "b", "c"}}},
	}
}

// byEvidently is a comparison by that tool's rules.
func byEvidently(t *testing.T) *drift.Comparison {
	t.Helper()
	c := compared(t)
	c.Preset, c.Notes = drift.Evidently, nil
	c.Columns = c.Columns[:0:0]
	for _, column := range compared(t).Columns {
		switch column.Name {
		case "category":
			column.EffectName, column.Effect, column.Gate, column.P, column.Q, column.Verdict = "jensenshannon", .0812, .1, 1, 1, alarms.None
		case "source":
			column.EffectName, column.Effect, column.Gate, column.P, column.Q, column.Verdict = "z", .88, .05, .88, .88, alarms.None
		case "text_length":
			column.EffectName, column.Effect, column.Gate, column.P, column.Q, column.Verdict = "ks", 3e-40, .05, 3e-40, 3e-40, alarms.Drift
		case "embedding":
			column.Verdict, column.Q = notJudged, 0
		case "label":
		default:
			continue
		}
		column.StatisticName, column.Statistic, column.Resamples = column.EffectName, column.Effect, 0
		c.Columns = append(c.Columns, column)
	}
	return c
}

func options(c *drift.Comparison) Options { return Options{Comparison: c, Version: "v1.2", Made: made} }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at it and run the test with -rewrite. It is now\n%s", name, got)
	}
}

// each calls f with every comparison that the tests know.
func each(t *testing.T, f func(t *testing.T, name string, o Options)) {
	t.Helper()
	w := months(t, "2026-03-01..2026-03-14", "2026-03-15T08:00..2026-03-15T12:00")
	empty := &drift.Comparison{Reference: w[0], Current: w[1], Preset: drift.Calibrated, Verdict: alarms.Unknown}
	for name, c := range map[string]*drift.Comparison{"calibrated": compared(t), "evidently": byEvidently(t), "hostile": hostile(t), "empty": empty} {
		t.Run(name, func(t *testing.T) { f(t, name, options(c)) })
	}
}

func TestText(t *testing.T) {
	each(t, func(t *testing.T, name string, o Options) {
		var out bytes.Buffer
		if err := o.Text(&out); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		golden(t, name+".txt", text)
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 100 {
				t.Errorf("%d characters in %q", n, line)
			}
			if strings.TrimRight(line, " \n")+"\n" != line {
				t.Errorf("%q ends in spaces", line)
			}
		}
		wholesome(t, text)
	})
}

func TestHTML(t *testing.T) {
	each(t, func(t *testing.T, name string, o Options) {
		var out bytes.Buffer
		if err := o.HTML(&out); err != nil {
			t.Fatal(err)
		}
		if keep := os.Getenv("JOBSTROM_REPORT"); keep != "" {
			if err := os.WriteFile(filepath.Join(keep, name+".html"), out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, name+".outline", outline(t, out.Bytes()))
		text := out.String()
		// Nothing is fetched and nothing runs: the page is the same in ten years and without a network.
		if m := regexp.MustCompile(`(?i)\b(src|href)=|<script|<link|@import|url\(`).FindString(text); m != "" {
			t.Errorf("the page has %q", m)
		}
		for address := range strings.SplitSeq(text, "http") {
			if !strings.HasPrefix(address, "<!doctype") && !strings.HasPrefix(address, "://www.w3.org/") {
				t.Errorf("the page names http%.40s", address)
			}
		}
		if len(text) > 200_000 {
			t.Errorf("the page has %d bytes", len(text))
		}
		wholesome(t, text)
	})
}

// wholesome holds that a report has no number that is none, and nothing that a terminal obeys.
func wholesome(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Error("the report is no UTF-8")
	}
	for _, bad := range []string{"NaN", "Inf", "%!", "<no value>", "ZgotmplZ", "\x1b", "\u202e"} {
		if strings.Contains(text, bad) {
			t.Errorf("the report has %q", bad)
		}
	}
}

// outline writes a page's elements and texts, without style and without where a drawing draws. It fails where an element stays open, which templates get wrong unnoticed.
func outline(t *testing.T, data []byte) string {
	t.Helper()
	void, optional := map[string]bool{"meta": true, "path": true, "line": true, "rect": true}, map[string]bool{"html": true}
	var open []string
	var out strings.Builder
	within := func(name string) bool { return len(open) > 0 && open[len(open)-1] == name }
	for z := html.NewTokenizer(bytes.NewReader(data)); ; {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if len(open) != 0 {
				t.Errorf("%v stay open", open)
			}
			return out.String()
		case html.TextToken:
			if text := strings.Join(strings.Fields(token.Data), " "); text != "" && !within("style") {
				fmt.Fprintf(&out, "%s%s\n", strings.Repeat(" ", len(open)), text)
			}
		case html.StartTagToken:
			if strings.HasPrefix(token.Data, "h") || token.Data == "table" || token.Data == "svg" || token.Data == "section" {
				fmt.Fprintf(&out, "%s<%s>", strings.Repeat(" ", len(open)), token.Data)
				for _, a := range token.Attr {
					if a.Key == "aria-label" {
						fmt.Fprintf(&out, " %q", a.Val)
					}
				}
				fmt.Fprintln(&out)
			}
			if !void[token.Data] && !optional[token.Data] {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if !within(token.Data) {
				t.Fatalf("</%s> within %v", token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestRefuses(t *testing.T) {
	f := func(want string, change func(*drift.Comparison)) {
		t.Helper()
		c := compared(t)
		change(c)
		for name, write := range map[string]func(*bytes.Buffer) error{"HTML": func(b *bytes.Buffer) error { return options(c).HTML(b) }, "Text": func(b *bytes.Buffer) error { return options(c).Text(b) }} {
			var out bytes.Buffer
			if err := write(&out); err == nil || !strings.Contains(err.Error(), "writing the report: ") || !strings.Contains(err.Error(), want) || out.Len() > 0 {
				t.Errorf("%s: %v after %d bytes, want %q", name, err, out.Len(), want)
			}
		}
	}
	f(`column "category": it has 6 shares in the reference window and 5 in the current one`, func(c *drift.Comparison) { c.Columns[0].CurrentShares = c.Columns[0].CurrentShares[:5] })
	f("it has 5 values but 6 shares", func(c *drift.Comparison) { c.Columns[0].Values = c.Columns[0].Values[:5] })
	f("category 6 but has 6 values", func(c *drift.Comparison) { c.Columns[0].Differences[0].Category = 6 })
	f("its 4 bins have 4 edges", func(c *drift.Comparison) { c.Columns[2].Edges = c.Columns[2].Edges[:4] })
	f("edge 1 (0.1) must be finite and not below", func(c *drift.Comparison) { c.Columns[2].Edges[1] = .1 })
	f("all its edges are 3", func(c *drift.Comparison) { c.Columns[2].Edges = []float64{3, 3, 3, 3, 3} })
	f("share NaN must be within", func(c *drift.Comparison) { c.Columns[2].CurrentShares[1] = math.NaN() })
	f("psi (+Inf) must be finite", func(c *drift.Comparison) { c.Columns[0].Statistics["psi"] = math.Inf(1) })
	f("total variation (NaN) must be finite", func(c *drift.Comparison) { c.Columns[0].Effect = math.NaN() })
	f("the map: the point NaN, 0 must lie within", func(c *drift.Comparison) { c.Map.Current[3] = drift.Point{X: math.NaN()} })
	f("the map: the point 0, 1e+200 must lie within", func(c *drift.Comparison) { c.Map.Means[1] = drift.Point{Y: 1e200} })
	f("the map: the share 2 of the variance", func(c *drift.Comparison) { c.Map.Explained[1] = 2 })
	f("the map: 5001 points of a window are more than 5000", func(c *drift.Comparison) { c.Map.Reference = make([]drift.Point, 5001) })
	f(`vacancy "0b5c7f6e-91d4-4c1b-8a77-2f6d3e9a1000": projection +Inf`, func(c *drift.Comparison) { c.Nearest[0].Projection = math.Inf(1) })
	f(`the shift of category "Ledelse" (NaN) must be finite`, func(c *drift.Comparison) { c.CategoryShifts[2].CosineDistance = pointer(math.NaN()) })
	f(`column "text_length": the summary of the current window`, func(c *drift.Comparison) { c.Columns[3].Summary[1].Max = math.Inf(1) })
	f("the shares of missing values [NaN 0.167] must be finite", func(c *drift.Comparison) { c.Summary.MissingShare[0] = math.NaN() })
	if err := (Options{}).Text(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "there is no comparison") {
		t.Errorf("no comparison gives %v", err)
	}
}

// The words for the whole follow from the columns' verdicts.
func TestSummary(t *testing.T) {
	f := func(want string, verdicts ...alarms.Verdict) {
		t.Helper()
		c := &drift.Comparison{Preset: drift.Calibrated}
		for i, v := range verdicts {
			c.Columns = append(c.Columns, drift.Column{Name: fmt.Sprintf("c%d", i), Kind: drift.Categorical, Result: alarms.Result{Verdict: v}})
		}
		s := summarise(c)
		if all := s.Verdict + " " + s.Advice; !strings.Contains(all, want) {
			t.Errorf("%v gives %q, want %q", verdicts, all, want)
		}
	}
	d, p, n, u := alarms.Drift, alarms.Possible, alarms.None, alarms.Unknown
	f("Drift in 2 of 3 columns: c0, c2.", d, n, d)
	f("Drift in 6 of 6 columns: c0, c1, c2, c3, c4 and 1 more.", d, d, d, d, d, d)
	f("a possible beginning in 1 of 2 columns: c1.", n, p)
	f("chance explains the differences of all 2 columns.", n, n)
	f("chance explains the differences of the one column. There is nothing to do.", n)
	f("1 column could not be compared", n, u)
	f("No verdict: no column could be compared.", u, u)
	f("No verdict", []alarms.Verdict{}...)
}
