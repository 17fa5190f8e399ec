package report

import (
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"jobstrom/drift"
	"jobstrom/plots"
)

// histogram draws the shares of both windows in each bin of a numeric column, the reference's on the left. The column must be valid and have bins.
func histogram(c drift.Column) (template.HTML, error) {
	p := plots.New("", "")
	g := plotter.NewGrid()
	g.Vertical.Width, g.Horizontal.Color = 0, plots.Faint
	p.Add(g)
	highest := 0.0
	for i := range c.ReferenceShares {
		low, high := c.Edges[i], c.Edges[i+1]
		middle := low + (high-low)/2
		for _, half := range []struct {
			from, to, share float64
			color           color.Color
		}{{low, middle, c.ReferenceShares[i], plots.Light}, {middle, high, c.CurrentShares[i], plots.Dark}} {
			highest = max(highest, half.share)
			if half.share == 0 {
				continue
			}
			box, err := plotter.NewPolygon(plotter.XYs{{X: half.from, Y: 0}, {X: half.to, Y: 0}, {X: half.to, Y: half.share}, {X: half.from, Y: half.share}})
			if err != nil {
				return "", fmt.Errorf("drawing %s: %w", shown(c.Name), err)
			}
			box.Color, box.LineStyle.Width, box.LineStyle.Color = half.color, .4, plots.Ink
			p.Add(box)
		}
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = c.Edges[0], c.Edges[len(c.Edges)-1], 0, max(1.04*highest, .01)
	p.X.Tick.Marker, p.Y.Tick.Marker = edgeTicks(c.Edges), shareTicks(p.Y.Max)
	return plots.SVG(p, 340, 200, "histograms of "+shown(c.Name)+" in both windows")
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
