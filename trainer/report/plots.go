package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"image/color"
	"math"
	"regexp"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"jobstrom/trainer"
)

// One hue in steps of lightness, so that a print in black and white reads the same.
var (
	ink   = color.RGBA{R: 0x10, G: 0x2a, B: 0x43, A: 255}
	dark  = color.RGBA{R: 0x12, G: 0x4a, B: 0x80, A: 255}
	mid   = color.RGBA{R: 0x5f, G: 0x9a, B: 0xcc, A: 255}
	light = color.RGBA{R: 0xc9, G: 0xde, B: 0xf0, A: 255}
	faint = color.RGBA{R: 0xdd, G: 0xe3, B: 0xe9, A: 255}
)

// blank returns a plot in the page's letters.
func blank(x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color = ink, ink
		axis.Label.TextStyle.Font = letters(10)
		axis.Tick.Label.Font = letters(9)
		axis.Label.TextStyle.Color, axis.Tick.Label.Color = ink, ink
		axis.Label.Padding = 4
	}
	p.Legend.TextStyle.Font, p.Legend.TextStyle.Color = letters(9), ink
	p.Legend.Padding = 3
	return p
}

func letters(size font.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

var (
	svgHead = regexp.MustCompile(`(?s)^.*?<svg width="[^"]*" height="[^"]*"`)
	svgText = regexp.MustCompile(`(<text [^>]*?)\s+style="[^"]*?font-size:([0-9.]+)px([^"]*)">([^<]*)</text>`)
)

// svg draws a plot that is as wide as the page lets it be. The name says what it shows to those who do not see it.
func svg(p *plot.Plot, width, height vg.Length, name string) (template.HTML, error) {
	c := vgsvg.New(width, height)
	p.Draw(draw.New(c))
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return "", fmt.Errorf("drawing %s: %w", name, err)
	}
	head := fmt.Sprintf(`<svg role="img" aria-label="%s" style="max-width:%dpx"`, template.HTMLEscapeString(name), int(width*1.34))
	return template.HTML(svgText.ReplaceAllStringFunc(svgHead.ReplaceAllString(out.String(), head), fitText)), nil
}

// fitText gives a text the width that the plot has reserved for it, whatever font the reader has.
func fitText(element string) string {
	m := svgText.FindStringSubmatch(element)
	size, err := strconv.ParseFloat(m[2], 64)
	if err != nil {
		panic("BUG: a font's size is no number: " + element)
	}
	face := font.DefaultCache.Lookup(letters(font.Points(size)), font.Points(size))
	return fmt.Sprintf(`%s textLength="%.2f" lengthAdjust="spacingAndGlyphs" style="font-size:%spx%s">%s</text>`, m[1], face.Width(html.UnescapeString(m[4])).Points(), m[2], m[3], m[4])
}

// learningPlot shows a value of each fit by its steps, on a logarithmic scale where it spans more than a decade.
func learningPlot(curves []trainer.Curve, names []string, label string, value func(trainer.Point) float64) (template.HTML, error) {
	p := blank("iteration", label)
	p.Add(grid())
	lowest, highest := math.Inf(1), math.Inf(-1)
	shades := []color.Color{dark, mid, ink}
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
	return svg(p, 340, 260, label+" by iteration")
}

// gradientPlot shows how often gradients of each length occurred.
func gradientPlot(h trainer.Histogram) (template.HTML, error) {
	p := blank("length of the gradient, log₁₀", "steps")
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
		box.Color, box.LineStyle.Width, box.LineStyle.Color = light, .6, ink
		p.Add(box)
	}
	return svg(p, 340, 220, "histogram of gradients")
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = faint, faint
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
		all[i] = color.RGBA{R: mix(dark.R), G: mix(dark.G), B: mix(dark.B), A: 255}
	}
	return all
}

// confusionPlot shows who is taken for whom.
func confusionPlot(counts [][]int, names []string) (template.HTML, error) {
	k := len(counts)
	p := blank("predicted", "true")
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
	}{{onLight, ink}, {onDark, color.White}} {
		if len(l.labels.XYs) == 0 {
			continue
		}
		labels, err := plotter.NewLabels(l.labels)
		if err != nil {
			return "", fmt.Errorf("drawing the confusion matrix: %w", err)
		}
		for i := range labels.TextStyle {
			s := &labels.TextStyle[i]
			s.Font, s.Color, s.XAlign, s.YAlign = letters(7.5), l.color, draw.XCenter, draw.YCenter
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
	return svg(p, 720, vg.Length(110+25*k), "confusion matrix")
}

// lattice draws lines between cells.
type lattice int

func (l lattice) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := draw.LineStyle{Color: faint, Width: .5}
	for i := range int(l) + 1 {
		at := float64(i) - .5
		c.StrokeLine2(style, x(at), y(-.5), x(at), y(float64(l)-.5))
		c.StrokeLine2(style, x(-.5), y(at), x(float64(l)-.5), y(at))
	}
}

// categoryPlot shows precision, recall and F1 of each category.
func categoryPlot(e trainer.Evaluation, names []string) (template.HTML, error) {
	k := len(names)
	p := blank("", "")
	p.X.Min, p.X.Max = 0, 1
	ticks := make([]plot.Tick, k)
	for i, n := range names {
		ticks[i] = plot.Tick{Value: float64(k - 1 - i), Label: fmt.Sprintf("%s (%d)", n, e.Categories[i].Support)}
	}
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Width = faint, 0
	p.Add(g)
	for s, series := range []struct {
		name  string
		color color.Color
		value func(trainer.CategoryEvaluation) float64
	}{
		{"precision", dark, func(c trainer.CategoryEvaluation) float64 { return c.Precision }},
		{"recall", mid, func(c trainer.CategoryEvaluation) float64 { return c.Recall }},
		{"F1", light, func(c trainer.CategoryEvaluation) float64 { return c.F1 }},
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
		bars.LineStyle.Width, bars.LineStyle.Color = .4, ink
		p.Add(bars)
		p.Legend.Add(series.name, bars)
	}
	p.Legend.Top = true
	p.Y.Tick.Marker, p.Y.Tick.Length, p.Y.LineStyle.Width = plot.ConstantTicks(ticks), 0, 0
	p.X.Tick.Marker = tenths()
	p.X.Min, p.X.Max = 0, 1
	p.Y.Min, p.Y.Max = -.7, float64(k)+1 // with room for the legend
	return svg(p, 720, vg.Length(90+25*k), "precision, recall and F1 of each category")
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
	p := blank("confidence", "share that is right")
	p.Add(grid())
	for i, b := range bins {
		if b.N == 0 {
			continue
		}
		box, err := plotter.NewPolygon(plotter.XYs{{X: b.Low, Y: 0}, {X: b.High, Y: 0}, {X: b.High, Y: b.Accuracy}, {X: b.Low, Y: b.Accuracy}})
		if err != nil {
			return "", fmt.Errorf("drawing range %d of confidence: %w", i, err)
		}
		box.Color, box.LineStyle.Width, box.LineStyle.Color = light, .6, ink
		p.Add(box)
	}
	diagonal, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}})
	if err != nil {
		return "", fmt.Errorf("drawing the diagonal: %w", err)
	}
	diagonal.Dashes, diagonal.Color = []vg.Length{5, 3}, ink
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
		points.GlyphStyle = draw.GlyphStyle{Color: dark, Radius: 3, Shape: draw.CircleGlyph{}}
		counts, err := plotter.NewLabels(labels)
		if err != nil {
			return "", fmt.Errorf("drawing the reliability: %w", err)
		}
		for i := range counts.TextStyle {
			counts.TextStyle[i].Font, counts.TextStyle[i].Color, counts.TextStyle[i].XAlign = letters(8), ink, draw.XCenter
		}
		p.Add(points, counts)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	p.X.Tick.Marker, p.Y.Tick.Marker = tenths(), tenths()
	return svg(p, 340, 300, "reliability diagram")
}
