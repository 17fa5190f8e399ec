package chaos

import (
	"fmt"
	"image/color"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"jobstrom/plots"
)

// Eight colours that readers with any colour vision tell apart (Okabe and Ito 2008, without yellow, which is faint on white, and with a grey).
var soakColours = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 255}, color.RGBA{0xd5, 0x5e, 0x00, 255}, color.RGBA{0x00, 0x9e, 0x73, 255}, color.RGBA{0xcc, 0x79, 0xa7, 255},
	color.RGBA{0xe6, 0x9f, 0x00, 255}, color.RGBA{0x56, 0xb4, 0xe9, 255}, color.RGBA{0x00, 0x00, 0x00, 255}, color.RGBA{0x80, 0x80, 0x80, 255},
}

// Size of the picture; its panels, from the top: names of the steps, throughput, lag, the memory of the small processes and of the large ones.
const (
	soakWidth, soakHeight = 15 * vg.Inch, 13 * vg.Inch
	namesHeight           = 1.25 * vg.Inch
	throughputEvery       = 5 * time.Second
	soakDPI               = 96
)

// Draw writes a PNG of a run: throughput, lag by stage and memory by process over time, with a line where each step begins.
func Draw(file string, samples []Sample, done []Done) error {
	panels := []*plot.Plot{throughput(samples), lags(samples)}
	small, large := map[string][]Point{}, map[string][]Point{}
	for _, s := range samples {
		for part, u := range s.Parts {
			into := small
			if part == "clickhouse" || strings.HasPrefix(part, "broker/") || strings.HasPrefix(part, "serve/") {
				into = large
			}
			into[part] = append(into[part], Point{s.At, float64(u.RSS) / 1e6})
		}
	}
	panels = append(panels, memory("stages, sink, watch: MB", small), memory("API, Kafka, ClickHouse: MB", large))
	end := 1.0
	for _, s := range samples {
		end = max(end, s.At.Minutes())
	}
	for i, p := range panels {
		p.X.Min, p.X.Max, p.Y.Min = 0, end, 0
		p.Y.Max *= 1.05
		for _, d := range done {
			p.Add(&mark{at: d.Began.Minutes()})
		}
		if i == len(panels)-1 {
			p.X.Label.Text = "minutes"
		}
	}
	canvas := vgimg.NewWith(vgimg.UseWH(soakWidth, soakHeight), vgimg.UseDPI(soakDPI))
	whole := draw.New(canvas)
	column := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		column[i] = []*plot.Plot{p}
	}
	below := draw.Crop(whole, 0, -1.7*vg.Inch, 0, -namesHeight)
	tiles := draw.Tiles{Rows: len(panels), Cols: 1, PadY: 10, PadTop: 2, PadBottom: 6, PadLeft: 6}
	canvases := plot.Align(column, tiles, below)
	for i, p := range panels {
		legend := p.Legend
		p.Legend = plot.NewLegend()
		p.Draw(canvases[i][0])
		legend.Draw(draw.Crop(canvases[i][0], canvases[i][0].Size().X+.1*vg.Inch, 1.6*vg.Inch, 0, 0))
	}
	nameSteps(whole, panels[0], canvases[0][0], done)
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("drawing the soak: %w", err)
	}
	defer out.Close()
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(out); err != nil {
		return fmt.Errorf("drawing the soak into %s: %w", file, err)
	}
	return out.Close()
}

// throughput is of what is classified or refused, a second.
func throughput(samples []Sample) *plot.Plot {
	p := soakPanel("classified a second")
	var line plotter.XYs
	for i, j := 0, 0; j < len(samples); j++ {
		if over := samples[j].At - samples[i].At; over >= throughputEvery {
			n := samples[j].Classified + samples[j].Letters - samples[i].Classified - samples[i].Letters
			line = append(line, plotter.XY{X: (samples[i].At + over/2).Minutes(), Y: float64(n) / over.Seconds()})
			i = j
		}
	}
	addLine(p, "dead letters\nincluded", 0, line)
	return p
}

func lags(samples []Sample) *plot.Plot {
	p := soakPanel("lag, records")
	for i, stage := range append(slices.Clone(stages), "sink") {
		var points []Point
		for _, s := range samples {
			if lag, known := s.Lag[stage]; known {
				points = append(points, Point{s.At, float64(lag)})
			}
		}
		addPoints(p, stage, i, points)
	}
	return p
}

func memory(label string, parts map[string][]Point) *plot.Plot {
	p := soakPanel(label)
	for i, part := range slices.SortedFunc(maps.Keys(parts), comparePart) {
		addPoints(p, part, i, parts[part])
	}
	return p
}

// addPoints draws the lines of a series, with gaps where nothing was measured.
func addPoints(p *plot.Plot, name string, i int, points []Point) {
	var line plotter.XYs
	for k, point := range points {
		if k > 0 && point.At-points[k-1].At > 5*sampleEvery {
			addLine(p, "", i, line)
			line = nil
		}
		line = append(line, plotter.XY{X: point.At.Minutes(), Y: point.Value})
	}
	addLine(p, name, i, line)
}

func soakPanel(label string) *plot.Plot {
	p := plots.New("", label)
	p.Y.Label.TextStyle.Font, p.X.Label.TextStyle.Font = plots.Letters(12), plots.Letters(12)
	p.X.Tick.Label.Font, p.Y.Tick.Label.Font = plots.Letters(11), plots.Letters(11)
	p.X.Tick.Marker, p.Y.Tick.Marker = minutes{}, plot.TickerFunc(plainTicks)
	p.Legend.TextStyle.Font = plots.Letters(12)
	p.Legend.Top, p.Legend.Left = true, true
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = color.Transparent, plots.Faint
	p.Add(g)
	return p
}

// addLine draws a line in the i-th colour; from the ninth on dashed.
func addLine(p *plot.Plot, name string, i int, line plotter.XYs) {
	if len(line) == 0 {
		return
	}
	l := &plotter.Line{XYs: line, LineStyle: draw.LineStyle{Color: soakColours[i%len(soakColours)], Width: vg.Points(1.2)}}
	if i >= len(soakColours) {
		l.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
	}
	p.Add(l)
	if name != "" {
		for k, part := range strings.Split(name, "\n") {
			if k == 0 {
				p.Legend.Add(part, l)
			} else {
				p.Legend.Add(part)
			}
		}
	}
}

// mark is a line at a time.
type mark struct{ at float64 }

// Plot draws it from the bottom to the top.
func (m *mark) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	style := draw.LineStyle{Color: color.RGBA{0x88, 0x88, 0x88, 255}, Width: vg.Points(.7), Dashes: []vg.Length{vg.Points(2), vg.Points(2)}}
	c.StrokeLine2(style, x(m.at), c.Min.Y, x(m.at), c.Max.Y)
}

// nameSteps writes what is restarted above the first panel, where its line ends.
func nameSteps(whole draw.Canvas, p *plot.Plot, panel draw.Canvas, done []Done) {
	data := p.DataCanvas(panel)
	x, _ := p.Transforms(&data)
	style := draw.TextStyle{Color: plots.Ink, Font: plots.Letters(11), Rotation: math.Pi / 2, XAlign: draw.XLeft, YAlign: draw.YCenter, Handler: text.Plain{Fonts: p.Title.TextStyle.Handler.Cache()}}
	for _, d := range done {
		whole.FillText(style, vg.Point{X: x(d.Began.Minutes()), Y: data.Max.Y + 4}, d.Target)
	}
	style.Rotation, style.YAlign, style.Font = 0, draw.YTop, plots.Letters(12)
	whole.FillText(style, vg.Point{X: whole.Max.X - 1.6*vg.Inch, Y: whole.Max.Y - 6}, "restarted there")
}

// plainTicks are the usual ones, written without needless decimals.
func plainTicks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range ticks {
		if !t.IsMinor() {
			ticks[i].Label = strconv.FormatFloat(t.Value, 'g', 6, 64)
		}
	}
	return ticks
}

// minutes are ticks of whole minutes.
type minutes struct{}

// Ticks returns one every minute, two or five.
func (minutes) Ticks(low, high float64) []plot.Tick {
	step := 1.0
	for _, wider := range []float64{2, 5} {
		if (high-low)/step > 16 {
			step = wider
		}
	}
	var ticks []plot.Tick
	for at := math.Ceil(low/step) * step; at <= high; at += step {
		ticks = append(ticks, plot.Tick{Value: at, Label: fmt.Sprintf("%.0f", at)})
	}
	return ticks
}
