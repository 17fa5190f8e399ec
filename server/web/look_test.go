package web

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"jobstrom/server/access"
)

// images is where the pictures of the pages lie, and mostBytes the most that one may take.
const (
	images    = "../../docs/images"
	mostBytes = 150 << 10
)

// sight is a page as it is looked at: where it is, and what is done there first.
type sight struct {
	name, path string
	before     func(b *tab)
}

// sights are all pages, and the answers of their forms.
func sights() []sight {
	answer := func(button, shows string) func(b *tab) {
		return func(b *tab) {
			b.click(button)
			b.visible(shows)
		}
	}
	return []sight{
		{"klassificer", "/?eksempel=1", answer(submit, "#category")},
		{"rettelse", "/?eksempel=1", func(b *tab) {
			answer(submit, "#category")(b)
			b.set("right", "3")
			answer("form[action='/rettelse'] button", "#corrected .notice")(b)
		}},
		{"for-lidt", "/", func(b *tab) {
			b.write("#text", "? ? ?")
			answer(submit, "#result .notice")(b)
		}},
		{"live", "/live", nil},
		{"sendt", "/live?sendt=2-1-0", nil},
		{"drift", "/drift", nil},
		{"modeller", "/modeller", nil},
		{"tag-i-brug", "/modeller/tag-i-brug?model=jobnet-2026-11b", nil},
		{"soeg", "/soeg", func(b *tab) {
			b.write("#text", "pleje patienter om natten")
			answer("form[action='/soeg'] button", "#hits")(b)
		}},
		{"fejl", "/findes-ikke", nil},
	}
}

// Every page can be used by those who do not see it, in light and in dark, and fits a phone. With -rewrite their pictures are written anew.
func TestEveryPage(t *testing.T) {
	w := newWorld(t)
	w.feed.recent = events(w)
	url := serve(t, w.sources(), openDoor())
	looks := map[string]look{"light": {1200, 800, false, true, false}, "dark": {1200, 800, true, true, false}, "phone": {320, 640, false, true, false}}
	for name, l := range looks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, url, l)
			for _, s := range sights() {
				b.see(s.path)
				if s.before != nil {
					s.before(b)
				}
				b.fits(name + " " + s.name)
				if name != "phone" {
					b.accessible(name + " " + s.name)
				}
				if *rewrite {
					b.picture(name, s.name)
				}
			}
		})
	}
}

func TestPagesForThoseLoggedIn(t *testing.T) {
	t.Parallel()
	o, tokens := protect(t, access.Classify)
	b := open(t, serve(t, newWorld(t).sources(), o), phone())
	for _, path := range []string{"/", "/live", "/login"} { // nobody is logged in
		b.see(path)
		b.fits(path)
		b.accessible(path)
	}
	b.write("#token", "js_wrong")
	b.click("main button")
	b.visible("[role=alert]")
	b.accessible("a token that is not known")
	b.write("#token", tokens[access.Classify])
	b.click("main button")
	b.visible("#text")
	b.fits("the front page of who may classify alone")
	b.accessible("the front page of who may classify alone")
}

// pictured are the pages whose pictures are kept, by look.
func pictured() map[string][]string {
	return map[string][]string{"light": {"klassificer", "drift", "modeller", "soeg"}, "dark": {"live"}, "phone": {"klassificer"}}
}

// file is where a picture lies.
func pictureFile(look, name string) string {
	if look == "phone" {
		name += "-telefon"
	}
	return filepath.Join(images, name+".png")
}

// picture writes a picture of what the tab shows, if it is one of those kept.
func (b *tab) picture(look, name string) {
	b.t.Helper()
	if !slices.Contains(pictured()[look], name) {
		return
	}
	b.run(chromedp.Evaluate[chromedp.Void](`window.scrollTo(0, document.querySelector(".result")?.offsetTop - 8 || 0); document.activeElement.blur(); undefined`))
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		b.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, reduced(picture)); err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(images, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(pictureFile(look, name), out.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// reduced returns a picture in its 256 most frequent colours; a page has few others, between those of letters and ground.
func reduced(in image.Image) image.Image {
	count := map[color.RGBA]int{}
	bounds := in.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.RGBAModel.Convert(in.At(x, y)).(color.RGBA)
			count[c]++
		}
	}
	var all []color.RGBA
	for c := range count {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	for _, c := range all[:min(len(all), 256)] {
		palette = append(palette, c)
	}
	out := image.NewPaletted(bounds, palette)
	draw.Draw(out, bounds, in, bounds.Min, draw.Src)
	return out
}

// The pictures are there and small, and the README shows one.
func TestPictures(t *testing.T) {
	for look, names := range pictured() {
		for _, name := range names {
			path := pictureFile(look, name)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v (go test ./server/web -run TestEveryPage -rewrite writes it)", err)
			}
			if picture, err := png.Decode(bytes.NewReader(content)); err != nil || picture.Bounds().Dx() < 320 || len(content) > mostBytes {
				t.Errorf("%s: %v, %d bytes", path, err, len(content))
			}
		}
	}
	if !strings.Contains(read(t, "../../README.md"), "](docs/images/") {
		t.Error("the README shows no picture")
	}
}
