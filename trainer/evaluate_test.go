package trainer

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

func close6(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

// predictions are 6 of 4 categories, counted by hand below.
var (
	predictions = [][]float32{{.7, .1, .1, .1}, {.6, .2, .1, .1}, {.3, .4, .2, .1}, {.1, .2, .3, .4}, {.4, .3, .2, .1}, {.25, .25, .25, .25}}
	truths      = []int{0, 0, 1, 2, 3, 3}
)

func TestEvaluate(t *testing.T) {
	e := Evaluate(predictions, truths, 4)
	// Right: the first three. Among three: the fourth too; in the last two the true one is fourth.
	if e.N != 6 || !close6(e.Top1, .5) || !close6(e.Top3, 4.0/6) {
		t.Fatalf("n %d, top-1 %v, top-3 %v", e.N, e.Top1, e.Top3)
	}
	loss := -(math.Log(.7) + math.Log(.6) + math.Log(.4) + math.Log(.3) + math.Log(.1) + math.Log(.25)) / 6
	if !close6(e.LogLoss, loss) {
		t.Fatalf("log loss %v, want %v", e.LogLoss, loss)
	}
	// F1: category 0 has 2 of 2 found and 4 predicted, 1 is perfect, 2 and 3 have none right.
	if f := 2 * 2.0 / 6; !close6(e.MacroF1, (f+1)/4) || !close6(e.Categories[0].F1, f) {
		t.Fatalf("macro F1 %v, of category 0 %v", e.MacroF1, e.Categories[0].F1)
	}
	if c := e.Categories[0]; c.Precision != .5 || c.Recall != 1 || c.Support != 2 {
		t.Fatalf("category 0 is %+v", c)
	}
	if e.Confusion[3][0] != 2 || e.Confusion[2][3] != 1 || e.Confusion[0][0] != 2 || e.Confusion[1][1] != 1 {
		t.Fatalf("confusion %v", e.Confusion)
	}
	// Gaps by range of confidence: .7 right; .6 right; .4 three times, one right; .25 wrong.
	if want := (.3 + .4 + math.Abs(1.2-1) + .25) / 6; !close6(e.ECE, want) {
		t.Fatalf("calibration error %v, want %v", e.ECE, want)
	}
	if !close6(e.Top1Low, 0.1876163) || !close6(e.Top1High, 0.8123837) {
		t.Fatalf("interval %v to %v", e.Top1Low, e.Top1High)
	}
	if data, err := json.Marshal(Evaluate(nil, nil, 4)); err != nil || !strings.Contains(string(data), `"n":0,"top1":0,"top3":0`) {
		t.Fatalf("an evaluation of nothing is %s (%v)", data, err)
	}
	low, high := wilson(5, 5)
	if high != 1 || low < .5 || low > .6 {
		t.Fatalf("5 of 5 give %v to %v", low, high)
	}
}

func TestEvaluationText(t *testing.T) {
	got := Evaluate(predictions, truths, 4).Text([]string{"Bygge og anlæg", "Elever", "Ledelse", "Kontor"})
	const path = "testdata/evaluation.txt"
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
		t.Fatalf("the text is not that of %s (-rewrite writes it):\n%s", path, got)
	}
}

func TestTemperature(t *testing.T) {
	e := clouds(600, 5, 3, .5, 7)
	split, err := SplitExamples(e.Categories, nil, .3, .3, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Hardly penalised and on 24 examples, the fit is far too sure of itself.
	c := fit(t, e.Select(split.Train[:24]), Options{Categories: 3, L2: 1e-4})
	loss := func(part []int, temperature float64) Evaluation {
		held := e.Select(part)
		return Evaluate(Probabilities(Scores(c, held.Vectors), temperature), held.Categories, 3)
	}
	held := e.Select(split.Validation)
	temperature := Temperature(Scores(c, held.Vectors), held.Categories)
	before, after := loss(split.Test, 1), loss(split.Test, temperature)
	if temperature <= 1 || after.LogLoss >= before.LogLoss || after.ECE >= before.ECE || after.Top1 != before.Top1 {
		t.Fatalf("temperature %v: log loss %v → %v, ECE %v → %v, top-1 %v → %v", temperature, before.LogLoss, after.LogLoss, before.ECE, after.ECE, before.Top1, after.Top1)
	}
	best := loss(split.Validation, temperature).LogLoss
	for _, other := range []float64{.9, 1.1} {
		if worse := loss(split.Validation, temperature*other).LogLoss; worse <= best {
			t.Fatalf("temperature %v × %v has the loss %v, lower than %v", temperature, other, worse, best)
		}
	}
	if got := Temperature(nil, nil); got != 1 {
		t.Fatalf("nothing held out gives temperature %v", got)
	}
	if got := Temperature([][]float64{{9, 0}, {0, 9}}, []int{0, 1}); !close6(got, minTemperature) {
		t.Fatalf("scores that are never wrong give temperature %v", got)
	}
}
