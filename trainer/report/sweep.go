package report

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"jobstrom/plots"
	"jobstrom/trainer"
)

const (
	// maxLines is how many lines of a panel a reader can tell apart.
	maxLines = 6
	// maxDots is how many of the best trials are shown where lines would be too many.
	maxDots = 30
	// worstShown times the lowest log loss, or leastCut, is the highest that is shown: what nearly diverged must not flatten the rest.
	worstShown = 3
	leastCut   = .1
)

// panel shows the trials of a method by the size of its main setting.
type panel struct {
	method, axis string
	lines        []line
}

// line is the trials that differ in the main setting alone, by its size.
type line struct {
	name   string
	trials []trainer.Trial
}

// sweepPlot shows the log loss of trials, which are ranked: by L2 and by learning rate, with a line for each combination of
// the other settings, or, where these are many or the main setting is always the same, the best trials one below the other.
// Those that failed are left out; without any other there is no plot.
func sweepPlot(trials []trainer.Trial) (template.HTML, error) {
	trials = slices.DeleteFunc(slices.Clone(trials), func(t trainer.Trial) bool { return t.Error != "" })
	if len(trials) == 0 {
		return "", nil
	}
	panels := []panel{
		newPanel(trainer.MethodLBFGS, "L2 of L-BFGS", trials),
		newPanel(trainer.MethodAdamW, "learning rate of AdamW", trials),
	}
	panels = slices.DeleteFunc(panels, func(p panel) bool { return len(p.lines) == 0 })
	if slices.ContainsFunc(panels, func(p panel) bool { return !p.legible() }) {
		return dotPlot(trials)
	}
	losses := lossesOf(trials)
	var out bytes.Buffer
	for _, p := range panels {
		drawn, err := p.draw(trials[0], losses)
		if err != nil {
			return "", err
		}
		out.WriteString(string(drawn))
	}
	return template.HTML(out.String()), nil
}

// mainSetting is the one on the horizontal axis.
func mainSetting(s trainer.Setting) float64 {
	if s.Method == trainer.MethodAdamW {
		return s.LearningRate
	}
	return s.L2
}

// newPanel sorts the trials of a method into lines, in the order of the best trial of each.
func newPanel(method, axis string, trials []trainer.Trial) panel {
	p := panel{method: method, axis: axis}
	at := map[trainer.Setting]int{}
	for _, t := range trials {
		if t.Setting.Method != method {
			continue
		}
		others := t.Setting
		others.L2, others.LearningRate = 0, 0
		i, known := at[others]
		if !known {
			i = len(p.lines)
			at[others] = i
			p.lines = append(p.lines, line{})
		}
		p.lines[i].trials = append(p.lines[i].trials, t)
	}
	for i, l := range p.lines {
		p.lines[i].name = p.name(l.trials[0].Setting)
		slices.SortFunc(l.trials, func(a, b trainer.Trial) int { return cmp.Compare(mainSetting(a.Setting), mainSetting(b.Setting)) })
	}
	return p
}

// name tells a line from the others: what of its settings is not the same in all.
func (p panel) name(s trainer.Setting) string {
	var parts []string
	add := func(text string, value func(trainer.Setting) any) {
		if slices.ContainsFunc(p.lines, func(l line) bool { return value(l.trials[0].Setting) != value(s) }) {
			parts = append(parts, fmt.Sprintf(text, value(s)))
		}
	}
	add("batch %v", func(s trainer.Setting) any { return s.Batch })
	add("%v epochs", func(s trainer.Setting) any { return s.Epochs })
	add("decay %v", func(s trainer.Setting) any { return s.Decay })
	add("weights %v", func(s trainer.Setting) any { return s.ClassWeights })
	return strings.Join(parts, ", ")
}

// legible says whether there are lines, and not too many.
func (p panel) legible() bool {
	return len(p.lines) <= maxLines && slices.ContainsFunc(p.lines, func(l line) bool { return len(l.trials) > 1 })
}

// losses is the range of the log losses that are shown.
type losses struct {
	low, high float64
	// cut is above all of them; 0: none is left out.
	cut float64
}

func lossesOf(trials []trainer.Trial) losses {
	l := losses{low: math.Inf(1)}
	for _, t := range trials {
		l.low = min(l.low, t.LogLoss)
	}
	most := max(leastCut, worstShown*l.low)
	for _, t := range trials {
		if t.LogLoss > most {
			l.cut = most
		} else {
			l.high = max(l.high, t.LogLoss)
		}
	}
	return l
}

// span is the length of the range, and something where all are the same.
func (l losses) span() float64 { return max(l.high-l.low, .01*l.high, 1e-9) }

// draw draws the panel with the range that all panels share. The best trial has a ring.
func (p panel) draw(best trainer.Trial, shown losses) (template.HTML, error) {
	label := "log loss"
	if shown.cut > 0 {
		label = fmt.Sprintf("log loss, up to %.2g", shown.cut)
	}
	drawing := plots.New(p.axis, label)
	drawing.Add(grid())
	shades := []color.Color{plots.Dark, plots.Mid, plots.Ink}
	var tried []float64
	for i, l := range p.lines {
		points := make(plotter.XYs, len(l.trials))
		for j, t := range l.trials {
			points[j] = plotter.XY{X: mainSetting(t.Setting), Y: t.LogLoss}
			tried = append(tried, points[j].X)
		}
		lines, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return "", fmt.Errorf("drawing the sweep's %s: %w", p.axis, err)
		}
		lines.Color, lines.Width = shades[i%len(shades)], 1.3
		lines.Dashes = [][]vg.Length{nil, {6, 3}}[i/len(shades)%2]
		dots.GlyphStyle = draw.GlyphStyle{Color: shades[i%len(shades)], Radius: 2.2, Shape: draw.CircleGlyph{}}
		drawing.Add(lines, dots)
		if l.name != "" {
			drawing.Legend.Add(l.name, lines, dots)
		}
	}
	if best.Setting.Method == p.method {
		ring, err := plotter.NewScatter(plotter.XYs{{X: mainSetting(best.Setting), Y: best.LogLoss}})
		if err != nil {
			return "", fmt.Errorf("drawing the sweep's best: %w", err)
		}
		ring.GlyphStyle = draw.GlyphStyle{Color: plots.Ink, Radius: 5, Shape: draw.RingGlyph{}}
		drawing.Add(ring)
		drawing.Legend.Add("best", ring)
	}
	drawing.X.Scale, drawing.X.Tick.Marker = plot.LogScale{}, powers(tried)
	drawing.X.Min, drawing.X.Max = slices.Min(tried)/1.3, slices.Max(tried)*1.3
	// The legend has its room above the highest loss.
	drawing.Y.Min, drawing.Y.Max = shown.low-.1*shown.span(), shown.high+.08*float64(2+len(p.lines))*shown.span()
	drawing.Legend.Top = true
	return plots.SVG(drawing, 340, 260, "log loss by "+p.axis)
}

// powers marks the values that were tried where they are few, else the powers of ten.
func powers(tried []float64) plot.Ticker {
	tried = slices.Compact(slices.Sorted(slices.Values(tried)))
	first, last := math.Floor(math.Log10(tried[0])), math.Ceil(math.Log10(tried[len(tried)-1]))
	if len(tried) > 7 {
		tried = nil
		for e := first; e <= last; e++ {
			tried = append(tried, math.Pow(10, e))
		}
	}
	var ticks plot.ConstantTicks
	for _, v := range tried {
		label := strconv.FormatFloat(v, 'g', 2, 64)
		if v < .01 {
			label = strings.ReplaceAll(strings.ReplaceAll(strconv.FormatFloat(v, 'e', 1, 64), ".0e", "e"), "e-0", "e-")
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	return ticks
}

// dotPlot shows the best trials, one a row.
func dotPlot(trials []trainer.Trial) (template.HTML, error) {
	within := lossesOf(trials[:min(maxDots, len(trials))])
	shown := slices.DeleteFunc(slices.Clone(trials[:min(maxDots, len(trials))]), func(t trainer.Trial) bool { return t.LogLoss > within.high })
	label := "log loss"
	if len(shown) < len(trials) {
		label = fmt.Sprintf("log loss of %d of %d settings", len(shown), len(trials))
	}
	p := plots.New(label, "")
	p.Add(grid())
	points, ticks := make(plotter.XYs, len(shown)), make(plot.ConstantTicks, len(shown))
	for i, t := range shown {
		row := float64(len(shown) - 1 - i)
		points[i], ticks[i] = plotter.XY{X: t.LogLoss, Y: row}, plot.Tick{Value: row, Label: t.Setting.String()}
	}
	dots, err := plotter.NewScatter(points)
	if err != nil {
		return "", fmt.Errorf("drawing the sweep: %w", err)
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: plots.Dark, Radius: 3.5, Shape: draw.CircleGlyph{}}
	p.Add(dots)
	p.Y.Tick.Marker, p.Y.Tick.Length, p.Y.LineStyle.Width = ticks, 0, 0
	p.Y.Min, p.Y.Max = -.7, float64(len(shown))-.3
	p.X.Min, p.X.Max = within.low-.05*within.span(), within.high+.05*within.span()
	return plots.SVG(p, 720, vg.Length(60+18*len(shown)), "log loss of each setting")
}
