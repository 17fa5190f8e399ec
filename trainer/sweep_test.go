package trainer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"jobstrom/models"
	"jobstrom/schemas"
)

// smallGrid has settings of both methods, and one that diverges.
const smallGrid = `
- {l2: [1, 1e-2, 1e-3], class_weights: [none, balanced]}
- {method: adamw, learning_rate: [0.3, 1e-3], batch: 64, epochs: 2}
`

func settings(t testing.TB, text string) []Setting {
	t.Helper()
	g, err := ParseGrid([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g.Settings()
}

// parts returns examples to train on and to judge by, of four categories, the last one rare.
func parts() (train, validation Examples) {
	e := clouds(700, 8, 4, .6, 11)
	var keep []int
	for i, c := range e.Categories {
		if c < 3 || i%5 == 0 {
			keep = append(keep, i)
		}
	}
	e = e.Select(keep)
	return e.Select(positions(0, 400)), e.Select(positions(400, e.Len()))
}

func sweepAll(t testing.TB, o SweepOptions) []Trial {
	t.Helper()
	train, validation := parts()
	o.Categories = 4
	trials, err := Sweep(t.Context(), train, validation, o)
	if err != nil {
		t.Fatal(err)
	}
	return trials
}

// outcomesOf returns what must not depend on anything but the examples: the trials in their order without times, and the
// best one's identity.
func outcomesOf(t testing.TB, trials []Trial) ([]Trial, string) {
	t.Helper()
	same := slices.Clone(trials)
	for i := range same {
		if (same[i].Classifier != nil) != (i == 0) {
			t.Fatalf("trial %d has the classifier %v", i, same[i].Classifier)
		}
		same[i].Seconds, same[i].Classifier = 0, nil
		same[i].Curve.Points = slices.Clone(same[i].Curve.Points)
		for j := range same[i].Curve.Points {
			same[i].Curve.Points[j].Seconds = 0
		}
	}
	c := trials[0].Classifier
	c.Encoder, c.Taxonomy = "enc", "tax"
	if err := models.SealClassifier(c); err != nil {
		t.Fatal(err)
	}
	return same, c.Id
}

func TestSweep(t *testing.T) {
	train, validation := parts()
	grid := settings(t, smallGrid)
	trials := sweepAll(t, SweepOptions{Settings: grid, Seed: 3})
	if len(trials) != len(grid) {
		t.Fatalf("%d trials of %d settings", len(trials), len(grid))
	}
	for i, r := range trials {
		if r.Error != "" || !slices.Contains(grid, r.Setting) || r.Rarest != 3 || r.Seconds <= 0 || len(r.Curve.Points) == 0 || r.Stopped == "" {
			t.Fatalf("trial %d is %+v", i, r)
		}
		if i > 0 && r.LogLoss < trials[i-1].LogLoss {
			t.Fatalf("%s with log loss %v ranks behind %s with %v", r.Setting, r.LogLoss, trials[i-1].Setting, trials[i-1].LogLoss)
		}
		// The figures are those of the same fit alone, judged as a training's candidates are.
		o := Options{Categories: 4, Seed: 3}
		r.Setting.Apply(&o)
		c := fit(t, train, o)
		scores := Scores(c, validation.Vectors)
		temperature := Temperature(scores, validation.Categories)
		e := Evaluate(Probabilities(scores, temperature), validation.Categories, 4)
		if r.LogLoss != e.LogLoss || r.Top1 != e.Top1 || r.Top3 != e.Top3 || r.MacroF1 != e.MacroF1 || r.Balanced != e.Balanced || r.RarestRecall != e.Categories[3].Recall {
			t.Fatalf("%s has other figures than alone: %+v, %+v", r.Setting, r, e)
		}
		steps := c.Training["iterations"]
		if r.Setting.Method == MethodAdamW {
			steps = c.Training["epochs"]
		}
		if fmt.Sprint(r.Steps) != steps {
			t.Fatalf("%s took %d steps, alone %s", r.Setting, r.Steps, steps)
		}
		if i == 0 && (!slices.Equal(c.Weights, r.Classifier.Weights) || r.Classifier.Temperature != float32(temperature)) {
			t.Fatal("the best trial's classifier is another than alone")
		}
	}
	text := SweepTable(append(slices.Clip(trials), Trial{Setting: Setting{Method: "sgd"}, Error: "it diverged", Rarest: -1}))
	for _, want := range []string{trials[7].Setting.String(), "rarest recall", fmt.Sprintf("%.4f", trials[0].LogLoss), "sgd l2=0 weights=: it diverged"} {
		if !strings.Contains(strings.ToLower(text), want) {
			t.Fatalf("the table lacks %q:\n%s", want, text)
		}
	}
}

// TestSweepIsDeterministic: neither threads nor which fit ends first matter.
func TestSweepIsDeterministic(t *testing.T) {
	var want []Trial
	var id string
	for _, threads := range []int{1, 2, 16} {
		done := 0
		trials, gotID := outcomesOf(t, sweepAll(t, SweepOptions{Settings: settings(t, smallGrid), Seed: 3, Threads: threads, RankBy: RankMacroF1, Progress: func(n, total int, best Trial) {
			if done++; n != done || total != 8 || best.Error != "" || best.MacroF1 == 0 {
				t.Errorf("call %d of the progress says %d of %d, best %v", done, n, total, best.Setting)
			}
		}}))
		if done != 8 {
			t.Fatalf("the progress was called %d times", done)
		}
		if want == nil {
			want, id = trials, gotID
		}
		if d := cmp.Diff(want, trials); d != "" || gotID != id {
			t.Fatalf("%d threads give other trials than 1 (classifier %s and %s):\n%s", threads, gotID, id, d)
		}
	}
}

func TestThreadsFor(t *testing.T) {
	f := func(free, waiting int, want ...int) {
		t.Helper()
		var got []int
		for ; free > 0 && waiting > 0; waiting-- {
			got = append(got, threadsFor(free, waiting))
			free -= got[len(got)-1]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the settings get %v threads, want %v", got, want)
		}
	}
	f(2, 5, 1, 1)
	f(2, 1, 2)
	f(8, 3, 3, 3, 2)
	f(5, 2, 3, 2)
	f(1, 9, 1)
}

func TestRankTrials(t *testing.T) {
	f := func(by string, want ...int) {
		t.Helper()
		trials := []Trial{
			{Steps: 0, Error: "it diverged"},
			{Steps: 1, LogLoss: .5, Top1: .8, MacroF1: .7},
			{Steps: 2, LogLoss: .4, Top1: .8, MacroF1: .6},
			{Steps: 3, LogLoss: .4, Top1: .9, MacroF1: .65},
			{Steps: 4, Error: "it diverged too"},
			{Steps: 5, LogLoss: .6, Top1: .9, MacroF1: .7},
		}
		rankTrials(trials, by)
		var got []int
		for _, r := range trials {
			got = append(got, r.Steps)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("by %s the order is %v, want %v", by, got, want)
		}
	}
	f(RankLogLoss, 2, 3, 1, 5, 0, 4)
	f(RankTop1, 3, 5, 1, 2, 0, 4)
	f(RankMacroF1, 1, 5, 3, 2, 0, 4)
}

// TestSettleInAnyOrder: whichever trial ends first, the best one is the one that ranks first, and it alone has a classifier.
func TestSettleInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trials := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Trial {
			return Trial{LogLoss: float64(rapid.IntRange(1, 3).Draw(t, "log loss")), Error: rapid.SampledFrom([]string{"", "", "diverged"}).Draw(t, "error")}
		}), 1, 8).Draw(t, "trials")
		for i := range trials {
			trials[i].Steps = i
		}
		s := sweeping{SweepOptions: SweepOptions{RankBy: RankLogLoss}, trials: make([]Trial, len(trials)), best: -1}
		for _, i := range rapid.Permutation(positions(0, len(trials))).Draw(t, "order") {
			done := trials[i]
			done.Classifier = &schemas.Classifier{}
			s.settle(i, done)
		}
		rankTrials(s.trials, RankLogLoss)
		rankTrials(trials, RankLogLoss)
		for i, r := range s.trials {
			if r.Steps != trials[i].Steps || (r.Classifier != nil) != (i == 0) {
				t.Fatalf("place %d has trial %d with classifier %v, want trial %d", i, r.Steps, r.Classifier, trials[i].Steps)
			}
		}
	})
}

func TestRarest(t *testing.T) {
	f := func(train, validation []int, want int) {
		t.Helper()
		if got := rarest(Examples{Categories: train}, Examples{Categories: validation}, 4); got != want {
			t.Fatalf("the rarest is %d, want %d", got, want)
		}
	}
	f([]int{0, 0, 1, 1, 2}, []int{0, 1, 2}, 2)
	f([]int{0, 0, 1, 1, 2}, []int{0, 1, 3}, 0) // 2 is not judged, 3 was not learned
	f([]int{0, 1}, []int{2, 3}, -1)
}

// TestSweepOfFailures: components near the end of float32 overflow as soon as their weights are above 1.
func TestSweepOfFailures(t *testing.T) {
	train, validation := parts()
	for i, v := range train.Vectors {
		train.Vectors[i] = slices.Clone(v)
		train.Vectors[i][0] = float32(math.Copysign(3e38, float64(v[0])))
	}
	o := SweepOptions{Categories: 4, Settings: settings(t, "{method: adamw, learning_rate: [1, .9, .8], batch: 64, epochs: 2}"), Journal: journal(t, filepath.Join(t.TempDir(), "sweep.jsonl"))}
	_, err := Sweep(t.Context(), train, validation, o)
	for _, s := range o.Settings {
		if err == nil || !strings.Contains(err.Error(), s.String()+": fitting by AdamW: epoch 1: the loss is not finite after") || !strings.Contains(err.Error(), "none of 3 settings can be fitted") {
			t.Fatalf("Sweep = %v, want what is wrong with each setting", err)
		}
	}
	// One that fails ranks last and ends nothing. It is not in the journal, so a sweep that goes on tries it again.
	o.Settings, o.Threads = settings(t, "{method: adamw, learning_rate: [1, 1e-12], batch: 64, epochs: 2}"), 1
	for _, want := range [][]int{{1, 2}, {1, 2}} {
		var done []int
		o.Progress = func(n, _ int, best Trial) {
			done = append(done, n)
			if failed := best.Error != ""; failed != (best.Setting.LearningRate == 1) {
				t.Errorf("the best of %d is %s with the error %q", n, best.Setting, best.Error)
			}
		}
		trials, err := Sweep(t.Context(), train, validation, o)
		if err != nil {
			t.Fatal(err)
		}
		if last := trials[1]; last.Setting.LearningRate != 1 || !strings.Contains(last.Error, "not finite") || last.LogLoss != 0 || trials[0].Error != "" || trials[0].Classifier == nil {
			t.Fatalf("the trials are %s (%s) and %s (%s)", trials[0].Setting, trials[0].Error, last.Setting, last.Error)
		}
		if !slices.Equal(done, want) || len(o.Journal.lines) != 1 {
			t.Fatalf("the progress said %v, and the journal has %d trials", done, len(o.Journal.lines))
		}
	}
}

func TestSweepFailure(t *testing.T) {
	f := func(change func(train, validation *Examples, o *SweepOptions), want ...string) {
		t.Helper()
		train, validation := parts()
		o := SweepOptions{Categories: 4, Settings: settings(t, smallGrid)}
		change(&train, &validation, &o)
		_, err := Sweep(t.Context(), train, validation, o)
		for _, w := range append(want, "sweeping: ") {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Fatalf("Sweep = %v, want an error with %q", err, w)
			}
		}
	}
	f(func(_, _ *Examples, o *SweepOptions) {
		*o = SweepOptions{RankBy: "luck", Threads: -1, Tolerance: 2, MaxIterations: -1}
	}, "Settings are missing", `RankBy ("luck")`, "Threads (-1)", "Tolerance (2)", "MaxIterations (-1)", "Categories (0)")
	f(func(_, _ *Examples, o *SweepOptions) {
		o.Settings = append(o.Settings, o.Settings[1], Setting{})
	}, "Settings[8] (lbfgs l2=0.01 weights=none) must differ from Settings[1]", `Settings[9]: Method ("")`)
	f(func(train, _ *Examples, _ *SweepOptions) { *train = Examples{} }, "there are none")
	f(func(_, validation *Examples, _ *SweepOptions) { *validation = Examples{} }, "none to judge by")
	f(func(_, validation *Examples, _ *SweepOptions) { validation.Vectors[3] = validation.Vectors[3][1:] }, "those to judge by", "another width than 8")
	f(func(train, _ *Examples, _ *SweepOptions) {
		train.Offsets = slices.Repeat([][]float64{make([]float64, 4)}, train.Len())
	}, "without Offsets")
	f(func(_, _ *Examples, o *SweepOptions) { o.Library = "absent.so" }, "absent.so", "make setup")
}

func journal(t testing.TB, path string) *Journal {
	t.Helper()
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// TestCancelledSweepGoesOn: what was finished is not done again.
func TestCancelledSweepGoesOn(t *testing.T) {
	train, validation := parts()
	path := filepath.Join(t.TempDir(), "sweep.jsonl")
	j := journal(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	o := SweepOptions{Categories: 4, Settings: settings(t, smallGrid), Threads: 2, Journal: j, Progress: func(done, _ int, _ Trial) {
		if done == 3 {
			cancel()
		}
	}}
	if _, err := Sweep(ctx, train, validation, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled sweep gives %v", err)
	}
	had := len(j.lines)
	if had < 3 || had > 4 {
		t.Fatalf("%d trials were finished", had)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	first := 0
	o.Journal, o.Progress = journal(t, path), func(done, _ int, _ Trial) {
		if first == 0 {
			first = done
		}
	}
	resumed, id := outcomesOf(t, sweepAll(t, o))
	o.Journal, o.Progress = nil, nil
	if whole, want := outcomesOf(t, sweepAll(t, o)); id != want || cmp.Diff(whole, resumed) != "" || first != had {
		t.Fatalf("it went on with %d of %d trials; the classifiers are %s and %s; the trials differ in %s", first, had, id, want, cmp.Diff(whole, resumed))
	}
	// A fit in its midst ends as well.
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	o.Settings = settings(t, "{method: adamw, epochs: 1000000, batch: 16}")
	if _, err := Sweep(ctx, train, validation, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a fit that was cancelled gives %v", err)
	}
}

// TestKilledSweepGoesOn: a process that is killed in its midst leaves a journal from which another one comes to the same end.
func TestKilledSweepGoesOn(t *testing.T) {
	if path := os.Getenv("SWEEP_TEST_JOURNAL"); path != "" { // the process that is killed
		answers := bufio.NewReader(os.Stdin)
		sweepAll(t, SweepOptions{Settings: reversed(t, os.Getenv("SWEEP_TEST_REVERSED") != ""), Threads: 2, Seed: 3, Journal: journal(t, path), Progress: func(done, _ int, _ Trial) {
			fmt.Println("done", done)
			if _, err := answers.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}})
		return
	}
	f := func(reverse bool) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "sweep.jsonl")
		killed := exec.Command(os.Args[0], "-test.run=^TestKilledSweepGoesOn$")
		killed.Env = append(os.Environ(), "SWEEP_TEST_JOURNAL="+path)
		if reverse {
			killed.Env = append(killed.Env, "SWEEP_TEST_REVERSED=1")
		}
		in, err := killed.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := killed.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := killed.Start(); err != nil {
			t.Fatal(err)
		}
		// It waits for an answer after every setting, so it cannot come to its end before it is killed.
		for said := bufio.NewScanner(out); said.Scan() && said.Text() != "done 4"; {
			fmt.Fprintln(in)
		}
		if err := killed.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := killed.Wait(); err == nil {
			t.Fatal("the process came to its end")
		}
		j := journal(t, path)
		had := j.lines
		if len(had) != 4 {
			t.Fatalf("the journal has %d trials", len(had))
		}
		o := SweepOptions{Settings: reversed(t, reverse), Threads: 1, Seed: 3, Journal: j}
		trials := sweepAll(t, o)
		for _, l := range had {
			if !slices.ContainsFunc(trials, func(r Trial) bool { return r.Setting == l.Trial.Setting && r.Seconds == l.Trial.Seconds }) {
				t.Errorf("%s was fitted again", l.Trial.Setting)
			}
		}
		if len(j.lines) != 8 {
			t.Errorf("the journal has %d trials in the end", len(j.lines))
		}
		resumed, id := outcomesOf(t, trials)
		o.Journal = nil
		if whole, want := outcomesOf(t, sweepAll(t, o)); id != want || cmp.Diff(whole, resumed) != "" {
			t.Fatalf("the classifiers are %s and, never killed, %s; the trials differ in %s", id, want, cmp.Diff(whole, resumed))
		}
	}
	// The best setting is finished before in one case, and after in the other.
	f(false)
	f(true)
}

// reversed returns the settings of smallGrid, the other way round on demand.
func reversed(t testing.TB, reverse bool) []Setting {
	all := settings(t, smallGrid)
	if reverse {
		slices.Reverse(all)
	}
	return all
}
