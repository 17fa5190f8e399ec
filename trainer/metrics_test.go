package trainer

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// peerCase is what others say of predictions; testdata/make_metrics.py asks them.
type peerCase struct {
	K                     int
	Truth, Other          []int
	Probabilities         [][]float32
	Scores                [][]float64
	Figures               map[string]float64
	Precision, Recall, F1 []float64
	Support               []int
	Confusion             [][]int
	Bins                  [][3]float64
	Temperature           float64
	McNemar               []struct {
		N            int
		Exact        bool
		Statistic, P float64
	}
	Percentiles []float64
}

func peerCases(t *testing.T) []peerCase {
	t.Helper()
	data, err := os.ReadFile("testdata/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []peerCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 3 {
		t.Fatalf("%d cases", len(cases))
	}
	return cases
}

// TestMetricsEqualPeers holds every figure to scikit-learn's, scipy's, statsmodels' and numpy's, to 1e-9.
func TestMetricsEqualPeers(t *testing.T) {
	for i, c := range peerCases(t) {
		near := func(what string, got, want float64) {
			t.Helper()
			if !(math.Abs(got-want) <= 1e-9) {
				t.Errorf("case %d: %s is %.12f, peers have %.12f", i, what, got, want)
			}
		}
		e := Evaluate(c.Probabilities, c.Truth, c.K)
		ours := e.Metrics()
		for name, want := range c.Figures {
			got, ok := ours[name]
			if !ok {
				t.Errorf("no figure %s", name)
			}
			near(name, got, want)
		}
		for k, r := range e.Categories {
			near(fmt.Sprint("precision of ", k), r.Precision, c.Precision[k])
			near(fmt.Sprint("recall of ", k), r.Recall, c.Recall[k])
			near(fmt.Sprint("F1 of ", k), r.F1, c.F1[k])
			if r.Support != c.Support[k] || !slices.Equal(e.Confusion[k], c.Confusion[k]) {
				t.Errorf("case %d: category %d has support %d and confusion %v, peers %d and %v", i, k, r.Support, e.Confusion[k], c.Support[k], c.Confusion[k])
			}
		}
		for b, bin := range e.Reliability {
			near(fmt.Sprint("count of range ", b), float64(bin.N), c.Bins[b][0])
			near(fmt.Sprint("confidence in range ", b), bin.Confidence, c.Bins[b][1])
			near(fmt.Sprint("accuracy in range ", b), bin.Accuracy, c.Bins[b][2])
		}
		near("temperature", Temperature(c.Scores, c.Truth), c.Temperature)
		predicted := Predictions(c.Probabilities)
		for _, want := range c.McNemar {
			got := McNemar(predicted[:want.N], c.Other[:want.N], c.Truth[:want.N])
			if got.Exact != want.Exact {
				t.Errorf("case %d: %d vacancies are tested exactly: %v", i, want.N, got.Exact)
			}
			near("McNemar's statistic", got.Statistic, want.Statistic)
			near("McNemar's p", got.P, want.P)
		}
		var confidences []float64
		for _, o := range outcomes(c.Probabilities, c.Truth) {
			confidences = append(confidences, o.confidence)
		}
		slices.Sort(confidences)
		for q, share := range []float64{0, .025, .5, .975, 1} {
			near(fmt.Sprint("percentile ", share), percentile(confidences, share), c.Percentiles[q])
		}
	}
}

// TestBootstrap: the interval of a share is the one that the binomial distribution gives, the same seed gives the same,
// and every figure lies within its own interval.
func TestBootstrap(t *testing.T) {
	const n, k = 900, 4
	random := rand.New(rand.NewPCG(5, 5))
	p, truth := make([][]float32, n), make([]int, n)
	for i := range p {
		p[i], truth[i] = []float32{.1, .1, .1, .1}, random.IntN(k)
		predicted := truth[i]
		if random.Float64() < .3 {
			predicted = random.IntN(k)
		}
		p[i][predicted] = .7
	}
	intervals := Bootstrap(p, truth, k, BootstrapOptions{Seed: 3})
	e := Evaluate(p, truth, k)
	sigma := math.Sqrt(e.Top1 * (1 - e.Top1) / n)
	if got := intervals["top1"]; math.Abs(got.Low-(e.Top1-1.96*sigma)) > .25*sigma || math.Abs(got.High-(e.Top1+1.96*sigma)) > .25*sigma {
		t.Errorf("top-1 %v ± %v has the interval %v", e.Top1, sigma, got)
	}
	metrics := e.Metrics()
	for name, interval := range intervals {
		// The calibration error of resamples is larger than that of the vacancies: noise adds to every gap.
		if v := metrics[name]; name != "ece" && !(interval.Low < v && v < interval.High) {
			t.Errorf("%s %v lies outside %v", name, v, interval)
		}
	}
	if len(intervals) != 9 {
		t.Errorf("%d intervals", len(intervals))
	}
	if again := Bootstrap(p, truth, k, BootstrapOptions{Seed: 3}); again["macro_f1"] != intervals["macro_f1"] {
		t.Error("the same seed gives other intervals")
	}
	if narrow := Bootstrap(p, truth, k, BootstrapOptions{Seed: 3, Level: .5})["top1"]; !(narrow.High-narrow.Low < .5*(intervals["top1"].High-intervals["top1"].Low)) {
		t.Errorf("half of the resamples are within %v", narrow)
	}
	if got := Bootstrap(nil, nil, k, BootstrapOptions{}); got != nil {
		t.Errorf("nothing has intervals %v", got)
	}
}

func TestMistakes(t *testing.T) {
	got := Mistakes([]string{"a", "b", "c", "d", "e", "f"}, predictions, truths, 2)
	want := []Mistake{
		{ID: "d", True: 2, Predicted: 3, Confidence: float64(float32(.4)), TrueProbability: float64(float32(.3))},
		{ID: "e", True: 3, Predicted: 0, Confidence: float64(float32(.4)), TrueProbability: float64(float32(.1))},
	}
	if !slices.Equal(got, want) {
		t.Fatalf("mistakes %+v, want %+v", got, want)
	}
	if got := Mistakes([]string{"a"}, predictions[:1], truths[:1], 9); len(got) != 0 {
		t.Fatalf("no mistake is %v", got)
	}
}

func TestSlices(t *testing.T) {
	bySource := SlicesBySource([]string{"x", "", "x", "y", " ", "x"}, predictions, truths, 4)
	var names []string
	for _, s := range bySource {
		names = append(names, fmt.Sprintf("%s %d %.3f", s.Name, s.N, s.Top1))
	}
	if want := []string{"x 3 0.667", "unknown 2 0.500", "y 1 0.000"}; !slices.Equal(names, want) {
		t.Fatalf("by source: %v, want %v", names, want)
	}
	// A slice is what the evaluation of its vacancies alone is.
	alone := Evaluate([][]float32{predictions[0], predictions[2], predictions[5]}, []int{0, 1, 3}, 4)
	if s := bySource[0]; s.MacroF1 != alone.MacroF1 || s.LogLoss != alone.LogLoss || s.ECE != alone.ECE || s.Balanced != alone.Balanced || s.Top1High != alone.Top1High {
		t.Fatalf("slice %+v, alone %+v", s, alone)
	}
	day := time.Date(2025, 12, 29, 23, 0, 0, 0, time.UTC)
	f := func(step func(i int) time.Time, want ...string) {
		t.Helper()
		const n = 40
		p, truth, times := make([][]float32, n), make([]int, n), make([]time.Time, n)
		for i := range n {
			p[i], times[i] = []float32{1, 0}, step(i)
		}
		got := SlicesByTime(times, p, truth, 2)
		if len(got) > maxPeriods || got[0].Name != want[0] || got[len(got)-1].Name != want[1] {
			t.Errorf("%d periods from %s to %s, want %v", len(got), got[0].Name, got[len(got)-1].Name, want)
		}
	}
	f(func(i int) time.Time { return day.Add(time.Duration(i) * time.Hour) }, "2025-12-29", "2025-12-31")
	f(func(i int) time.Time { return day.AddDate(0, 0, i) }, "2026-W01", "2026-W06")
	f(func(i int) time.Time { return day.AddDate(0, 0, 15*i) }, "2025-12", "2027-08")
	f(func(i int) time.Time { return day.AddDate(0, i, 0) }, "2025-Q4", "2029-Q1")
	f(func(i int) time.Time { return day.AddDate(0, 6*i, 0) }, "2025", "2045")
	f(func(i int) time.Time {
		if i == 0 {
			return time.Time{}
		}
		return day
	}, "2025-12-29", NoName)
}
