// Package plots is what the pictures of the reports have in common: colours, letters, and SVG that stands in a page by itself. It promises that texts keep the
// width that was reserved for them, whatever font the reader has.
package plots

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"image/color"
	"regexp"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// One hue in steps of lightness, so that a print in black and white reads the same.
var (
	Ink   = color.RGBA{R: 0x10, G: 0x2a, B: 0x43, A: 255}
	Dark  = color.RGBA{R: 0x12, G: 0x4a, B: 0x80, A: 255}
	Mid   = color.RGBA{R: 0x5f, G: 0x9a, B: 0xcc, A: 255}
	Light = color.RGBA{R: 0xc9, G: 0xde, B: 0xf0, A: 255}
	Faint = color.RGBA{R: 0xdd, G: 0xe3, B: 0xe9, A: 255}
)

// New returns a plot in the page's letters.
func New(x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color = Ink, Ink
		axis.Label.TextStyle.Font = Letters(10)
		axis.Tick.Label.Font = Letters(9)
		axis.Label.TextStyle.Color, axis.Tick.Label.Color = Ink, Ink
		axis.Label.Padding = 4
	}
	p.Legend.TextStyle.Font, p.Legend.TextStyle.Color = Letters(9), Ink
	p.Legend.Padding = 3
	return p
}

// Letters are those of the page.
func Letters(size font.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

var (
	svgHead = regexp.MustCompile(`(?s)^.*?<svg width="[^"]*" height="[^"]*"`)
	svgText = regexp.MustCompile(`(<text [^>]*?)\s+style="[^"]*?font-size:([0-9.]+)px([^"]*)">([^<]*)</text>`)
)

// SVG draws a plot that is as wide as the page lets it be. The name says what it shows to those who do not see it.
func SVG(p *plot.Plot, width, height vg.Length, name string) (template.HTML, error) {
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
	face := font.DefaultCache.Lookup(Letters(font.Points(size)), font.Points(size))
	return fmt.Sprintf(`%s textLength="%.2f" lengthAdjust="spacingAndGlyphs" style="font-size:%spx%s">%s</text>`, m[1], face.Width(html.UnescapeString(m[4])).Points(), m[2], m[3], m[4])
}
