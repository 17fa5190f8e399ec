package web

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"jobstrom/server/api"
)

// hostile is text that would do something if it were taken for markup, in an element, an attribute, a script, a style, an address or a template.
const hostile = `"'><img src=x onerror=document.title=1><svg onload=document.title=1></textarea></title><script>document.title=1</script>{{.}}</template> javascript:alert(1) `

// unharmed fails the test when a page holds an element or a handler that others' text made.
func (b *tab) unharmed(what string) {
	b.t.Helper()
	made := is[string](b, `[...document.querySelectorAll("img, iframe, object, embed, script:not([src]), style, base, meta[http-equiv], [href^='javascript'], [action^='javascript']"),
		...[...document.querySelectorAll("*")].filter(e => [...e.attributes].some(a => a.name.startsWith("on")))].map(e => e.outerHTML.slice(0, 150)).join("\n")`)
	if made != "" {
		b.t.Errorf("%s: others' text became %s", what, made)
	}
	if title := is[string](b, `document.title`); title == "1" {
		b.t.Errorf("%s: others' text has run", what)
	}
}

// shows fails the test unless the page shows others' text as text.
func (b *tab) shows(what, selector string) {
	b.t.Helper()
	b.says(selector, `onerror=document.title=1><svg onload=document.title=1></textarea></title><script>document.title=1</script>{{.}}`)
	b.unharmed(what)
}

// What others wrote is shown as what they wrote, wherever it comes from.
func TestHostileText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hostile = hostile
	w.feed.recent = events(w)
	w.taxonomy.Categories[6].Name = hostile + w.taxonomy.Categories[6].Name
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	for path, selectors := range map[string][]string{
		"/live":                    {"#events .occupation", "#events .reason", ".letters label", ".letters [lang=en]"},
		"/drift":                   {".alarm .changes", ".alarm .fine", ".timeline > li:last-child .head", ".timeline > li:nth-child(2) .fine"},
		"/modeller":                {".model h3", ".model .facts", ".others .mono", ".timeline .mono", ".timeline li p:last-child", "main > div > .fine .mono"},
		"/modeller/tilbage":        {".facts dd"},
		"/?" + hostileQuery():      nil,
		"/login?til=" + hostileURL: nil,
		"/soeg?fra=" + hostileURL:  nil,
		"/drift?til=" + hostileURL: nil,
		"/modeller/tag-i-brug?model=" + url.QueryEscape(hostile+"jobnet-2026-11b"): {".facts dd"},
		"/modeller/tag-i-brug?model=" + hostileURL:                                 nil,
		"/live?sendt=" + hostileURL:                                                nil,
		"/" + url.PathEscape(hostile):                                              nil,
		"/static/" + url.PathEscape(hostile):                                       nil,
	} {
		b.see(path)
		b.unharmed(path)
		for _, selector := range selectors {
			b.shows(path, selector)
		}
	}
	b.see("/live")
	b.until("the page listens", func() bool {
		return w.feed.listeners() > 0 && is[string](b, `document.getElementById("events").dataset.open ?? ""`) == "1"
	})
	w.feed.happen(api.Event{Kind: "refused", At: noon, ID: hostile, Stage: hostile, Class: hostile, Reason: hostile})
	b.shows("an event of a refused vacancy", "#events li:first-child .reason")
	w.feed.happen(api.Event{Kind: "classified", At: noon, ID: hostile, Category: hostile, Occupation: hostile, Model: hostile})
	b.shows("an event", "#events li:first-child .what")

	for _, script := range []bool{true, false} {
		b := b
		if !script {
			l := desktop()
			l.script = false
			b = open(t, b.url, l)
		}
		b.see("/")
		b.write("#title", hostile+"softwareudvikler")
		b.write("#text", "Vi søger en softwareudvikler. Du skal kode "+hostile)
		b.click(submit)
		b.visible("#category")
		if script {
			b.shows("a classified vacancy", "#category")
			b.shows("a classified vacancy", ".facts")
			b.says(".source", "softwareudvikler") // markup is cleaned away before anything is extracted
			b.set("right", "6")
			b.click("form[action='/rettelse'] button")
		}
		b.unharmed("a classified vacancy")
	}
	b.see("/soeg")
	b.write("#text", hostile)
	b.click("form[action='/soeg'] button")
	b.visible("#hits")
	for _, selector := range []string{".hits h3", ".hits p:nth-of-type(2)", ".hits .fine", ".hits .mono"} {
		b.shows("a search", selector)
	}
	b.see("/")
	path := filepath.Join(t.TempDir(), `<img src=x onerror=document.title=1>.csv`)
	if err := os.WriteFile(path, []byte(`<img src=x onerror=document.title=1>;a`+"\n1;2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run(chromedp.SetUploadFiles(chromedp.CSS("#fil"), []string{path}))
	b.click("form[data-upload] button[type=submit]")
	b.says("[data-said]", "Filen kan ikke læses.")
	b.unharmed("a file that cannot be read")
}

var hostileURL = url.QueryEscape(hostile)

func hostileQuery() string { return strings.ReplaceAll("eksempel=X&sprog=X&X=X", "X", hostileURL) }
