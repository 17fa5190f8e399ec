package web

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"jobstrom/server/access"
)

const submit = `form[action="/"] button[type=submit]`

// A caseworker pastes a vacancy, sees the category where it was pasted, and says what would have been right.
func TestClassifyInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	b.see("/")
	b.click("a[data-example]")
	b.until("the example is in the form", func() bool {
		return strings.Contains(is[string](b, `document.getElementById("text").value`), "Nørreådal")
	})
	b.click(submit)
	b.says("#category", "Sundhed, omsorg og personlig pleje")
	b.says("#said", "Kategori: Sundhed, omsorg og personlig pleje. Sikkerhed: 90,0 %.")
	if at := is[string](b, `location.pathname + location.search`); at != "/" {
		t.Errorf("the page has gone to %s", at)
	}
	if n := is[int](b, `document.querySelectorAll(".bars li").length`); n != 22 {
		t.Errorf("%d bars", n)
	}
	if first := is[string](b, `document.querySelector(".bars li").innerText.replace(/\s+/g, " ")`); first != "Sundhed, omsorg og personlig pleje 90,0 %" {
		t.Errorf("the first bar is %q", first)
	}
	if wide, track := is[float64](b, `document.querySelector(".bars .fill").getBoundingClientRect().width`), is[float64](b, `document.querySelector(".bars .track").getBoundingClientRect().width`); wide/track < 0.89 || wide/track > 0.91 {
		t.Errorf("the first bar is %g of %g wide", wide, track)
	}
	shown := is[string](b, `document.querySelector(".source").innerText`)
	if strings.Contains(shown, "86 12 34 56") || strings.Contains(shown, "birgitte.holm@") || !strings.Contains(shown, "telefonnummer") || !strings.Contains(shown, "e-mail") {
		t.Errorf("personal data is not shown as its kind: %s", shown)
	}
	if marks := is[int](b, `document.querySelectorAll(".source mark").length`); marks < 3 {
		t.Errorf("%d entities are marked", marks)
	}
	b.set("right", "13")
	b.click(`form[action="/rettelse"] button`)
	b.says("#corrected", "Rettelsen er gemt: Pædagogisk, socialt og kirkeligt arbejde.")
	w.mu.Lock()
	if len(w.labels) != 1 || w.labels[0].CategoryIndex != 13 || w.labels[0].Source != "api:local" || w.labels[0].Id != is[string](b, `document.querySelector("input[name=id]").value`) {
		t.Errorf("the labels are %v", w.labels)
	}
	w.fail = errBroken
	w.mu.Unlock()
	b.click(submit)
	b.says("#result", "Noget gik galt hos os")
	w.mu.Lock()
	w.fail = nil
	w.mu.Unlock()
	b.set("title", "")
	b.set("text", "? ? ?")
	b.click(submit)
	b.says("#result", "Indsæt et mere beskrivende opslag")
	if text := is[string](b, fmt.Sprintf(`document.querySelector(%q).textContent`, submit)); text != "Klassificér" {
		t.Errorf("the button says %q", text)
	}
}

// Who asks too often is told so where the answer would have been.
func TestTooManyRequestsInPlace(t *testing.T) {
	t.Parallel()
	b := open(t, serve(t, newWorld(t).sources(), access.Options{Rate: 0.001, Burst: 5}), desktop())
	b.see("/?eksempel=1")
	b.until("the limit is reached", func() bool {
		b.click(submit)
		return strings.Contains(is[string](b, `document.getElementById("result").innerText`), "Der er travlt lige nu")
	})
}

// While an answer is on its way, the button says so, and a second click asks nothing.
func TestClassifySaysThatItIsBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hold = make(chan struct{})
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	b.see("/?eksempel=2")
	b.click(submit)
	b.says(submit, "Klassificerer …")
	b.click(submit)
	close(w.hold)
	b.says("#category", "Bygge og anlæg")
	b.says(submit, "Klassificér")
}

func TestClassifyWithoutScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := desktop()
	l.script = false
	b := open(t, serve(t, w.sources(), openDoor()), l)
	b.see("/")
	b.click("a[data-example]")
	b.until("the example's page is there", func() bool { return b.at() == "/?eksempel=1" })
	b.click(submit)
	b.visible("#category")
	if at := b.at(); at != "/" {
		t.Errorf("the answer is at %s", at)
	}
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("main")))
	if err != nil || !strings.Contains(text, "Sundhed, omsorg og personlig pleje") || !strings.Contains(text, "90,0\u00a0%") {
		t.Errorf("%v: %s", err, text)
	}
	// The select is chosen by keys, for no script can set it.
	b.choose("#right", "It og teleteknik")
	b.click(`form[action="/rettelse"] button`)
	b.visible(".notice.good")
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.labels) != 1 || w.labels[0].CategoryIndex != 6 {
		t.Errorf("the labels are %v", w.labels)
	}
}

// Everything of the front page is done with the keyboard, and one sees where one is.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	b.see("/")
	press := func(keys string) { t.Helper(); b.run(chromedp.KeyEvent(keys)) }
	on := func() string {
		return is[string](b, `(e => e.id || e.name || e.textContent.trim())(document.activeElement)`)
	}
	tabTo := func(want string) {
		t.Helper()
		for range 60 {
			press(kb.Tab)
			if on() == want {
				if outline := is[string](b, `getComputedStyle(document.activeElement).outlineStyle`); outline != "solid" {
					t.Errorf("%s has the focus and shows it with outline %s", want, outline)
				}
				return
			}
		}
		t.Fatalf("the key Tab never comes to %s", want)
	}
	press(kb.Tab)
	if got := on(); got != "Gå til indholdet" {
		t.Fatalf("the first stop is %s", got)
	}
	if top := is[float64](b, `document.querySelector(".skip").getBoundingClientRect().top`); top < 0 {
		t.Errorf("the link that skips is not seen: %g", top)
	}
	press(kb.Enter)
	if got := on(); got != "main" {
		t.Errorf("skipping leads to %s", got)
	}
	tabTo("title")
	press("Murersvend")
	tabTo("text")
	press("Vi søger en murer, der kan mure facader og lægge fliser.")
	tabTo("Klassificér")
	press(kb.Enter)
	b.says("#category", "Bygge og anlæg")
	tabTo("right")
	b.choose("#right", "Ledelse")
	tabTo("Send rettelsen")
	press(" ")
	b.says("#corrected", "Rettelsen er gemt: Ledelse.")
}

// downloads lets a tab save files into a folder.
func (b *tab) downloads() string {
	b.t.Helper()
	dir := b.t.TempDir()
	_, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return dir
}

// downloaded waits for a file and reads it as a Danish sheet.
func (b *tab) downloaded(dir, name string) [][]string {
	b.t.Helper()
	path := filepath.Join(dir, name)
	// The browser keeps the name with an empty file and renames the whole one to it.
	b.until(name+" is downloaded", func() bool { info, err := os.Stat(path); return err == nil && info.Size() > 0 })
	content := strings.TrimPrefix(read(b.t, path), "\ufeff")
	reader := csv.NewReader(strings.NewReader(content))
	reader.Comma = ';'
	rows, err := reader.ReadAll()
	if err != nil {
		b.t.Fatalf("%v: %.300s", err, content)
	}
	return rows
}

// vacancyFile writes a file of n vacancies and one that is none.
func vacancyFile(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "opslag.csv")
	if err := os.WriteFile(path, []byte(rowsOf(n)+"tom;Kok;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUploadWithProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hold = make(chan struct{}, 100)
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	dir := b.downloads()
	b.see("/")
	b.run(chromedp.SetUploadFiles(chromedp.CSS("#fil"), []string{vacancyFile(t, 3*uploadChunk)}))
	b.click("form[data-upload] button[type=submit]")
	b.visible("progress")
	for i := range 2 { // one chunk after the other, so that the progress is seen
		w.hold <- struct{}{}
		b.says("[data-said]", fmt.Sprintf("%d af %d opslag er klassificeret", (i+1)*uploadChunk, 3*uploadChunk+1))
		if value := is[float64](b, `document.querySelector("progress").value`); value != float64((i+1)*uploadChunk) {
			t.Errorf("the bar stands at %g", value)
		}
	}
	close(w.hold)
	b.says("[data-said]", "Færdig: 97 opslag. 1 kunne ikke klassificeres; arket siger hvorfor.")
	b.click("[data-download] a")
	rows := b.downloaded(dir, "klassificeret.csv")
	if len(rows) != 98 || rows[1][4] != "Sundhed, omsorg og personlig pleje" || rows[97][10] == "" {
		t.Errorf("%d rows: %q %q", len(rows), rows[1], rows[len(rows)-1])
	}
}

func TestUploadCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hold = make(chan struct{})
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	b.see("/")
	b.run(chromedp.SetUploadFiles(chromedp.CSS("#fil"), []string{vacancyFile(t, 5)}))
	b.click("form[data-upload] button[type=submit]")
	b.click("[data-cancel]")
	b.says("[data-said]", "Afbrudt.")
	close(w.hold)
	b.click("form[data-upload] button[type=submit]") // and again, now to its end
	b.says("[data-said]", "Færdig: 6 opslag.")
}

func TestUploadWithoutScript(t *testing.T) {
	t.Parallel()
	l := desktop()
	l.script = false
	b := open(t, serve(t, newWorld(t).sources(), openDoor()), l)
	dir := b.downloads()
	b.see("/")
	b.run(chromedp.SetUploadFiles(chromedp.CSS("#fil"), []string{vacancyFile(t, 40)}))
	b.click("form[data-upload] button[type=submit]")
	if rows := b.downloaded(dir, "klassificeret.csv"); len(rows) != 42 {
		t.Errorf("%d rows", len(rows))
	}
}
