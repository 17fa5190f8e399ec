package report

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jobstrom/trainer"
)

// swept returns trials of a grid, ranked, with losses that are lowest at L2 = 3e-4 and a rate of 1e-2.
func swept(t *testing.T, text string) []trainer.Trial {
	t.Helper()
	g, err := trainer.ParseGrid([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var trials []trainer.Trial
	for i, s := range g.Settings() {
		best := 3e-4
		if s.Method == trainer.MethodAdamW {
			best = 1e-2
		}
		off := math.Log10(mainSetting(s) / best)
		loss := .62 + .03*off*off + .02*float64(len(s.ClassWeights)-4) + float64(s.Batch)/8000
		trials = append(trials, trainer.Trial{Setting: s, LogLoss: loss, Steps: i})
	}
	slices.SortStableFunc(trials, func(a, b trainer.Trial) int { return cmp.Compare(a.LogLoss, b.LogLoss) })
	return trials
}

func TestSweepPlot(t *testing.T) {
	f := func(name string, trials []trainer.Trial, drawings int, want, not []string) {
		t.Helper()
		drawn, err := sweepPlot(trials)
		if err != nil {
			t.Fatal(err)
		}
		text := string(drawn)
		if keep := os.Getenv("JOBSTROM_REPORT"); keep != "" {
			for i, part := range strings.SplitAfter(text, "</svg>") {
				if err := os.WriteFile(filepath.Join(keep, fmt.Sprintf("sweep-%s-%d.svg", name, i)), []byte(part), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		wellFormed(t, []byte(text))
		if n := strings.Count(text, "<svg"); n != drawings {
			t.Fatalf("%s: %d drawings, want %d", name, n, drawings)
		}
		for _, w := range want {
			if !strings.Contains(text, ">"+w+"<") && !strings.Contains(text, `"`+w+`"`) {
				t.Errorf("%s lacks %q", name, w)
			}
		}
		for _, w := range append(not, "NaN", "Inf") {
			if strings.Contains(text, w) {
				t.Errorf("%s has %q", name, w)
			}
		}
	}
	both := swept(t, "- {l2: [1e-2, 1e-3, 3e-4, 1e-4, 1e-5], class_weights: [none, balanced, effective]}\n- {method: adamw, learning_rate: [.1, .01, 1e-3], batch: [128, 512], class_weights: [none, balanced]}")
	f("both", both, 2, []string{"L2 of L-BFGS", "learning rate of AdamW", "log loss", "weights balanced", "weights none", "batch 512, weights balanced", "best", "3e-4", "1e-3", "0.1"}, nil)
	f("one", swept(t, "l2: [1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3]"), 1, []string{"L2 of L-BFGS", "best", "1e-6", "1e-3"}, []string{"weights", "3e-5"})
	f("single", swept(t, "- {l2: [1e-3, 1e-4]}\n- {l2: 1, class_weights: balanced}"), 1, []string{"weights none", "weights balanced"}, nil)
	// What diverged is left out, and what nearly did does not hide the others.
	wild := append(slices.Clone(both), trainer.Trial{Setting: both[0].Setting, Error: "it diverged"})
	wild[len(both)-1].LogLoss = 25
	f("wild", wild, 2, []string{"log loss, up to 1.9"}, []string{"diverged"})
	many := swept(t, "{method: adamw, learning_rate: [.1, .01], batch: [32, 64, 128, 256], epochs: [5, 15], decay: [0, .01], class_weights: [none, balanced]}")
	f("many", many, 1, []string{"log loss of 30 of 64 settings", many[0].Setting.String(), many[29].Setting.String()}, []string{many[30].Setting.String(), "L2"})
	f("wild-rows", append(swept(t, "{method: adamw, batch: [32, 64]}"), trainer.Trial{Setting: many[0].Setting, LogLoss: 25}), 1, []string{"log loss of 2 of 3 settings"}, []string{many[0].Setting.String()})
	f("batches", swept(t, "{method: adamw, batch: [32, 64]}"), 1, []string{"log loss", "adamw rate=1e-3 batch=32 epochs=15 decay=0.01 weights=none"}, []string{"best"})
	f("alone", swept(t, "l2: 1"), 1, []string{"lbfgs l2=1 weights=none"}, nil)
	perfect := swept(t, "l2: [1e-3, 1e-4, 1e-5]")
	for i := range perfect {
		perfect[i].LogLoss = float64(i) / 100
	}
	f("perfect", perfect, 1, []string{"log loss"}, nil)
	f("none", []trainer.Trial{{Error: "it diverged"}}, 0, nil, nil)
}
