package drift

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// shape is a window of numbers of the goldens, as make_goldens.py draws it.
type shape struct {
	Shape   string
	Seed    uint64
	N       int
	Shift   float64
	Scale   *float64
	Missing bool
}

// splitmix returns the first n numbers of splitmix64 from a state, as its 20 highest bits.
func splitmix(start uint64, n int) []int64 {
	drawn := make([]int64, n)
	for i := range drawn {
		z := uint64(i+1)*0x9E3779B97F4A7C15 + start
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		drawn[i] = int64((z ^ z>>31) >> 44)
	}
	return drawn
}

func (s shape) values(t *testing.T) []float64 {
	t.Helper()
	u, v, values := splitmix(s.Seed, 12*s.N), splitmix(s.Seed+1, s.N), make([]float64, s.N)
	for i := range values {
		sum, product := int64(-6<<20), 1.
		for _, x := range u[12*i : 12*i+12] {
			sum += x
			product *= .5 + float64(x)/(1<<20)
		}
		normal, sign := float64(sum)/(1<<20), float64(2*(v[i]%2)-1)
		switch s.Shape {
		case "normal":
			values[i] = normal
		case "skewed":
			values[i] = product
		case "bimodal":
			values[i] = normal/2 + 2.5*sign
		case "heavy":
			values[i] = sign * (float64(u[i]+1) / float64(1<<20-u[i]))
		case "whole":
			values[i] = float64(u[i] * v[i] >> 34)
		case "few":
			values[i] = float64(u[i] % 5)
		case "binary":
			values[i] = float64(u[i] % 2)
		case "constant":
			values[i] = 3.5
		default:
			t.Fatalf("no shape %q", s.Shape)
		}
		if s.Scale != nil {
			values[i] = float64(values[i] * *s.Scale)
		}
		values[i] += s.Shift
		if s.Missing && i%7 == 0 {
			values[i] = math.NaN()
		}
		if s.Missing && i%11 == 5 {
			values[i] = math.Inf(-1)
		}
	}
	return values
}

// Every figure of numbers is Evidently's and SciPy's, but the p-value of Kolmogorov–Smirnov, which is that of many rows, and Hellinger's distance, which Evidently takes of densities.
func TestNumbersGolden(t *testing.T) {
	data, err := os.ReadFile("stats/testdata/numeric.json")
	if err != nil {
		t.Fatal(err)
	}
	type golden struct {
		Name               string
		Reference, Current shape
		Rows               [2]float64
		Figures            map[string]goldenNumber
	}
	var all, goldens []golden
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		if constant := g.Reference.Shape == "constant" && g.Current.Shape == "constant"; !constant && min(g.Rows[0], g.Rows[1]) >= 10 {
			goldens = append(goldens, g)
		}
	}
	w := openInstalled(t)
	places := []struct{ dataset, column string }{{"embeddings", "text_length"}, {"embeddings", "tokens"}, {"predictions", "confidence"}, {"predictions", "occupations"}, {"predictions", "skills"}, {"predictions", "tasks"}}
	subject := func(i int) string { return string(rune('a' + i/len(places))) }
	var states []state
	for i, g := range goldens {
		place := places[i%len(places)]
		for d, s := range map[int]shape{1: g.Reference, 2: g.Current} {
			s := numbers(place.dataset, place.column, d, s.values(t))
			s.Subject = subject(i)
			states = append(states, s)
		}
	}
	insertStates(t, w, states...)
	names := map[string]string{"psi": "psi", "kl_div": "kl", "jensenshannon": "jensen_shannon", "ks_statistic": "ks", "wasserstein": "wasserstein", "mannwhitney_statistic": "mann_whitney", "mannwhitney": "mann_whitney_p"}
	var lines map[string]compared
	for i, g := range goldens {
		if i%len(places) == 0 {
			lines = columns(t, w, windows+", model = '"+subject(i)+"', encoder = '"+subject(i)+"'")
		}
		line := lines[places[i%len(places)].column]
		if line.note != "" || line.figures["reference"] != g.Rows[0] || line.figures["current"] != g.Rows[1] {
			t.Errorf("%s: %v and %v rows, want %v; %s", g.Name, line.figures["reference"], line.figures["current"], g.Rows, line.note)
		}
		for theirs, ours := range names {
			want, known := g.Figures[theirs]
			if !known || !near(line.figures[ours], float64(want)) {
				t.Errorf("%s: %s is %v, want %v", g.Name, ours, line.figures[ours], want)
			}
		}
		if p, want := line.figures["ks_p"], float64(g.Figures["ks"]); min(g.Rows[0], g.Rows[1]) >= 50 && math.Abs(p-want) > 0.06 {
			t.Errorf("%s: ks_p is %v, want about %v", g.Name, p, want)
		}
	}
}
