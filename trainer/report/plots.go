package report

import (
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"jobstrom/plots"
	"jobstrom/trainer"
)

// learningPlot shows a value of each fit by its steps, on a logarithmic scale where it spans more than a decade.
func learningPlot(curves []trainer.Curve, names []string, label string, value func(trainer.Point) float64) (template.HTML, error) {
	p := plots.New("iteration", label)
	p.Add(grid())
	lowest, highest := math.Inf(1), math.Inf(-1)
	shades := []color.Color{plots.Dark, plots.Mid, plots.Ink}
	for i, curve := range curves {
		line := make(plotter.XYs, 0, len(curve.Points))
		for _, point := range curve.Points {
			if v := value(point); v > 0 { // a gradient of 0 has no place on the scale
				line = append(line, plotter.XY{X: float64(point.Step), Y: v})
				lowest, highest = min(lowest, v), max(highest, v)
			}
		}
		if len(line) == 0 {
			continue
		}
		l, err := plotter.NewLine(line)
		if err != nil {
			return "", fmt.Errorf("drawing the %s of %s: %w", label, names[i], err)
		}
		l.Color, l.Width = shades[i%len(shades)], 1.3
		l.Dashes = [][]vg.Length{nil, {6, 3}, {2, 2}, {8, 2, 2, 2}}[i/len(shades)%4]
		p.Add(l)
		p.Legend.Add(names[i], l)
	}
	if highest > 10*lowest {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: 1}
	}
	p.Legend.Top = true
	return plots.SVG(p, 340, 260, label+" by iteration")
}

// gradientPlot shows how often gradients of each length occurred.
func gradientPlot(h trainer.Histogram) (template.HTML, error) {
	p := plots.New("length of the gradient, log₁₀", "steps")
	p.Add(grid())
	first, last := -1, -1
	for i, n := range h.Counts {
		if n > 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	for i := first; i >= 0 && i <= last; i++ {
		low, high := h.Bounds(i)
		a, b, n := math.Log10(low), math.Log10(high), float64(h.Counts[i])
		box, err := plotter.NewPolygon(plotter.XYs{{X: a, Y: 0}, {X: b, Y: 0}, {X: b, Y: n}, {X: a, Y: n}})
		if err != nil {
			return "", fmt.Errorf("drawing the gradients: %w", err)
		}
		box.Color, box.LineStyle.Width, box.LineStyle.Color = plots.Light, .6, plots.Ink
		p.Add(box)
	}
	return plots.SVG(p, 340, 220, "histogram of gradients")
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = plots.Faint, plots.Faint
	return g
}

// squares are the cells of the confusion matrix: their colour is their share of the row.
type squares struct{ counts [][]int }

func (s squares) Dims() (columns, rows int) { return len(s.counts), len(s.counts) }
func (s squares) X(c int) float64           { return float64(c) }
func (s squares) Y(r int) float64           { return float64(r) }

// Z counts rows from the bottom, because plots do.
func (s squares) Z(c, r int) float64 {
	row := s.counts[len(s.counts)-1-r]
	sum := 0
	for _, n := range row {
		sum += n
	}
	return float64(row[c]) / float64(max(sum, 1))
}

// shades runs from white to dark.
type shades struct{}

func (shades) Colors() []color.Color {
	all := make([]color.Color, 65)
	for i := range all {
		share := math.Sqrt(float64(i) / float64(len(all)-1)) // small shares are what a reader looks for
		mix := func(to uint8) uint8 { return uint8(255 - share*float64(255-int(to))) }
		all[i] = color.RGBA{R: mix(plots.Dark.R), G: mix(plots.Dark.G), B: mix(plots.Dark.B), A: 255}
	}
	return all
}

// confusionPlot shows who is taken for whom.
func confusionPlot(counts [][]int, names []string) (template.HTML, error) {
	k := len(counts)
	p := plots.New("predicted", "true")
	cells := squares{counts}
	heat := plotter.NewHeatMap(cells, shades{})
	heat.Min, heat.Max = 0, 1
	p.Add(heat)
	var onLight, onDark plotter.XYLabels
	for r := range k {
		for c := range k {
			n := counts[k-1-r][c]
			if n == 0 {
				continue
			}
			to := &onLight
			if cells.Z(c, r) > .3 {
				to = &onDark
			}
			to.XYs, to.Labels = append(to.XYs, plotter.XY{X: float64(c), Y: float64(r)}), append(to.Labels, strconv.Itoa(n))
		}
	}
	for _, l := range []struct {
		labels plotter.XYLabels
		color  color.Color
	}{{onLight, plots.Ink}, {onDark, color.White}} {
		if len(l.labels.XYs) == 0 {
			continue
		}
		labels, err := plotter.NewLabels(l.labels)
		if err != nil {
			return "", fmt.Errorf("drawing the confusion matrix: %w", err)
		}
		for i := range labels.TextStyle {
			s := &labels.TextStyle[i]
			s.Font, s.Color, s.XAlign, s.YAlign = plots.Letters(7.5), l.color, draw.XCenter, draw.YCenter
		}
		p.Add(labels)
	}
	p.Add(lattice(k))
	columns, rows := make([]plot.Tick, k), make([]plot.Tick, k)
	for i := range k {
		columns[i] = plot.Tick{Value: float64(i), Label: strconv.Itoa(i)}
		rows[i] = plot.Tick{Value: float64(k - 1 - i), Label: fmt.Sprintf("%s  %d", names[i], i)}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(columns), plot.ConstantTicks(rows)
	p.X.Tick.Length, p.Y.Tick.Length, p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0, 0, 0
	return plots.SVG(p, 720, vg.Length(110+25*k), "confusion matrix")
}

// lattice draws lines between cells.
type lattice int

func (l lattice) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := draw.LineStyle{Color: plots.Faint, Width: .5}
	for i := range int(l) + 1 {
		at := float64(i) - .5
		c.StrokeLine2(style, x(at), y(-.5), x(at), y(float64(l)-.5))
		c.StrokeLine2(style, x(-.5), y(at), x(float64(l)-.5), y(at))
	}
}

// categoryPlot shows precision, recall and F1 of each category.
func categoryPlot(e trainer.Evaluation, names []string) (template.HTML, error) {
	k := len(names)
	p := plots.New("", "")
	p.X.Min, p.X.Max = 0, 1
	ticks := make([]plot.Tick, k)
	for i, n := range names {
		ticks[i] = plot.Tick{Value: float64(k - 1 - i), Label: fmt.Sprintf("%s (%d)", n, e.Categories[i].Support)}
	}
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Width = plots.Faint, 0
	p.Add(g)
	for s, series := range []struct {
		name  string
		color color.Color
		value func(trainer.CategoryEvaluation) float64
	}{
		{"precision", plots.Dark, func(c trainer.CategoryEvaluation) float64 { return c.Precision }},
		{"recall", plots.Mid, func(c trainer.CategoryEvaluation) float64 { return c.Recall }},
		{"F1", plots.Light, func(c trainer.CategoryEvaluation) float64 { return c.F1 }},
	} {
		values := make(plotter.Values, k)
		for i := range values {
			values[i] = series.value(e.Categories[k-1-i])
		}
		bars, err := plotter.NewBarChart(values, 6)
		if err != nil {
			return "", fmt.Errorf("drawing the categories: %w", err)
		}
		bars.Horizontal, bars.Color, bars.Offset = true, series.color, vg.Length(6*(1-s))
		bars.LineStyle.Width, bars.LineStyle.Color = .4, plots.Ink
		p.Add(bars)
		p.Legend.Add(series.name, bars)
	}
	p.Legend.Top = true
	p.Y.Tick.Marker, p.Y.Tick.Length, p.Y.LineStyle.Width = plot.ConstantTicks(ticks), 0, 0
	p.X.Tick.Marker = tenths()
	p.X.Min, p.X.Max = 0, 1
	p.Y.Min, p.Y.Max = -.7, float64(k)+1 // with room for the legend
	return plots.SVG(p, 720, vg.Length(90+25*k), "precision, recall and F1 of each category")
}

func tenths() plot.ConstantTicks {
	var ticks []plot.Tick
	for i := range 11 {
		label := ""
		if i%2 == 0 {
			label = strconv.FormatFloat(float64(i)/10, 'g', -1, 64)
		}
		ticks = append(ticks, plot.Tick{Value: float64(i) / 10, Label: label})
	}
	return ticks
}

// reliabilityPlot shows how often predictions of a confidence are right, and how many there are.
func reliabilityPlot(bins []trainer.Bin) (template.HTML, error) {
	p := plots.New("confidence", "share that is right")
	p.Add(grid())
	for i, b := range bins {
		if b.N == 0 {
			continue
		}
		box, err := plotter.NewPolygon(plotter.XYs{{X: b.Low, Y: 0}, {X: b.High, Y: 0}, {X: b.High, Y: b.Accuracy}, {X: b.Low, Y: b.Accuracy}})
		if err != nil {
			return "", fmt.Errorf("drawing range %d of confidence: %w", i, err)
		}
		box.Color, box.LineStyle.Width, box.LineStyle.Color = plots.Light, .6, plots.Ink
		p.Add(box)
	}
	diagonal, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}})
	if err != nil {
		return "", fmt.Errorf("drawing the diagonal: %w", err)
	}
	diagonal.Dashes, diagonal.Color = []vg.Length{5, 3}, plots.Ink
	var at plotter.XYs
	var labels plotter.XYLabels
	for _, b := range bins {
		if b.N > 0 {
			at = append(at, plotter.XY{X: b.Confidence, Y: b.Accuracy})
			labels.XYs, labels.Labels = append(labels.XYs, plotter.XY{X: (b.Low + b.High) / 2, Y: .02}), append(labels.Labels, strconv.Itoa(b.N))
		}
	}
	p.Add(diagonal)
	if len(at) > 0 {
		points, err := plotter.NewScatter(at)
		if err != nil {
			return "", fmt.Errorf("drawing the reliability: %w", err)
		}
		points.GlyphStyle = draw.GlyphStyle{Color: plots.Dark, Radius: 3, Shape: draw.CircleGlyph{}}
		counts, err := plotter.NewLabels(labels)
		if err != nil {
			return "", fmt.Errorf("drawing the reliability: %w", err)
		}
		for i := range counts.TextStyle {
			counts.TextStyle[i].Font, counts.TextStyle[i].Color, counts.TextStyle[i].XAlign = plots.Letters(8), plots.Ink, draw.XCenter
		}
		p.Add(points, counts)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	p.X.Tick.Marker, p.Y.Tick.Marker = tenths(), tenths()
	return plots.SVG(p, 340, 300, "reliability diagram")
}
