package api_test

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"jobstrom/server/browsertest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab opens a tab of a browser. At the end of the test, whatever the browser complained of fails it.
func tab(t *testing.T) context.Context {
	t.Helper()
	options, there := browsertest.Options()
	if !there {
		browsertest.Missing(t, browsertest.NotInstalled)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // a busy machine takes its time
	t.Cleanup(cancel)
	var mu sync.Mutex
	var faults []string
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, fault := range faults {
			t.Error("the browser says: " + fault)
		}
	})
	err := chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			faults = append(faults, e.ExceptionDetails.Text)
		case *log.EventEntryAdded: // also what the content security policy refuses
			faults = append(faults, e.Entry.Text)
		}
	})
	if err == nil {
		_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// Each form asks its route: with a body, with parameters, and for streams, of which one has no end.
func TestTryIt(t *testing.T) {
	ctx := tab(t)
	s := serve(t, nil)
	s.ask("POST", "/v1/vacancies", `{"id":"a/b","text":"`+nurse+`"}`, 202, `.`)
	if err := chromedp.Do(ctx, chromedp.Navigate(s.url+"/docs")); err != nil {
		t.Fatal(err)
	}
	says := func(route, want string) {
		t.Helper()
		last := ""
		for {
			got, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector("#%s .answer").textContent`, route)))
			if err != nil {
				t.Fatalf("%s does not say %s: %v, but %s", route, want, err, last)
			}
			last = got
			if regexp.MustCompile(want).MatchString(got) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	try := func(route, parameter, value, want string) {
		t.Helper()
		if parameter != "" {
			if _, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.getElementById("%s-%s").value = %q`, route, parameter, value))); err != nil {
				t.Fatal(err)
			}
		}
		if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#"+route+" button"))); err != nil {
			t.Fatal(err)
		}
		says(route, want)
	}
	try("classify", "", "", `(?s)^200 .*application/json.*"categori_label": "Sundhed, omsorg og personlig pleje"`)
	try("classify-reference", "jobopslag", nurse, `(?s)^200 .*"categori_idx": 16,`)
	try("batch", "", "", `(?s)^200 .*x-ndjson.*\{"index":0,.*\{"index":1,`)
	try("vacancy", "id", "a/b", `(?s)^200 .*"id": "a/b"`)
	try("dead-letters", "most", "1", `(?s)^200 .*"waiting": 2`)
	try("events", "", "", `(?s)^200 .*: here`)
	s.ask("POST", "/v1/vacancies", `{"id":"c","text":"`+nurse+`"}`, 202, `.`)
	says("events", `event: classified`)
}
