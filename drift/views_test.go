package drift

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"jobstrom/warehouse"
)

// windows are the first of January against the second.
const windows = "ref_from = '2026-01-01', ref_to = '2026-01-02', cur_from = '2026-01-02', cur_to = '2026-01-03'"

// state is what drift_hour_rows holds of a column of one hour.
type state struct {
	Dataset      string    `ch:"dataset"`
	Column       string    `ch:"column"`
	Subject      string    `ch:"subject"`
	Hour         time.Time `ch:"hour"`
	Rows         uint64    `ch:"rows"`
	Values       []string  `ch:"values"`
	Numbers      []float64 `ch:"numbers"`
	Counts       []uint64  `ch:"counts"`
	ReceivedFrom time.Time `ch:"received_from"`
	ComputedAt   time.Time `ch:"computed_at"`
}

// insertStates puts hourly states into the database as if Recompute had counted them.
func insertStates(t *testing.T, w *warehouse.Warehouse, states ...state) {
	t.Helper()
	batch, err := w.Conn().PrepareBatch(t.Context(), "INSERT INTO drift_hour_rows")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		s.ComputedAt = day(30, 0)
		if err := batch.AppendStruct(&s); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	if err := w.Conn().Exec(t.Context(), "INSERT INTO touched_hour_rows SELECT DISTINCT dataset, hour, 0, computed_at FROM drift_hour_rows"); err != nil {
		t.Fatal(err)
	}
}

// categories makes the state of a day's predicted categories, numbered in order.
func categories(model string, d int, counts []uint64) state {
	s := state{Dataset: "predictions", Column: "category", Subject: model, Hour: day(d, 12), Counts: counts, Numbers: make([]float64, len(counts))}
	for i := range counts {
		s.Values = append(s.Values, fmt.Sprintf("c%02d", i))
	}
	return s
}

// compared is a line of drift_columns: each figure by its name, NULL as NaN, which no figure may be, and the note.
type compared struct {
	figures map[string]float64
	note    string
}

// columns reads drift_columns.
func columns(t *testing.T, w *warehouse.Warehouse, arguments string) map[string]compared {
	t.Helper()
	names := []string{"psi", "kl", "jensen_shannon", "hellinger", "total_variation", "chi_square", "chi_square_p", "contingency", "contingency_p", "z", "z_p",
		"ks", "ks_p", "wasserstein", "mann_whitney", "mann_whitney_z", "mann_whitney_p", "reference_mean", "current_mean", "reference_std", "current_std", "reference", "current"}
	read := make([]*float64, len(names))
	var column, note string
	var selected []string
	targets := []any{&column, &note}
	for i, name := range names {
		selected = append(selected, fmt.Sprintf("toNullable(toFloat64(%s))", name))
		targets = append(targets, &read[i])
	}
	rows, err := w.Conn().Query(t.Context(), fmt.Sprintf("SELECT column, note, %s FROM drift_columns(%s)", strings.Join(selected, ", "), arguments))
	if err != nil {
		t.Fatalf("%s: %v", arguments, err)
	}
	defer rows.Close()
	lines := map[string]compared{}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		line := compared{map[string]float64{}, note}
		for i, name := range names {
			line.figures[name] = math.NaN()
			if read[i] != nil {
				line.figures[name] = *read[i]
				if math.IsNaN(*read[i]) {
					t.Errorf("%s, %s: %s is NaN", arguments, column, name)
				}
			}
		}
		lines[column] = line
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// near says whether two figures are equal to 1e-6; NaN is NULL.
func near(got, want float64) bool {
	return got == want || math.IsNaN(got) && math.IsNaN(want) || math.Abs(got-want) <= 1e-6*max(1, math.Abs(want))
}

type goldenNumber float64

func (n *goldenNumber) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(data), `"`), 64)
	*n = goldenNumber(f)
	return err
}

// Every figure of categories is Evidently's and SciPy's.
func TestCategoriesGolden(t *testing.T) {
	data, err := os.ReadFile("stats/testdata/categorical.json")
	if err != nil {
		t.Fatal(err)
	}
	var goldens []struct {
		Name      string
		Reference []uint64
		Current   []uint64
		Figures   map[string]goldenNumber
	}
	if err := json.Unmarshal(data, &goldens); err != nil {
		t.Fatal(err)
	}
	w := openInstalled(t)
	var states []state
	for _, g := range goldens {
		for d, counts := range map[int][]uint64{1: g.Reference, 2: g.Current} {
			s := categories("e", d, counts)
			s.Dataset, s.Column = "embeddings", "attribute."+g.Name
			states = append(states, s)
		}
	}
	insertStates(t, w, states...)
	names := map[string]string{"psi": "psi", "kl_div": "kl", "jensenshannon": "jensen_shannon", "hellinger": "hellinger", "total_variation": "total_variation",
		"chisquare": "chi_square_p", "chisquare_statistic": "chi_square", "contingency": "contingency_p", "contingency_statistic": "contingency", "z": "z_p"}
	lines := columns(t, w, windows+", model = '', encoder = 'e'")
	figures := 0
	for _, g := range goldens {
		got, note := lines["attribute."+g.Name].figures, lines["attribute."+g.Name].note
		for theirs, ours := range names {
			want, known := g.Figures[theirs]
			switch {
			case note != "":
				if !math.IsNaN(got[ours]) {
					t.Errorf("%s: %s is %v beside the note %q", g.Name, ours, got[ours], note)
				}
			case known:
				figures++
				if !near(got[ours], float64(want)) {
					t.Errorf("%s: %s is %v, want %v", g.Name, ours, got[ours], want)
				}
			}
		}
		if !strings.HasPrefix(g.Name, "five values") {
			continue
		}
		// The parts of drift_values add up to the figures of drift_columns.
		var psi, chi, residual *float64
		if err := w.Conn().QueryRow(t.Context(), fmt.Sprintf("SELECT sum(psi), sum(chi_square), max(residual) FROM drift_values(column = 'attribute.%s', %s, model = '', encoder = 'e')", g.Name, windows)).Scan(&psi, &chi, &residual); err != nil {
			t.Fatal(err)
		}
		if note == "" && (!near(*psi, got["psi"]) || !near(*chi, got["chi_square"]) || math.IsNaN(*residual)) {
			t.Errorf("%s: parts add up to psi %v and χ² %v, not to %v and %v; largest residual %v", g.Name, *psi, *chi, got["psi"], got["chi_square"], *residual)
		}
	}
	if figures < 100 {
		t.Errorf("compared %d figures", figures)
	}
}

// numbers makes the state of a day's numbers.
func numbers(dataset, column string, d int, xs []float64) state {
	counted := map[float64]uint64{}
	for _, x := range xs {
		counted[x]++
	}
	s := state{Dataset: dataset, Column: column, Subject: "s", Hour: day(d, 12)}
	for x, n := range counted {
		s.Numbers, s.Counts, s.Values = append(s.Numbers, x), append(s.Counts, n), append(s.Values, "")
	}
	return s
}

// direct computes the figures of numeric columns by their definitions, from each pair of rows where need be.
func direct(reference, current []float64) map[string]float64 {
	n, m := float64(len(reference)), float64(len(current))
	all := append(slices.Clone(reference), current...)
	slices.Sort(all)
	moments := func(xs []float64) (mean, std float64) {
		for _, x := range xs {
			mean += x / float64(len(xs))
		}
		for _, x := range xs {
			std += (x - mean) * (x - mean) / float64(len(xs))
		}
		return mean, math.Sqrt(std)
	}
	below := func(xs []float64, x float64) (share float64) {
		for _, y := range xs {
			if y <= x {
				share += 1 / float64(len(xs))
			}
		}
		return share
	}
	got := map[string]float64{"reference": n, "current": m}
	got["reference_mean"], got["reference_std"] = moments(reference)
	got["current_mean"], got["current_std"] = moments(current)
	for i, x := range all {
		distance := math.Abs(below(reference, x) - below(current, x))
		got["ks"] = max(got["ks"], distance)
		if i+1 < len(all) {
			got["wasserstein"] += distance * (all[i+1] - x) / max(got["reference_std"], 0.001)
		}
	}
	lambda := math.Sqrt(n*m/(n+m)) * got["ks"]
	for k := 1.0; k < 1000; k++ {
		got["ks_p"] += 2 * math.Pow(-1, k-1) * math.Exp(-2*k*k*lambda*lambda)
	}
	u, ties := 0.0, 0.0
	for _, x := range reference {
		for _, y := range current {
			if x > y {
				u++
			} else if x == y {
				u += .5
			}
		}
	}
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		ties += math.Pow(float64(j-i), 3) - float64(j-i)
		i = j
	}
	sigma := math.Sqrt(n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1))))
	got["mann_whitney"], got["mann_whitney_z"] = u, (u-n*m/2)/sigma
	got["mann_whitney_p"] = min(1, math.Erfc((math.Abs(u-n*m/2)-.5)/sigma/math.Sqrt2))
	// Bins: the numbers themselves, or Sturges'.
	edges := slices.Compact(slices.Clone(all))
	place := func(x float64) int { return slices.Index(edges, x) }
	bins := len(edges)
	if distinct := slices.Compact(slices.Sorted(slices.Values(reference))); len(distinct) > 20 {
		bins = int(math.Ceil(math.Log2(n+m) + 1))
		low, width := all[0], (all[len(all)-1]-all[0])/float64(bins)
		place = func(x float64) int {
			for b := range bins - 1 {
				if x < low+float64(b+1)*width {
					return b
				}
			}
			return bins - 1
		}
	}
	p, q := make([]float64, bins), make([]float64, bins)
	for _, x := range reference {
		p[place(x)] += 1 / n
	}
	for _, x := range current {
		q[place(x)] += 1 / m
	}
	for b := range bins {
		got["total_variation"] += math.Abs(p[b]-q[b]) / 2
		fp, fq := p[b], q[b]
		if fp == 0 {
			fp = 1e-4
		}
		if fq == 0 {
			fq = 1e-4
		}
		got["psi"] += (fp - fq) * math.Log(fp/fq)
	}
	return got
}

func TestNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func(n int, f func() float64) (xs []float64) {
		for range n {
			xs = append(xs, f())
		}
		return xs
	}
	cases := []struct {
		name, dataset, column string
		reference, current    []float64
	}{
		{"normal", "embeddings", "text_length", draw(300, random.NormFloat64), draw(170, func() float64 { return random.NormFloat64()*1.5 + .3 })},
		{"skewed", "embeddings", "tokens", draw(200, func() float64 { return math.Round(random.ExpFloat64() * 1000) }), draw(400, func() float64 { return math.Round(random.ExpFloat64() * 1100) })},
		{"few", "predictions", "skills", draw(120, func() float64 { return float64(random.IntN(4)) }), draw(90, func() float64 { return float64(random.IntN(5)) })},
		{"apart", "predictions", "confidence", draw(50, random.Float64), draw(60, func() float64 { return 100 + random.Float64() })},
		{"the same", "predictions", "tasks", draw(100, func() float64 { return float64(random.IntN(2)) }), nil},
	}
	cases[4].current = cases[4].reference
	w := openInstalled(t)
	var states []state
	for _, c := range cases {
		states = append(states, numbers(c.dataset, c.column, 1, c.reference), numbers(c.dataset, c.column, 2, c.current))
	}
	// What is not a number is left out.
	states = append(states, state{Dataset: "embeddings", Column: "text_length", Subject: "s", Hour: day(2, 13), Values: []string{"", ""}, Numbers: []float64{math.NaN(), math.Inf(1)}, Counts: []uint64{1, 1}})
	insertStates(t, w, states...)
	arguments := windows + ", model = 's', encoder = 's'"
	lines := columns(t, w, arguments)
	for _, c := range cases {
		got, note := lines[c.column].figures, lines[c.column].note
		if note != "" {
			t.Errorf("%s: %s", c.name, note)
		}
		for name, want := range direct(c.reference, c.current) {
			if c.name == "the same" && name == "ks_p" {
				want = 1 // where the series does not converge
			}
			if !near(got[name], want) {
				t.Errorf("%s: %s is %v, want %v", c.name, name, got[name], want)
			}
		}
		var psi float64
		var reference, current uint64
		if err := w.Conn().QueryRow(t.Context(), fmt.Sprintf("SELECT sum(psi), sum(reference), sum(current) FROM drift_numbers(column = '%s', %s)", c.column, arguments)).Scan(&psi, &reference, &current); err != nil {
			t.Fatal(err)
		}
		if !near(psi, got["psi"]) || reference != uint64(len(c.reference)) || current != uint64(len(c.current)) {
			t.Errorf("%s: bins add up to psi %v of %d and %d rows, want %v", c.name, psi, reference, current, got["psi"])
		}
	}
}

// Windows that cannot be compared have a note, and no figure is NaN.
func TestNotes(t *testing.T) {
	w := openInstalled(t)
	insertStates(t, w, categories("m", 1, []uint64{50, 50}), categories("m", 2, []uint64{30, 70}), categories("few", 1, []uint64{5, 4}), categories("few", 2, []uint64{30, 70}),
		categories("one", 1, []uint64{50}), categories("one", 2, []uint64{20}))
	f := func(model, windows, want string) {
		t.Helper()
		line := columns(t, w, fmt.Sprintf("%s, model = '%s', encoder = ''", windows, model))["category"]
		figures, note := line.figures, line.note
		if note != want {
			t.Errorf("%s, %s: note %q, want %q", model, windows, note, want)
		}
		for name, value := range figures {
			if name != "reference" && name != "current" && !math.IsNaN(value) && want != "" {
				t.Errorf("%s: %s is %v, want NULL", want, name, value)
			}
		}
		view := fmt.Sprintf("drift_categories(%s, model = '%s')", windows, model)
		var rows, noted, figured, nans uint64
		err := w.Conn().QueryRow(t.Context(), "SELECT count(), countIf(note = ?), count(psi), countIf(isNaN(psi) OR isNaN(residual) OR isNaN(chi_square) OR isNaN(reference_share)) FROM "+view, want).Scan(&rows, &noted, &figured, &nans)
		if err != nil {
			t.Fatal(err)
		}
		if rows == 0 || noted != rows || nans != 0 || (figured == rows) != (want == "") {
			t.Errorf("%s has %d rows, %d with the note %q, %d with psi, %d with NaN", view, rows, noted, want, figured, nans)
		}
	}
	window := func(rf, rt, cf, ct string) string {
		return fmt.Sprintf("ref_from = '2026-01-%s', ref_to = '2026-01-%s', cur_from = '2026-01-%s', cur_to = '2026-01-%s'", rf, rt, cf, ct)
	}
	f("m", windows, "")
	f("m", window("01", "02", "02", "02"), "the current window ends before it begins")
	f("m", window("02", "01", "02", "03"), "the reference window ends before it begins")
	f("m", window("01", "03", "02", "03"), "the windows overlap")
	f("m", window("05", "06", "02", "03"), "the reference window is empty")
	f("m", window("01", "02", "05", "06"), "the current window is empty")
	f("nobody", windows, "both windows are empty")
	f("few", windows, "a window has fewer than 10 rows")
	f("one", windows, "both windows hold one value")
}
