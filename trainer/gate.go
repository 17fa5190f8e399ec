package trainer

import (
	"errors"
	"fmt"
)

// Comparison sets a challenger beside the champion, on the same vacancies.
type Comparison struct {
	Champion   Evaluation `json:"champion"`
	Challenger Evaluation `json:"challenger"`
	// McNemar's first is the challenger.
	McNemar McNemarTest `json:"mcnemar"`
}

// Compare evaluates two models' probabilities of the same vacancies, whose categories are 0 to k-1.
func Compare(champion, challenger [][]float32, truth []int, k int) Comparison {
	return Comparison{
		Champion: Evaluate(champion, truth, k), Challenger: Evaluate(challenger, truth, k),
		McNemar: McNemar(Predictions(challenger), Predictions(champion), truth),
	}
}

// significant is the usual level below which a difference is no chance.
const significant = .05

// NotWorse says whether the challenger is right at least as often as the champion, and why that is so or is not.
func (c Comparison) NotWorse() (bool, string) {
	n, new, old := c.Champion.N, c.right(c.Challenger), c.right(c.Champion)
	said := fmt.Sprintf("it is right on %d of %d, the champion on %d (McNemar p = %.3g)", new, n, old, c.McNemar.P)
	switch {
	case new >= old:
		return true, said
	case c.McNemar.P < significant:
		return false, said + ": it is worse"
	}
	return false, said + ": it may be worse by chance, label more vacancies to know"
}

// Worse says that the challenger is right less often, and not by chance.
func (c Comparison) Worse() bool {
	return c.right(c.Challenger) < c.right(c.Champion) && c.McNemar.P < significant
}

func (c Comparison) right(e Evaluation) (n int) {
	for category := range e.Confusion {
		n += e.Confusion[category][category]
	}
	return n
}

// GateOptions say what a challenger must show to become champion.
type GateOptions struct {
	// MinLabels is the least number of labelled vacancies that both have answered. Default 200.
	MinLabels int
	// NotWorse lets a challenger pass that is right as often as the champion; else it must be right more often, and not by chance.
	NotWorse bool
	// Alpha is the probability of chance below which a difference counts. Default 0.05. Challengers that are compared at the same time share it.
	Alpha float64
	// MaxF1Loss and MaxECEGain are how much macro F1 may fall and the calibration error rise. Defaults 0.01 and 0.02.
	MaxF1Loss, MaxECEGain float64
	// MaxRecallLoss is how much recall a category may lose that has MinSupport labels or more. Defaults 0.1 and 10.
	MaxRecallLoss float64
	MinSupport    int
}

// EnsureDefaults fills what is zero.
func (o *GateOptions) EnsureDefaults() {
	if o.MinLabels == 0 {
		o.MinLabels = 200
	}
	if o.Alpha == 0 {
		o.Alpha = significant
	}
	if o.MaxF1Loss == 0 {
		o.MaxF1Loss = .01
	}
	if o.MaxECEGain == 0 {
		o.MaxECEGain = .02
	}
	if o.MaxRecallLoss == 0 {
		o.MaxRecallLoss = .1
	}
	if o.MinSupport == 0 {
		o.MinSupport = 10
	}
}

// Validate reports every violation.
func (o GateOptions) Validate() error {
	var wrong []error
	if o.MinLabels < 1 {
		wrong = append(wrong, fmt.Errorf("min-labels (%d) must be 1 or more", o.MinLabels))
	}
	if o.MinSupport < 1 {
		wrong = append(wrong, fmt.Errorf("min-category (%d) must be 1 or more", o.MinSupport))
	}
	for _, f := range []struct {
		name  string
		value float64
	}{{"alpha", o.Alpha}, {"max-f1-loss", o.MaxF1Loss}, {"max-ece-gain", o.MaxECEGain}, {"max-recall-loss", o.MaxRecallLoss}} {
		if !(f.value > 0 && f.value < 1) {
			wrong = append(wrong, fmt.Errorf("%s (%v) must be above 0 and below 1", f.name, f.value))
		}
	}
	return errors.Join(wrong...)
}

// GateCheck is one thing that a challenger must show.
type GateCheck struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	// Said gives the figures, and the bound.
	Said string `json:"said"`
}

// Gate checks a challenger that is compared beside others-1 more. Names are the categories'. It passes when every check does.
func (c Comparison) Gate(o GateOptions, others int, names []string) (passed bool, checks []GateCheck) {
	o.EnsureDefaults()
	passed = true
	check := func(name string, ok bool, format string, args ...any) {
		checks = append(checks, GateCheck{name, ok, fmt.Sprintf(format, args...)})
		passed = passed && ok
	}
	n := c.Champion.N
	check("labels", n >= o.MinLabels, "%d labelled vacancies, at least %d are needed", n, o.MinLabels)
	new, old, alpha := c.right(c.Challenger), c.right(c.Champion), o.Alpha/float64(max(1, others))
	if o.NotWorse {
		check("accuracy", new >= old, "right on %d, the champion on %d: it must not be fewer", new, old)
	} else {
		check("accuracy", new > old && c.McNemar.P < alpha, "right on %d, the champion on %d (McNemar p = %.3g): it must be more, and p below %.3g", new, old, c.McNemar.P, alpha)
	}
	f1, f1Was := c.Challenger.MacroF1, c.Champion.MacroF1
	check("macro F1", f1 >= f1Was-o.MaxF1Loss, "%.3f, the champion's is %.3f: it may fall by %g", f1, f1Was, o.MaxF1Loss)
	ece, eceWas := c.Challenger.ECE, c.Champion.ECE
	check("calibration", ece <= eceWas+o.MaxECEGain, "error %.3f, the champion's is %.3f: it may rise by %g", ece, eceWas, o.MaxECEGain)
	worst, lost := -1, 0.0
	for k, was := range c.Champion.Categories {
		if loss := was.Recall - c.Challenger.Categories[k].Recall; was.Support >= o.MinSupport && loss > lost {
			worst, lost = k, loss
		}
	}
	if worst < 0 {
		check("categories", true, "none with %d labels or more loses recall", o.MinSupport)
	} else {
		check("categories", lost <= o.MaxRecallLoss, "%s loses most recall, %.2f to %.2f on %d labels: it may lose %g",
			names[worst], c.Champion.Categories[worst].Recall, c.Challenger.Categories[worst].Recall, c.Champion.Categories[worst].Support, o.MaxRecallLoss)
	}
	return passed, checks
}
