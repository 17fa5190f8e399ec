package trainer

import (
	"strings"
	"testing"
)

// said makes probabilities of two categories: the first n are as sure as p of the truth, the others of the wrong one.
func said(truth []int, right map[int]bool, p float32) [][]float32 {
	all := make([][]float32, len(truth))
	for i, k := range truth {
		row := []float32{1 - p, 1 - p}
		if right[i] {
			row[k] = p
		} else {
			row[1-k] = p
		}
		all[i] = row
	}
	return all
}

func upTo(n int) map[int]bool {
	set := map[int]bool{}
	for i := range n {
		set[i] = true
	}
	return set
}

func TestGate(t *testing.T) {
	truth := make([]int, 400)
	for i := range truth {
		truth[i] = i % 2
	}
	names := []string{"first", "second"}
	f := func(c Comparison, o GateOptions, others int, refused ...string) {
		t.Helper()
		passed, checks := c.Gate(o, others, names)
		var got []string
		for _, check := range checks {
			if !check.Passed {
				got = append(got, check.Name+": "+check.Said)
			}
		}
		if passed != (len(refused) == 0) || len(got) != len(refused) || len(checks) != 5 {
			t.Errorf("passed %t, refused by %q, want %q", passed, got, refused)
			return
		}
		for i, want := range refused {
			if !strings.Contains(got[i], want) {
				t.Errorf("refused by %q, want %q", got[i], want)
			}
		}
	}
	champion := said(truth, upTo(320), .8)
	compare := func(challenger [][]float32) Comparison { return Compare(champion, challenger, truth, 2) }
	f(compare(said(truth, upTo(350), .87)), GateOptions{}, 1)
	f(compare(champion), GateOptions{}, 1, "accuracy: right on 320, the champion on 320 (McNemar p = 1): it must be more, and p below 0.05")
	f(compare(champion), GateOptions{NotWorse: true}, 1)
	// 7 more and 0 fewer: p = 2/2^7 = 0.0156, which is enough for one challenger and not for five.
	f(compare(said(truth, upTo(327), .8)), GateOptions{}, 1)
	f(compare(said(truth, upTo(327), .8)), GateOptions{}, 5, "p = 0.0156): it must be more, and p below 0.01")
	f(compare(said(truth, upTo(350), .87)), GateOptions{MinLabels: 401}, 1, "labels: 400 labelled vacancies, at least 401")
	f(compare(said(truth, upTo(350), .99)), GateOptions{}, 1, "calibration: error 0.115, the champion's is 0.000: it may rise by 0.02")
	// It wins 100 of the first category, and loses 30 of the second.
	lopsided := upTo(320)
	for i := range 400 {
		if i%2 == 0 {
			lopsided[i] = true
		} else if i < 60 {
			delete(lopsided, i)
		}
	}
	f(compare(said(truth, lopsided, .83)), GateOptions{NotWorse: true}, 1, "categories: second loses most recall, 0.80 to 0.65 on 200 labels: it may lose 0.1")
	f(compare(said(truth, upTo(300), .75)), GateOptions{}, 1, "accuracy", "macro F1: 0.750, the champion's is 0.800: it may fall by 0.01")
	// Nothing at all.
	f(Compare(nil, nil, nil, 2), GateOptions{}, 1, "labels: 0", "accuracy")
}

func TestNotWorse(t *testing.T) {
	truth := make([]int, 100)
	champion := said(truth, upTo(80), .8)
	f := func(right map[int]bool, want, worse bool, words string) {
		t.Helper()
		c := Compare(champion, said(truth, right, .8), truth, 2)
		if got, said := c.NotWorse(); got != want || !strings.Contains(said, words) || c.Worse() != worse {
			t.Errorf("got %t, %q, worse %t; want %t, %q, worse %t", got, said, c.Worse(), want, words, worse)
		}
	}
	f(upTo(81), true, false, "right on 81 of 100, the champion on 80 (McNemar p = 1)")
	f(upTo(80), true, false, "right on 80 of 100")
	f(upTo(78), false, false, "by chance")
	f(upTo(60), false, true, "it is worse")
}

func TestGateOptionsFailure(t *testing.T) {
	err := GateOptions{MinLabels: -1, MinSupport: -1, Alpha: 1, MaxF1Loss: -1, MaxECEGain: 2, MaxRecallLoss: 1}.Validate()
	for _, want := range []string{"min-labels (-1)", "min-category (-1)", "alpha (1)", "max-f1-loss (-1)", "max-ece-gain (2)", "max-recall-loss (1)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	var o GateOptions
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}
