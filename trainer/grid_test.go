package trainer

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseGridSuccess(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		g, err := ParseGrid([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range g.Settings() {
			got = append(got, s.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s gives other settings (- wanted, + got):\n%s", text, d)
		}
	}
	f("l2: 1e-4", "lbfgs l2=1e-4 weights=none")
	f("method: adamw", "adamw rate=1e-3 batch=512 epochs=15 decay=0.01 weights=none")
	f("method: lbfgs\nclass_weights: [balanced, effective]\nl2: [1, 0.5, 3e-05]",
		"lbfgs l2=1 weights=balanced", "lbfgs l2=0.5 weights=balanced", "lbfgs l2=3e-5 weights=balanced",
		"lbfgs l2=1 weights=effective", "lbfgs l2=0.5 weights=effective", "lbfgs l2=3e-5 weights=effective")
	f("method: adamw\nlearning_rate: [1e-2, 1]\nbatch: [64]\nepochs: 3\ndecay: [0, .5]",
		"adamw rate=0.01 batch=64 epochs=3 decay=0 weights=none", "adamw rate=0.01 batch=64 epochs=3 decay=0.5 weights=none",
		"adamw rate=1 batch=64 epochs=3 decay=0 weights=none", "adamw rate=1 batch=64 epochs=3 decay=0.5 weights=none")
	// Both methods in one grid: each has its own axes alone.
	f("method: [adamw, lbfgs]\nl2: [1e-3, 1e-4]\nlearning_rate: [.1, .2]",
		"adamw rate=0.1 batch=512 epochs=15 decay=0.01 weights=none", "adamw rate=0.2 batch=512 epochs=15 decay=0.01 weights=none",
		"lbfgs l2=1e-3 weights=none", "lbfgs l2=1e-4 weights=none")
	// What differs in nothing is tried once, where it comes first.
	f("- l2: [1e-3, 0.001]\n- l2: [1e-2, 1e-3]\n- class_weights: &w [none]\n- class_weights: *w\n  l2: 1e-4",
		"lbfgs l2=1e-3 weights=none", "lbfgs l2=0.01 weights=none", "lbfgs l2=1e-4 weights=none")
	f("# as large as it may be\nmethod: adamw\nbatch: ["+numbersTo(100)+"]\nepochs: ["+numbersTo(100)+"]", func() (all []string) {
		for batch := 1; batch <= 100; batch++ {
			for epochs := 1; epochs <= 100; epochs++ {
				all = append(all, fmt.Sprintf("adamw rate=1e-3 batch=%d epochs=%d decay=0.01 weights=none", batch, epochs))
			}
		}
		return all
	}()...)
}

// numbersTo lists 1 to n.
func numbersTo(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i + 1)
	}
	return strings.Join(all, ", ")
}

func TestParseGridFailure(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		g, err := ParseGrid([]byte(text))
		for _, w := range append(want, "reading the grid: ") {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Fatalf("ParseGrid = %v, want an error with %q", err, w)
			}
		}
		if len(g.Settings()) > 0 {
			t.Fatalf("beside the error there are %v", g)
		}
	}
	f("", "it is empty")
	f("# nothing\n", "it is empty")
	f("l2: [1e-4", "line 1")
	f("l2: 1e-4\n---\nl2: 1e-3", "something follows its end")
	f("~", "line 1: ~ is no grid", "l2: [1e-3, 1e-4]")
	f("lbfgs", `line 1: "lbfgs" is no grid`)
	f("[]", "the list of grids is empty")
	f("- l2: 1\n- {}\n- [l2]\n- 5", "line 2: the grid names no setting", "line 3: a list is no grid", "line 4: 5 is no grid")
	f("l2: []", "line 1: l2 is an empty list")
	f("l2: 1\nlr: 3\nl2: 2\n? [a]\n: b", `line 2: there is no setting "lr"; there are method, class_weights, l2, learning_rate, batch, epochs, decay`, "line 3: l2 is in line 1 already", "line 4: there is no setting a list")
	f("<<: {l2: 1}", `there is no setting <<`)
	f("l2: [1e-4,\n  x,\n  '1',\n  [2],\n  {a: 3},\n  ~,\n  true]", `line 2: l2 ("x") must be a number`, `line 3: l2 ("1") must be a number`, "line 4: l2 (a list) must be a number", "line 5: l2 (a mapping)", "line 6: l2 (~)", "line 7: l2 (true)")
	f("l2: [0, -1, .inf, .nan, 1e999]", "L2 (0) must be > 0", "L2 (-1)", "L2 (+Inf)", "L2 (NaN)", `l2 ("1e999") must be a number`)
	f("method: [sgd, 3]\nclass_weights: [some, ~]", `line 1: Method ("sgd") must be`, "line 1: method (3) must be a word", `line 2: ClassWeights ("some")`, "line 2: class_weights (~) must be a word")
	f("method: adamw\nlearning_rate: [0, 2]\nbatch: [0, 1.5, 99999999999999999999]\nepochs: [-1]\ndecay: [-1, 1e4]",
		"line 2: AdamW.LearningRate (0)", "line 2: AdamW.LearningRate (2)", "line 3: AdamW.Batch (0)", "line 3: batch (1.5) must be a whole number", "line 3: batch (99999999999999999999)",
		"line 4: AdamW.Epochs (-1)", "line 5: Decay (-1) must be >= 0", "line 5: AdamW.Decay (10000) must be < 1/LearningRate")
	f("l2: 1\nlearning_rate: .1\ndecay: 0", "line 2: learning_rate belongs to adamw, and the method is lbfgs", "line 3: decay belongs to adamw")
	f("- method: lbfgs\n- method: adamw\n  l2: 1", "line 3: l2 belongs to lbfgs, and the method is adamw")
	// Each is within its range, but not both together.
	f("method: adamw\nlearning_rate: [1e-4, 1]\ndecay: [.1, 2]\nbatch: [1, 2]", "line 1: adamw rate=1 batch=1 epochs=15 decay=2 weights=none: AdamW.Decay (2) must be < 1/LearningRate")
	f("method: adamw\nbatch: ["+numbersTo(101)+"]\nepochs: ["+numbersTo(100)+"]", "it has 10100 settings, at most 10000")
	f(strings.Repeat("- {method: adamw, batch: ["+numbersTo(60)+"], epochs: ["+numbersTo(60)+"]}\n", 3), "it has 10800 settings")
	f("method: adamw\nbatch: ["+numbersTo(9000)+"]\nepochs: ["+numbersTo(9000)+"]\nlearning_rate: [.1, .01, .001]", "it has 243000000 settings")
	f("l2: &a [*a]", "l2")
	f("l2: *a", "unknown anchor")
}

// TestGridIsComplete: a grid of any values has every combination, and each once.
func TestGridIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := []string{"1e-4", "0.0001", "1e-3", "0.01", ".1"}
		list := func(name string, of []string) []string {
			return rapid.SliceOfN(rapid.SampledFrom(of), 1, 4).Draw(t, name)
		}
		method, weights := list("method", []string{MethodLBFGS, MethodAdamW}), list("class_weights", classWeights)
		l2, rate, decay := list("l2", pool), list("learning_rate", pool), list("decay", pool)
		var text strings.Builder
		distinct := func(values []string) float64 {
			set := map[string]bool{}
			for _, v := range values {
				set[strings.NewReplacer("0.0001", "1e-4").Replace(v)] = true
			}
			return float64(len(set))
		}
		write := func(key string, values []string) { fmt.Fprintf(&text, "%s: [%s]\n", key, strings.Join(values, ", ")) }
		write("method", method)
		write("class_weights", weights)
		var want float64
		if strings.Contains(fmt.Sprint(method), MethodLBFGS) {
			write("l2", l2)
			want += distinct(weights) * distinct(l2)
		}
		if strings.Contains(fmt.Sprint(method), MethodAdamW) {
			write("learning_rate", rate)
			write("decay", decay)
			want += distinct(weights) * distinct(rate) * distinct(decay)
		}
		g, err := ParseGrid([]byte(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		settings, names := map[Setting]bool{}, map[string]bool{}
		for _, s := range g.Settings() {
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			settings[s], names[s.String()] = true, true
		}
		if n := float64(len(g.Settings())); n != want || float64(len(settings)) != want || float64(len(names)) != want {
			t.Fatalf("%s has %v settings, %d of them different, with %d names; want %v", text.String(), n, len(settings), len(names), want)
		}
	})
}

func TestSettingApply(t *testing.T) {
	f := func(s Setting, want Options) {
		t.Helper()
		o := Options{Categories: 3, Seed: 7, Tolerance: 1e-3}
		s.Apply(&o)
		want.Categories, want.Seed, want.Tolerance = 3, 7, 1e-3
		if d := cmp.Diff(want, o); d != "" {
			t.Fatalf("%s gives other options (- wanted, + got):\n%s", s, d)
		}
	}
	f(Setting{Method: MethodLBFGS, ClassWeights: WeightsBalanced, L2: .1}, Options{Method: MethodLBFGS, ClassWeights: WeightsBalanced, L2: .1})
	f(Setting{Method: MethodAdamW, ClassWeights: WeightsNone, LearningRate: .1, Batch: 2, Epochs: 3, Decay: .2},
		Options{Method: MethodAdamW, ClassWeights: WeightsNone, AdamW: AdamW{LearningRate: .1, Batch: 2, Epochs: 3, Decay: .2}})
	// No decay stays none when the options' defaults are filled in.
	f(Setting{Method: MethodAdamW, ClassWeights: WeightsNone, LearningRate: .1, Batch: 2, Epochs: 3},
		Options{Method: MethodAdamW, ClassWeights: WeightsNone, AdamW: AdamW{LearningRate: .1, Batch: 2, Epochs: 3, Decay: -1}})
}

func TestSettingValidateFailure(t *testing.T) {
	f := func(s Setting, want ...string) {
		t.Helper()
		err := s.Validate()
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Fatalf("%s: Validate = %v, want an error with %q", s, err, w)
			}
		}
	}
	f(Setting{}, `Method ("")`, `ClassWeights ("")`, "L2 (0)")
	f(Setting{Method: MethodLBFGS, ClassWeights: WeightsNone, L2: 1, Batch: 3}, "Batch (3)", "belong to adamw")
	f(Setting{Method: MethodAdamW, ClassWeights: WeightsNone, L2: 1, LearningRate: math.NaN(), Decay: -1}, "L2 (1) must be 0", "LearningRate (NaN)", "Batch (0)", "Epochs (0)", "Decay (-1)")
	f(Setting{Method: MethodLBFGS, ClassWeights: WeightsNone, L2: math.Inf(1)}, "L2 (+Inf)")
}

func TestBrief(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := brief(v); got != want {
			t.Fatalf("brief(%v) = %s, want %s", v, got, want)
		}
	}
	f(0, "0")
	f(1, "1")
	f(.01, "0.01")
	f(.009, "9e-3")
	f(1e-10, "1e-10")
	f(3.1622776601683794e-4, "3.1622776601683794e-4")
	f(999999, "999999")
	f(2.5e6, "2.5e6")
	f(-1e-3, "-1e-3")
	f(math.Inf(-1), "-Inf")
	f(math.NaN(), "NaN")
}

// FuzzParseGrid: whatever the bytes, there is an error or settings that are valid and each once.
func FuzzParseGrid(f *testing.F) {
	for _, text := range []string{
		"l2: [1e-3, 1e-4]", "- method: adamw\n  learning_rate: [1e-3, .1]\n  decay: 0\n- class_weights: &a [none, balanced]\n- class_weights: *a",
		"method: [lbfgs, adamw]\nbatch: 0x10", "l2: &a [*a]", "? [a]\n: b", "---\n...\n---", "l2: !!float 1\nl2: !x 2", "*a : 1", "\xff\xfe", "%YAML 1.2\n---\nl2: 1",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := ParseGrid(data)
		if (err == nil) != (len(g.Settings()) > 0) {
			t.Fatalf("%d settings and %v", len(g.Settings()), err)
		}
		seen := map[string]bool{}
		for _, s := range g.Settings() {
			if err := s.Validate(); err != nil || seen[s.String()] {
				t.Fatalf("%s is there twice (%v), or is wrong: %v", s, seen[s.String()], err)
			}
			seen[s.String()] = true
		}
	})
}
