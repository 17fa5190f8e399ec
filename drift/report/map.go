package report

import (
	"fmt"
	"html/template"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"jobstrom/drift"
	"jobstrom/plots"
)

// Size of the map.
const (
	mapWidth  = 430
	mapHeight = 310
)

// embeddingMap draws the vacancies of the reference as rings and those of the current window as diamonds, so that nobody needs to see colours, and over
// them the windows' means, which are larger. The map must be valid.
func embeddingMap(m *drift.Map) (template.HTML, error) {
	p := plots.New("first direction, "+percent(m.Explained[0])+" of the variance", "second direction, "+percent(m.Explained[1]))
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = plots.Faint, plots.Faint
	p.Add(g,
		marks{m.Reference, ring, 1.8, nil, plots.Mid, .8},
		marks{m.Current, diamond, 2, plots.Dark, nil, 0},
		marks{m.Means[:1], ring, 6, color.White, plots.Ink, 2.2},
		marks{m.Means[1:], diamond, 7.5, color.White, plots.Ink, 2.2},
	)
	zoom(p, m)
	return plots.SVG(p, mapWidth, mapHeight, "map of the embeddings of both windows")
}

// zoom shows all points, one unit as long on both axes.
func zoom(p *plot.Plot, m *drift.Map) {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, points := range [][]drift.Point{m.Reference, m.Current, m.Means[:]} {
		for _, point := range points {
			for axis, v := range []float64{point.X, point.Y} {
				low[axis], high[axis] = min(low[axis], v), max(high[axis], v)
			}
		}
	}
	const ratio = float64(mapHeight) / mapWidth
	middle := [2]float64{low[0]/2 + high[0]/2, low[1]/2 + high[1]/2}
	half := .53 * max(high[0]-low[0], (high[1]-low[1])/ratio)
	if far := max(math.Abs(middle[0]), math.Abs(middle[1])); half <= 1e-9*far || half < 1e-100 { // all in one point
		half = max(far, 1)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = middle[0]-half, middle[0]+half, middle[1]-ratio*half, middle[1]+ratio*half
}

// marks draws points as one path, which keeps the page small. Without a fill or a line it leaves that out.
type marks struct {
	points     []drift.Point
	shape      func(path *vg.Path, at vg.Point, radius vg.Length)
	radius     vg.Length
	fill, line color.Color
	width      vg.Length
}

// Plot implements plot.Plotter.
func (m marks) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var path vg.Path
	for _, point := range m.points {
		m.shape(&path, vg.Point{X: x(point.X), Y: y(point.Y)}, m.radius)
	}
	if m.fill != nil {
		c.SetColor(m.fill)
		c.Fill(path)
	}
	if m.line != nil {
		c.SetColor(m.line)
		c.SetLineWidth(m.width)
		c.Stroke(path)
	}
}

func ring(path *vg.Path, at vg.Point, radius vg.Length) {
	path.Move(vg.Point{X: at.X + radius, Y: at.Y})
	path.Arc(at, radius, 0, 2*math.Pi)
	path.Close()
}

func diamond(path *vg.Path, at vg.Point, radius vg.Length) {
	path.Move(vg.Point{X: at.X + radius, Y: at.Y})
	path.Line(vg.Point{X: at.X, Y: at.Y + radius})
	path.Line(vg.Point{X: at.X - radius, Y: at.Y})
	path.Line(vg.Point{X: at.X, Y: at.Y - radius})
	path.Close()
}

// validateMap says what in a map cannot be drawn.
func validateMap(m *drift.Map) error {
	const most = 5000 // points of a window; Compare keeps fewer
	if n := max(len(m.Reference), len(m.Current)); n > most {
		return fmt.Errorf("%d points of a window are more than %d", n, most)
	}
	for _, points := range [][]drift.Point{m.Reference, m.Current, m.Means[:]} {
		for _, point := range points {
			if !(math.Abs(point.X) < 1e100 && math.Abs(point.Y) < 1e100) {
				return fmt.Errorf("the point %v, %v must lie within ±1e100", point.X, point.Y)
			}
		}
	}
	for _, share := range m.Explained {
		if !(share >= 0 && share <= 1+1e-9) {
			return fmt.Errorf("the share %v of the variance must be within 0 and 1", share)
		}
	}
	return nil
}
