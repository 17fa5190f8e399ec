package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"jobstrom/schemas"
	"jobstrom/server/access"
	"jobstrom/server/api"
)

func TestLiveEventsArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.feed.recent = events(w)
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	b.see("/live")
	b.until("the page listens", func() bool {
		return w.feed.listeners() == 1 && is[string](b, `document.getElementById("events").dataset.open ?? ""`) == "1"
	})
	w.feed.happen(api.Event{Kind: "classified", At: noon.Add(9 * time.Second), ID: "x", Category: "Ledelse", CategoryIndex: 10, Confidence: 0.9312, Occupation: "Direktør", Seconds: 1.26, Missed: 1200})
	b.says("#events li", "14.05.09Ledelse1.200 hændelser er sprunget over, fordi strømmen er hurtigere end siden.Direktør93,1 %1,3 s")
	w.feed.happen(api.Event{Kind: "refused", At: noon.Add(10 * time.Second), Stage: "extract", Class: "malformed", Reason: "malformed vacancy: no text"})
	b.says("#events li", "14.05.10Afvist malformed vacancy: no text")
	b.says("#figures", "1.234.569") // the figures follow
	// What the script writes looks as what the server writes.
	script := is[string](b, `[...document.querySelectorAll("#events li")].slice(0, 2).map(e => e.innerText.replace(/\s+/g, " ")).join("|")`)
	b.click("[data-pause]")
	b.says("[data-pause]", "Fortsæt")
	w.feed.happen(api.Event{Kind: "classified", At: noon.Add(11 * time.Second), Category: "Elever", Seconds: 0.5})
	w.feed.happen(api.Event{Kind: "classified", At: noon.Add(12 * time.Second), Category: "Elever", Seconds: 0.5})
	b.says("[data-pause]", "Fortsæt (2 nye)")
	if first := is[string](b, `document.querySelector("#events li time").textContent`); first != "14.05.10" {
		t.Errorf("a page that pauses shows the event of %s", first)
	}
	b.click("[data-pause]")
	b.says("[data-pause]", "Sæt på pause")
	w.feed.happen(api.Event{Kind: "classified", At: noon.Add(13 * time.Second), Category: "Elever", Seconds: 0.5})
	b.says("#events li time", "14.05.13")
	b.see("/live")
	server := is[string](b, `[...document.querySelectorAll("#events li")].slice(3, 5).map(e => e.innerText.replace(/\s+/g, " ")).join("|")`)
	if script = strings.ReplaceAll(script, " 1.200 hændelser er sprunget over, fordi strømmen er hurtigere end siden.", ""); strings.ReplaceAll(script, "extract", "Udtræk") != server {
		t.Errorf("the script writes %q, the server %q", script, server)
	}
}

// When the connection breaks the page says so, and goes on when it is there again.
func TestLiveSaysThatItIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sources := w.sources()
	b := open(t, serve(t, sources, openDoor()), desktop())
	b.see("/live")
	b.until("the page listens", func() bool { return w.feed.listeners() == 1 })
	w.feed.cut()
	b.says("[data-broken]", "Forbindelsen er afbrudt")
	b.until("the page listens again", func() bool { return w.feed.listeners() == 1 })
	b.run(chromedp.WaitNotVisible(chromedp.CSS("[data-broken]")))
}

func TestLiveWithoutScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.feed.recent = events(w)
	l := desktop()
	l.script = false
	b := open(t, serve(t, w.sources(), openDoor()), l)
	b.see("/live")
	w.feed.happen(api.Event{Kind: "classified", At: noon.Add(9 * time.Second), Category: "Ledelse", Seconds: 1.2})
	b.click("[data-refresh]")
	b.until("the new event is there", func() bool {
		text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("#events")))
		return err == nil && strings.Contains(text, "14.05.09")
	})
}

func TestReplayOfDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	b.see("/live")
	b.says("#letters ~ form", "2 afviste opslag venter.")
	b.click("#brev1")
	b.click("form[action='/live/send-igen'] button:not([name])")
	b.says("[role=status].good", "Sendt igen: 1. Sendt før: 0. Ikke sendt: 0.")
	b.says("#letters ~ form", "Ét afvist opslag venter.")
	b.whole()
	if disabled := is[bool](b, `document.getElementById("brev1").disabled`); !disabled {
		t.Error("a letter that was sent again can be chosen")
	}
	b.click("form[action='/live/send-igen'] button[name]")
	b.says("[role=status].good", "Sendt igen: 1. Sendt før: 1. Ikke sendt: 0.")
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.replayed) != 2 || w.replayed[0] != (api.LetterPlace{Partition: 1, Offset: 41}) {
		t.Errorf("replayed %v", w.replayed)
	}
}

func TestDriftPage(t *testing.T) {
	t.Parallel()
	b := open(t, serve(t, newWorld(t).sources(), openDoor()), desktop())
	b.see("/drift")
	b.says(".alarm", "26.11.2026 08.05 Alarm Kategori forandring Forskel 0,142; grænsen er 0,100 (samlet forskel i andele). 20. november 2026 – 27. november 2026 (12.480 opslag)")
	b.says(".trends tr:nth-child(5)", "Sundhed, omsorg og personlig pleje3,9 %8,9 %+5,0")
	b.says(".timeline > li:last-child", "Ophørt Tekstens længde ingen forandring")
	if from := is[string](b, `document.getElementById("fra").value`); from != "2026-10-28" {
		t.Errorf("the form begins on %s", from)
	}
	b.set("fra", "2026-11-20")
	b.click("form[action='/drift'] button:not([formaction])")
	b.until("the days are in the address", func() bool { return b.at() == "/drift?fra=2026-11-20&til=2026-11-27" })
	b.says("#shares ~ p", "20. november 2026 kl. 00.00 til 28. november 2026 kl. 00.00")
	b.click("button[formaction]")
	b.says("h1", "Drift from 2026-11-19T23:00:00Z to 2026-11-27T23:00:00Z")
}

func TestPromoteAndRollBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	b.see("/modeller")
	b.says(".model", "jobnet-2026-11 I brug siden 7. november 2026 kl. 14.05. Trænet 6. november 2026 kl. 14.05 · 457.824 opslag · 34,0 kB")
	b.says("#challengers ~ .model", "Rigtig kategori først0,879 bedre mod 0,871")
	b.says("#challengers ~ .model", "Kalibreringsfejl0,014 dårligere mod 0,013")
	b.click("#challengers ~ .model a[href*=tag-i-brug]")
	b.says("h1", "Tag modellen i brug?")
	b.says("dl", "Modeljobnet-2026-11bI brug nujobnet-2026-11")
	b.write("#reason", "bedre på efterårets opslag")
	b.click("main button")
	b.says(".notice.good", "Modellen er taget i brug.")
	b.says("#champion ~ .model h3", "jobnet-2026-11b")
	w.mu.Lock()
	if w.by != "local: bedre på efterårets opslag" {
		t.Errorf("promoted by %s", w.by)
	}
	w.mu.Unlock()
	b.click("a[href='/modeller/tilbage']")
	b.write("#reason", "den var alligevel dårligere")
	w.mu.Lock()
	w.champion = "jobnet-2026-11" // somebody else was faster
	w.mu.Unlock()
	b.click("main button")
	b.says("h1", "Noget er ændret imens")
	b.see("/modeller/tilbage")
	b.write("#reason", "den var alligevel dårligere")
	b.click("main button")
	b.says(".notice.good", "Den forrige model er i brug igen.")
	b.says("#champion ~ .model h3", "jobnet-2026-08")
	b.see("/modeller")
	b.click("a[href*=rapport]")
	b.says("h1", "Training")
}

func TestSearch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := open(t, serve(t, w.sources(), openDoor()), desktop())
	b.see("/soeg")
	b.write("#text", "pleje patienter om natten")
	b.set("category", "16")
	b.set("fra", "2026-11-01")
	b.set("til", "2026-11-30")
	b.click("form[action='/soeg'] button")
	b.says("#hits", "4 opslag")
	b.says("#said", "4 opslag")
	b.says(".hits li:nth-child(2)", "Social- og sundhedsassistentLighed 0,86 Sundhed, omsorg og personlig pleje 87,0 % Opgaver: pleje patienter · give medicin · vejlede pårørende")
	w.mu.Lock()
	if q := w.asked; q.Category != 16 || q.Since.Format(time.RFC3339) != "2026-11-01T00:00:00+01:00" || q.Until.Format(time.RFC3339) != "2026-12-01T00:00:00+01:00" || len(q.Vector) != 2 {
		t.Errorf("asked for %+v", q)
	}
	w.mu.Unlock()
	if at := b.at(); at != "/soeg" {
		t.Errorf("the search is in the address: %s", at)
	}
	b.set("category", "3")
	b.click("form[action='/soeg'] button")
	b.says("#found", "0 opslag Intet ligner i den kategori og periode.")
	l := desktop()
	l.script = false
	b = open(t, b.url, l)
	b.see("/soeg")
	b.write("#text", "pleje patienter")
	b.click("form[action='/soeg'] button")
	b.visible("#hits")
}

func TestLogInAndOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o, tokens := protect(t, access.Admin)
	b := open(t, serve(t, w.sources(), o), desktop())
	b.see("/live")
	b.says("h1", "Log ind først")
	b.click("main a[href^='/login']")
	b.write("#token", "js_wrong")
	b.click("main button")
	b.says("[role=alert]", "Nøglen er ikke kendt her")
	b.write("#token", tokens[access.Admin])
	b.click("main button")
	b.says("h1", "Strømmen lige nu")
	b.until("the session may listen", func() bool { return w.feed.listeners() == 1 })
	b.click("header button")
	b.says("main", "Du skal logge ind for at klassificere.")
}

// One chooses English once, and every page is English then.
func TestEnglish(t *testing.T) {
	t.Parallel()
	b := open(t, serve(t, newWorld(t).sources(), openDoor()), desktop())
	b.see("/")
	b.click("a[hreflang=en]")
	b.says("h1", "Classify a vacancy")
	b.see("/live")
	b.says("h1", "The flow right now")
	b.says("#figures", "1,234,567")
	b.says("#figures", "27 November 2026 at 09:05")
	if lang := is[string](b, `document.documentElement.lang`); lang != "en" {
		t.Errorf("the page's language is %s", lang)
	}
	b.click("a[hreflang=da]")
	b.says("h1", "Strømmen lige nu")
}

// The whole way with the real extractor, encoder and default classifier.
func TestRealPipeline(t *testing.T) {
	t.Parallel()
	p := pipelineOf(t)
	sources := api.Sources{Classify: p.Run, Taxonomy: p.Taxonomy, Encoder: p.Encoder.Card().ID, Label: func(context.Context, *schemas.Label) error { return nil }}
	b := open(t, serve(t, sources, openDoor()), desktop())
	for example, want := range []string{"Sundhed, omsorg og personlig pleje", "Bygge og anlæg", "It og teleteknik"} {
		b.see("/?eksempel=" + string(rune('1'+example)))
		b.click(submit)
		b.says("#category", want)
	}
}
