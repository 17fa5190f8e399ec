package stats

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func TestCategoricalParity(t *testing.T) {
	type categorical struct {
		Name               string
		Reference, Current []uint64
		Preset             column
		Figures            map[string]figure
	}
	for _, c := range golden[categorical](t, "testdata/categorical.json") {
		t.Run(c.Name, func(t *testing.T) {
			table, err := NewTable(c.Reference, c.Current)
			if err != nil {
				t.Fatal(err)
			}
			checkFigures(t, tableFigures(table), c.Figures)
			checkColumn(t, EvidentlyCategorical(table), c.Preset)
		})
	}
}

func tableFigures(t Table) map[string]float64 {
	chi, g, contingency, contingencyG := t.ChiSquare(), t.G(), t.Contingency(), t.ContingencyG()
	return map[string]float64{
		"psi": t.PSI(), "kl_div": t.KL(), "jensenshannon": t.JensenShannon(), "hellinger": t.Hellinger(), "total_variation": t.TotalVariation(), "z": t.Z().P,
		"chisquare": chi.P, "chisquare_statistic": chi.Statistic, "g": g.P, "g_statistic": g.Statistic,
		"contingency": contingency.P, "contingency_statistic": contingency.Statistic, "contingency_g": contingencyG.P, "contingency_g_statistic": contingencyG.Statistic,
	}
}

func TestTableRefuses(t *testing.T) {
	f := func(reference, current []float64, want error) {
		t.Helper()
		if _, err := NewTable(reference, current); !errors.Is(err, want) {
			t.Errorf("%v against %v: %v, want %v", reference, current, err, want)
		}
	}
	f(nil, nil, ErrEmpty)
	f([]float64{0, 0}, []float64{1, 0}, ErrEmpty)
	f([]float64{1, 0}, []float64{0, 0}, ErrEmpty)
	f([]float64{1}, []float64{1, 2}, ErrShape)
	f([]float64{1, -1}, []float64{1, 2}, ErrCount)
	f([]float64{1, math.NaN()}, []float64{1, 2}, ErrCount)
	f([]float64{1, 1}, []float64{1, math.Inf(1)}, ErrCount)
	f([]float64{math.MaxFloat64, math.MaxFloat64}, []float64{1, 2}, ErrCount)
}

// A golden of χ² cannot say what SciPy leaves undefined: one value is no drift, and no verdict is NaN.
func TestConstantIsNoDrift(t *testing.T) {
	table, err := NewTable([]int{9}, []int{4})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]Test{"χ²": table.ChiSquare(), "G": table.G(), "contingency": table.Contingency(), "contingency G": table.ContingencyG(), "z": table.Z()} {
		if test != (Test{P: 1}) {
			t.Errorf("%s of one value is %+v", name, test)
		}
	}
}

func TestEvidentlyDataset(t *testing.T) {
	f := func(drifted, columns int, share float64, want bool) {
		t.Helper()
		all := make([]Column, columns)
		for i := range drifted {
			all[i].Drifted = true
		}
		if s, d := EvidentlyDataset(all); s != share || d != want {
			t.Errorf("%d of %d columns: %v %v", drifted, columns, s, d)
		}
	}
	f(0, 0, 0, false)
	f(0, 3, 0, false)
	f(1, 4, .25, false)
	f(2, 4, .5, true)
	f(4, 4, 1, true)
}

// FuzzTable feeds any counts: distances are symmetric and within their bounds, the order of values is nothing, and nothing is NaN.
func FuzzTable(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, uint8(0))
	f.Add([]byte{0, 255, 255, 0, 1, 0}, uint8(60))
	f.Add([]byte{0, 0, 1, 1}, uint8(200))
	f.Fuzz(func(t *testing.T, counts []byte, power uint8) {
		k := len(counts) / 2
		reference, current := make([]float64, k), make([]float64, k)
		for i := range k {
			reference[i], current[i] = math.Ldexp(float64(counts[i]), int(int8(power))), float64(counts[k+i])
		}
		table, err := NewTable(reference, current)
		if err != nil {
			if slices.Max(append(reference, 0)) > 0 && slices.Max(append(current, 0)) > 0 {
				t.Fatal(err)
			}
			return
		}
		swapped, err := NewTable(current, reference)
		if err != nil {
			t.Fatal(err)
		}
		for name, distance := range map[string]struct {
			of    func(Table) float64
			bound float64
		}{
			"JensenShannon": {Table.JensenShannon, math.Sqrt(math.Ln2)}, "Hellinger": {Table.Hellinger, 1}, "TotalVariation": {Table.TotalVariation, 1},
			"PSI": {Table.PSI, math.MaxFloat64},
		} {
			d, back := distance.of(table), distance.of(swapped)
			if !(d >= 0 && d <= distance.bound+1e-9) || math.Abs(d-back) > 1e-9*max(1, d) {
				t.Errorf("%s is %v, %v when the windows are swapped", name, d, back)
			}
		}
		figures := tableFigures(table)
		slices.Reverse(reference)
		slices.Reverse(current)
		reversed, err := NewTable(reference, current)
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range tableFigures(reversed) {
			if math.IsNaN(x) {
				t.Errorf("%s is NaN", name)
			}
			if name != "z" && math.Abs(x-figures[name]) > 1e-7*max(1, math.Abs(x)) && x != figures[name] {
				t.Errorf("%s is %v, %v with the values reversed", name, figures[name], x)
			}
		}
		for _, test := range []Test{table.ChiSquare(), table.G(), table.Contingency(), table.ContingencyG(), table.Z()} {
			if !(test.P >= 0 && test.P <= 1) {
				t.Errorf("p is %v", test.P)
			}
		}
	})
}
