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
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"jobstrom/drift"
)

// One hue in steps of lightness, so that a print in black and white reads the same. The page's style has the same colours.
var (
	ink   = color.RGBA{R: 0x10, G: 0x2a, B: 0x43, A: 255}
	dark  = color.RGBA{R: 0x12, G: 0x4a, B: 0x80, A: 255}
	light = color.RGBA{R: 0xc9, G: 0xde, B: 0xf0, A: 255}
	faint = color.RGBA{R: 0xdd, G: 0xe3, B: 0xe9, A: 255}
)

func letters(size font.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// histogram draws the shares of both windows in each bin of a numeric column, the reference's on the left. The column must be valid and have bins.
func histogram(c drift.Column) (template.HTML, error) {
	p := plot.New()
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color, axis.Tick.Label.Color = ink, ink, ink
		axis.Tick.Label.Font = letters(9)
	}
	g := plotter.NewGrid()
	g.Vertical.Width, g.Horizontal.Color = 0, faint
	p.Add(g)
	highest := 0.0
	for i := range c.ReferenceShares {
		low, high := c.Edges[i], c.Edges[i+1]
		middle := low + (high-low)/2
		for _, half := range []struct {
			from, to, share float64
			color           color.Color
		}{{low, middle, c.ReferenceShares[i], light}, {middle, high, c.CurrentShares[i], dark}} {
			highest = max(highest, half.share)
			if half.share == 0 {
				continue
			}
			box, err := plotter.NewPolygon(plotter.XYs{{X: half.from, Y: 0}, {X: half.to, Y: 0}, {X: half.to, Y: half.share}, {X: half.from, Y: half.share}})
			if err != nil {
				return "", fmt.Errorf("drawing %s: %w", shown(c.Name), err)
			}
			box.Color, box.LineStyle.Width, box.LineStyle.Color = half.color, .4, ink
			p.Add(box)
		}
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = c.Edges[0], c.Edges[len(c.Edges)-1], 0, max(1.04*highest, .01)
	p.X.Tick.Marker, p.Y.Tick.Marker = edgeTicks(c.Edges), shareTicks(p.Y.Max)
	return svg(p, 340, 200, "histograms of "+shown(c.Name)+" in both windows")
}

// edgeTicks marks up to seven edges of bins.
func edgeTicks(edges []float64) plot.ConstantTicks {
	const most = 6
	bins := len(edges) - 1
	every := (bins + most - 1) / most
	width := (edges[bins] - edges[0]) / float64(bins)
	var ticks plot.ConstantTicks
	for i, e := range edges {
		label := ""
		if i%every == 0 && (i == bins || i+every <= bins || bins%every == 0) {
			label = edge(e, width)
		}
		ticks = append(ticks, plot.Tick{Value: e, Label: label})
	}
	return ticks
}

// edge writes so many digits of a number that it differs from one a width further.
func edge(v, width float64) string {
	size := max(math.Abs(v), width)
	decimals := max(0, 1-int(math.Floor(math.Log10(width))))
	if size >= 1e7 || decimals > 6 {
		digits := 2 + math.Ceil(math.Log10(size/width))
		return strconv.FormatFloat(v, 'g', int(min(max(digits, 2), 17)), 64)
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// shareTicks marks round percentages.
func shareTicks(highest float64) plot.ConstantTicks {
	step := .001
	for _, s := range []float64{.002, .005, .01, .02, .05, .1, .2, .25} {
		if highest/step > 5 {
			step = s
		}
	}
	var ticks plot.ConstantTicks
	for i := 0; float64(i)*step <= highest+1e-9; i++ {
		ticks = append(ticks, plot.Tick{Value: float64(i) * step, Label: strconv.FormatFloat(math.Round(float64(i)*step*1000)/10, 'f', -1, 64) + " %"})
	}
	return ticks
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
	drawing := head + out.String()[svgHead.FindStringIndex(out.String())[1]:] // not by a pattern: a name may have a $
	return template.HTML(svgText.ReplaceAllStringFunc(drawing, fitText)), nil
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
