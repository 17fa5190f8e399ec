package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"jobstrom/trainer"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"three":   func(v float64) string { return fmt.Sprintf("%.3f", v) },
	"short":   func(s string) string { return s[:min(12, len(s))] },
	"count":   count,
	"size":    size,
	"moment":  func(t time.Time) string { return t.Format("2006-01-02 15:04 MST") },
	"micro":   func(d time.Duration) string { return fmt.Sprintf("%d µs", d.Microseconds()) },
	"p":       func(v float64) string { return fmt.Sprintf("%.2g", v) },
	"fold":    func(i int) string { return fmt.Sprintf("fold %d", i+1) },
	"held":    func(name string, e trainer.Evaluation) heldOut { return heldOut{name, e} },
	"times":   func(a, b time.Duration) string { return fmt.Sprintf("%.2f ×", float64(a)/float64(max(b, 1))) },
}).Parse(pageText))

// count writes a whole number with thin spaces between thousands.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func size(bytes int) string {
	if bytes < 10_000 {
		return count(bytes) + " B"
	}
	return fmt.Sprintf("%.1f kB", float64(bytes)/1000)
}

// heldOut is a line of what was held out in turn.
type heldOut struct {
	Name string
	E    trainer.Evaluation
}

// figure is one line of the table of figures.
type figure struct {
	Name, Meaning string
	Value         float64
	Interval      *trainer.Interval
}

// HTML writes the page.
func (r Report) HTML(w io.Writer) error {
	data := struct {
		Report
		Figures                                                               []figure
		Sweep, Learning, Gradient, Histogram, Confusion, Bars, ReliabilitySVG template.HTML
		Confusions                                                            []confusion
		Setting                                                               [][2]string
		Slices                                                                []slicesTable
	}{Report: r, Figures: r.figures(), Confusions: r.confusions(12)}
	var err error
	if data.Learning, data.Gradient, data.Histogram, err = r.learning(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if len(r.Trials) > 1 {
		if data.Sweep, err = sweepPlot(r.Trials); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	if data.Confusion, err = confusionPlot(r.Evaluation.Confusion, r.Categories); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if data.Bars, err = categoryPlot(r.Evaluation, r.Categories); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if data.ReliabilitySVG, err = reliabilityPlot(r.Evaluation.Reliability); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Settings)) {
		data.Setting = append(data.Setting, [2]string{strings.ReplaceAll(name, "_", " "), r.Settings[name]})
	}
	for _, t := range []slicesTable{{"source", r.BySource}, {"time received", r.ByTime}} {
		if len(t.Slices) > 0 {
			data.Slices = append(data.Slices, t)
		}
	}
	if err := page.Execute(w, data); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// mostCurves is how many fits a picture of them shows: the best.
const mostCurves = 7

// learning draws how the fits went; nothing without any.
func (r Report) learning() (loss, gradient, histogram template.HTML, err error) {
	var curves []trainer.Curve
	var names []string
	for _, t := range r.Trials[:min(mostCurves, len(r.Trials))] {
		if t.Error == "" {
			curves, names = append(curves, t.Curve), append(names, t.Setting.String())
		}
	}
	if len(curves) == 0 {
		return "", "", "", nil
	}
	if loss, err = learningPlot(curves, names, "loss", func(p trainer.Point) float64 { return p.Loss }); err != nil {
		return "", "", "", err
	}
	if gradient, err = learningPlot(curves, names, "gradient", func(p trainer.Point) float64 { return p.Gradient }); err != nil {
		return "", "", "", err
	}
	histogram, err = gradientPlot(curves[0].Gradients)
	return loss, gradient, histogram, err
}

type slicesTable struct {
	By     string
	Slices []trainer.Slice
}

func (r Report) figures() []figure {
	e := r.Evaluation
	all := []figure{
		{"Accuracy", "the most probable category is the true one", e.Top1, nil},
		{"Top 3", "the true category is among the three most probable", e.Top3, nil},
		{"Balanced accuracy", "mean recall of the categories", e.Balanced, nil},
		{"Macro F1", "mean F1 of the categories, rare ones counting as much as common ones", e.MacroF1, nil},
		{"Weighted F1", "mean F1 of the categories by their size", e.WeightedF1, nil},
		{"Log loss", "mean −log of the true category's probability; lower is better", e.LogLoss, nil},
		{"Brier score", "mean squared distance of the probabilities from the truth, 0 to 2; lower is better", e.Brier, nil},
		{"Calibration error", "mean gap between confidence and accuracy over ten equal ranges; lower is better", e.ECE, nil},
		{"Adaptive calibration error", "the same over ten ranges with equally many vacancies", e.AdaptiveECE, nil},
	}
	for i, name := range []string{"top1", "top3", "balanced_accuracy", "macro_f1", "weighted_f1", "log_loss", "brier", "ece"} {
		if interval, ok := r.Intervals[name]; ok {
			all[i].Interval = &interval
		}
	}
	return all
}
