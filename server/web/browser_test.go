package web

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jobstrom/server/browsertest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// rewrite makes the pictures of docs/images anew.
var rewrite = flag.Bool("rewrite", false, "write the pictures in docs/images anew")

// chromium is the one browser of a run. Tests open tabs in it, each in a context of its own, so that none sees another's cookies.
var chromium struct {
	once   sync.Once
	ctx    context.Context
	cancel func()
	why    string // it is not there
}

func TestMain(m *testing.M) {
	code := m.Run()
	if chromium.cancel != nil {
		chromium.cancel()
	}
	os.Exit(code)
}

// startBrowser starts Chromium, which must be installed: Debian's chromium, or Chrome.
func startBrowser() {
	options, there := browsertest.Options()
	if !there {
		chromium.why = browsertest.NotInstalled
		return
	}
	options = append(options, chromedp.Flag("font-render-hinting", "none"), chromedp.Env("LANG=da_DK.UTF-8", "LANGUAGE=da"), chromedp.Flag("force-color-profile", "srgb"))
	for range 3 { // a busy machine may let a start run out of time
		allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, close := chromedp.NewContext(allocator)
		chromium.ctx, chromium.cancel = ctx, func() { close(); stop() }
		err := chromedp.Do(ctx)
		if err == nil {
			chromium.why = ""
			return
		}
		chromium.why = fmt.Sprintf("chromium does not start: %v", err)
		chromium.cancel()
	}
}

// tab is a tab of the browser.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string

	mu     sync.Mutex
	faults []string // what the browser complained of
}

// look is how a tab looks at a page.
type look struct {
	width, height int64
	dark          bool
	script        bool
	english       bool
}

// desktop is a look with script in light.
func desktop() look { return look{width: 1280, height: 900, script: true} }

func phone() look { return look{width: 320, height: 700, script: true} }

// open opens a tab at a server. At the end of the test, whatever the browser complained of (a script's error, what the policy refused) fails it.
func open(t *testing.T, url string, l look) *tab {
	t.Helper()
	chromium.once.Do(startBrowser)
	if chromium.why != "" {
		browsertest.Missing(t, chromium.why)
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute) // a busy machine takes its time
	t.Cleanup(stop)
	b := &tab{t: t, ctx: ctx, url: url}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, fault := range b.faults {
			t.Error("the browser says: " + fault)
		}
	})
	err := chromedp.Listen(ctx, func(event any) {
		fault := ""
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			fault = e.ExceptionDetails.Text + " at " + e.ExceptionDetails.URL
		case *runtime.EventConsoleAPICalled:
			if e.Type == "error" {
				fault = "console.error was called"
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError && e.Entry.Source != "network" { // statuses other than 2xx are the network's
				fault = e.Entry.Text
			}
		}
		if fault != "" {
			b.mu.Lock()
			b.faults = append(b.faults, fault)
			b.mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	call(b, log.Enable, cdp.Empty{})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 500})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !l.script})
	if l.english {
		b.run(chromedp.Navigate(url + "/?sprog=en"))
	}
	return b
}

// call sends a command to the browser.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// run does actions, each of which waits until it can be done.
func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for i, action := range actions {
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		err := chromedp.Do(ctx, action)
		cancel()
		if err != nil {
			b.t.Fatalf("step %d: %v, %s", i+1, err, b.scene())
		}
	}
}

// scene says what the tab shows, for messages.
func (b *tab) scene() string {
	at, _ := chromedp.Run(b.ctx, chromedp.Location())
	text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
	return fmt.Sprintf("at %s:\n%.2500s", at, text)
}

// click clicks what a selector finds, once it is visible.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.visible(selector)
	b.whole()
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

// write types into a field.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.visible(selector)
	b.whole()
	b.run(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// set gives a field a value, as choosing from a list or a calendar does.
func (b *tab) set(id, value string) {
	b.t.Helper()
	is[string](b, fmt.Sprintf(`document.getElementById(%q).value = %q`, id, value))
}

// visible waits until something is.
func (b *tab) visible(selector string) {
	b.t.Helper()
	b.run(chromedp.WaitVisible(chromedp.CSS(selector)))
}

// whole waits until the page has come to its end, with its styles: a part of it is visible before.
func (b *tab) whole() {
	b.t.Helper()
	b.until("the page is whole", func() bool {
		state, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.readyState`))
		return err == nil && state == "complete"
	})
}

// choose goes down in a list by keys until it shows a choice. Letters would have to come within a second of each other.
func (b *tab) choose(selector, want string) {
	b.t.Helper()
	b.whole()
	shows := fmt.Sprintf(`document.querySelector(%q).selectedOptions[0].text`, selector)
	for range 60 {
		if is[string](b, shows) == want {
			return
		}
		b.run(chromedp.SendKeys(chromedp.CSS(selector), kb.ArrowDown))
	}
	b.t.Fatalf("the list at %s never shows %q, %s", selector, want, b.scene())
}

// see opens a page.
func (b *tab) see(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.url+path), chromedp.WaitReady(chromedp.CSS("footer")))
}

// says waits until a page says something at a selector.
func (b *tab) says(selector, want string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s says %q", selector, want), func() bool {
		text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.textContent ?? ""`, selector)))
		return err == nil && strings.Contains(strings.Join(strings.Fields(text), " "), want)
	})
}

// until waits until a condition holds.
func (b *tab) until(what string, holds func() bool) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); ; {
		if holds() {
			return
		}
		select {
		case <-end:
			b.t.Fatalf("waiting until %s, %s", what, b.scene())
		case <-tick.C:
		}
	}
}

// is returns what a page's expression evaluates to.
func is[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// accessible fails the test for everything that axe-core finds wrong with the page. Its script comes through the debugger, to which the page's policy does not apply.
func (b *tab) accessible(what string) {
	b.t.Helper()
	b.whole()
	native := os.Getenv("JOBSTROM_NATIVE")
	if native == "" {
		native = filepath.Join("..", "..", ".native")
	}
	script, err := os.ReadFile(filepath.Join(native, "axe", "axe.min.js"))
	if err != nil {
		browsertest.Missing(b.t, "axe-core is not here (native/setup.sh test): the pages' accessibility is not tested")
	}
	call(b, runtime.Evaluate, runtime.EvaluateParams{Expression: string(script)})
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({rule: v.id, help: v.help,
		nodes: v.nodes.map(n => n.html.slice(0, 200) + " " + n.any.concat(n.all, n.none).map(c => c.message).join("; "))}))))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	var violations []struct {
		Rule, Help string
		Nodes      []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range violations {
		b.t.Errorf("%s: %s (%s): %s", what, v.Help, v.Rule, strings.Join(v.Nodes, "\n\t"))
	}
}

// fits fails the test when the page is wider than the tab.
func (b *tab) fits(what string) {
	b.t.Helper()
	b.whole()
	if wide := is[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		culprit := is[string](b, `[...document.querySelectorAll("main *, header *, footer *")].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth).slice(0, 5).map(e => e.outerHTML.slice(0, 120)).join(" | ")`)
		b.t.Errorf("%s is %d px wider than the screen: %s", what, wide, culprit)
	}
}

// at returns where the tab is, path and query, or nothing while it goes from page to page.
func (b *tab) at() string {
	b.t.Helper()
	location, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil && b.ctx.Err() != nil {
		b.t.Fatal(err)
	}
	return strings.TrimPrefix(location, b.url)
}
